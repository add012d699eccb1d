/*
 * sipwarden: the dialog module: which dialog a message belongs to, and what
 * becomes of dialogs.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <dlfcn.h>
#include "core/sr_module.h"
#include "core/hash_func.h"
#include "core/timer.h"
#include "core/timer_ticks.h"
#include "modules/dialog/dlg_load.h"
#include "modules/dialog/dlg_hash.h"
#include "modules/dialog/dlg_var.h"
#include "core/parser/parse_cseq.h"
#include "core/parser/parse_to.h"
#include "shim.h"
#include "dialogs.h"

static struct dlg_binds dialog;
static cmd_function dlg_manage;
/* Not in the module's API, so taken from its library; may be missing. Their types are those
 * of the headers: others do not compile. */
static __typeof__(&dlg_lookup) dlg_lookup_by_id;
static __typeof__(&dlg_get_ctx_dialog) dlg_of_script;
static int support;
/* dlg_match_mode 0: requests name their dialog by a parameter of Record-Route alone. */
static int is_strict;
/* Of the dialog module: failed keepalives that end a dialog, and seconds that one
 * may live without an answer. */
static int ka_failed_limit;
static int early_timeout;
/* Whose answer to a keepalive was counted last, by dialog; in shared memory. */
#define ANSWERED 4096
static unsigned int *answered;
/* Counted calls among the restored dialogs of another Kamailio. */
static unsigned int left_out;

/*
 * Why a dialog has ended by time. A counter beyond the limit is the mark of
 * sw_dialog_reply.
 */
static enum sw_expiry expiry_of(const dlg_cell_t *dlg, int acknowledged)
{
	unsigned int limit = (unsigned int)ka_failed_limit;

	if(!acknowledged)
		return SW_EXPIRY_NO_ACK;
	if(dlg->ka_src_counter > limit)
		return SW_EXPIRY_CALLER_GONE;
	if(dlg->ka_dst_counter > limit)
		return SW_EXPIRY_CALLEE_GONE;
	if(dlg->ka_src_counter >= limit)
		return SW_EXPIRY_CALLER_SILENT;
	if(dlg->ka_dst_counter >= limit)
		return SW_EXPIRY_CALLEE_SILENT;
	return SW_EXPIRY_LIFETIME;
}

/* Both ends are about to be sent a BYE: by the dialog's timer, after which the dialog goes
 * in any case, or by somebody who asked for it. Then it is not known yet whether they can
 * be reached: the call counts until one of them has answered. Only the timer takes a
 * dialog out of its list first; the flag alone is also one of profiles in 5.6. */
static void on_terminated(dlg_cell_t *dlg)
{
	if((dlg->dflags & DLG_FLAG_EXPIRED) && dlg->tl.timeout == 0)
		sw_rust_module.dialog_expired(name_of(dlg),
				expiry_of(dlg, dlg->state == DLG_STATE_CONFIRMED), 1);
}

/* A dialog goes that was never answered: the dialog module's cleaner drops it, and
 * the call may ring on. */
static int is_dropped_early(const dlg_cell_t *dlg)
{
	return dlg->state <= DLG_STATE_EARLY && dlg->init_ts > 0
		   && dlg->init_ts < (unsigned int)time(NULL) - (unsigned int)early_timeout;
}

/*
 * Runs in any process, for DESTROY with the lock of the dialog's entry held:
 * touches the ledger only.
 */
