/*
 * sipwarden: the parameters that can be changed at run time, as variables of
 * Kamailio's cfg framework.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <limits.h>
#include <stdalign.h>
#include "core/sr_module.h"
#include "core/cfg/cfg.h"
#include "core/cfg/cfg_ctx.h"
#include "core/cfg/cfg_struct.h"
#include "shim.h"

#define GROUP "sipwarden"

/* Variables of the cfg framework, their values, and which parameter each is. */
static cfg_def_t cfg_defs[SW_MAX_PARAMS + 1];
static alignas(void *) char cfg_values[SW_MAX_PARAMS * sizeof(void *)];
static uint32_t cfg_params[SW_MAX_PARAMS];
static unsigned cfg_offsets[SW_MAX_PARAMS];
static int cfg_count;
static void *cfg_handle = cfg_values;
static cfg_ctx_t *cfg_ctx;

/* The parameter behind a variable, -1 if there is none. */
static int variable_of(const str *name)
{
	int n;

	for(n = 0; n < cfg_count; n++) {
		if(strlen(cfg_defs[n].name) == (size_t)name->len
				&& memcmp(cfg_defs[n].name, name->s, name->len) == 0)
			return n;
	}
	return -1;
}

const char *sw_settings_text(const char *name)
{
	str wanted = {(char *)name, strlen(name)};
	int n = variable_of(&wanted);
	const char *text = n < 0 ? NULL : *(char **)((char *)cfg_handle + cfg_offsets[n]);

	return text != NULL ? text : "";
}

/* Before the change, only for texts: bounds of numbers are the framework's. */
static int on_change(void *unused, str *group, str *name, void **value)
{
	int n = variable_of(name);

	(void)unused, (void)group;
	if(n < 0 || *value == NULL)
		return -1;
	return sw_rust_module.check_setting(cfg_params[n], *value, 0);
}

/* Each value of a list is a change of its own, and none may be passed over: it
 * is applied at once. */
static int on_list_change(void *unused, str *group, str *name, void **value)
{
	int n = variable_of(name);

	if(on_change(unused, group, name, value) != 0)
		return -1;
	sw_rust_module.apply_setting(cfg_params[n], *value, 0);
	return 0;
}

static void apply(int n)
{
	void *at = (char *)cfg_handle + cfg_offsets[n];

	if(CFG_VAR_MASK(cfg_defs[n].type) == CFG_VAR_INT)
		sw_rust_module.apply_setting(cfg_params[n], NULL, *(int *)at);
	else if(*(char **)at != NULL)
		sw_rust_module.apply_setting(cfg_params[n], *(char **)at, 0);
}

/* After the change, in each process; one of them applies it, for all, so that
 * changes are applied in their order. */
static void on_set(str *group, str *name)
{
	int n = variable_of(name);

	(void)group;
	if(n >= 0 && sw_is_warden)
		apply(n);
}

/* What the warden has taken over last; in shared memory. */
static cfg_block_t **taken_over;

void sw_settings_update(void)
{
	/* The framework lets the old block go before all changes are applied, and a new
	 * one may get its address. One look decides: a change after it waits for the next. */
	if(cfg_local != *cfg_global) {
		__atomic_store_n(taken_over, NULL, __ATOMIC_SEQ_CST);
		cfg_update();
	}
	__atomic_store_n(taken_over, cfg_local, __ATOMIC_RELEASE);
}

int sw_settings_settled(void)
{
	/* a process cannot wait for itself */
	if(sw_is_warden)
		sw_settings_update();
	return __atomic_load_n(taken_over, __ATOMIC_ACQUIRE) == *cfg_global;
}

int sw_settings_change(uint32_t index, const char *text, int32_t number)
{
	str group = str_init(GROUP), name;
	int n;

	for(n = 0; n < cfg_count && cfg_params[n] != index; n++)
		;
	if(n == cfg_count)
		return -1;
	name.s = cfg_defs[n].name;
	name.len = (int)strlen(name.s);
	if(text == NULL)
		return cfg_set_now_int(cfg_ctx, &group, NULL, &name, number);
	return cfg_set_now_string(cfg_ctx, &group, NULL, &name, (char *)text);
}

/* Lays the variables out as the framework does. */
static int declare_variables(void)
{
	struct sw_param param;
	unsigned size = 0;
	uint32_t i;

	for(i = 0; sw_rust_module.param(i, &param); i++) {
		cfg_def_t *def = &cfg_defs[cfg_count];
		int is_int = param.kind == SW_PARAM_INT;
		unsigned align = is_int ? sizeof(int) : sizeof(char *);

		if(!param.runtime)
			continue;
		size = (size + align - 1) / align * align;
		def->name = (char *)param.name;
		def->type = is_int ? CFG_VAR_INT : CFG_VAR_STRING;
		def->min = is_int ? param.int_min : 0;
		def->max = is_int ? param.int_max : 0;
		def->on_change_cb = is_int ? NULL : on_change;
		def->on_set_child_cb = on_set;
		if(param.kind == SW_PARAM_LIST) {
			def->on_change_cb = on_list_change;
			def->on_set_child_cb = NULL;
		}
		def->descr = (char *)param.meaning;
		cfg_params[cfg_count] = i;
		cfg_offsets[cfg_count++] = size;
		if(is_int)
			*(int *)(cfg_values + size) = sw_params_number(i);
		else
			*(char **)(cfg_values + size) = sw_params_text(i);
		size += align;
	}
	/* the framework rounds the whole up to a pointer */
	size = (size + sizeof(char *) - 1) / sizeof(char *) * sizeof(char *);
	return cfg_declare(GROUP, cfg_defs, cfg_values, (int)size, &cfg_handle);
}

/* mod_init: hands the values to Rust and declares the variables. */
int sw_settings_init(void)
{
	if(sw_params_configure() != 0)
		return -1;
	taken_over = shm_mallocxz(sizeof(*taken_over));
	if(taken_over == NULL) {
		LM_ERR("no shared memory for the settings\n");
		return -1;
	}
	if(declare_variables() != 0 || cfg_register_ctx(&cfg_ctx, NULL) != 0) {
		LM_ERR("the settings cannot be declared\n");
		return -1;
	}
	return 0;
}

int sw_param_of(sr_module_t *module, char *name, int otherwise)
{
	modparam_t type;
	int *value = find_param_export(module, name, PARAM_INT, &type);

	return value != NULL ? *value : otherwise;
}
