/*
 * sipwarden: script and KEMI functions. Both forms share one body.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "core/sr_module.h"
#include "core/mod_fix.h"
#include "core/route.h"
#include "functions.h"

static str none = {NULL, 0};

/* An argument that cannot be evaluated is empty, which Rust refuses. */
static str evaluate(struct sip_msg *msg, char *param)
{
	str value = {NULL, 0};

	if(get_str_fparam(&value, msg, (fparam_t *)param) != 0)
		value.len = 0;
	return value;
}

/* The functions as KEMI calls them. */
static int ki_check_company_ip_addr(sip_msg_t *msg, str *company, str *ip)
{
	return sw_check_company_ip(msg, company, ip);
}

static int ki_check_company_ip(sip_msg_t *msg, str *company)
{
	return ki_check_company_ip_addr(msg, company, NULL);
}

static int ki_check_country_addr(sip_msg_t *msg, str *list, str *ip)
{
	return sw_check_country(msg, list, ip);
}

static int ki_check_country(sip_msg_t *msg, str *list)
{
	return ki_check_country_addr(msg, list, NULL);
}

static int ki_flood_check_flags_addr(sip_msg_t *msg, str *flags, str *ip)
{
	return sw_flood_check(msg, flags, ip);
}

static int ki_flood_check_flags(sip_msg_t *msg, str *flags)
{
	return ki_flood_check_flags_addr(msg, flags, NULL);
}

static int ki_flood_check_addr(sip_msg_t *msg, str *ip)
{
	return ki_flood_check_flags_addr(msg, &none, ip);
}

static int ki_flood_check(sip_msg_t *msg)
{
	return ki_flood_check_flags_addr(msg, &none, NULL);
}

static int ki_flood_blocked_addr(sip_msg_t *msg, str *ip)
{
	return sw_flood_blocked(msg, ip);
}

static int ki_flood_blocked(sip_msg_t *msg)
{
	return ki_flood_blocked_addr(msg, NULL);
}

static int ki_auth_check_addr(sip_msg_t *msg, str *aor, str *ip)
{
	return sw_auth_check(msg, aor, ip);
}

static int ki_auth_check(sip_msg_t *msg, str *aor)
{
	return ki_auth_check_addr(msg, aor, NULL);
}

static int ki_auth_failed_addr(sip_msg_t *msg, str *aor, str *ip)
{
	return sw_auth_failed(msg, aor, ip);
}

static int ki_auth_failed(sip_msg_t *msg, str *aor)
{
	return ki_auth_failed_addr(msg, aor, NULL);
}

static int ki_auth_failed_credentials_addr(
		sip_msg_t *msg, str *aor, str *credentials, str *ip)
{
	return sw_auth_failed_credentials(msg, aor, credentials, ip);
}

static int ki_auth_failed_credentials(sip_msg_t *msg, str *aor, str *credentials)
{
	return ki_auth_failed_credentials_addr(msg, aor, credentials, NULL);
}

static int ki_auth_failed_code(
		sip_msg_t *msg, str *aor, str *credentials, str *ip, str *code)
{
	return sw_auth_failed_code(msg, aor, credentials, ip, code);
}

static int ki_scanner_check(sip_msg_t *msg)
{
	return sw_scanner_check(msg);
}

static int ki_auth_ok_addr(sip_msg_t *msg, str *aor, str *ip)
{
	return sw_auth_ok(msg, aor, ip);
}

static int ki_auth_ok(sip_msg_t *msg, str *aor)
{
	return ki_auth_ok_addr(msg, aor, NULL);
}

static int ki_grant_addr(sip_msg_t *msg, str *company, str *seconds, str *ip)
{
	return sw_grant(msg, company, seconds, ip);
}

static int ki_grant(sip_msg_t *msg, str *company, str *seconds)
{
	return ki_grant_addr(msg, company, seconds, NULL);
}

static int ki_roadwarrior_acquire_flags_addr(
		sip_msg_t *msg, str *aor, str *company, str *flags, str *ip)
{
	return sw_roadwarrior_acquire(msg, aor, company, flags, ip);
}

static int ki_roadwarrior_acquire_flags(sip_msg_t *msg, str *aor, str *company, str *flags)
{
	return ki_roadwarrior_acquire_flags_addr(msg, aor, company, flags, NULL);
}

