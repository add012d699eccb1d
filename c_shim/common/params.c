/*
 * sipwarden: module parameters. Names, defaults and bounds come from the one table that
 * Rust has.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <limits.h>
#include <string.h>
#include "shim.h"

#define SW_MAX_LIST 32
/* No modparam has set the number of a parameter that takes a text. */
#define UNSET INT_MIN

/* The host writes configured values here; Rust checks them in mod_init. */
static struct {
	int number;
	char *text;
} values[SW_MAX_PARAMS];
/* Each has an entry for texts and one for numbers: Rust says what is wrong with a
 * value of the other kind, where the host would say that there is no such parameter. */
param_export_t sw_params[2 * SW_MAX_PARAMS + 1];
/* Texts of the parameters that may be given several times, in their order. */
#define SW_LISTS 3
static char *lists[SW_LISTS][SW_MAX_LIST];
static int list_counts[SW_LISTS];

static int add_to_list(int n, char *text)
{
	if(list_counts[n] >= SW_MAX_LIST) {
		LM_ERR("more than %d values: %s\n", SW_MAX_LIST, text);
		return -1;
	}
	/* modparamx() gives a text back after the call */
	lists[n][list_counts[n]] = strdup(text);
	return lists[n][list_counts[n]++] != NULL ? 0 : -1;
}

/* The host does not say for which parameter it calls. */
static int add_to_first(modparam_t type, void *text)
{
	(void)type;
	return add_to_list(0, text);
}

static int add_to_second(modparam_t type, void *text)
{
	(void)type;
	return add_to_list(1, text);
}

static int add_to_third(modparam_t type, void *text)
{
	(void)type;
	return add_to_list(2, text);
}

int sw_params_declare(void)
{
	struct sw_param param;
	static int (*const add[SW_LISTS])(modparam_t, void *) = {
			add_to_first, add_to_second, add_to_third};
	param_export_t *out = sw_params;
	int listed = 0;
	uint32_t i;

	for(i = 0; sw_rust_module.param(i, &param); i++) {
		if(i >= SW_MAX_PARAMS) {
			LM_CRIT("BUG: more than %d parameters\n", SW_MAX_PARAMS);
			return -1;
		}
		values[i].number = param.kind == SW_PARAM_INT ? param.int_default : UNSET;
		values[i].text = (char *)param.text_default;
		out->name = (char *)param.name;
		if(param.kind == SW_PARAM_LIST) {
			if(listed >= SW_LISTS) {
				LM_CRIT("BUG: more than %d lists\n", SW_LISTS);
				return -1;
			}
			out->type = SW_TEXT_PARAM | SW_CALLED_PARAM;
			out->param_pointer = (void *)add[listed++];
		} else {
			out->type = SW_TEXT_PARAM;
			out->param_pointer = &values[i].text;
		}
		out++;
		out->name = (char *)param.name;
		out->type = SW_NUMBER_PARAM;
		out->param_pointer = &values[i].number;
		out++;
	}
	return 0;
}

static int configure(uint32_t index, const struct sw_param *param)
{
	static char number[SW_MAX_PARAMS][16];
	static int listed;
	int n, own;

	switch(param->kind) {
		case SW_PARAM_INT:
			return sw_rust_module.set_param(
					index, values[index].text, values[index].number);
		case SW_PARAM_LIST:
			own = listed++;
			if(values[index].number != UNSET)
				break;
			for(n = 0; n < list_counts[own]; n++) {
				if(sw_rust_module.set_param(index, lists[own][n], 0) != 0)
					return -1;
			}
			return 0;
		case SW_PARAM_DURATION:
			if(values[index].number != UNSET) {
				snprintf(number[index], sizeof(number[index]), "%d", values[index].number);
				values[index].text = number[index];
			}
			return sw_rust_module.set_param(index, values[index].text, 0);
		case SW_PARAM_TEXT:
			if(values[index].number == UNSET)
				return sw_rust_module.set_param(index, values[index].text, 0);
			break;
	}
	/* a number where a text is expected */
	return sw_rust_module.set_param(index, NULL, values[index].number);
}

int sw_params_configure(void)
{
	struct sw_param param;
	uint32_t i;

	for(i = 0; sw_rust_module.param(i, &param); i++) {
		if(configure(i, &param) != 0)
			return -1;
	}
	return 0;
}

int sw_params_number(uint32_t index)
{
	return values[index].number;
}

char *sw_params_text(uint32_t index)
{
	return values[index].text;
}
