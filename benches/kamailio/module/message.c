/*
 * Messages as the core would give them to a script, and their dialogs.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "bench.h"
#include "core/pt.h"
#include "core/route.h"
#include "core/script_cb.h"
#include "core/socket_info.h"

static const char invite[] =
		"INVITE sip:bob@127.0.0.1:5060 SIP/2.0\r\n"
		"Via: SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bK%016llx\r\n"
		"From: <sip:alice@example.com>;tag=%08x\r\n"
		"To: <sip:bob@example.com>\r\n"
		"Call-ID: %016llx@phone.example\r\n"
		"CSeq: 1 INVITE\r\n"
		"Contact: <sip:alice@127.0.0.1:5062>\r\n"
		"Max-Forwards: 70\r\n"
		"Content-Length: 0\r\n\r\n";

/* SplitMix64 (Steele et al. 2014). */
static unsigned long long mix(unsigned long long n)
{
	n *= 0x9e3779b97f4a7c15ULL;
	n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9ULL;
	n = (n ^ (n >> 27)) * 0x94d049bb133111ebULL;
	return n ^ (n >> 31);
}

int message_make(struct sip_msg *msg)
{
	static char buf[1024];
	static unsigned int made;
	unsigned long long id = mix(((unsigned long long)my_pid() << 32) + ++made);
	int len = snprintf(buf, sizeof(buf), invite, id, made, id);

	memset(msg, 0, sizeof(*msg));
	msg->buf = buf;
	msg->len = len;
	msg->id = made;
	msg->pid = my_pid();
	msg->rcv.src_ip.af = AF_INET;
	msg->rcv.src_ip.len = 4;
	memcpy(msg->rcv.src_ip.u.addr, "\x7f\0\0\1", 4);
	msg->rcv.dst_ip = msg->rcv.src_ip;
	msg->rcv.src_port = 5062;
	init_su(&msg->rcv.src_su, &msg->rcv.src_ip, 5062);
	msg->rcv.dst_port = 5060;
	msg->rcv.proto = PROTO_UDP;
	msg->rcv.bind_address = udp_listen;
	if(parse_msg(buf, len, msg) != 0)
		return -1;
	set_route_type(REQUEST_ROUTE);
	return 0;
}

void message_free(struct sip_msg *msg)
{
	free_sip_msg(msg);
}

void message_from(struct sip_msg *msg, const struct pick *pick)
{
	struct ip_addr *ip = &msg->rcv.src_ip;

	if(pick->family == 6) {
		ip->af = AF_INET6;
		ip->len = 16;
		memcpy(ip->u.addr, pick->address, 16);
	} else {
		ip->af = AF_INET;
		ip->len = 4;
		memcpy(ip->u.addr, pick->address, 4);
	}
	/* a packet of its own: a message without a peer is one that nobody has sent */
	init_su(&msg->rcv.src_su, ip, msg->rcv.src_port);
}

int dialog_make(struct sip_msg *msg)
{
	static cmd_function dlg_manage;

	if(dlg_manage == NULL)
		dlg_manage = find_export("dlg_manage", 0, 0);
	if(dlg_manage == NULL || exec_pre_script_cb(msg, REQUEST_CB_TYPE) == 0)
		return -1;
	return dlg_manage(msg, NULL, NULL) > 0 ? 0 : -1;
}

/* The dialog has no transaction, so it goes with its script. */
void dialog_end(struct sip_msg *msg)
{
	exec_post_script_cb(msg, REQUEST_CB_TYPE);
}
