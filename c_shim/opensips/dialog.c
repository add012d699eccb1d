/*
 * sipwarden: the dialog module: which dialog a message belongs to, and what becomes of
 * dialogs.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "shim.h"
#include "modules/dialog/dlg_load.h"
#include "modules/dialog/dlg_hash.h"
#include "dialogs.h"

static struct dlg_binds dialog;
static int support;
/* Counted calls among the restored dialogs of another OpenSIPS. */
static unsigned int left_out;

static int ends_in(const str *text, const char *end)
{
	int len = (int)strlen(end);

	return text->len >= len && memcmp(text->s + text->len - len, end, len) == 0;
}

/* The dialog module says why it has ended a call: "Lifetime Timeout", "Caller Ping Timeout"
 * and so on; -1 if somebody has hung up or asked for it. */
static int expiry_of(const struct dlg_cell *dlg)
{
	const str *why = &dlg->terminate_reason;

	if(why->s == NULL)
		return -1;
	if(ends_in(why, "Lifetime Timeout"))
		return SW_EXPIRY_LIFETIME;
	if(!ends_in(why, "Ping Timeout"))
		return -1;
	return why->len >= 6 && memcmp(why->s, "Callee", 6) == 0 ? SW_EXPIRY_CALLEE_SILENT
															  : SW_EXPIRY_CALLER_SILENT;
}

/* An end has hung up, or the first of both has answered the dialog module's BYE. */
static void on_terminated(struct dlg_cell *dlg, const struct sip_msg *msg)
{
	int why = expiry_of(dlg);

	if(why >= 0) {
		sw_rust_module.dialog_expired(name_of(dlg), (enum sw_expiry)why, 1);
		return;
	}
	sw_message_tell_request(msg);
	sw_rust_module.dialog_event(SW_DIALOG_ENDED, name_of(dlg));
}

/*
 * Runs in any process, for DESTROY with the lock of the dialog's entry held:
 * touches the ledger only.
 */
static void on_dialog(struct dlg_cell *dlg, int type, struct dlg_cb_params *params)
{
	/* In the main process, while all others may have been killed: the ledger may be locked
	 * for good. */
	if(sr_get_core_status() == STATE_TERMINATING)
		return;
	switch(type) {
		case DLGCB_TERMINATED:
			on_terminated(dlg, params->msg);
			break;
		case DLGCB_REQ_WITHIN:
			if(dlg->state == DLG_STATE_CONFIRMED)
				sw_message_tell_request(params->msg);
			break;
		case DLGCB_FAILED:
			sw_rust_module.dialog_event(SW_DIALOG_ENDED, name_of(dlg));
			resume(dlg);
			break;
		case DLGCB_EXPIRED:
			sw_rust_module.dialog_expired(name_of(dlg), SW_EXPIRY_LIFETIME, 0);
			break;
		case DLGCB_CONFIRMED:
			answer(dlg);
			break;
		case DLGCB_DESTROY:
			sw_rust_module.dialog_event(SW_DIALOG_GONE, name_of(dlg));
			break;
	}
}

/* Once for each dialog: CREATED comes only with its transaction, and a call is counted
 * before. */
static int watch(struct dlg_cell *dlg)
{
	int types = DLGCB_FAILED | DLGCB_TERMINATED | DLGCB_EXPIRED | DLGCB_DESTROY
				| DLGCB_CONFIRMED | DLGCB_REQ_WITHIN;
	const struct dlg_callback *known;

	for(known = dlg->cbs.first; known != NULL; known = known->next) {
		if(known->callback == on_dialog)
			return 0;
	}
	return dialog.register_dlgcb(dlg, types, on_dialog, NULL, NULL);
}

static void on_created(struct dlg_cell *dlg, int type, struct dlg_cb_params *params)
{
	(void)type, (void)params;
	if(watch(dlg) != 0)
		LM_ERR("a dialog cannot be watched: its call is not counted\n");
}

/* The module's own buffer: it would give another one to a caller whose is too small. */
struct sw_text sw_dialog_recalled(void *dlg, const char *name, char *buf, int size)
{
	struct sw_text none = {NULL, 0}, text = {buf, 0};
	str key = {(char *)name, (int)strlen(name)};
	int_str value;
	int type = 0;

	if(dialog.fetch_dlg_value(dlg, &key, &type, &value, 0) != 0
			|| type != DLG_VAL_TYPE_STR || value.s.len <= 0 || value.s.len > size)
		return none;
	memcpy(buf, value.s.s, value.s.len);
	text.len = (size_t)value.s.len;
	return text;
}

static void on_loaded(struct dlg_cell *dlg, int type, struct dlg_cb_params *params)
{
	struct sw_remembered texts;
	struct sw_restored restored;

	(void)type, (void)params;
	if(dlg->state != DLG_STATE_CONFIRMED_NA && dlg->state != DLG_STATE_CONFIRMED)
		return;
	if(watch(dlg) != 0) {
		LM_ERR("a restored dialog cannot be watched: its call is not counted\n");
		return;
	}
	restored.dialog = name_of(dlg);
	restored.call_id = sw_text_of(&dlg->callid);
	sw_dialog_recall(dlg, &texts, &restored);
	/* Its requests arrive at the OpenSIPS that has these sockets: here nobody would hear of
	 * its end. */
	if(dlg->legs[DLG_CALLER_LEG].bind_addr == NULL
			&& dlg->legs[callee_idx(dlg)].bind_addr == NULL) {
		left_out += restored.company.len > 0 || restored.user.len > 0;
		return;
	}
	restored.started = dlg->start_ts;
	sw_rust_module.dialog_restored(&restored);
}

