/*
 * sipwarden: settings at run time. OpenSIPS has no framework for them: sipwarden_set changes
 * them, at once.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "shim.h"
#include "locking.h"

/* Changes come in an order: the value that is shown is the one in force. */
static gen_lock_t *order;

int sw_settings_init(void)
{
	order = lock_alloc();
	if(order == NULL || lock_init(order) == NULL) {
		LM_ERR("no lock for the settings\n");
		return -1;
	}
	return sw_params_configure();
}

int sw_settings_settled(void)
{
	return 1;
}

int sw_settings_change(uint32_t index, const char *text, int32_t number)
{
	lock_get(order);
	sw_rust_module.apply_setting(index, text, number);
	lock_release(order);
	return 0;
}
