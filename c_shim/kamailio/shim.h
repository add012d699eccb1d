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
#include "lib/srdb1/db.h"

#include "sipwarden.h"

static inline struct sw_text sw_text_of(const str *value)
{
	struct sw_text text = {value->s, value->len > 0 ? (size_t)value->len : 0};
	return text;
}

/* str has an int length; nothing of ours comes near it. */
static inline str sw_str_of(struct sw_text text)
{
	str value = {(char *)text.s, (int)text.len};
	return value;
}

/* message.c; given: what the script gives in place of the sender, or NULL */
void sw_message_fill(struct sw_message *out, const struct sip_msg *msg, const str *given);
struct sw_call sw_call_of(struct sip_msg *msg, const str *given);
struct sw_attempt sw_attempt_of(struct sip_msg *msg, const str *given);
void sw_message_names(const struct sw_message *msg, struct sw_text *call_id, struct sw_text *from);
void sw_message_claims(const struct sw_message *msg, struct sw_text *user_agent,
		struct sw_text *from, struct sw_text *to);

/* auth.c */
int sw_nonces_are_bound(void);

/* module.c: whether this is the process that waits for nothing */
extern int sw_is_warden;

/* settings.c */
/* The value of an integer parameter of another module; as it is after all modparams. */
int sw_param_of(sr_module_t *module, char *name, int otherwise);
extern param_export_t sw_params[];
int sw_settings_declare(void);
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
int sw_dialog_remember(void *held, const char *name, struct sw_text value);
int sw_dialog_append(void *held, struct sw_text value);
int sw_dialog_exists(struct sw_dialog dialog);
int sw_dialog_end(struct sw_dialog dialog);

/* functions.c */
extern cmd_export_t sw_functions[];
/* Set when the routes of the script are fixed: they are before any child starts. */
extern int sw_script_is_fixed;
extern sr_kemi_t sw_kemi_functions[];

/* variables.c */
extern pv_export_t sw_variables[];

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

/* database.c */
void *sw_db_open(const char *url, const char **error);
int sw_db_rows(void *db, const char *table, const char *const *columns,
		uint32_t count, sw_row_fn row, void *ctx);
int sw_db_close(void *db);

/* Binds the driver of a URL. 0: bound. */
int sw_db_bind(const char *url, db_func_t *api);
int sw_db_has_driver(const char *url);

/* resolver.c */
int sw_find_addresses(
		const char *name, int family, struct sw_address *out, uint32_t most, uint32_t *ttl);

/* audit.c */
void *sw_audit_open(const char *url, const char *table);
int sw_audit_write(void *audit, const struct sw_audit *row);
void sw_audit_close(void *audit);

/* events.c */
extern const struct sw_event *sw_event_told; /* NULL for none */
void sw_tell_event(const struct sw_event *event);
/* 1 if the event that is told has this attribute. */
int sw_event_value(struct sw_text name, struct sw_value *out);

/* statistics.c */
int sw_statistics_register(void);
void sw_count(uint32_t index);
uint64_t sw_counted(uint32_t index);

#endif
