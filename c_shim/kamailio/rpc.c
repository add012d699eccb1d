/*
 * sipwarden: RPC methods; Rust answers all of them.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <limits.h>
#include <string.h>
#include "shim.h"
#include "modules/jsonrpcs/jsonrpcs_mod.h"

struct rpc_call {
	rpc_t *rpc;
	void *ctx;
	jsonrpc_ctx_t *json; /* NULL for another host than jsonrpcs */
	char number[24];     /* the last argument, if it was a number */
};

/* ctl's own parameter: whether it turns what it reads into what is asked for. */
static int *autoconversion;

void sw_rpc_init(void)
{
	struct sr_module *ctl = find_module_by_name("ctl");
	modparam_t type = 0;

	if(ctl != NULL)
		autoconversion = find_param_export(ctl, "autoconversion", PARAM_INT, &type);
}

/* jsonrpcs cannot be asked what an argument is, so its parameters are looked at.
 * Kamailio loads modules of its own version only: the struct is the header's. */
static jsonrpc_ctx_t *json_of(rpc_t *rpc, void *ctx)
{
	Dl_info info;
	const char *file;

	if(dladdr((void *)rpc->scan, &info) == 0 || info.dli_fname == NULL)
		return NULL;
	file = strrchr(info.dli_fname, '/');
	return strcmp(file ? file + 1 : info.dli_fname, "jsonrpcs.so") == 0 ? ctx : NULL;
}

/* Largest whole number that a double tells from its neighbours. */
#define MOST_EXACT 9007199254740992.0

static enum sw_argument json_argument(
		struct rpc_call *c, struct sw_text *name, struct sw_text *value)
{
	srjson_t *node = c->json->req_node;
	double n;

	if(node == NULL)
		return SW_ARGUMENT_NONE;
	c->json->req_node = node->next;
	if(node->string != NULL) {
		name->s = node->string;
		name->len = strlen(node->string);
	}
	if(node->type == srjson_String && node->valuestring != NULL) {
		value->s = node->valuestring;
		value->len = strlen(node->valuestring);
		return SW_ARGUMENT_TEXT;
	}
	n = node->valuedouble;
	if(node->type != srjson_Number || !(n >= 0 && n <= MOST_EXACT)
			|| n != (double)(int64_t)n)
		return SW_ARGUMENT_UNUSABLE;
	value->len = snprintf(c->number, sizeof(c->number), "%lld", (long long)n);
	value->s = c->number;
	return SW_ARGUMENT_TEXT;
}

/* Kamcmd reads what looks like a number into 32 bits and sends an empty text as 0:
 * what may be another text than was typed is not taken for one. */
#define LEAST_NUMBER 1
#define MOST_NUMBER 999999999

/* One type after the other: an argument of another type than asked for stays, and one
 * that is not there is neither. */
static enum sw_argument plain_argument(struct rpc_call *c, struct sw_text *value)
{
	str text = {0, 0};
	int number = 0;
	double other;

	if(c->rpc->scan(c->ctx, "*S", &text) == 1 && text.s != NULL) {
		*value = sw_text_of(&text);
		return SW_ARGUMENT_TEXT;
	}
	if(c->rpc->scan(c->ctx, "*d", &number) == 1) {
		value->len = snprintf(c->number, sizeof(c->number), "%d", number);
		value->s = c->number;
		if(number < LEAST_NUMBER || number > MOST_NUMBER)
			return SW_ARGUMENT_DOUBTFUL;
		return SW_ARGUMENT_TEXT;
	}
	/* Of a structure or an array this takes the head, then what is in it. */
	if(c->rpc->scan(c->ctx, "*f", &other) == 1 || c->rpc->scan(c->ctx, "*.S", &text) == 1
			|| c->rpc->scan(c->ctx, "*.S", &text) == 1)
		return SW_ARGUMENT_UNUSABLE;
	return SW_ARGUMENT_NONE;
}

