/*
 * sipwarden: the script's functions with all their arguments, as every host has them. Where
 * one is not given, ip is NULL, and flags, scopes, credentials and code are empty.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SIPWARDEN_FUNCTIONS_H
#define SIPWARDEN_FUNCTIONS_H

#include "shim.h"

static inline int sw_check_company_ip(struct sip_msg *msg, str *company, str *ip)
{
	struct sw_message m;

	sw_message_fill(&m, msg, ip);
	return sw_rust_module.check_company_ip(&m, sw_text_of(company));
}

static inline int sw_check_country(struct sip_msg *msg, str *list, str *ip)
{
	struct sw_message m;

	sw_message_fill(&m, msg, ip);
	return sw_rust_module.check_country(&m, sw_text_of(list));
}

static inline int sw_flood_check(struct sip_msg *msg, str *flags, str *ip)
{
	struct sw_message m;

	sw_message_fill(&m, msg, ip);
	return sw_rust_module.flood_check(&m, sw_text_of(flags));
}

/* The question of flood_check("p"), as one asks it in an if. */
static inline int sw_flood_blocked(struct sip_msg *msg, str *ip)
{
	str peek = str_init("p");

	return sw_flood_check(msg, &peek, ip) < 0 ? 1 : -1;
}

static inline int sw_auth_check(struct sip_msg *msg, str *aor, str *ip)
{
	struct sw_message m;

	sw_message_fill(&m, msg, ip);
	return sw_rust_module.auth_check(&m, sw_text_of(aor));
}

/* Failed with the credentials of the request. */
static inline int sw_auth_failed(struct sip_msg *msg, str *aor, str *ip)
{
	struct sw_attempt attempt = sw_attempt_of(msg, ip);

	return sw_rust_module.auth_failed(&attempt, sw_text_of(aor), NULL);
}

/* With these. */
static inline int sw_auth_failed_credentials(
		struct sip_msg *msg, str *aor, str *credentials, str *ip)
{
	struct sw_attempt attempt = {0};
	struct sw_text given = sw_text_of(credentials);

	sw_message_fill(&attempt.msg, msg, ip);
	return sw_rust_module.auth_failed(&attempt, sw_text_of(aor), &given);
}

/* With what the function returned that has compared the password. Empty credentials are
 * those of the request, an empty ip is the sender. */
static inline int sw_auth_failed_code(
		struct sip_msg *msg, str *aor, str *credentials, str *ip, str *code)
{
	struct sw_attempt attempt = sw_attempt_of(msg, ip->len > 0 ? ip : NULL);
	struct sw_text given = sw_text_of(credentials);

	attempt.code = sw_text_of(code);
	return sw_rust_module.auth_failed(
			&attempt, sw_text_of(aor), credentials->len > 0 ? &given : NULL);
}

static inline int sw_auth_ok(struct sip_msg *msg, str *aor, str *ip)
{
	struct sw_message m;

	sw_message_fill(&m, msg, ip);
	return sw_rust_module.auth_ok(&m, sw_text_of(aor));
}

static inline int sw_scanner_check(struct sip_msg *msg)
{
	struct sw_message m;

	sw_message_fill(&m, msg, NULL);
	return sw_rust_module.scanner_check(&m);
}

static inline int sw_grant(struct sip_msg *msg, str *company, str *seconds, str *ip)
{
	struct sw_message m;

	sw_message_fill(&m, msg, ip);
	return sw_rust_module.grant(&m, sw_text_of(company), sw_text_of(seconds));
}

static inline int sw_roadwarrior_acquire(
		struct sip_msg *msg, str *aor, str *company, str *flags, str *ip)
{
	struct sw_call call;

	sw_call_fill(&call, msg, ip);

	return sw_rust_module.roadwarrior_acquire(
			&call, sw_text_of(aor), sw_text_of(company), sw_text_of(flags));
}

static inline int sw_cc_limit(struct sip_msg *msg, str *company, str *flags, str *scopes)
{
	struct sw_call call;

	sw_call_fill(&call, msg, NULL);

	return sw_rust_module.cc_limit(
			&call, sw_text_of(company), sw_text_of(flags), sw_text_of(scopes));
}

#endif
