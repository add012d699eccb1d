/*
 * sipwarden: what the shims of all hosts share. Included by the shim.h of each, behind the
 * headers of its host: the servers have one ancestor, so many names in them are the same.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SIPWARDEN_COMMON_H
#define SIPWARDEN_COMMON_H

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

/* host.c */
extern const struct sw_host sw_host;

/* Of each host. */
uint32_t sw_run_as(void);
int sw_nonces_are_bound(void);
/* In any process: whether it has taken all changes of settings over, and one for all. */
int sw_settings_settled(void);
int sw_settings_change(uint32_t index, const char *text, int32_t number);
void sw_count(uint32_t index);
uint64_t sw_counted(uint32_t index);
int sw_dialog_support(void);
void *sw_dialog_hold(const struct sw_call *call, struct sw_dialog *out, const char **why);
void sw_dialog_unhold(void *held);
int sw_dialog_answered(void *held);
int sw_dialog_exists(struct sw_dialog dialog);
int sw_dialog_end(struct sw_dialog dialog);
void sw_tell_event(const struct sw_event *event);
enum sw_argument sw_rpc_argument(void *call, struct sw_text *name, struct sw_text *value);
void *sw_rpc_open(void *call, void *parent, const char *name, int array);
void sw_rpc_int(void *call, void *parent, const char *name, int64_t value);
void sw_rpc_text(void *call, void *parent, const char *name, struct sw_text value);
void sw_rpc_item(void *call, void *array, struct sw_text value);
void sw_rpc_fault(void *call, int code, struct sw_text reason);

/* log.c */
void sw_log(enum sw_log_level level, struct sw_text line);
int sw_log_enabled(enum sw_log_level level);

/* message.c; given: what the script gives in place of the sender, or NULL */
void sw_call_fill(struct sw_call *out, struct sip_msg *msg, const str *given);
struct sw_attempt sw_attempt_of(struct sip_msg *msg, const str *given);
void sw_message_names(const struct sw_message *msg, struct sw_text *call_id, struct sw_text *from);
void sw_message_claims(const struct sw_message *msg, struct sw_text *user_agent,
		struct sw_text *from, struct sw_text *to);
/* The sender of a request within an answered call has received our tag. */
void sw_message_tell_request(const struct sip_msg *msg);
/* Of each host. */
void sw_message_fill(struct sw_message *out, const struct sip_msg *msg, const str *given);

/* params.c */
#define SW_MAX_PARAMS 96
extern param_export_t sw_params[];
/* Before the host reads the parameters. */
int sw_params_declare(void);
/* When it has: hands the values to Rust. 0: ok. */
int sw_params_configure(void);
/* A value as configured. */
int sw_params_number(uint32_t index);
char *sw_params_text(uint32_t index);

/* RPC methods; X once for the number of each: hosts call a function of its own for each. */
#define SW_MAX_METHODS 48
#define SW_EACH_METHOD(X)                                                       \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13)   \
	X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25)     \
	X(26) X(27) X(28) X(29) X(30) X(31) X(32) X(33) X(34) X(35) X(36) X(37)     \
	X(38) X(39) X(40) X(41) X(42) X(43) X(44) X(45) X(46) X(47)

/* variables.c */
extern pv_export_t sw_variables[];

/* database.c */
void *sw_db_open(const char *url, const char **error);
int sw_db_rows(void *db, const char *table, const char *const *columns,
		uint32_t count, sw_row_fn row, void *ctx);
int sw_db_close(void *db);
/* Binds the driver of a URL. 0: bound. */
int sw_db_bind(const char *url, db_func_t *api);
int sw_db_has_driver(const char *url);

/* audit.c */
void *sw_audit_open(const char *url, const char *table);
int sw_audit_write(void *audit, const struct sw_audit *row);
void sw_audit_close(void *audit);

/* resolver.c */
int sw_find_addresses(
		const char *name, int family, struct sw_address *out, uint32_t most, uint32_t *ttl);

/* remembered.c: texts that are kept with a dialog */
#define SW_MORE_PARTS 9
#define SW_PART_BYTES 500
struct sw_remembered {
	char company[512], user[512], flags[16], more[SW_MORE_PARTS * SW_PART_BYTES];
};
/* Points to what a dialog remembers, which is copied into texts. */
void sw_dialog_recall(void *dlg, struct sw_remembered *texts, struct sw_restored *out);
int sw_dialog_append(void *held, struct sw_text value);
/* Of each host. recalled: the text of that name, in buf; empty if there is none. */
int sw_dialog_remember(void *held, const char *name, struct sw_text value);
struct sw_text sw_dialog_recalled(void *dlg, const char *name, char *buf, int size);

#endif
