/*
 * sipwarden: script and KEMI functions. Both forms share one body.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "core/sr_module.h"
#include "core/mod_fix.h"
#include "core/ip_addr.h"
#include "core/parser/parse_to.h"
#include "core/parser/parse_cseq.h"
#include "shim.h"

/* An argument that cannot be evaluated is empty, which Rust refuses. */
static str evaluate(struct sip_msg *msg, char *param)
{
	str value = {NULL, 0};

	if(get_str_fparam(&value, msg, (fparam_t *)param) != 0)
		value.len = 0;
	return value;
}

/* This is in every check: nothing is copied that does not count. */
void sw_message_fill(struct sw_message *out, const struct sip_msg *msg)
{
	const struct ip_addr *ip = &msg->rcv.src_ip;

	out->address = msg;
	out->id = msg->id;
	out->pid = (int32_t)msg->pid;
	if(ip->af == AF_INET && ip->len == 4) {
		out->source.family = 4;
		memcpy(out->source.bytes, ip->u.addr, 4);
		memset(out->source.bytes + 4, 0, sizeof(out->source.bytes) - 4);
	} else if(ip->af == AF_INET6 && ip->len == 16) {
		out->source.family = 6;
		memcpy(out->source.bytes, ip->u.addr, 16);
	} else {
		out->source.family = 0;
		memset(out->source.bytes, 0, sizeof(out->source.bytes));
	}
}

/* The branch in the last Via: that of the sender, whatever proxies a request has
 * passed, this one too. */
static struct sw_text first_branch(const struct sip_msg *msg)
{
	static const char name[] = "branch=";
	struct sw_text branch = {NULL, 0};
	const struct hdr_field *hdr, *last = NULL;
	const char *at, *end, *found = NULL;

	for(hdr = msg->headers; hdr != NULL; hdr = hdr->next) {
		if(hdr->type == HDR_VIA_T)
			last = hdr;
	}
	if(last == NULL)
		return branch;
	end = last->body.s + last->body.len;
	for(at = last->body.s; at + sizeof(name) - 1 <= end; at++) {
		if(strncasecmp(at, name, sizeof(name) - 1) == 0)
			found = at + sizeof(name) - 1;
	}
	if(found == NULL)
		return branch;
	for(at = found; at < end && strchr(";, \t\r\n", *at) == NULL; at++)
		branch.len++;
	branch.s = found;
	return branch;
}

/* What only calls need of a message is parsed here. */
struct sw_call sw_call_of(struct sip_msg *msg)
{
	struct sw_call call = {0};

	sw_message_fill(&call.msg, msg);
	if(parse_headers(msg, HDR_EOH_F, 0) < 0)
		return call;
	if(msg->callid != NULL)
		call.call_id = sw_text_of(&msg->callid->body);
	if(msg->cseq != NULL && get_cseq(msg) != NULL)
		call.cseq = sw_text_of(&get_cseq(msg)->number);
	call.branch = first_branch(msg);
	if(msg->to == NULL || get_to(msg) == NULL)
		return call;
	call.within = get_to(msg)->tag_value.len > 0;
	call.initial_invite = !call.within && msg->first_line.type == SIP_REQUEST
						  && msg->first_line.u.request.method_value == METHOD_INVITE;
	return call;
}

static int ki_check_company_ip(sip_msg_t *msg, str *company)
{
	struct sw_message m;

	sw_message_fill(&m, msg);
	return sw_rust_module.check_company_ip(&m, sw_text_of(company), NULL);
}

static int ki_check_company_ip_addr(sip_msg_t *msg, str *company, str *ip)
{
	struct sw_message m;
	struct sw_text address = sw_text_of(ip);

	sw_message_fill(&m, msg);
	return sw_rust_module.check_company_ip(&m, sw_text_of(company), &address);
}

static int ki_check_country(sip_msg_t *msg, str *list)
{
	struct sw_message m;

	sw_message_fill(&m, msg);
	return sw_rust_module.check_country(&m, sw_text_of(list), NULL);
}

