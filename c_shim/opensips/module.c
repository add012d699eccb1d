/*
 * sipwarden: what OpenSIPS looks up in the library, and the life cycle.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <unistd.h>
#include "shim.h"
#include "ut.h"

/* Rights are dropped after mod_init. */
uint32_t sw_run_as(void)
{
	static int known = -1;
	int group;

	if(known < 0 && (user == NULL || user2uid(&known, &group, user) < 0))
		known = (int)geteuid();
	return (uint32_t)known;
}

/* Those of its auth module are good for every address. */
int sw_nonces_are_bound(void)
{
	return 0;
}

/* Runs before OpenSIPS reads `exports` any further, so that parameters and commands can
 * come from the tables of the Rust side. */
static int declare(void)
{
	sw_rust_module.attach(&sw_host);
	return sw_params_declare() != 0 || sw_rpc_declare() != 0 ? -1 : 0;
}

static int mod_init(void)
{
	if(sw_settings_init() != 0 || sw_statistics_register() != 0 || sw_events_publish() != 0
			|| sw_dialog_init() != 0 || sw_copies_init() != 0 || sw_rust_module.init() != 0)
		return -1;
	sw_processes_choose();
	return sw_dialog_watch_all();
}

static void mod_destroy(void)
{
	sw_rust_module.destroy();
}

/* The dialog module has read its database by then. */
static const dep_export_t dependencies = {
		{
				{MOD_TYPE_DEFAULT, "dialog", DEP_SILENT},
				{MOD_TYPE_SQLDB, NULL, DEP_SILENT},
				{MOD_TYPE_NULL, NULL, 0},
		},
		{
				{NULL, NULL},
		},
};

struct module_exports exports = {
		.name = "sipwarden",
		.type = MOD_TYPE_DEFAULT,
		.ver_info = MODULE_VERSION,
		.dlflags = DEFAULT_DLFLAGS,
		.load_f = declare,
		.deps = &dependencies,
		.cmds = sw_functions,
		.params = sw_params,
		.mi_cmds = sw_rpc_methods,
		.items = sw_variables,
		.procs = sw_processes,
		.init_f = mod_init,
		.destroy_f = mod_destroy,
};
