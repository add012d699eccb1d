/*
 * One process's share of an order.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "bench.h"
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifdef __x86_64__
#include <x86intrin.h>
#endif

double nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e9 + now.tv_nsec;
}

/* A counter of constant rate that costs little to read. */
uint64_t ticks(void)
{
#ifdef __x86_64__
	unsigned int processor;

	return __rdtscp(&processor);
#else
	return (uint64_t)nanoseconds();
#endif
}

static double units_per_tick(void)
{
	double began = nanoseconds(), elapsed;
	uint64_t first = ticks();

	do
		elapsed = nanoseconds() - began;
	while(elapsed < 10e6);
	return elapsed * UNITS_PER_NS / (ticks() - first);
}

static unsigned int bucket_of(uint64_t value)
{
	unsigned int shift = value < 512 ? 0 : 63 - __builtin_clzll(value) - 8;
	uint64_t bucket = shift * 256 + (value >> shift);

	return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
	h->counts[bucket_of(value)]++;
	h->total++;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
	unsigned int n;

	for(n = 0; n < BUCKETS; n++)
		to->counts[n] += from->counts[n];
	to->total += from->total;
}

double histogram_at(const struct histogram *h, double q)
{
	uint64_t wanted = (uint64_t)(q * h->total), seen = 0;
	unsigned int n, shift;

	for(n = 0; n < BUCKETS; n++) {
		seen += h->counts[n];
		if(seen > wanted)
			break;
	}
	shift = n < 512 ? 0 : n / 256 - 1;
	return ((double)(n - shift * 256) + 0.5) * (double)(1ULL << shift);
}

uint64_t histogram_above(const struct histogram *h, uint64_t value)
{
	uint64_t above = 0;
	unsigned int n;

	for(n = bucket_of(value) + 1; n < BUCKETS; n++)
		above += h->counts[n];
	return above;
}

/* What is gone through; each process has a part of its own. */
struct picks {
	const struct pick *first;
	size_t count;
	void *file;
	size_t length;
};