static int ki_check_country_addr(sip_msg_t *msg, str *list, str *ip)
{
	struct sw_message m;
	struct sw_text address = sw_text_of(ip);

	sw_message_fill(&m, msg);
	return sw_rust_module.check_country(&m, sw_text_of(list), &address);
}

static int ki_roadwarrior_acquire_flags(sip_msg_t *msg, str *aor, str *company, str *flags)
{
	struct sw_call call = sw_call_of(msg);

	return sw_rust_module.roadwarrior_acquire(
			&call, sw_text_of(aor), sw_text_of(company), sw_text_of(flags));
}

static int ki_roadwarrior_acquire(sip_msg_t *msg, str *aor, str *company)
{
	str none = {NULL, 0};

	return ki_roadwarrior_acquire_flags(msg, aor, company, &none);
}

static int ki_cc_limit_flags(sip_msg_t *msg, str *company, str *flags)
{
	struct sw_call call = sw_call_of(msg);

	return sw_rust_module.cc_limit(&call, sw_text_of(company), sw_text_of(flags));
}

static int ki_cc_limit(sip_msg_t *msg, str *company)
{
	str none = {NULL, 0};

	return ki_cc_limit_flags(msg, company, &none);
}

static int ki_flood_check_flags(sip_msg_t *msg, str *flags)
{
	struct sw_message m;

	sw_message_fill(&m, msg);
	return sw_rust_module.flood_check(&m, sw_text_of(flags));
}

static int ki_flood_check(sip_msg_t *msg)
{
	str none = {NULL, 0};

	return ki_flood_check_flags(msg, &none);
}

/* The question of flood_check("p"), as one asks it in an if. */
static int ki_flood_blocked(sip_msg_t *msg)
{
	str peek = str_init("p");

	return ki_flood_check_flags(msg, &peek) < 0 ? 1 : -1;
}

/* All headers with credentials: a client may send several. */
static struct sw_attempt attempt_of(struct sip_msg *msg)
{
	struct sw_attempt attempt = {0};
	const struct hdr_field *hdr;
	int broken;

	sw_message_fill(&attempt.msg, msg);
	broken = parse_headers(msg, HDR_EOH_F, 0) < 0;
	for(hdr = msg->headers; hdr != NULL; hdr = hdr->next) {
		if(hdr->type != HDR_AUTHORIZATION_T && hdr->type != HDR_PROXYAUTH_T)
			continue;
		if(attempt.credential_count < SW_MAX_CREDENTIALS)
			attempt.credentials[attempt.credential_count] = sw_text_of(&hdr->body);
		attempt.credential_count++;
	}
	/* there may be more that were not seen */
	if(broken && attempt.credential_count > 0)
		attempt.credential_count = SW_MAX_CREDENTIALS + 1;
	return attempt;
}

static int ki_auth_check(sip_msg_t *msg, str *aor)
{
	struct sw_message m;

	sw_message_fill(&m, msg);
	return sw_rust_module.auth_check(&m, sw_text_of(aor));
}

static int ki_auth_failed(sip_msg_t *msg, str *aor)
{
	struct sw_attempt attempt = attempt_of(msg);

	return sw_rust_module.auth_failed(&attempt, sw_text_of(aor), NULL);
}

static int ki_auth_failed_credentials(sip_msg_t *msg, str *aor, str *credentials)
{
	struct sw_attempt attempt = {0};
	struct sw_text given = sw_text_of(credentials);

	sw_message_fill(&attempt.msg, msg);
	return sw_rust_module.auth_failed(&attempt, sw_text_of(aor), &given);
}

static int ki_auth_ok(sip_msg_t *msg, str *aor)
{
	struct sw_message m;

	sw_message_fill(&m, msg);
	return sw_rust_module.auth_ok(&m, sw_text_of(aor));
}

static int w_auth_check(struct sip_msg *msg, char *aor, char *unused)
{
	str user = evaluate(msg, aor);

	(void)unused;
	return ki_auth_check(msg, &user);
}

