/*
 * sipwarden: what the auth module checks of a nonce.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "core/sr_module.h"
#include "shim.h"

/* As in the auth module: the source address is part of the nonce. */
#define CHECKS_SOURCE 8

int sw_nonces_are_bound(void)
{
	static int known = -1;
	sr_module_t *module;

	if(known >= 0)
		return known;
	module = find_module_by_name("auth");
	known = module != NULL
			&& (sw_param_of(module, "auth_checks_register", 0)
					   & sw_param_of(module, "auth_checks_no_dlg", 0)
					   & sw_param_of(module, "auth_checks_in_dlg", 0) & CHECKS_SOURCE);
	return known;
}