enum sw_argument sw_rpc_argument(void *call, struct sw_text *name, struct sw_text *value)
{
	struct rpc_call *c = call;
	enum sw_argument found;
	int converts;

	if(c->json != NULL)
		return json_argument(c, name, value);
	if(autoconversion == NULL)
		return plain_argument(c, value);
	converts = *autoconversion;
	*autoconversion = 0;
	found = plain_argument(c, value);
	*autoconversion = converts;
	return found;
}

void *sw_rpc_open(void *call, void *parent, const char *name, int array)
{
	struct rpc_call *c = call;
	void *handle = NULL;
	const char *format = array ? "[" : "{";
	int rc;

	if(parent == NULL)
		rc = c->rpc->add(c->ctx, (char *)format, &handle);
	else if(name == NULL)
		rc = c->rpc->array_add(parent, (char *)format, &handle);
	else
		rc = c->rpc->struct_add(parent, (char *)format, (char *)name, &handle);
	return rc < 0 ? NULL : handle;
}

void sw_rpc_int(void *call, void *parent, const char *name, int64_t value)
{
	struct rpc_call *c = call;

	/* 'd' prints as an integer everywhere; wider values travel as a double */
	if(parent == NULL)
		return;
	if(value >= INT_MIN && value <= INT_MAX)
		c->rpc->struct_add(parent, "d", (char *)name, (int)value);
	else
		c->rpc->struct_add(parent, "L", (char *)name, (long long)value);
}

void sw_rpc_text(void *call, void *parent, const char *name, struct sw_text value)
{
	struct rpc_call *c = call;
	str text = sw_str_of(value);

	if(parent != NULL)
		c->rpc->struct_add(parent, "S", (char *)name, &text);
}

void sw_rpc_item(void *call, void *array, struct sw_text value)
{
	struct rpc_call *c = call;
	str text = sw_str_of(value);

	if(array != NULL)
		c->rpc->array_add(array, "S", &text);
}

void sw_rpc_fault(void *call, int code, struct sw_text reason)
{
	struct rpc_call *c = call;

	c->rpc->fault(c->ctx, code, "%.*s", (int)reason.len, reason.s);
}

static void answer(uint32_t index, rpc_t *rpc, void *ctx)
{
	struct rpc_call call = {rpc, ctx, json_of(rpc, ctx), ""};

	sw_rust_module.rpc(index, &call);
}

/* A method is not told which one it is: each has a function of its own. */
#define SW_METHOD(index)                                                        \
	static void rpc_##index(rpc_t *rpc, void *ctx)                              \
	{                                                                           \
		answer(index, rpc, ctx);                                                \
	}
SW_EACH_METHOD(SW_METHOD)

#define SW_METHOD_NAME(index) rpc_##index,
static const rpc_function_t functions[SW_MAX_METHODS] = {SW_EACH_METHOD(SW_METHOD_NAME)};

rpc_export_t sw_rpc_methods[SW_MAX_METHODS + 1];

/* Runs before Kamailio reads the methods. */
int sw_rpc_declare(void)
{
	static char names[SW_MAX_METHODS][64], docs[SW_MAX_METHODS][256];
	static const char *doc_lists[SW_MAX_METHODS][2];
	struct sw_rpc_method method;
	uint32_t i;

	for(i = 0; sw_rust_module.rpc_method(i, &method); i++) {
		if(i >= SW_MAX_METHODS) {
			LM_CRIT("BUG: more than %d RPC methods\n", SW_MAX_METHODS);
			return -1;
		}
		snprintf(names[i], sizeof(names[i]), SW_METHOD_PREFIX "%s", method.name);
		snprintf(docs[i], sizeof(docs[i]), "%s Usage: " SW_METHOD_PREFIX "%s", method.meaning,
				method.usage);
		doc_lists[i][0] = docs[i];
		sw_rpc_methods[i].name = names[i];
		sw_rpc_methods[i].function = functions[i];
		sw_rpc_methods[i].doc_str = doc_lists[i];
	}
	return 0;
}
