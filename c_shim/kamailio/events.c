/*
 * sipwarden: event routes, run in the recorder.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "core/sr_module.h"
#include "core/action.h"
#include "core/cfg/cfg_struct.h"
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

const struct sw_event *sw_event_told;

int sw_event_value(struct sw_text name, struct sw_value *out)
{
	const struct sw_attribute *attribute = sw_event_told->attributes;
	uint32_t left;

	for(left = sw_event_told->attribute_count; left > 0; left--, attribute++) {
		if(attribute->name.len == name.len
				&& memcmp(attribute->name.s, name.s, name.len) == 0) {
			*out = attribute->value;
			return 1;
		}
	}
	return 0;
}

/* The event denied is told to event_route[sipwarden:denied], or to the KEMI function that
 * the parameter names, and $swd tells of it meanwhile. */
void sw_tell_event(const struct sw_event *event)
{
	char text[64];
	str name = {text, 0}, callback = {NULL, 0};
	sip_msg_t *msg;
	int route;

	/* A callback that was just set is asked for the next event, however long this
	 * process has been busy. */
	cfg_update();
	/* engines take names for texts that end in NUL */
	name.len = snprintf(text, sizeof(text), "sipwarden:%.*s", (int)event->name.len,
			event->name.s);
	if(name.len < 0 || name.len >= (int)sizeof(text))
		return;
	route = route_lookup(&event_rt, text);
	if(route < 0 || event_rt.rlist[route] == NULL)
		route = -1;
	callback.s = (char *)sw_settings_text("event_callback");
	callback.len = strlen(callback.s);
	if(route < 0 && (callback.len == 0 || sr_kemi_eng_get() == NULL))
		return;
	msg = faked_msg_next();
	if(msg == NULL)
		return;
	sw_event_told = event;
	run(route, msg, &callback, &name);
	sw_event_told = NULL;
}