static int ki_roadwarrior_acquire_addr(sip_msg_t *msg, str *aor, str *company, str *ip)
{
	return ki_roadwarrior_acquire_flags_addr(msg, aor, company, &none, ip);
}

static int ki_roadwarrior_acquire(sip_msg_t *msg, str *aor, str *company)
{
	return ki_roadwarrior_acquire_flags_addr(msg, aor, company, &none, NULL);
}

static int ki_cc_limit_scopes(sip_msg_t *msg, str *company, str *flags, str *scopes)
{
	return sw_cc_limit(msg, company, flags, scopes);
}

static int ki_cc_limit_flags(sip_msg_t *msg, str *company, str *flags)
{
	return ki_cc_limit_scopes(msg, company, flags, &none);
}

static int ki_cc_limit(sip_msg_t *msg, str *company)
{
	return ki_cc_limit_flags(msg, company, &none);
}

/* The functions as the script calls them: their arguments are evaluated first. */
#define SW_SCRIPT_0(name)                                                       \
	static int w_##name(struct sip_msg *msg, char *unused1, char *unused2)      \
	{                                                                           \
		(void)unused1, (void)unused2;                                           \
		return ki_##name(msg);                                                  \
	}
#define SW_SCRIPT_1(name)                                                       \
	static int w_##name(struct sip_msg *msg, char *p1, char *unused)            \
	{                                                                           \
		str a = evaluate(msg, p1);                                              \
		(void)unused;                                                           \
		return ki_##name(msg, &a);                                              \
	}
#define SW_SCRIPT_2(name)                                                       \
	static int w_##name(struct sip_msg *msg, char *p1, char *p2)                \
	{                                                                           \
		str a = evaluate(msg, p1), b = evaluate(msg, p2);                       \
		return ki_##name(msg, &a, &b);                                          \
	}
#define SW_SCRIPT_3(name)                                                       \
	static int w_##name(struct sip_msg *msg, char *p1, char *p2, char *p3)      \
	{                                                                           \
		str a = evaluate(msg, p1), b = evaluate(msg, p2), c = evaluate(msg, p3); \
		return ki_##name(msg, &a, &b, &c);                                      \
	}
#define SW_SCRIPT_4(name)                                                       \
	static int w_##name(                                                        \
			struct sip_msg *msg, char *p1, char *p2, char *p3, char *p4)        \
	{                                                                           \
		str a = evaluate(msg, p1), b = evaluate(msg, p2);                       \
		str c = evaluate(msg, p3), d = evaluate(msg, p4);                       \
		return ki_##name(msg, &a, &b, &c, &d);                                  \
	}

SW_SCRIPT_1(check_company_ip)
SW_SCRIPT_2(check_company_ip_addr)
SW_SCRIPT_1(check_country)
SW_SCRIPT_2(check_country_addr)
SW_SCRIPT_0(flood_check)
SW_SCRIPT_1(flood_check_flags)
SW_SCRIPT_2(flood_check_flags_addr)
SW_SCRIPT_0(flood_blocked)
SW_SCRIPT_1(flood_blocked_addr)
SW_SCRIPT_1(auth_check)
SW_SCRIPT_2(auth_check_addr)
SW_SCRIPT_1(auth_failed)
SW_SCRIPT_2(auth_failed_credentials)
SW_SCRIPT_3(auth_failed_credentials_addr)
SW_SCRIPT_4(auth_failed_code)
SW_SCRIPT_0(scanner_check)
SW_SCRIPT_1(auth_ok)
SW_SCRIPT_2(auth_ok_addr)
SW_SCRIPT_2(grant)
SW_SCRIPT_3(grant_addr)
SW_SCRIPT_2(roadwarrior_acquire)
SW_SCRIPT_3(roadwarrior_acquire_flags)
SW_SCRIPT_4(roadwarrior_acquire_flags_addr)
SW_SCRIPT_1(cc_limit)
SW_SCRIPT_2(cc_limit_flags)
SW_SCRIPT_3(cc_limit_scopes)

int sw_script_is_fixed;

/* A letter that is no flag stops the start where the script writes it down; in a variable
 * it is found when the function is called. */
static int fixup_flags(void **param, int number, const char *function, int place)
{
	str name = {(char *)function, strlen(function)};
	str flags = {(char *)*param, strlen((char *)*param)};

	if(number == place && !sw_script_is_fixed && strchr(flags.s, '$') == NULL
			&& sw_rust_module.check_flags(sw_text_of(&name), sw_text_of(&flags)) != 0)
		return -1;
	return fixup_spve_all(param, number);
}