static void on_dialog(dlg_cell_t *dlg, int type, struct dlg_cb_params *params)
{
	/* 5.6 destroys dialogs after our mod_destroy */
	if(destroy_modules_phase())
		return;
	switch(type) {
		case DLGCB_TERMINATED:
			if(params->req != NULL || params->rpl != NULL) {
				sw_message_tell_request(params->req);
				sw_rust_module.dialog_event(SW_DIALOG_ENDED, name_of(dlg));
			}
			/* else dlg.end_dlg on an early dialog: the call may ring on */
			else if(dlg->state >= DLG_STATE_CONFIRMED_NA)
				on_terminated(dlg);
			break;
		case DLGCB_CONFIRMED: /* ACK */
		case DLGCB_REQ_WITHIN:
			if(dlg->state == DLG_STATE_CONFIRMED)
				sw_message_tell_request(params->req);
			break;
		case DLGCB_TERMINATED_CONFIRMED:
			/* an answer to a BYE of the dialog module's own, or none in time */
			if(params->req == NULL)
				sw_rust_module.dialog_event(SW_DIALOG_ENDED, name_of(dlg));
			break;
		case DLGCB_FAILED:
			sw_rust_module.dialog_event(SW_DIALOG_ENDED, name_of(dlg));
			resume(dlg);
			break;
		case DLGCB_EXPIRED:
			sw_rust_module.dialog_expired(name_of(dlg),
					expiry_of(dlg, params->dlg_data == (void *)CONFIRMED_DIALOG_STATE), 0);
			break;
		case DLGCB_CONFIRMED_NA:
			answer(dlg);
			break;
		case DLGCB_DESTROY:
			if(is_dropped_early(dlg))
				sw_rust_module.dialog_expired(name_of(dlg), SW_EXPIRY_EARLY, 0);
			sw_rust_module.dialog_event(SW_DIALOG_GONE, name_of(dlg));
			break;
	}
}

/* Once for each dialog: where there was no memory for it, it is tried again. */
static int watch(dlg_cell_t *dlg)
{
	const struct dlg_callback *known;
	int types = DLGCB_FAILED | DLGCB_TERMINATED | DLGCB_EXPIRED | DLGCB_DESTROY
				| DLGCB_CONFIRMED_NA | DLGCB_CONFIRMED | DLGCB_REQ_WITHIN
				| DLGCB_TERMINATED_CONFIRMED;

	for(known = dlg->cbs.first; known != NULL; known = known->next) {
		if(known->callback == on_dialog)
			return 0;
	}
	return dialog.register_dlgcb(dlg, types, on_dialog, NULL, NULL);
}

static void on_created(dlg_cell_t *dlg, int type, struct dlg_cb_params *params)
{
	(void)type, (void)params;
	if(watch(dlg) != 0)
		LM_ERR("a dialog cannot be watched: its call is not counted\n");
}

struct sw_text sw_dialog_recalled(void *dlg, const char *name, char *buf, int size)
{
	struct sw_text none = {NULL, 0}, text = {buf, 0};
	str key = {(char *)name, strlen(name)}, value = {NULL, 0};

	/* the value lies in a buffer that the next call may use */
	if(dialog.get_dlg_varval(dlg, &key, &value) != 0 || value.s == NULL
			|| value.len <= 0 || value.len > size)
		return none;
	memcpy(buf, value.s, value.len);
	text.len = (size_t)value.len;
	return text;
}

static void on_loaded(dlg_cell_t *dlg, int type, struct dlg_cb_params *params)
{
	struct sw_remembered texts;
	struct sw_restored restored;

	(void)type, (void)params;
	if(dlg->state != DLG_STATE_CONFIRMED_NA && dlg->state != DLG_STATE_CONFIRMED)
		return;
	if(watch(dlg) != 0)
		LM_ERR("a restored dialog cannot be watched: its call leaves the counts late\n");
	restored.dialog = name_of(dlg);
	restored.call_id = sw_text_of(&dlg->callid);
	sw_dialog_recall(dlg, &texts, &restored);
	/* Its requests arrive at the Kamailio that has these sockets: here nobody would
	 * hear of its end. */
	if(dlg->bind_addr[DLG_CALLER_LEG] == NULL && dlg->bind_addr[DLG_CALLEE_LEG] == NULL) {
		left_out += restored.company.len > 0 || restored.user.len > 0;
		return;
	}
	restored.started = dlg->start_ts;
	sw_rust_module.dialog_restored(&restored);
}

