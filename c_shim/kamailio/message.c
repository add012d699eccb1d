/*
 * sipwarden: what functions are told of a message.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "core/sr_module.h"
#include "core/ip_addr.h"
#include "core/route.h"
#include "core/parser/parse_from.h"
#include "core/parser/parse_to.h"
#include "core/parser/parse_cseq.h"
#include "shim.h"

/* Whether the packet came from the address of the message: the PROXY protocol puts
 * another one there. */
static int is_sender(const union sockaddr_union *peer, const struct ip_addr *ip)
{
	if(peer->s.sa_family != ip->af)
		return 0;
	if(ip->af == AF_INET)
		return peer->sin.sin_addr.s_addr == ip->u.addr32[0];
	return memcmp(&peer->sin6.sin6_addr, ip->u.addr, sizeof(ip->u.addr)) == 0;
}

/* Takes back the source of a message that this Kamailio has made: a fake one of timers
 * and events has no peer, and a request of tm's own is said to come from the socket that
 * it leaves by. */
static __attribute__((noinline)) void forget_own(
		struct sw_message *out, const struct receive_info *rcv)
{
	if(rcv->src_su.s.sa_family == AF_UNSPEC
			|| (get_route_type() == LOCAL_ROUTE && rcv->bind_address != NULL
					&& memcmp(&rcv->src_su, &rcv->bind_address->su,
							   sockaddru_len(rcv->src_su))
							   == 0))
		out->source.family = 0;
}

/* This is in every check: nothing is called for what others have sent. */
void sw_message_fill(struct sw_message *out, const struct sip_msg *msg, const str *given)
{
	const struct receive_info *rcv = &msg->rcv;
	const struct ip_addr *ip = &rcv->src_ip;
	const struct socket_info *bound = rcv->bind_address;

	out->address = msg;
	out->id = msg->id;
	out->pid = (int32_t)msg->pid;
	out->is_given = given != NULL;
	if(given != NULL)
		out->given = sw_text_of(given);
	out->source.family = ip->af == AF_INET ? 4 : ip->af == AF_INET6 ? 6 : 0;
	memcpy(out->source.bytes, ip->u.addr, sizeof(out->source.bytes));
	out->proxied = !is_sender(&rcv->src_su, ip);
	out->stream = rcv->proto != PROTO_UDP && rcv->proto != PROTO_NONE;
	/* Others send from the address that is told, and nearly always from another port. */
	if(out->proxied || bound == NULL || rcv->src_su.sin.sin_port == bound->su.sin.sin_port)
		forget_own(out, rcv);
}

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
struct sw_call sw_call_of(struct sip_msg *msg, const str *given)
{
	struct sw_call call = {0};

	sw_message_fill(&call.msg, msg, given);
	call.misplaced = get_route_type() != REQUEST_ROUTE && get_route_type() != FAILURE_ROUTE;
	if(parse_headers(msg, HDR_EOH_F, 0) < 0)
		return call;
	if(msg->callid != NULL)
		call.call_id = sw_text_of(&msg->callid->body);
	if(msg->cseq != NULL && get_cseq(msg) != NULL)
		call.cseq = sw_text_of(&get_cseq(msg)->number);
	call.branch = first_branch(msg);
	if(msg->first_line.type != SIP_REQUEST || msg->to == NULL || get_to(msg) == NULL)
		return call;
	call.within = get_to(msg)->tag_value.len > 0;
	call.initial_invite =
			!call.within && msg->first_line.u.request.method_value == METHOD_INVITE;
	return call;
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
