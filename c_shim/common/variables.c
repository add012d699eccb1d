/*
 * sipwarden: $swd(attribute).
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "shim.h"

/* The names of all attributes, in one line. */
static const char *attributes(void)
{
	static char line[1024];
	struct sw_text name;
	size_t len = 0;
	uint32_t i;

	line[0] = 0;
	for(i = 0; (name = sw_rust_module.variable_name(i)).len > 0; i++) {
		if(len + name.len + sizeof(", ") > sizeof(line))
			break;
		len += (size_t)sprintf(
				line + len, "%s%.*s", i > 0 ? ", " : "", (int)name.len, name.s);
	}
	return line;
}

static int variable_parse(pv_spec_p spec, sw_pv_name *in)
{
	int index = sw_rust_module.variable_index(sw_text_of(in));

	if(index < 0) {
		LM_ERR("$swd(%.*s): no such attribute; there are %s\n", in->len, in->s,
				attributes());
		return -1;
	}
	spec->pvp.pvn.type = PV_NAME_INTSTR;
	spec->pvp.pvn.u.isname.type = 0;
	spec->pvp.pvn.u.isname.name.n = index;
	return 0;
}

static int variable_get(struct sip_msg *msg, pv_param_t *param, pv_value_t *res)
{
	struct sw_value value = {SW_VALUE_NULL, 0, {NULL, 0}};
	int index = param->pvn.u.isname.name.n;
	struct sw_message m;
	str text;

	if(msg == NULL)
		return pv_get_null(msg, param, res);
	if(!sw_value_of_event(index, &value)) {
		sw_message_fill(&m, msg, NULL);
		sw_rust_module.variable(&m, index, &value);
	}
	switch(value.kind) {
		case SW_VALUE_INT:
			return sw_pv_number(msg, param, res, value.number);
		case SW_VALUE_TEXT:
			text = sw_str_of(value.text);
			return pv_get_strval(msg, param, res, &text);
		case SW_VALUE_NULL:
			break;
	}
	return pv_get_null(msg, param, res);
}

/* Read-only: there is no setter, so an assignment fails when the script loads. */
pv_export_t sw_variables[] = {
		{{"swd", sizeof("swd") - 1}, SW_PV_TYPE, variable_get, 0, variable_parse,
				0, 0, 0},
		{{0, 0}, 0, 0, 0, 0, 0, 0, 0}};