static int w_auth_failed(struct sip_msg *msg, char *aor, char *unused)
{
	str user = evaluate(msg, aor);

	(void)unused;
	return ki_auth_failed(msg, &user);
}

static int w_auth_failed_credentials(struct sip_msg *msg, char *aor, char *credentials)
{
	str user = evaluate(msg, aor);
	str given = evaluate(msg, credentials);

	return ki_auth_failed_credentials(msg, &user, &given);
}

static int w_auth_ok(struct sip_msg *msg, char *aor, char *unused)
{
	str user = evaluate(msg, aor);

	(void)unused;
	return ki_auth_ok(msg, &user);
}

static int w_flood_check(struct sip_msg *msg, char *unused1, char *unused2)
{
	(void)unused1, (void)unused2;
	return ki_flood_check(msg);
}

static int w_flood_check_flags(struct sip_msg *msg, char *flags, char *unused)
{
	str letters = evaluate(msg, flags);

	(void)unused;
	return ki_flood_check_flags(msg, &letters);
}

static int w_flood_blocked(struct sip_msg *msg, char *unused1, char *unused2)
{
	(void)unused1, (void)unused2;
	return ki_flood_blocked(msg);
}

static int w_check_company_ip(struct sip_msg *msg, char *company, char *unused)
{
	str id = evaluate(msg, company);

	(void)unused;
	return ki_check_company_ip(msg, &id);
}

static int w_check_company_ip_addr(struct sip_msg *msg, char *company, char *ip)
{
	str id = evaluate(msg, company);
	str address = evaluate(msg, ip);

	return ki_check_company_ip_addr(msg, &id, &address);
}

static int w_check_country(struct sip_msg *msg, char *list, char *unused)
{
	str countries = evaluate(msg, list);

	(void)unused;
	return ki_check_country(msg, &countries);
}

static int w_check_country_addr(struct sip_msg *msg, char *list, char *ip)
{
	str countries = evaluate(msg, list);
	str address = evaluate(msg, ip);

	return ki_check_country_addr(msg, &countries, &address);
}

static int w_roadwarrior_acquire(struct sip_msg *msg, char *aor, char *company)
{
	str user = evaluate(msg, aor);
	str id = evaluate(msg, company);

	return ki_roadwarrior_acquire(msg, &user, &id);
}

static int w_roadwarrior_acquire_flags(
		struct sip_msg *msg, char *aor, char *company, char *flags)
{
	str user = evaluate(msg, aor);
	str id = evaluate(msg, company);
	str letters = evaluate(msg, flags);

	return ki_roadwarrior_acquire_flags(msg, &user, &id, &letters);
}

static int w_cc_limit(struct sip_msg *msg, char *company, char *unused)
{
	str id = evaluate(msg, company);

	(void)unused;
	return ki_cc_limit(msg, &id);
}

static int w_cc_limit_flags(struct sip_msg *msg, char *company, char *flags)
{
	str id = evaluate(msg, company);
	str letters = evaluate(msg, flags);

	return ki_cc_limit_flags(msg, &id, &letters);
}

/* Where calls are admitted; failure routes for serial forking. */
#define CALL_ROUTES (REQUEST_ROUTE | FAILURE_ROUTE)

