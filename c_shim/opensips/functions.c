/*
 * sipwarden: script functions.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "functions.h"

/* Ends the script. */
#define END 0

static str none = {NULL, 0};

/* Where the script does not give one, it is empty. */
static str *or_none(str *given)
{
	return given != NULL ? given : &none;
}

static int w_check_company_ip(struct sip_msg *msg, str *company, str *ip)
{
	return sw_check_company_ip(msg, company, ip);
}

static int w_check_country(struct sip_msg *msg, str *list, str *ip)
{
	return sw_check_country(msg, list, ip);
}

static int w_flood_check(struct sip_msg *msg, str *flags, str *ip)
{
	return sw_flood_check(msg, or_none(flags), ip);
}

static int w_flood_blocked(struct sip_msg *msg, str *ip)
{
	return sw_flood_blocked(msg, ip);
}

static int w_auth_check(struct sip_msg *msg, str *aor, str *ip)
{
	return sw_auth_check(msg, aor, ip);
}

/* By how many are given, as everywhere: with credentials, those; with a code, empty ones are
 * those of the request, and an empty ip is the sender. */
static int w_auth_failed(
		struct sip_msg *msg, str *aor, str *credentials, str *ip, str *code)
{
	if(code != NULL)
		return sw_auth_failed_code(msg, aor, or_none(credentials), or_none(ip), code);
	if(credentials != NULL)
		return sw_auth_failed_credentials(msg, aor, credentials, ip);
	return sw_auth_failed(msg, aor, ip);
}

static int w_auth_ok(struct sip_msg *msg, str *aor, str *ip)
{
	return sw_auth_ok(msg, aor, ip);
}

static int w_scanner_check(struct sip_msg *msg)
{
	return sw_scanner_check(msg);
}

static int w_grant(struct sip_msg *msg, str *company, str *seconds, str *ip)
{
	return sw_grant(msg, company, seconds, ip);
}

static int w_roadwarrior_acquire(
		struct sip_msg *msg, str *aor, str *company, str *flags, str *ip)
{
	return sw_is_copy(msg) ? END : sw_roadwarrior_acquire(msg, aor, company, or_none(flags), ip);
}

static int w_cc_limit(struct sip_msg *msg, str *company, str *flags, str *scopes)
{
	return sw_is_copy(msg) ? END : sw_cc_limit(msg, company, or_none(flags), or_none(scopes));
}

/* A letter that is no flag stops the start where the script writes it down. A value that a
 * variable has is fixed with each call: it is judged by the function. */
static int check(const char *function, const str *flags)
{
	str name = {(char *)function, (int)strlen(function)};

	return process_no == 0
				   && sw_rust_module.check_flags(sw_text_of(&name), sw_text_of(flags)) != 0
			   ? -1
			   : 0;
}

#define SW_FLAGS(name)                                                          \
	static int fixup_##name(void **param)                                       \
	{                                                                           \
		return check(#name, *param);                                            \
	}
SW_FLAGS(flood_check)
SW_FLAGS(roadwarrior_acquire)
SW_FLAGS(cc_limit)

/* The same for scopes. With the variables in them a text comes here when it is called. */
static int fixup_scopes(void **param)
{
	return process_no == 0
				   && sw_rust_module.check_scopes(sw_text_of(*param)) != 0
			   ? -1
			   : 0;
}

/* Where calls are counted: failure routes for serial forking. */
#define CALL_ROUTES (REQUEST_ROUTE | FAILURE_ROUTE)

#define SW_FUNCTION(name, routes, ...)                                          \
	{                                                                           \
		#name, (cmd_function)(void (*)(void))w_##name,                          \
				{__VA_ARGS__ __VA_OPT__(, ){0, 0, 0}}, routes                   \
	}
#define TEXT {CMD_PARAM_STR, 0, 0}
#define MAYBE {CMD_PARAM_STR | CMD_PARAM_OPT, 0, 0}
#define FIXED(fixup) {CMD_PARAM_STR | CMD_PARAM_OPT, fixup, 0}

/* clang-format off */
const cmd_export_t sw_functions[] = {
		SW_FUNCTION(check_company_ip, ALL_ROUTES, TEXT, MAYBE),
		SW_FUNCTION(check_country, ALL_ROUTES, TEXT, MAYBE),
		SW_FUNCTION(flood_check, ALL_ROUTES, FIXED(fixup_flood_check), MAYBE),
		SW_FUNCTION(flood_blocked, ALL_ROUTES, MAYBE),
		SW_FUNCTION(auth_check, ALL_ROUTES, TEXT, MAYBE),
		SW_FUNCTION(auth_failed, ALL_ROUTES, TEXT, MAYBE, MAYBE, MAYBE),
		SW_FUNCTION(auth_ok, ALL_ROUTES, TEXT, MAYBE),
		SW_FUNCTION(scanner_check, ALL_ROUTES),
		SW_FUNCTION(grant, ALL_ROUTES, TEXT, TEXT, MAYBE),
		SW_FUNCTION(roadwarrior_acquire, CALL_ROUTES, TEXT, TEXT,
				FIXED(fixup_roadwarrior_acquire), MAYBE),
		SW_FUNCTION(cc_limit, CALL_ROUTES, TEXT, FIXED(fixup_cc_limit), FIXED(fixup_scopes)),
		{0, 0, {{0, 0, 0}}, 0}};
/* clang-format on */
