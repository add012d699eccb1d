/*
 * sipwarden: MI commands, sipwarden_ and the name of the method; Rust answers all of them.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include "shim.h"

struct mi_call {
	/* The argument that is read next; of an array, or of an object with names. */
	mi_item_t *next;
	char number[24];
	mi_response_t *response;
	int has_failed;
};

/* Largest whole number that a double tells from its neighbours. */
#define MOST_EXACT 9007199254740992.0

enum sw_argument sw_rpc_argument(void *call, struct sw_text *name, struct sw_text *value)
{
	struct mi_call *c = call;
	mi_item_t *item = c->next;
	double n;

	/* One that is named and empty is left out: the core lets none be but the last ones. */
	while(item != NULL && item->string != NULL && (item->type & 0xFF) == cJSON_String
			&& item->valuestring[0] == 0)
		item = item->next;
	if(item == NULL) {
		c->next = NULL;
		return SW_ARGUMENT_NONE;
	}
	c->next = item->next;
	if(item->string != NULL) {
		name->s = item->string;
		name->len = strlen(item->string);
	}
	if((item->type & 0xFF) == cJSON_String) {
		value->s = item->valuestring;
		value->len = strlen(item->valuestring);
		return SW_ARGUMENT_TEXT;
	}
	n = item->valuedouble;
	if((item->type & 0xFF) != cJSON_Number || !(n >= 0 && n <= MOST_EXACT)
			|| n != (double)(int64_t)n)
		return SW_ARGUMENT_UNUSABLE;
	value->len = (size_t)snprintf(c->number, sizeof(c->number), "%lld", (long long)n);
	value->s = c->number;
	return SW_ARGUMENT_TEXT;
}

void *sw_rpc_open(void *call, void *parent, const char *name, int array)
{
	struct mi_call *c = call;
	mi_item_t *item = NULL;
	int len = name != NULL ? (int)strlen(name) : 0;

	if(parent != NULL)
		return array ? add_mi_array(parent, (char *)name, len)
					 : add_mi_object(parent, (char *)name, len);
	/* Rust opens one reply */
	if(c->response == NULL)
		c->response = array ? init_mi_result_array(&item) : init_mi_result_object(&item);
	return item;
}

void sw_rpc_int(void *call, void *parent, const char *name, int64_t value)
{
	(void)call;
	if(parent != NULL)
		add_mi_number(parent, (char *)name, (int)strlen(name), (double)value);
}

void sw_rpc_text(void *call, void *parent, const char *name, struct sw_text value)
{
	(void)call;
	if(parent != NULL)
		add_mi_string(parent, (char *)name, (int)strlen(name), value.s, (int)value.len);
}

void sw_rpc_item(void *call, void *array, struct sw_text value)
{
	(void)call;
	if(array != NULL)
		add_mi_string(array, NULL, 0, value.s, (int)value.len);
}

void sw_rpc_fault(void *call, int code, struct sw_text reason)
{
	struct mi_call *c = call;

	if(c->response != NULL)
		free_mi_response(c->response);
	c->response = init_mi_error(code, reason.s, (int)reason.len);
}

static mi_response_t *answer(uint32_t index, const mi_params_t *params)
{
	struct mi_call call = {0};

	call.next = params->item != NULL ? params->item->child : NULL;
	sw_rust_module.rpc(index, &call);
	return call.response;
}

/* A command is not told which one it is: each has a function of its own. */
#define METHOD(index)                                                           \
	static mi_response_t *mi_##index(                                           \
			const mi_params_t *params, struct mi_handler *async)                \
	{                                                                           \
		(void)async;                                                            \
		return answer(index, params);                                           \
	}
SW_EACH_METHOD(METHOD)

#define METHOD_NAME(index) mi_##index,
static mi_cmd_f *const functions[SW_MAX_METHODS] = {SW_EACH_METHOD(METHOD_NAME)};

mi_export_t sw_rpc_methods[SW_MAX_METHODS + 1];

/* The core knows a command by the names of its arguments: it takes a recipe for each number
 * of them. Too few are among these, so that Rust says what is missing. */
static void declare(mi_export_t *command, uint32_t index, const struct sw_rpc_method *method)
{
	uint32_t count, i;

	for(count = 0; count <= method->argument_count; count++) {
		mi_recipe_t *recipe = &command->recipes[count];

		recipe->cmd = functions[index];
		for(i = 0; i < count; i++)
			recipe->params[i] = (char *)method->arguments[i];
	}
}

int sw_rpc_declare(void)
{
	static char names[SW_MAX_METHODS][64], help[SW_MAX_METHODS][320];
	struct sw_rpc_method method;
	uint32_t i;

	for(i = 0; sw_rust_module.rpc_method(i, &method); i++) {
		if(i >= SW_MAX_METHODS) {
			LM_CRIT("BUG: more than %d MI commands\n", SW_MAX_METHODS);
			return -1;
		}
		snprintf(names[i], sizeof(names[i]), SW_METHOD_PREFIX "%s", method.name);
		snprintf(help[i], sizeof(help[i]), "%s Usage: " SW_METHOD_PREFIX "%s", method.meaning,
				method.usage);
		sw_rpc_methods[i].name = names[i];
		sw_rpc_methods[i].help = help[i];
		declare(&sw_rpc_methods[i], i, &method);
	}
	return 0;
}
