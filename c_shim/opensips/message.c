/*
 * sipwarden: where a message has come from.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "shim.h"
#include "ip_addr.h"

/* From 4.0 on a balancer may tell by the PROXY protocol who has sent a message. */
#if SW_OPENSIPS < 400
#define get_rcv_src_ip(rcv) (&(rcv)->src_ip)
#endif

void sw_message_fill(struct sw_message *out, const struct sip_msg *msg, const str *given)
{
	const struct receive_info *rcv = &msg->rcv;
	const struct ip_addr *ip = get_rcv_src_ip(rcv);

	out->address = msg;
	out->id = msg->id;
	out->pid = (int32_t)my_pid();
	out->is_given = given != NULL;
	if(given != NULL)
		out->given = sw_text_of(given);
	out->source.family = ip->af == AF_INET ? 4 : ip->af == AF_INET6 ? 6 : 0;
	memcpy(out->source.bytes, ip->u.addr, sizeof(out->source.bytes));
	out->proxied = ip != &rcv->src_ip;
	out->stream = rcv->proto != PROTO_UDP && rcv->proto != PROTO_NONE;
	/* What OpenSIPS has made itself: a request is said to come from a socket of its own, and
	 * a dummy of timers and events has no peer. */
	if(route_type == LOCAL_ROUTE || rcv->src_su.s.sa_family == AF_UNSPEC)
		out->source.family = 0;
}
