/*
 * sipwarden: what OpenSIPS looks up in the library, and the life cycle.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <unistd.h>
#include "shim.h"
#include "ut.h"
#include "version.h"

/* Rights are dropped after mod_init. */
static uint32_t run_as(void)
{
	static int known = -1;
	int group;

	if(known < 0 && (user == NULL || user2uid(&known, &group, user) < 0))
		known = (int)geteuid();
	return (uint32_t)known;
}

/* Those of its auth module are good for every address. */
static int nonces_are_bound(void)
{
	return 0;
}

static const struct sw_host host = {
		.name = SW_HOST,
		.version = OPENSIPS_FULL_VERSION,
		.build_flags = OPENSIPS_COMPILE_FLAGS,
		.db_url = "sqlite:////var/lib/opensips/sipwarden.sqlite",
		.method_prefix = "sipwarden_",
		.reason_bytes = 0,
		.unusable_argument = "is neither text nor a whole number",
		.log = sw_log,
		.log_enabled = sw_log_enabled,
		.count = sw_count,
		.counted = sw_counted,
		.db_open = sw_db_open,
		.db_rows = sw_db_rows,
		.db_close = sw_db_close,
		.dialog_support = sw_dialog_support,
		.dialog_hold = sw_dialog_hold,
		.dialog_unhold = sw_dialog_unhold,
		.dialog_remember = sw_dialog_remember,
		.dialog_append = sw_dialog_append,
		.dialog_exists = sw_dialog_exists,
		.dialog_end = sw_dialog_end,
		.settings_settled = sw_settings_settled,
		.change_setting = sw_settings_change,
		.message_names = sw_message_names,
		.message_claims = sw_message_claims,
		.nonces_are_bound = nonces_are_bound,
		.tell_event = sw_tell_event,
		.run_as = run_as,
		.find_addresses = sw_find_addresses,
		.db_has_driver = sw_db_has_driver,
		.audit_open = sw_audit_open,
		.audit_write = sw_audit_write,
		.audit_close = sw_audit_close,
		.rpc_argument = sw_mi_argument,
		.rpc_open = sw_mi_open,
		.rpc_int = sw_mi_int,
		.rpc_text = sw_mi_text,
		.rpc_item = sw_mi_item,
		.rpc_fault = sw_mi_fault,
};

/* Runs before OpenSIPS reads `exports` any further, so that parameters and commands can
 * come from the tables of the Rust side. */
static int declare(void)
{
	sw_rust_module.attach(&host);
	return sw_params_declare() != 0 || sw_mi_declare() != 0 ? -1 : 0;
}

static int mod_init(void)
{
	if(sw_settings_init() != 0 || sw_statistics_register() != 0 || sw_events_publish() != 0
			|| sw_dialog_init() != 0 || sw_rust_module.init() != 0)
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
		.mi_cmds = sw_mi_commands,
		.items = sw_variables,
		.procs = sw_processes,
		.init_f = mod_init,
		.destroy_f = mod_destroy,
};
