/*
 * sipwarden: RPC methods; Rust answers all of them.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <limits.h>
#include "shim.h"

struct rpc_call {
	rpc_t *rpc;
	void *ctx;
};

int sw_rpc_argument(void *call, struct sw_text *out)
{
	struct rpc_call *c = call;
	str value = {0, 0};

	/* '*': may be missing, '.': a number is welcome as text */
	if(c->rpc->scan(c->ctx, "*.S", &value) < 1 || value.s == NULL)
		return 0;
	*out = sw_text_of(&value);
	return 1;
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

#define SW_RPC_ENTRY(name, doc)                                 \
	static const char *rpc_##name##_doc[] = {doc, 0};           \
	static void rpc_##name(rpc_t *rpc, void *ctx)               \
	{                                                           \
		struct rpc_call call = {rpc, ctx};                      \
		sw_rust_module.rpc(SW_RPC_##name, &call);               \
	}
SW_RPC_METHODS(SW_RPC_ENTRY)

#define SW_RPC_EXPORT(name, doc) {"sipwarden." #name, rpc_##name, rpc_##name##_doc, 0},
rpc_export_t sw_rpc_methods[] = {SW_RPC_METHODS(SW_RPC_EXPORT){0, 0, 0, 0}};