static int open_picks(struct picks *picks, const struct order *order, int process, char *error)
{
	static const struct pick local = {4, 1, 1, 0, "0", {127, 0, 0, 1}};
	struct stat info;
	size_t all, from, to;
	int fd;

	memset(picks, 0, sizeof(*picks));
	if(order->picks[0] == '\0') {
		picks->first = &local;
		picks->count = 1;
		return 0;
	}
	fd = open(order->picks, O_RDONLY);
	if(fd < 0 || fstat(fd, &info) != 0) {
		snprintf(error, TEXT, "no file of picks");
		return -1;
	}
	picks->length = info.st_size;
	picks->file = mmap(NULL, picks->length, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	close(fd);
	all = picks->length / sizeof(struct pick);
	from = all * process / order->processes;
	to = all * (process + 1) / order->processes;
	if(picks->file == MAP_FAILED || to == from) {
		picks->file = NULL;
		snprintf(error, TEXT, "too few picks");
		return -1;
	}
	picks->first = (const struct pick *)picks->file + from;
	picks->count = to - from;
	return 0;
}

static void close_picks(struct picks *picks)
{
	if(picks->file != NULL)
		munmap(picks->file, picks->length);
}

struct runner {
	const struct order *order;
	const struct target *target;
	struct picks picks;
	size_t at;
	int left; /* calls until the next source */
	struct sip_msg msg;
	struct result *result;
	double scale; /* units per tick */
};

static void next_source(struct runner *r)
{
	if(--r->left > 0)
		return;
	r->left = r->order->repeat;
	if(++r->at >= r->picks.count)
		r->at = 0;
	current_pick = &r->picks.first[r->at];
}

static int one_call(struct runner *r)
{
	int rc = target_call(r->target, &r->msg);
	int code = rc < -LAST_CODE ? -LAST_CODE : rc > LAST_CODE ? LAST_CODE : rc;

	r->result->codes[code + LAST_CODE]++;
	return rc;
}

static void record(struct runner *r, enum series series, uint64_t elapsed, int calls)
{
	histogram_add(&r->result->series[series], (uint64_t)(elapsed * r->scale / calls));
}

static int plain_batch(struct runner *r, int calls)
{
	uint64_t began = ticks();
	int n;

	for(n = 0; n < calls; n++) {
		next_source(r);
		message_from(&r->msg, current_pick);
		one_call(r);
	}
	record(r, CALL, ticks() - began, calls);
	return 0;
}

static int next_dialog(struct runner *r)
{
	if(message_make(&r->msg) != 0)
		return -1;
	next_source(r);
	message_from(&r->msg, current_pick);
	return dialog_make(&r->msg);
}

/* Dialogs that are counted and others in turn; only the calls are timed. */
static int dialog_batch(struct runner *r, int calls)
{
	uint64_t call = 0, end = 0, bare = 0, made = 0, at, now;
	int n;

	for(n = 0; n < calls; n++) {
		if(!r->order->hold) {
			if(next_dialog(r) != 0)
				return -1;
			at = ticks();
			dialog_end(&r->msg);
			bare += ticks() - at;
			message_free(&r->msg);
			/* the same source once more */
			r->left++;
		}
		if(message_make(&r->msg) != 0)
			return -1;
		next_source(r);
		message_from(&r->msg, current_pick);
		at = ticks();
		if(dialog_make(&r->msg) != 0)
			return -1;
		now = ticks();
		made += now - at;
		one_call(r);
		at = ticks();
		call += at - now;
		if(!r->order->hold)
			dialog_end(&r->msg);
		end += ticks() - at;
		message_free(&r->msg);
	}
	record(r, CALL, call, calls);
	record(r, MADE, made, calls);
	if(!r->order->hold) {
		record(r, END, end, calls);
		record(r, BARE_END, bare, calls);
	}
	return 0;
}

static int batch(struct runner *r, int calls)
{
	return target_needs_dialog(r->target) ? dialog_batch(r, calls) : plain_batch(r, calls);
}

/* As many calls as take about 20 us. */
static int fitting_batch(struct runner *r)
{
	double began = nanoseconds(), elapsed;
	long calls = 0, fit;

	do {
		if(batch(r, 1) != 0)
			return -1;
		calls++;
		elapsed = nanoseconds() - began;
	} while(elapsed < 3e6 && calls < 4096);
	fit = (long)(20e3 * calls / elapsed);
	/* single calls look dearer than they are */
	return fit < 1 ? 1 : fit > 1000 ? 1000 : fit;
}

static int measure(struct runner *r, struct board *board)
{
	const struct order *order = r->order;
	double began, elapsed;
	int calls = order->batch, size;

	if(calls == 0 && order->count == 0 && (calls = fitting_batch(r)) < 0)
		return -1;
	if(calls == 0)
		calls = 16;
	memset(r->result->series, 0, sizeof(r->result->series));
	memset(r->result->codes, 0, sizeof(r->result->codes));
	r->result->batch = calls;

	atomic_fetch_add(&board->arrived, 1);
	while(atomic_load(&board->arrived) < (unsigned int)order->processes)
		sched_yield();
	began = nanoseconds();
	do {
		size = calls;
		if(order->count > 0 && r->result->calls + size > (uint64_t)order->count)
			size = order->count - r->result->calls;
		if(batch(r, size) != 0)
			return -1;
		r->result->calls += size;
		if(order->pause > 0)
			usleep(order->pause);
		elapsed = nanoseconds() - began;
	} while(order->count > 0 ? r->result->calls < (uint64_t)order->count
							 : elapsed < order->milliseconds * 1e6
									   && !atomic_load_explicit(
											   &board->stop, memory_order_relaxed));
	r->result->seconds = elapsed / 1e9;
	return 0;
}

void run(struct board *board, int process)
{
	struct runner r = {.order = &board->order, .result = &board->results[process]};
	char *error = r.result->error;

	memset(r.result, 0, sizeof(*r.result));
	r.scale = units_per_tick();
	r.target = target_find(r.order, error);
	if(r.target == NULL || open_picks(&r.picks, r.order, process, error) != 0)
		goto failed;
	r.left = r.order->repeat;
	current_pick = r.picks.first;
	if(!target_needs_dialog(r.target) && message_make(&r.msg) != 0) {
		snprintf(error, TEXT, "the message cannot be parsed");
		goto failed;
	}
	if(measure(&r, board) != 0)
		snprintf(error, TEXT, "no dialog can be made");
	if(!target_needs_dialog(r.target))
		message_free(&r.msg);
failed:
	/* nobody shall wait for a process that has failed */
	if(error[0] != '\0')
		atomic_fetch_add(&board->arrived, 1);
	current_pick = NULL;
	close_picks(&r.picks);
}
