/*
 * sipwarden: what the files of the shim share.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SIPWARDEN_SHIM_H
#define SIPWARDEN_SHIM_H

/* First of all Kamailio headers: what is defined before it changes the
 * compile-flag string that Kamailio compares when it loads a module. */
#include "core/sr_module.h"

#ifndef USE_FUTEX
#error "USE_FUTEX is off: the flags differ from those Kamailio was built with"
#endif

#include "core/dprint.h"
#include "core/parser/msg_parser.h"
#include "core/rpc.h"
#include "core/pvar.h"
#include "core/kemi.h"
#include "core/resolve.h"
#include "core/route.h"
#include "core/parser/parse_from.h"
#include "core/parser/parse_to.h"
#include "core/parser/parse_cseq.h"
#include "host_db.h"

#define SW_HOST "Kamailio"
/* Types of module parameters. */
#define SW_TEXT_PARAM PARAM_STRING
#define SW_NUMBER_PARAM PARAM_INT
#define SW_CALLED_PARAM PARAM_USE_FUNC
/* The kind of route that runs. */
#define sw_route_type() get_route_type()
#define sw_get_record(name, type) get_record(name, type, 0)
/* Of a variable of the script: how it is registered, the name of its attribute, its value
 * where that is a number. */
#define SW_PV_TYPE PVT_OTHER
typedef str sw_pv_name;
#define sw_pv_number(msg, param, res, number) pv_get_sintval(msg, param, res, number)

#include "common.h"

/* auth.c */
int sw_nonces_are_bound(void);

/* module.c: whether this is the process that waits for nothing */
extern int sw_is_warden;

/* settings.c */
/* The value of an integer parameter of another module; as it is after all modparams. */
int sw_param_of(sr_module_t *module, char *name, int otherwise);
int sw_settings_init(void);
/* In the warden: takes changes over. */
void sw_settings_update(void);
/* In any process: whether it has taken all of them over. */
int sw_settings_settled(void);
/* The text of a setting as this process has it. */
const char *sw_settings_text(const char *name);
/* In any process: changes a setting for all of them. */
int sw_settings_change(uint32_t index, const char *text, int32_t number);

/* dialog.c */
int sw_dialog_init(void);
int sw_dialog_support(void);
/* After dialogs were restored: says what was left out. */
void sw_dialog_report(void);
int sw_dialog_reply(struct sip_msg *msg);
void *sw_dialog_hold(const struct sw_call *call, struct sw_dialog *out, const char **why);
void sw_dialog_unhold(void *held);
int sw_dialog_exists(struct sw_dialog dialog);
int sw_dialog_end(struct sw_dialog dialog);

/* functions.c */
extern cmd_export_t sw_functions[];
/* Set when the routes of the script are fixed: they are before any child starts. */
extern int sw_script_is_fixed;
extern sr_kemi_t sw_kemi_functions[];

/* rpc.c */
extern rpc_export_t sw_rpc_methods[];
int sw_rpc_declare(void);
void sw_rpc_init(void);
enum sw_argument sw_rpc_argument(void *call, struct sw_text *name, struct sw_text *value);
void *sw_rpc_open(void *call, void *parent, const char *name, int array);
void sw_rpc_int(void *call, void *parent, const char *name, int64_t value);
void sw_rpc_text(void *call, void *parent, const char *name, struct sw_text value);
void sw_rpc_item(void *call, void *array, struct sw_text value);
void sw_rpc_fault(void *call, int code, struct sw_text reason);

/* events.c */
extern const struct sw_event *sw_event_told; /* NULL for none */
void sw_tell_event(const struct sw_event *event);
/* 1 if the event that is told has this attribute. */
int sw_event_value(struct sw_text name, struct sw_value *out);
/* The same of an attribute by its index, within the event. */
static inline int sw_value_of_event(int index, struct sw_value *out)
{
	return sw_event_told != NULL
		   && sw_event_value(sw_rust_module.variable_name(index), out);
}

/* statistics.c */
int sw_statistics_register(void);
void sw_count(uint32_t index);
uint64_t sw_counted(uint32_t index);

#endif
