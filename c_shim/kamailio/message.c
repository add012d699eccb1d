/*
 * sipwarden: where a message has come from.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "core/sr_module.h"
#include "core/ip_addr.h"
#include "core/route.h"
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
