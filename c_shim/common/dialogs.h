/*
 * sipwarden: dialogs, which both servers' dialog modules have alike. Included behind the
 * headers of such a module.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SIPWARDEN_DIALOGS_H
#define SIPWARDEN_DIALOGS_H

#include "common.h"

static inline struct sw_dialog name_of(const struct dlg_cell *dlg)
{
	struct sw_dialog name = {dlg->h_entry, dlg->h_id};

	return name;
}

/* The call lives after all, unless it has ended once more meanwhile: callbacks may come in
 * another order than states, as they run without the lock. */
static inline void resume(struct dlg_cell *dlg)
{
	if(dlg->state == DLG_STATE_DELETED)
		return;
	sw_rust_module.dialog_event(SW_DIALOG_RESUMED, name_of(dlg));
	if(dlg->state == DLG_STATE_DELETED)
		sw_rust_module.dialog_event(SW_DIALOG_ENDED, name_of(dlg));
}

static inline int was_answered(const struct dlg_cell *dlg)
{
	return dlg->state > DLG_STATE_EARLY;
}

/* Its state says that it was answered, as the dialog module tells but once. A CANCEL that
 * crossed the answer may have released the call before, or do so after this: it comes back
 * with its answer known, whichever is first. */
static inline void answer(struct dlg_cell *dlg)
{
	sw_rust_module.dialog_event(SW_DIALOG_ANSWERED, name_of(dlg));
	resume(dlg);
}

#endif
