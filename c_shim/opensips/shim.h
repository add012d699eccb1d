/*
 * sipwarden: what the files of OpenSIPS's shim share.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SIPWARDEN_SHIM_H
#define SIPWARDEN_SHIM_H

#include <limits.h>
#include <string.h>
#include <arpa/nameser.h>
#include "sr_module.h"
#include "dprint.h"
#include "globals.h"
#include "mem/mem.h"
#include "mi/mi.h"
#include "pt.h"
#include "pvar.h"
#include "resolve.h"
#include "route.h"
#include "status_report.h"
#include "parser/msg_parser.h"
#include "parser/parse_cseq.h"
#include "parser/parse_from.h"
#include "parser/parse_to.h"
#include "host_db.h"

#define SW_HOST "OpenSIPS"
/* Types of module parameters. */
#define SW_TEXT_PARAM STR_PARAM
#define SW_NUMBER_PARAM INT_PARAM
#define SW_CALLED_PARAM USE_FUNC_PARAM
/* The kind of route that runs. */
#define sw_route_type() route_type
#define sw_get_record(name, type) get_record(name, type)
/* Of a variable of the script: how it is registered, the name of its attribute, its value
 * where that is a number. Numbers have 32 bits here. */
#define SW_PV_TYPE PVT_EXTRA
typedef const str sw_pv_name;
#define sw_pv_number(msg, param, res, number)                                   \
	pv_get_sintval(msg, param, res,                                             \
			(number) > INT_MAX ? INT_MAX : (number) < INT_MIN ? INT_MIN : (int)(number))

#include "common.h"

/* An event is told with parameters, by another process: the variable never has it. */
static inline int sw_value_of_event(int index, struct sw_value *out)
{
	(void)index, (void)out;
	return 0;
}

/* processes.c */
extern proc_export_t sw_processes[];
/* After Rust's init: which of them there are. */
void sw_processes_choose(void);

/* settings.c */
int sw_settings_init(void);
int sw_settings_settled(void);
int sw_settings_change(uint32_t index, const char *text, int32_t number);

/* dialog.c */
/* Before Rust's init: what dialogs can do. */
int sw_dialog_init(void);
/* After it, as restored dialogs come at once. */
int sw_dialog_watch_all(void);
int sw_dialog_support(void);
void *sw_dialog_hold(const struct sw_call *call, struct sw_dialog *out, const char **why);
void sw_dialog_unhold(void *held);
int sw_dialog_exists(struct sw_dialog dialog);
int sw_dialog_end(struct sw_dialog dialog);

/* functions.c */
extern const cmd_export_t sw_functions[];

/* mi.c */
extern mi_export_t sw_mi_commands[];
int sw_mi_declare(void);
enum sw_argument sw_mi_argument(void *call, struct sw_text *name, struct sw_text *value);
void *sw_mi_open(void *call, void *parent, const char *name, int array);
void sw_mi_int(void *call, void *parent, const char *name, int64_t value);
void sw_mi_text(void *call, void *parent, const char *name, struct sw_text value);
void sw_mi_item(void *call, void *array, struct sw_text value);
void sw_mi_fault(void *call, int code, struct sw_text reason);

/* events.c */
int sw_events_publish(void);
void sw_tell_event(const struct sw_event *event);

/* statistics.c */
int sw_statistics_register(void);
void sw_count(uint32_t index);
uint64_t sw_counted(uint32_t index);

#endif
