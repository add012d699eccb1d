/*
 * sipwarden: texts that are kept with a dialog, in its variables: also in the database of
 * the dialog module.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "shim.h"

#define VAR_COMPANY "sipwarden_company"
#define VAR_USER "sipwarden_user"
#define VAR_FLAGS "sipwarden_flags"
/* A text that is added to, over several variables: the dialog module's table has 512 bytes
 * for the value of one. */
#define VAR_MORE "sipwarden_more0"

/* What append has kept, in buf; of all its parts. */
static struct sw_text more_of(void *dlg, char *buf)
{
	char name[] = VAR_MORE;
	struct sw_text all = {buf, 0};
	int part;

	for(part = 0; part < SW_MORE_PARTS; part++) {
		name[sizeof(name) - 2] = (char)('0' + part);
		all.len += sw_dialog_recalled(dlg, name, buf + all.len, SW_PART_BYTES).len;
	}
	return all;
}

void sw_dialog_recall(void *dlg, struct sw_remembered *texts, struct sw_restored *out)
{
	out->company =
			sw_dialog_recalled(dlg, VAR_COMPANY, texts->company, sizeof(texts->company));
	out->user = sw_dialog_recalled(dlg, VAR_USER, texts->user, sizeof(texts->user));
	out->flags = sw_dialog_recalled(dlg, VAR_FLAGS, texts->flags, sizeof(texts->flags));
	out->more = more_of(dlg, texts->more);
}

int sw_dialog_append(void *held, struct sw_text value)
{
	char all[SW_MORE_PARTS * SW_PART_BYTES], name[] = VAR_MORE;
	struct sw_text part, more = more_of(held, all);
	size_t at = more.len - more.len % SW_PART_BYTES;

	if(value.len > sizeof(all) - more.len)
		return 0;
	memcpy(all + more.len, value.s, value.len);
	more.len += value.len;
	/* all parts but the last one are full: from there on they change */
	for(; at < more.len; at += part.len) {
		name[sizeof(name) - 2] = (char)('0' + at / SW_PART_BYTES);
		part.s = all + at;
		part.len = more.len - at < SW_PART_BYTES ? more.len - at : SW_PART_BYTES;
		if(!sw_dialog_remember(held, name, part))
			return 0;
	}
	return 1;
}