#define SW_FLAGS(name, place)                                                   \
	static int fixup_##name(void **param, int number)                           \
	{                                                                           \
		return fixup_flags(param, number, #name, place);                        \
	}
SW_FLAGS(flood_check, 1)
SW_FLAGS(roadwarrior_acquire, 3)
SW_FLAGS(cc_limit, 2)

/* Its scopes too. */
static int fixup_cc_limit_scopes(void **param, int number)
{
	str scopes = {(char *)*param, strlen((char *)*param)};

	if(number == 3 && !sw_script_is_fixed
			&& sw_rust_module.check_scopes(sw_text_of(&scopes)) != 0)
		return -1;
	return fixup_cc_limit(param, number);
}

/*
 * Where calls are counted: failure routes for serial forking, and for what goes on after
 * a suspension. Kamailio takes a function of request routes for one of event routes too,
 * so the others have entries of their own, before those: their fixup stops the start.
 */
#define CALL_ROUTES (REQUEST_ROUTE | FAILURE_ROUTE)
#define OTHER_ROUTES                                                            \
	(ONREPLY_ROUTE | BRANCH_ROUTE | ONSEND_ROUTE | BRANCH_FAILURE_ROUTE | ONEVENT_ROUTE)

/* Scripts may also look functions up by name, when all routes are fixed. */
static int fixup_misplaced(void **param, int number)
{
	if(sw_script_is_fixed)
		return fixup_spve_all(param, number);
	LM_ERR("roadwarrior_acquire and cc_limit count calls in request_route, in failure_route "
		   "and in the routes that these call or suspend to; not in branch_route, "
		   "onreply_route, reply_route, onsend_route or event_route\n");
	return -1;
}

#define SW_EXPORT(name, function, count, routes)                                \
	{                                                                           \
		name, (cmd_function)(void (*)(void))w_##function, count,                \
				(count) > 0 ? fixup_spve_all : NULL,                            \
				(count) > 0 ? fixup_free_spve_all : NULL, routes                \
	}
/* Of one with flags. */
#define SW_EXPORT_FLAGS(name, function, count, routes)                          \
	{                                                                           \
		#name, (cmd_function)(void (*)(void))w_##function, count,               \
				fixup_##name, fixup_free_spve_all, routes                       \
	}
#define SW_MISPLACED(name, function, count)                                     \
	{                                                                           \
		name, (cmd_function)(void (*)(void))w_##function, count, fixup_misplaced, \
				fixup_free_spve_all, OTHER_ROUTES                               \
	}

/* clang-format off */
cmd_export_t sw_functions[] = {
		SW_EXPORT("check_company_ip", check_company_ip, 1, ANY_ROUTE),
		SW_EXPORT("check_company_ip", check_company_ip_addr, 2, ANY_ROUTE),
		SW_EXPORT("check_country", check_country, 1, ANY_ROUTE),
		SW_EXPORT("check_country", check_country_addr, 2, ANY_ROUTE),
		SW_EXPORT("flood_check", flood_check, 0, ANY_ROUTE),
		SW_EXPORT_FLAGS(flood_check, flood_check_flags, 1, ANY_ROUTE),
		SW_EXPORT_FLAGS(flood_check, flood_check_flags_addr, 2, ANY_ROUTE),
		SW_EXPORT("flood_blocked", flood_blocked, 0, ANY_ROUTE),
		SW_EXPORT("flood_blocked", flood_blocked_addr, 1, ANY_ROUTE),
		SW_EXPORT("auth_check", auth_check, 1, ANY_ROUTE),
		SW_EXPORT("auth_check", auth_check_addr, 2, ANY_ROUTE),
		SW_EXPORT("auth_failed", auth_failed, 1, ANY_ROUTE),
		SW_EXPORT("auth_failed", auth_failed_credentials, 2, ANY_ROUTE),
		SW_EXPORT("auth_failed", auth_failed_credentials_addr, 3, ANY_ROUTE),
		SW_EXPORT("auth_failed", auth_failed_code, 4, ANY_ROUTE),
		SW_EXPORT("auth_ok", auth_ok, 1, ANY_ROUTE),
		SW_EXPORT("auth_ok", auth_ok_addr, 2, ANY_ROUTE),
		SW_EXPORT("scanner_check", scanner_check, 0, ANY_ROUTE),
		SW_EXPORT("grant", grant, 2, ANY_ROUTE),
		SW_EXPORT("grant", grant_addr, 3, ANY_ROUTE),
		SW_MISPLACED("roadwarrior_acquire", roadwarrior_acquire, 2),
		SW_EXPORT("roadwarrior_acquire", roadwarrior_acquire, 2, CALL_ROUTES),
		SW_MISPLACED("roadwarrior_acquire", roadwarrior_acquire_flags, 3),
		SW_EXPORT_FLAGS(roadwarrior_acquire, roadwarrior_acquire_flags, 3, CALL_ROUTES),
		SW_MISPLACED("roadwarrior_acquire", roadwarrior_acquire_flags_addr, 4),
		SW_EXPORT_FLAGS(roadwarrior_acquire, roadwarrior_acquire_flags_addr, 4, CALL_ROUTES),
		SW_MISPLACED("cc_limit", cc_limit, 1),
		SW_EXPORT("cc_limit", cc_limit, 1, CALL_ROUTES),
		SW_MISPLACED("cc_limit", cc_limit_flags, 2),
		SW_EXPORT_FLAGS(cc_limit, cc_limit_flags, 2, CALL_ROUTES),
		SW_MISPLACED("cc_limit", cc_limit_scopes, 3),
		{"cc_limit", (cmd_function)(void (*)(void))w_cc_limit_scopes, 3,
				fixup_cc_limit_scopes, fixup_free_spve_all, CALL_ROUTES},
		{0, 0, 0, 0, 0, 0}};

/* Types of arguments; those that are not named are SR_KEMIP_NONE, which is 0. */
#define SW_KEMI(name, ...)                                                      \
	{                                                                           \
		str_init("sipwarden"), str_init(#name), SR_KEMIP_INT, ki_##name,        \
		{                                                                       \
			__VA_ARGS__                                                         \
		}                                                                       \
	}
#define SW_KEMI_END {{0, 0}, {0, 0}, 0, NULL, {0, 0, 0, 0, 0, 0}}
#define TEXT SR_KEMIP_STR

sr_kemi_t sw_kemi_functions[] = {
		SW_KEMI(check_company_ip, TEXT),
		SW_KEMI(check_company_ip_addr, TEXT, TEXT),
		SW_KEMI(check_country, TEXT),
		SW_KEMI(check_country_addr, TEXT, TEXT),
		SW_KEMI(flood_check, SR_KEMIP_NONE),
		SW_KEMI(flood_check_flags, TEXT),
		SW_KEMI(flood_check_addr, TEXT),
		SW_KEMI(flood_check_flags_addr, TEXT, TEXT),
		SW_KEMI(flood_blocked, SR_KEMIP_NONE),
		SW_KEMI(flood_blocked_addr, TEXT),
		SW_KEMI(auth_check, TEXT),
		SW_KEMI(auth_check_addr, TEXT, TEXT),
		SW_KEMI(auth_failed, TEXT),
		SW_KEMI(auth_failed_addr, TEXT, TEXT),
		SW_KEMI(auth_failed_credentials, TEXT, TEXT),
		SW_KEMI(auth_failed_credentials_addr, TEXT, TEXT, TEXT),
		SW_KEMI(auth_failed_code, TEXT, TEXT, TEXT, TEXT),
		SW_KEMI(auth_ok, TEXT),
		SW_KEMI(auth_ok_addr, TEXT, TEXT),
		SW_KEMI(scanner_check, SR_KEMIP_NONE),
		SW_KEMI(grant, TEXT, TEXT),
		SW_KEMI(grant_addr, TEXT, TEXT, TEXT),
		SW_KEMI(roadwarrior_acquire, TEXT, TEXT),
		SW_KEMI(roadwarrior_acquire_addr, TEXT, TEXT, TEXT),
		SW_KEMI(roadwarrior_acquire_flags, TEXT, TEXT, TEXT),
		SW_KEMI(roadwarrior_acquire_flags_addr, TEXT, TEXT, TEXT, TEXT),
		SW_KEMI(cc_limit, TEXT),
		SW_KEMI(cc_limit_flags, TEXT, TEXT),
		SW_KEMI(cc_limit_scopes, TEXT, TEXT, TEXT),
		SW_KEMI_END};
/* clang-format on */
