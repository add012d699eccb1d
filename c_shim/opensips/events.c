/*
 * sipwarden: events: E_SIPWARDEN_ and the name, with a parameter for each attribute.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <ctype.h>
#include <stdio.h>
#include "shim.h"
#include "evi/evi_modules.h"

#define MAX_EVENTS 32
#define PREFIX "E_SIPWARDEN_"

static char names[MAX_EVENTS][MAX_EVENT_NAME];
static event_id_t ids[MAX_EVENTS];
static uint32_t published;

/* Those with an event route in the script are there already. */
int sw_events_publish(void)
{
	struct sw_text known;
	str name;
	size_t at;

	for(; (known = sw_rust_module.event_name(published)).len > 0; published++) {
		if(published >= MAX_EVENTS) {
			LM_CRIT("BUG: more than %d events\n", MAX_EVENTS);
			return -1;
		}
		name.s = names[published];
		name.len = snprintf(name.s, MAX_EVENT_NAME, PREFIX "%.*s", (int)known.len, known.s);
		for(at = sizeof(PREFIX) - 1; name.s[at] != 0; at++)
			name.s[at] = (char)toupper((unsigned char)name.s[at]);
		ids[published] = evi_get_id(&name);
		if(ids[published] == EVI_ERROR)
			ids[published] = evi_publish_event(name);
		if(ids[published] == EVI_ERROR) {
			LM_ERR("event %s cannot be published\n", name.s);
			return -1;
		}
	}
	return 0;
}

/* Numbers have 32 bits there: what has more, such as a time in ms, is told as text. */
static int add(evi_params_p params, const struct sw_attribute *attribute)
{
	str name = sw_str_of(attribute->name), text = sw_str_of(attribute->value.text);
	int64_t number = attribute->value.number;
	char digits[24];
	int small = (int)number;

	if(attribute->value.kind == SW_VALUE_INT && number == small)
		return evi_param_add_int(params, &name, &small);
	if(attribute->value.kind == SW_VALUE_INT) {
		text.len = snprintf(digits, sizeof(digits), "%lld", (long long)number);
		text.s = digits;
	}
	if(text.s == NULL)
		text.s = "";
	return evi_param_add_str(params, &name, &text);
}

static void raise_event(event_id_t id, const struct sw_event *event)
{
	evi_params_p params = evi_get_params();
	uint32_t i;

	if(params == NULL)
		return;
	for(i = 0; i < event->attribute_count; i++) {
		if(add(params, &event->attributes[i]) != 0) {
			evi_free_params(params);
			return;
		}
	}
	if(evi_raise_event(id, params) != 0)
		LM_DBG("an event was not raised\n");
}

void sw_tell_event(const struct sw_event *event)
{
	struct sw_text known;
	uint32_t i;

	for(i = 0; i < published; i++) {
		known = sw_rust_module.event_name(i);
		if(known.len == event->name.len
				&& memcmp(known.s, event->name.s, known.len) == 0) {
			if(evi_probe_event(ids[i]) > 0)
				raise_event(ids[i], event);
			return;
		}
	}
}
