/*
 * sipwarden: event routes, run in the recorder.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "core/sr_module.h"
#include "core/action.h"
#include "core/fmsg.h"
#include "core/kemi.h"
#include "core/route.h"
#include "shim.h"

static void run(int route, sip_msg_t *msg, str *callback, str *name)
{
	sr_kemi_eng_t *engine = sr_kemi_eng_get();
	int backup = get_route_type();
	struct run_act_ctx ctx;

	set_route_type(EVENT_ROUTE);
	init_run_actions_ctx(&ctx);
	if(route >= 0)
		run_top_route(event_rt.rlist[route], msg, &ctx);
	else if(engine != NULL
			&& sr_kemi_route(engine, msg, EVENT_ROUTE, callback, name) < 0)
		LM_ERR("the event callback %.*s failed for %.*s\n", callback->len,
				callback->s, name->len, name->s);
	set_route_type(backup);
}

int sw_run_event(const char *name, const char *kemi_callback)
{
	/* engines take both for texts that end in NUL */
	str event = {(char *)name, strlen(name)};
	str callback = {(char *)kemi_callback, strlen(kemi_callback)};
	int route = route_lookup(&event_rt, (char *)name);
	sip_msg_t *msg;

	if(route < 0 || event_rt.rlist[route] == NULL)
		route = -1;
	if(route < 0 && (callback.len == 0 || sr_kemi_eng_get() == NULL))
		return 0;
	msg = faked_msg_next();
	if(msg == NULL)
		return 0;
	run(route, msg, &callback, &event);
	return 1;
}
