/*
 * A Kamailio module for benchmarks only: calls script functions of other modules
 * from C, in processes of its own, and tells what a call took.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef BENCH_H
#define BENCH_H

/* First of all: what is defined before it decides the ABI strings. */
#include "core/sr_module.h"
#include "core/parser/msg_parser.h"
#include <stdatomic.h>
#include <stdint.h>

#define MAX_PROCESSES 8
#define TEXT 256

/* A source and whose it is; files of picks are arrays of these. */
struct pick {
	uint8_t family; /* 4 or 6 */
	uint8_t company_len;
	uint8_t brand_len; /* the brand's id is the beginning of the company's */
	uint8_t unused;
	char company[12];
	uint8_t address[16];
};
_Static_assert(sizeof(struct pick) == 32, "picks are read from files");

/* What one process times. */
enum series {
	CALL,	  /* the functions */
	END,	  /* the end of a dialog that they have counted */
	BARE_END, /* the end of one that nobody has counted */
	MADE,	  /* dlg_manage */
	SERIES
};

/* Counts of values with 256 steps to each power of two: 0.4 % of resolution. */
#define BUCKETS (40 * 256)
struct histogram {
	uint64_t total;
	uint64_t counts[BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);
void histogram_merge(struct histogram *to, const struct histogram *from);
/* The value at or below which the share `q` of all values lies. */
double histogram_at(const struct histogram *h, double q);
/* How many values are above this one. */
uint64_t histogram_above(const struct histogram *h, uint64_t value);

struct order {
	char target[TEXT];
	char picks[TEXT];
	int processes;
	int milliseconds;
	int count;	/* calls per process; 0: as many as the time allows */
	int repeat; /* calls in a row from one source */
	int batch;	/* calls timed together; 0: about 20 us of them */
	int hold;	/* 1: the dialogs that are made stay */
	int size;	/* KiB to walk through, for "memory" */
	int pause;	/* us from one batch to the next */
};

/* Values in histograms are nanoseconds per call in units of 1/64. */
#define UNITS_PER_NS 64

#define LAST_CODE 32
#define CODES (2 * LAST_CODE + 1) /* -32 to 32 */
struct result {
	struct histogram series[SERIES];
	uint64_t calls;
	uint64_t codes[CODES];
	double seconds;
	int batch;
	char error[TEXT];
};

/* In shared memory. */
struct board {
	atomic_uint number; /* of the order; a new one starts the processes */
	atomic_uint arrived;
	atomic_uint done;
	atomic_int stop;
	struct order order;
	struct result results[MAX_PROCESSES];
};

/* run.c */
void run(struct board *board, int process);
uint64_t ticks(void);
double nanoseconds(void);

/* targets.c */
struct target;
/* NULL and the reason in `error` if a function is not there. */
const struct target *target_find(const struct order *order, char *error);
int target_needs_dialog(const struct target *target);
int target_call(const struct target *target, struct sip_msg *msg);
/* What $bench(company), $bench(brand) and $bench(carrier) say. */
extern const struct pick *current_pick;
extern pv_export_t bench_variables[];

/* message.c */
/* An INVITE with a Call-ID of its own. */
int message_make(struct sip_msg *msg);
void message_free(struct sip_msg *msg);
void message_from(struct sip_msg *msg, const struct pick *pick);
/* As the core does before and after a script, and dlg_manage() between. */
int dialog_make(struct sip_msg *msg);
void dialog_end(struct sip_msg *msg);

#endif