int sw_dialog_init(void)
{
	sr_module_t *module = find_module_by_name("dialog");

	if(module == NULL)
		return 0;
	dlg_manage = find_export("dlg_manage", 0, 0);
	if(load_dlg_api(&dialog) != 0 || dlg_manage == NULL) {
		LM_ERR("the dialog module's API cannot be loaded\n");
		return -1;
	}
	if(dialog.register_dlgcb(NULL, DLGCB_CREATED, on_created, NULL, NULL) != 0
			|| dialog.register_dlgcb(NULL, DLGCB_LOADED, on_loaded, NULL, NULL) != 0) {
		LM_ERR("the dialog module takes no callbacks\n");
		return -1;
	}
	support = SW_DIALOG_LOADED;
	if(sw_param_of(module, "initial_cbs_inscript", 1) == 0) {
		LM_ERR("the dialog module's initial_cbs_inscript is 0: a dialog would be "
			   "counted before it is watched; remove that parameter\n");
		return -1;
	}
	is_strict = sw_param_of(module, "dlg_match_mode", 0) == 0;
	answered = shm_mallocxz(ANSWERED * sizeof(*answered));
	if(answered == NULL) {
		LM_ERR("no shared memory for the answers to keepalives\n");
		return -1;
	}
	ka_failed_limit = sw_param_of(module, "ka_failed_limit", 1);
	if(ka_failed_limit < 1)
		ka_failed_limit = 1;
	early_timeout = sw_param_of(module, "early_timeout", 300);
	if(sw_param_of(module, "db_mode", 0) != 0)
		support |= SW_DIALOG_PERSISTS;
	dlg_lookup_by_id = dlsym(module->handle, "dlg_lookup");
	if(dlg_lookup_by_id != NULL)
		support |= SW_DIALOG_LOOKUP;
	dlg_of_script = dlsym(module->handle, "dlg_get_ctx_dialog");
	return 0;
}

void sw_dialog_report(void)
{
	if(left_out > 0)
		LM_WARN("%u calls of restored dialogs are not counted: their sockets are not of "
				"this Kamailio; does another one use the same table of dialogs?\n",
				left_out);
}

int sw_dialog_support(void)
{
	return support;
}

/* Record-Route may have been written before the dialog, in another process. */
static void warn_if_strict(void)
{
	static ticks_t said;
	ticks_t now = get_ticks_raw();

	if(!is_strict || (said != 0 && now - said < S_TO_TICKS(60)))
		return;
	said = now;
	LM_WARN("after a suspension or a failure the dialog module may miss the end of a call, "
			"which then counts until the dialog's lifetime ends: set its parameter "
			"dlg_match_mode to 1 (said once a minute)\n");
}

/* The dialog of an initial INVITE. */
static dlg_cell_t *find_or_make(struct sip_msg *msg, int *made)
{
	dlg_cell_t *dlg;

	/* A transaction that goes on, after a suspension or a failure, may have its dialog,
	 * of which there must be no second one. */
	if(get_route_type() == FAILURE_ROUTE) {
		warn_if_strict();
		dlg = dialog.get_dlg(msg);
		if(dlg != NULL && dlg->state != DLG_STATE_DELETED)
			return dlg;
		if(dlg != NULL)
			dialog.release_dlg(dlg);
	}
	/* The script may have made it, or a function before this one. */
	dlg = dlg_of_script != NULL ? dlg_of_script() : NULL;
	if(dlg != NULL)
		return dlg;
	/* Without looking by Call-ID first: an INVITE that is repeated after a failure would
	 * get the dialog that is about to go. Fails if the script has made one. */
	*made = dlg_manage(msg, NULL, NULL);
	return dialog.get_dlg(msg);
}

void *sw_dialog_hold(const struct sw_call *call, struct sw_dialog *out, const char **why)
{
	struct sip_msg *msg = (struct sip_msg *)call->msg.address;
	dlg_cell_t *dlg;
	int made = 1;

	if(!(support & SW_DIALOG_LOADED)) {
		*why = "there is no dialog module: loadmodule \"dialog.so\" is missing";
		return NULL;
	}
	dlg = call->initial_invite ? find_or_make(msg, &made) : dialog.get_dlg(msg);
	if(dlg == NULL) {
		if(call->initial_invite)
			*why = made < 0 ? "the dialog module makes no dialog of this INVITE (no Contact?)"
							: "no dialog can be made: is tm.so loaded before dialog.so?";
		else
			*why = "the message is not an initial INVITE and has no dialog";
		return NULL;
	}
	if(dlg->state == DLG_STATE_DELETED) {
		dialog.release_dlg(dlg);
		*why = "the dialog of this message has ended";
		return NULL;
	}
	/* else nobody would hear of its end */
	if(watch(dlg) != 0) {
		dialog.release_dlg(dlg);
		*why = "its dialog cannot be watched: no shared memory is left";
		return NULL;
	}
	*out = name_of(dlg);
	return dlg;
}

void sw_dialog_unhold(void *held)
{
	dialog.release_dlg(held);
}

