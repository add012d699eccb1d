/*
 * sipwarden: what functions are told of a message.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "shim.h"

void sw_message_names(const struct sw_message *m, struct sw_text *call_id, struct sw_text *from)
{
	struct sip_msg *msg = (struct sip_msg *)m->address;

	if(parse_headers(msg, HDR_CALLID_F | HDR_FROM_F, 0) < 0)
		return;
	if(msg->callid != NULL)
		*call_id = sw_text_of(&msg->callid->body);
	if(msg->from != NULL && parse_from_header(msg) == 0)
		*from = sw_text_of(&get_from(msg)->uri);
}

void sw_message_claims(const struct sw_message *m, struct sw_text *user_agent,
		struct sw_text *from, struct sw_text *to)
{
	struct sip_msg *msg = (struct sip_msg *)m->address;

	if(parse_headers(msg, HDR_USERAGENT_F | HDR_FROM_F | HDR_TO_F, 0) < 0)
		return;
	if(msg->user_agent != NULL)
		*user_agent = sw_text_of(&msg->user_agent->body);
	if(msg->from != NULL)
		*from = sw_text_of(&msg->from->body);
	if(msg->to != NULL)
		*to = sw_text_of(&msg->to->body);
}

void sw_message_tell_request(const struct sip_msg *msg)
{
	struct sw_message m;

	if(msg == NULL || msg == FAKED_REPLY || msg->first_line.type != SIP_REQUEST)
		return;
	sw_message_fill(&m, msg, NULL);
	sw_rust_module.dialog_request(&m);
}

/* The branch in the last Via: that of the sender, whatever proxies a request has
 * passed, this one too. */
static struct sw_text first_branch(const struct sip_msg *msg)
{
	static const char name[] = "branch=";
	struct sw_text branch = {NULL, 0};
	const struct hdr_field *hdr, *last = NULL;
	const char *at, *end, *found = NULL;

	/* mostly there is one, which the core has parsed */
	if(msg->via1 != NULL && msg->via2 == NULL && msg->via1->branch != NULL)
		return sw_text_of(&msg->via1->branch->value);
	for(hdr = msg->headers; hdr != NULL; hdr = hdr->next) {
		if(hdr->type == HDR_VIA_T)
			last = hdr;
	}
	if(last == NULL)
		return branch;
	end = last->body.s + last->body.len;
	for(at = last->body.s; at + sizeof(name) - 1 <= end; at++) {
		if((*at | 0x20) == 'b' && strncasecmp(at, name, sizeof(name) - 1) == 0)
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
void sw_call_fill(struct sw_call *out, struct sip_msg *msg, const str *given)
{
	static const struct sw_text none;

	sw_message_fill(&out->msg, msg, given);
	out->call_id = out->cseq = out->branch = none;
	out->initial_invite = out->within = 0;
	out->misplaced = sw_route_type() != REQUEST_ROUTE && sw_route_type() != FAILURE_ROUTE;
	/* who has made the dialog has parsed them */
	if((msg->parsed_flag & HDR_EOH_F) != HDR_EOH_F && parse_headers(msg, HDR_EOH_F, 0) < 0)
		return;
	if(msg->callid != NULL)
		out->call_id = sw_text_of(&msg->callid->body);
	if(msg->cseq != NULL && get_cseq(msg) != NULL)
		out->cseq = sw_text_of(&get_cseq(msg)->number);
	out->branch = first_branch(msg);
	if(msg->first_line.type != SIP_REQUEST || msg->to == NULL || get_to(msg) == NULL)
		return;
	out->within = get_to(msg)->tag_value.len > 0;
	out->initial_invite =
			!out->within && msg->first_line.u.request.method_value == METHOD_INVITE;
}

/* All headers with credentials: a client may send several. */
struct sw_attempt sw_attempt_of(struct sip_msg *msg, const str *given)
{
	struct sw_attempt attempt = {0};
	const struct hdr_field *hdr;
	int broken;

	sw_message_fill(&attempt.msg, msg, given);
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
