/*
 * sipwarden: copies of an INVITE. A phone that hears nothing sends its INVITE again, and two
 * workers may have one each at the same moment. The dialog module makes a dialog of each, which
 * would be two calls. So the first one is judged, and for any other the script ends where a call
 * would be counted, as it does in t_newtran().
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "shim.h"
#include "locking.h"
#include "script_cb.h"
#include "modules/tm/tm_load.h"

#define BUCKETS 1024
#define PLACES 7

/* Names of INVITEs that workers have now and that have no transaction; 0: none. */
struct bucket {
	gen_lock_t lock;
	uint64_t names[PLACES];
};

static struct tm_binds tm;
static struct bucket *buckets;
/* The name of the INVITE that this process has, and its message. */
static uint64_t *place;
static unsigned int message;

static void leave(void)
{
	if(place != NULL)
		__atomic_store_n(place, 0, __ATOMIC_RELEASE);
	place = NULL;
}

/* 0: another worker has an INVITE of this name. Where there is no room, it is not looked for. */
static int enter(uint64_t name)
{
	struct bucket *bucket = &buckets[name % BUCKETS];
	uint64_t *free = NULL, known;
	int i, is_new = 1;

	leave();
	lock_get(&bucket->lock);
	for(i = 0; i < PLACES; i++) {
		known = __atomic_load_n(&bucket->names[i], __ATOMIC_ACQUIRE);
		if(known == name)
			is_new = 0;
		else if(known == 0)
			free = &bucket->names[i];
	}
	if(is_new && free != NULL) {
		__atomic_store_n(free, name, __ATOMIC_RELAXED);
		place = free;
	}
	lock_release(&bucket->lock);
	return is_new;
}

/* The script has ended, and what it has left undone was cleaned up: there is a transaction, or
 * the call has left the counts. */
static int on_script_end(struct sip_msg *msg, void *param)
{
	(void)msg, (void)param;
	leave();
	return SCB_RUN_ALL;
}

/* FNV-1a, with an end after each text. */
static uint64_t add(uint64_t hash, const str *text)
{
	int i;

	for(i = 0; i < text->len; i++)
		hash = (hash ^ (unsigned char)text->s[i]) * 0x100000001b3;
	return (hash ^ 0x100) * 0x100000001b3;
}

/* By what a transaction is told from others: a copy has all of it. */
static uint64_t name_of_invite(const struct sip_msg *msg)
{
	uint64_t name = 0xcbf29ce484222325;

	name = add(name, &msg->via1->host);
	name = add(name, &msg->via1->port_str);
	if(msg->via1->branch != NULL)
		name = add(name, &msg->via1->branch->value);
	name = add(name, &msg->callid->body);
	name = add(name, &get_cseq(msg)->number);
	name = add(name, &get_from(msg)->tag_value);
	return name != 0 ? name : 1;
}

static int is_initial_invite(struct sip_msg *msg)
{
	return msg->first_line.type == SIP_REQUEST && msg->REQ_METHOD == METHOD_INVITE
		   && parse_headers(msg, HDR_EOH_F, 0) == 0 && msg->via1 != NULL && msg->callid != NULL
		   && msg->cseq != NULL && get_cseq(msg) != NULL && msg->to != NULL && get_to(msg) != NULL
		   && get_to(msg)->tag_value.len == 0 && parse_from_header(msg) == 0;
}

int sw_copies_init(void)
{
	int i;

	if(!(sw_dialog_support() & SW_DIALOG_LOADED))
		return 0;
	buckets = shm_malloc(BUCKETS * sizeof(*buckets));
	if(buckets == NULL || load_tm_api(&tm) != 0) {
		LM_ERR("copies of INVITEs cannot be told: no shared memory, or no tm.so\n");
		return -1;
	}
	memset(buckets, 0, BUCKETS * sizeof(*buckets));
	for(i = 0; i < BUCKETS; i++)
		lock_init(&buckets[i].lock);
	/* the lowest priority: tm cleans up first */
	return __register_script_cb(on_script_end, POST_SCRIPT_CB | REQ_TYPE_CB, NULL, INT_MIN);
}

int sw_is_copy(struct sip_msg *msg)
{
	struct cell *transaction;

	if(buckets == NULL || route_type != REQUEST_ROUTE || !is_initial_invite(msg))
		return 0;
	transaction = tm.t_gett();
	if(transaction != T_NULL_CELL && transaction != T_UNDEFINED)
		return 0;
	/* asked before, and the first one */
	if(place != NULL && message == msg->id)
		return 0;
	if(!enter(name_of_invite(msg)))
		return 1;
	message = msg->id;
	/* Another worker may have made it since the script has looked. */
	tm.t_sett(T_UNDEFINED);
	return tm.t_check_trans(msg) == 0;
}
