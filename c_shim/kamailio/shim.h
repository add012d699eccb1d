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
#define SW_HOST_VERSION SER_FULL_VERSION
#define SW_HOST_FLAGS SER_COMPILE_FLAGS
#define SW_DB_URL "sqlite:////var/lib/kamailio/sipwarden.sqlite"
#define SW_METHOD_PREFIX "sipwarden."
#define SW_REASON_BYTES 127 /* JSON-RPC cuts the rest off */
#define SW_UNUSABLE_ARGUMENT                                                    \
	"is neither text nor a whole number of 1 to 9 digits: with kamcmd write s: before it"
/* Types of module parameters. */
#define SW_TEXT_PARAM PARAM_STRING
#define SW_NUMBER_PARAM PARAM_INT
#define SW_CALLED_PARAM PARAM_USE_FUNC
/* The kind of route that runs. */
#define sw_route_type() get_route_type()
/* Of a variable of the script: how it is registered, the name of its attribute, its value
 * where that is a number. */
#define SW_PV_TYPE PVT_OTHER
typedef str sw_pv_name;
#define sw_pv_number(msg, param, res, number) pv_get_sintval(msg, param, res, number)

#include "common.h"

/* module.c: whether this is the process that waits for nothing */
extern int sw_is_warden;

/* settings.c */
/* The value of an integer parameter of another module; as it is after all modparams. */
int sw_param_of(sr_module_t *module, char *name, int otherwise);
int sw_settings_init(void);
/* In the warden: takes changes over. */
void sw_settings_update(void);
/* The text of a setting as this process has it. */
const char *sw_settings_text(const char *name);

/* dialog.c */
int sw_dialog_init(void);
/* After dialogs were restored: says what was left out. */
void sw_dialog_report(void);
int sw_dialog_reply(struct sip_msg *msg);

/* functions.c */
extern cmd_export_t sw_functions[];
/* Set when the routes of the script are fixed: they are before any child starts. */
extern int sw_script_is_fixed;
extern sr_kemi_t sw_kemi_functions[];

/* rpc.c */
extern rpc_export_t sw_rpc_methods[];
int sw_rpc_declare(void);
void sw_rpc_init(void);

/* events.c */
extern const struct sw_event *sw_event_told; /* NULL for none */
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

#endif
