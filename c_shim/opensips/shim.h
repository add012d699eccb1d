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
#include "route.h"
#include "status_report.h"
#include "parser/msg_parser.h"
#include "parser/parse_cseq.h"
#include "parser/parse_from.h"
#include "parser/parse_to.h"
#include "version.h"
#include "host_db.h"

#define SW_HOST "OpenSIPS"
#define SW_HOST_VERSION OPENSIPS_FULL_VERSION
#define SW_HOST_FLAGS OPENSIPS_COMPILE_FLAGS
#define SW_DB_URL "sqlite:////var/lib/opensips/sipwarden.sqlite"
#define SW_METHOD_PREFIX "sipwarden_"
#define SW_REASON_BYTES 0
#define SW_UNUSABLE_ARGUMENT "is neither text nor a whole number"
/* Types of module parameters. */
#define SW_TEXT_PARAM STR_PARAM
#define SW_NUMBER_PARAM INT_PARAM
#define SW_CALLED_PARAM USE_FUNC_PARAM
/* The kind of route that runs. */
#define sw_route_type() route_type
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

/* dialog.c */
/* Before Rust's init: what dialogs can do. */
int sw_dialog_init(void);
/* After it, as restored dialogs come at once. */
int sw_dialog_watch_all(void);

/* copies.c */
/* After sw_dialog_init. */
int sw_copies_init(void);
/* Whether a message is the copy of an INVITE that another worker has, or that has a
 * transaction: the script ends. */
int sw_is_copy(struct sip_msg *msg);

/* functions.c */
extern const cmd_export_t sw_functions[];

/* mi.c */
extern mi_export_t sw_rpc_methods[];
int sw_rpc_declare(void);

/* events.c */
int sw_events_publish(void);

/* statistics.c */
int sw_statistics_register(void);

#endif