int sw_dialog_init(void)
{
	int *mode, *flushes;

	if(!module_loaded("dialog"))
		return 0;
	if(load_dlg_api(&dialog) != 0) {
		LM_ERR("the dialog module's API cannot be loaded\n");
		return -1;
	}
	support = SW_DIALOG_LOADED | SW_DIALOG_LOOKUP;
	mode = find_param_export("dialog", "db_mode", INT_PARAM);
	if(mode == NULL || *mode == 0)
		return 0;
	support |= SW_DIALOG_PERSISTS;
	/* else what a dialog remembers is stored when the server stops, and not before */
	flushes = find_param_export("dialog", "db_flush_vals_profiles", INT_PARAM);
	if(flushes == NULL || *flushes == 0)
		LM_WARN("the dialog module's db_flush_vals_profiles is 0: after a crash the calls that "
				"were live are not counted; set it to 1\n");
	return 0;
}

int sw_dialog_watch_all(void)
{
	if(!(support & SW_DIALOG_LOADED))
		return 0;
	if(dialog.register_dlgcb(NULL, DLGCB_CREATED, on_created, NULL, NULL) != 0
			|| dialog.register_dlgcb(NULL, DLGCB_LOADED, on_loaded, NULL, NULL) != 0) {
		LM_ERR("the dialog module takes no callbacks\n");
		return -1;
	}
	if(left_out > 0)
		LM_WARN("%u calls of restored dialogs are not counted: their sockets are not of this "
				"OpenSIPS; does another one use the same table of dialogs?\n",
				left_out);
	return 0;
}

int sw_dialog_support(void)
{
	return support;
}

void *sw_dialog_hold(const struct sw_call *call, struct sw_dialog *out, const char **why)
{
	struct sip_msg *msg = (struct sip_msg *)call->msg.address;
	struct dlg_cell *dlg;

	if(!(support & SW_DIALOG_LOADED)) {
		*why = "there is no dialog module: loadmodule \"dialog.so\" is missing";
		return NULL;
	}
	dlg = dialog.get_dlg();
	if(dlg == NULL && call->initial_invite) {
		if(dialog.create_dlg(msg, 0) < 0) {
			*why = "the dialog module makes no dialog of this INVITE";
			return NULL;
		}
		dlg = dialog.get_dlg();
	}
	if(dlg == NULL) {
		*why = call->initial_invite
					   ? "no dialog can be made: is tm.so loaded before dialog.so?"
					   : "the message is not an initial INVITE and has no dialog: "
						 "loose_route() or match_dialog() goes before";
		return NULL;
	}
	if(dlg->state == DLG_STATE_DELETED) {
		*why = "the dialog of this message has ended";
		return NULL;
	}
	/* else nobody would hear of its end */
	if(watch(dlg) != 0) {
		*why = "its dialog cannot be watched: no shared memory is left";
		return NULL;
	}
	/* get_dlg has taken no reference */
	dialog.dlg_ref(dlg, 1);
	*out = name_of(dlg);
	return dlg;
}

void sw_dialog_unhold(void *held)
{
	dialog.dlg_unref(held, 1);
}

int sw_dialog_remember(void *held, const char *name, struct sw_text value)
{
	str key = {(char *)name, (int)strlen(name)};
	int_str text;

	text.s = sw_str_of(value);
	return dialog.store_dlg_value(held, &key, &text, DLG_VAL_TYPE_STR) == 0;
}

int sw_dialog_answered(void *held)
{
	return was_answered(held);
}

/* Where a BYE cannot be sent the dialog module takes that end for gone, so that the dialog is
 * over in any case. */
int sw_dialog_end(struct sw_dialog name)
{
	static const str reason = str_init("sipwarden");
	struct dlg_cell *dlg;
	int is_answered;

	if(!(support & SW_DIALOG_LOADED))
		return 0;
	dlg = dialog.get_dlg_by_ids(name.entry, name.id, 1);
	if(dlg == NULL)
		return 0;
	is_answered = dlg->state == DLG_STATE_CONFIRMED_NA || dlg->state == DLG_STATE_CONFIRMED;
	dialog.dlg_unref(dlg, 1);
	if(!is_answered)
		return 0;
	if(dialog.terminate_dlg(NULL, name.entry, name.id, &reason) != 1)
		return -1;
	sw_rust_module.dialog_event(SW_DIALOG_ENDED, name);
	return 1;
}

int sw_dialog_exists(struct sw_dialog name)
{
	struct dlg_cell *dlg;

	if(!(support & SW_DIALOG_LOADED))
		return -1;
	dlg = dialog.get_dlg_by_ids(name.entry, name.id, 0);
	if(dlg == NULL)
		return 0;
	dialog.dlg_unref(dlg, 1);
	return 1;
}