cmd_export_t sw_functions[] = {
		{"check_company_ip", (cmd_function)w_check_company_ip, 1,
				fixup_spve_null, fixup_free_spve_null, ANY_ROUTE},
		{"check_company_ip", (cmd_function)w_check_company_ip_addr, 2,
				fixup_spve_all, fixup_free_spve_all, ANY_ROUTE},
		{"check_country", (cmd_function)w_check_country, 1, fixup_spve_null,
				fixup_free_spve_null, ANY_ROUTE},
		{"check_country", (cmd_function)w_check_country_addr, 2, fixup_spve_all,
				fixup_free_spve_all, ANY_ROUTE},
		{"flood_check", (cmd_function)w_flood_check, 0, 0, 0, ANY_ROUTE},
		{"flood_check", (cmd_function)w_flood_check_flags, 1, fixup_spve_null,
				fixup_free_spve_null, ANY_ROUTE},
		{"flood_blocked", (cmd_function)w_flood_blocked, 0, 0, 0, ANY_ROUTE},
		{"auth_check", (cmd_function)w_auth_check, 1, fixup_spve_null,
				fixup_free_spve_null, REQUEST_ROUTE},
		{"auth_failed", (cmd_function)w_auth_failed, 1, fixup_spve_null,
				fixup_free_spve_null, REQUEST_ROUTE},
		{"auth_failed", (cmd_function)w_auth_failed_credentials, 2, fixup_spve_all,
				fixup_free_spve_all, REQUEST_ROUTE},
		{"auth_ok", (cmd_function)w_auth_ok, 1, fixup_spve_null,
				fixup_free_spve_null, REQUEST_ROUTE},
		{"roadwarrior_acquire", (cmd_function)w_roadwarrior_acquire, 2,
				fixup_spve_all, fixup_free_spve_all, CALL_ROUTES},
		{"roadwarrior_acquire", (cmd_function)(void (*)(void))w_roadwarrior_acquire_flags,
				3, fixup_spve_all, fixup_free_spve_all, CALL_ROUTES},
		{"cc_limit", (cmd_function)w_cc_limit, 1, fixup_spve_null,
				fixup_free_spve_null, CALL_ROUTES},
		{"cc_limit", (cmd_function)w_cc_limit_flags, 2, fixup_spve_all,
				fixup_free_spve_all, CALL_ROUTES},
		{0, 0, 0, 0, 0, 0}};

#define SW_KEMI(name, ...)                              \
	{                                                   \
		str_init("sipwarden"), str_init(#name), SR_KEMIP_INT, ki_##name, \
		{                                               \
			__VA_ARGS__                                 \
		}                                               \
	}
#define SW_KEMI_END {{0, 0}, {0, 0}, 0, NULL, {0, 0, 0, 0, 0, 0}}

/* clang-format off */
sr_kemi_t sw_kemi_functions[] = {
		SW_KEMI(check_company_ip, SR_KEMIP_STR, SR_KEMIP_NONE, SR_KEMIP_NONE,
				SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE),
		SW_KEMI(check_company_ip_addr, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_NONE,
				SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE),
		SW_KEMI(check_country, SR_KEMIP_STR, SR_KEMIP_NONE, SR_KEMIP_NONE,
				SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE),
		SW_KEMI(check_country_addr, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_NONE,
				SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE),
		SW_KEMI(flood_check, SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE,
				SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE),
		SW_KEMI(flood_check_flags, SR_KEMIP_STR, SR_KEMIP_NONE, SR_KEMIP_NONE,
				SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE),
		SW_KEMI(flood_blocked, SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE,
				SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE),
		SW_KEMI(auth_check, SR_KEMIP_STR, SR_KEMIP_NONE, SR_KEMIP_NONE,
				SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE),
		SW_KEMI(auth_failed, SR_KEMIP_STR, SR_KEMIP_NONE, SR_KEMIP_NONE,
				SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE),
		SW_KEMI(auth_failed_credentials, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_NONE,
				SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE),
		SW_KEMI(auth_ok, SR_KEMIP_STR, SR_KEMIP_NONE, SR_KEMIP_NONE,
				SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE),
		SW_KEMI(roadwarrior_acquire, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_NONE,
				SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE),
		SW_KEMI(roadwarrior_acquire_flags, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_STR,
				SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE),
		SW_KEMI(cc_limit, SR_KEMIP_STR, SR_KEMIP_NONE, SR_KEMIP_NONE,
				SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE),
		SW_KEMI(cc_limit_flags, SR_KEMIP_STR, SR_KEMIP_STR, SR_KEMIP_NONE,
				SR_KEMIP_NONE, SR_KEMIP_NONE, SR_KEMIP_NONE),
		SW_KEMI_END};
/* clang-format on */
