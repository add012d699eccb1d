/*
 * sipwarden: host names, by the C library, with the core's settings (dns_retr_time and others):
 * they are its own for the whole process. The core's get_record takes no answer that ends with
 * an address.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>
#include <string.h>
#include "shim.h"

/* Adds a record of an address; others, such as aliases, have none. */
static uint32_t add(const ns_rr *record, ns_type type, struct sw_address *out)
{
	size_t len = type == ns_t_a ? 4 : 16;

	if(ns_rr_type(*record) != type || ns_rr_rdlen(*record) != len)
		return 0;
	memset(out, 0, sizeof(*out));
	out->family = type == ns_t_a ? 4 : 6;
	memcpy(out->bytes, ns_rr_rdata(*record), len);
	return 1;
}

int sw_find_addresses(
		const char *name, int family, struct sw_address *out, uint32_t most, uint32_t *ttl)
{
	static unsigned char answer[NS_MAXMSG];
	ns_type type = family == 4 ? ns_t_a : ns_t_aaaa;
	struct sw_address other;
	uint32_t count = 0;
	ns_msg message;
	ns_rr record;
	int len, n;

	h_errno = TRY_AGAIN;
	len = res_search(name, ns_c_in, type, answer, sizeof(answer));
	if(len < 0)
		return h_errno == HOST_NOT_FOUND || h_errno == NO_DATA ? 0 : -1;
	if(len > (int)sizeof(answer) || ns_initparse(answer, len, &message) < 0)
		return -1;
	*ttl = UINT32_MAX;
	for(n = 0; n < ns_msg_count(message, ns_s_an); n++) {
		if(ns_parserr(&message, ns_s_an, n, &record) < 0)
			return -1;
		/* an alias may change sooner than what it stands for */
		if((ns_rr_type(record) == type || ns_rr_type(record) == ns_t_cname)
				&& ns_rr_ttl(record) < *ttl)
			*ttl = ns_rr_ttl(record);
		count += add(&record, type, count < most ? &out[count] : &other);
	}
	return (int)count;
}