int sw_dialog_remember(void *held, const char *name, struct sw_text value)
{
	str key = {(char *)name, strlen(name)}, text = sw_str_of(value);

	return dialog.set_dlg_var(held, &key, &text) == 0;
}

int sw_dialog_answered(void *held)
{
	return was_answered(held);
}

int sw_dialog_end(struct sw_dialog name)
{
	dlg_cell_t *dlg;
	int ended = 0;

	if(dlg_lookup_by_id == NULL)
		return 0;
	dlg = dlg_lookup_by_id(name.entry, name.id);
	if(dlg == NULL)
		return 0;
	if(dlg->state == DLG_STATE_CONFIRMED_NA || dlg->state == DLG_STATE_CONFIRMED)
		ended = dialog.terminate_dlg(dlg, NULL) >= 0 ? 1 : -1;
	if(ended == 1)
		sw_rust_module.dialog_event(SW_DIALOG_ENDED, name);
	dialog.release_dlg(dlg);
	return ended;
}

int sw_dialog_exists(struct sw_dialog name)
{
	dlg_cell_t *dlg;

	if(dlg_lookup_by_id == NULL)
		return -1;
	dlg = dlg_lookup_by_id(name.entry, name.id);
	if(dlg == NULL)
		return 0;
	dialog.release_dlg(dlg);
	return 1;
}

/* Answers after which a call is gone (RFC 5057, 5.1): those that destroy the dialog, and
 * of those that destroy a usage the two that are not about a method (405, 489, 501). */
static int ends_dialog(unsigned int status)
{
	switch(status) {
		case 404:
		case 410:
		case 416:
		case 480:
		case 481:
		case 482:
		case 483:
		case 484:
		case 485:
		case 502:
		case 604:
			return 1;
		default:
			return 0;
	}
}

/* Whether a reply is to an OPTIONS of this proxy's own: there is no Via below. */
static int answers_own_options(struct sip_msg *msg)
{
	if(parse_headers(msg, HDR_CSEQ_F, 0) < 0 || msg->cseq == NULL || get_cseq(msg) == NULL
			|| get_cseq(msg)->method_id != METHOD_OPTIONS)
		return 0;
	return parse_headers(msg, HDR_EOH_F, 0) == 0 && msg->via2 == NULL && msg->to != NULL
		   && get_to(msg) != NULL && get_to(msg)->tag_value.len > 0;
}

static int same_text(const str *one, const str *other)
{
	return one->len == other->len && memcmp(one->s, other->s, one->len) == 0;
}

/* Whether this answer has come before: a phone that is asked twice, since its first
 * answer was slow, answers twice. A dialog that another one shares its place with may
 * hide a repeat, no more. */
static int is_repeated(const dlg_cell_t *dlg, const struct sip_msg *msg)
{
	unsigned int place = (dlg->h_entry * 31 + dlg->h_id) % ANSWERED, asked;

	if(msg->via1 == NULL || msg->via1->branch == NULL)
		return 0;
	asked = get_hash1_raw(msg->via1->branch->value.s, msg->via1->branch->value.len) | 1;
	return __atomic_exchange_n(&answered[place], asked, __ATOMIC_ACQ_REL) == asked;
}

/*
 * Every reply, before tm has it. The dialog module takes only 408 and 481 for a
 * keepalive that failed. An answer that ends the dialog is therefore shown to it as
 * a 481; if the keepalive before it has failed too, the call ends now. Calls that do
 * not count are left alone.
 */
int sw_dialog_reply(struct sip_msg *msg)
{
	dlg_cell_t *dlg;
	unsigned int *failed, limit = (unsigned int)ka_failed_limit;

	if(!ends_dialog(msg->REPLY_STATUS) || !(support & SW_DIALOG_LOADED)
			|| !answers_own_options(msg))
		return 1;
	dlg = dialog.get_dlg(msg);
	if(dlg == NULL)
		return 1;
	if(dlg->state == DLG_STATE_CONFIRMED && sw_rust_module.dialog_counts(name_of(dlg))) {
		failed = same_text(&dlg->tag[DLG_CALLER_LEG], &get_to(msg)->tag_value)
						 ? &dlg->ka_src_counter
						 : &dlg->ka_dst_counter;
		if(!is_repeated(dlg, msg) && (*failed > 0 || limit <= 1))
			*failed = limit;
		msg->REPLY_STATUS = 481;
	}
	dialog.release_dlg(dlg);
	return 1;
}
