/*
 * sipwarden: what Kamailio looks up in the library, and the life cycle.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "core/sr_module.h"
#include "core/timer.h"
#include "shim.h"

MODULE_VERSION

#define SW_MAX_PARAMS 64

/* Kamailio writes configured values here; Rust checks them in mod_init. */
static union {
	int number;
	char *text;
} param_values[SW_MAX_PARAMS];
static param_export_t params[SW_MAX_PARAMS + 1];

static void log_line(enum sw_log_level level, struct sw_text line)
{
	int len = (int)line.len;

	switch(level) {
		case SW_LOG_CRITICAL:
			LM_CRIT("%.*s\n", len, line.s);
			break;
		case SW_LOG_ERROR:
			LM_ERR("%.*s\n", len, line.s);
			break;
		case SW_LOG_WARNING:
			LM_WARN("%.*s\n", len, line.s);
			break;
		case SW_LOG_NOTICE:
			LM_NOTICE("%.*s\n", len, line.s);
			break;
		case SW_LOG_INFO:
			LM_INFO("%.*s\n", len, line.s);
			break;
		case SW_LOG_DEBUG:
			LM_DBG("%.*s\n", len, line.s);
			break;
	}
}

static int log_enabled(enum sw_log_level level)
{
	static const int levels[] = {L_CRIT, L_ERR, L_WARN, L_NOTICE, L_INFO, L_DBG};

	return is_printable(levels[level]);
}

static const struct sw_host host = {
		.kamailio_version = SER_FULL_VERSION,
		.log = log_line,
		.log_enabled = log_enabled,
		.count = sw_count,
		.counted = sw_counted,
		.db_open = sw_db_open,
		.db_rows = sw_db_rows,
		.db_close = sw_db_close,
		.dialog_support = sw_dialog_support,
		.dialog_hold = sw_dialog_hold,
		.dialog_unhold = sw_dialog_unhold,
		.dialog_remember = sw_dialog_remember,
		.dialog_exists = sw_dialog_exists,
		.rpc_argument = sw_rpc_argument,
		.rpc_open = sw_rpc_open,
		.rpc_int = sw_rpc_int,
		.rpc_text = sw_rpc_text,
		.rpc_item = sw_rpc_item,
		.rpc_fault = sw_rpc_fault,
};

static void reap(unsigned int ticks, void *param)
{
	(void)ticks, (void)param;
	sw_rust_module.reap();
}

static int start_reaper(void)
{
	int interval = sw_rust_module.reap_interval();

	if(interval <= 0)
		return 0;
	if(register_timer(reap, NULL, interval) < 0) {
		LM_ERR("no timer for the comparison of calls with dialogs\n");
		return -1;
	}
	return 0;
}

static int mod_init(void)
{
	struct sw_param param;
	uint32_t i;

	sw_rust_module.attach(&host);
	for(i = 0; sw_rust_module.param(i, &param); i++) {
		const char *text = param.text_default ? param_values[i].text : NULL;
		int number = param.text_default ? 0 : param_values[i].number;

		if(sw_rust_module.set_param(i, text, number) != 0)
			return -1;
	}
	if(sw_statistics_register() != 0)
		return -1;
	if(sw_dialog_init() != 0 || sw_rust_module.init() != 0)
		return -1;
	return start_reaper();
}

static void mod_destroy(void)
{
	sw_rust_module.destroy();
}

struct module_exports exports = {
		.name = "sipwarden",
		.dlflags = DEFAULT_DLFLAGS,
		.cmds = sw_functions,
		.params = params,
		.rpc_methods = sw_rpc_methods,
		.pv_items = sw_variables,
		.init_mod_f = mod_init,
		.destroy_mod_f = mod_destroy,
};

/* Runs before Kamailio reads `exports`, so the parameters can come from the
 * one table that Rust holds. */
int mod_register(char *path, int *dlflags, void *p1, void *p2)
{
	struct sw_param param;
	uint32_t i;

	(void)path, (void)dlflags, (void)p1, (void)p2;
	for(i = 0; sw_rust_module.param(i, &param); i++) {
		if(i >= SW_MAX_PARAMS) {
			LM_CRIT("BUG: more than %d parameters\n", SW_MAX_PARAMS);
			return -1;
		}
		params[i].name = (char *)param.name;
		params[i].type = param.text_default ? PARAM_STRING : PARAM_INT;
		params[i].param_pointer = &param_values[i];
		if(param.text_default)
			param_values[i].text = (char *)param.text_default;
		else
			param_values[i].number = param.int_default;
	}
	return sr_kemi_modules_add(sw_kemi_functions);
}
