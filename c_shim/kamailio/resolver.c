/*
 * sipwarden: host names, by the resolver of the host: its servers and timeouts are those of
 * the core (dns_retr_time and others), and no cache of ours stands beside it.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <netdb.h>
#include <string.h>
#include "shim.h"

/* Adds a record of an address; others, such as aliases, have none. */
static uint32_t add(const struct rdata *record, int type, struct sw_address *out)
{
	if(record->type != type || record->rdata == NULL)
		return 0;
	memset(out, 0, sizeof(*out));
	if(type == T_A) {
		out->family = 4;
		memcpy(out->bytes, ((struct a_rdata *)record->rdata)->ip, 4);
	} else {
		out->family = 6;
		memcpy(out->bytes, ((struct aaaa_rdata *)record->rdata)->ip6, 16);
	}
	return 1;
}

int sw_find_addresses(
		const char *name, int family, struct sw_address *out, uint32_t most, uint32_t *ttl)
{
	int type = family == 4 ? T_A : T_AAAA;
	struct rdata *records, *record;
	struct sw_address other;
	uint32_t count = 0;

	/* the core does not say why it has found nothing; the C library does */
	h_errno = TRY_AGAIN;
	records = get_record((char *)name, type, 0);
	if(records == NULL)
		return h_errno == HOST_NOT_FOUND || h_errno == NO_DATA ? 0 : -1;
	*ttl = UINT32_MAX;
	for(record = records; record != NULL; record = record->next) {
		/* an alias may change sooner than what it stands for */
		if((record->type == type || record->type == T_CNAME) && record->ttl < *ttl)
			*ttl = record->ttl;
		count += add(record, type, count < most ? &out[count] : &other);
	}
	free_rdata_list(records);
	return (int)count;
}
