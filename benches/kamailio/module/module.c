/*
 * The module: its processes, and the RPC that gives them orders.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "bench.h"
#include <stdio.h>
#include <unistd.h>
#include "core/cfg/cfg_struct.h"
#include "core/mem/shm_mem.h"
#include "core/mod_fix.h"
#include "core/pt.h"
#include "core/rpc.h"
#include "core/rpc_lookup.h"

MODULE_VERSION

static int processes = 4;
static struct board *board;

static void serve(int process)
{
	unsigned int seen = 0, number;

	for(;;) {
		number = atomic_load(&board->number);
		if(number == seen) {
			usleep(500);
			continue;
		}
		seen = number;
		if(process >= board->order.processes)
			continue;
		cfg_update();
		run(board, process);
		atomic_fetch_add(&board->done, 1);
	}
}

static int mod_init(void)
{
	if(processes < 1 || processes > MAX_PROCESSES) {
		LM_ERR("processes: %d is not 1 to %d\n", processes, MAX_PROCESSES);
		return -1;
	}
	board = shm_mallocxz(sizeof(*board));
	if(board == NULL) {
		SHM_MEM_ERROR;
		return -1;
	}
	register_procs(processes);
	cfg_register_child(processes);
	return 0;
}

static int child_init(int rank)
{
	int n, pid;

	if(rank != PROC_MAIN)
		return 0;
	for(n = 0; n < processes; n++) {
		pid = fork_process(PROC_XWORKER, "bench", 1);
		if(pid < 0)
			return -1;
		if(pid == 0) {
			if(cfg_child_init() != 0)
				return -1;
			serve(n);
		}
	}
	return 0;
}

static void answer_series(rpc_t *rpc, void *to, int which, char *name)
{
	/* too large for a stack */
	static struct histogram all;
	static const struct {
		char *name;
		double q;
	} shares[] = {{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}, {"most", 1 - 1e-12}};
	static const struct {
		char *name;
		double ns;
	} waits[] = {{"over_1_ms", 1e6}, {"over_5_ms", 5e6}, {"over_15_ms", 15e6},
			{"over_25_ms", 25e6}};
	void *node;
	size_t n;

	memset(&all, 0, sizeof(all));
	for(n = 0; n < (size_t)board->order.processes; n++)
		histogram_merge(&all, &board->results[n].series[which]);
	if(all.total == 0 || rpc->struct_add(to, "{", name, &node) < 0)
		return;
	rpc->struct_add(node, "d", "batches", (int)all.total);
	for(n = 0; n < sizeof(shares) / sizeof(shares[0]); n++)
		rpc->struct_add(node, "f", shares[n].name,
				histogram_at(&all, shares[n].q) / UNITS_PER_NS);
	for(n = 0; n < sizeof(waits) / sizeof(waits[0]); n++)
		rpc->struct_add(node, "d", waits[n].name,
				(int)histogram_above(&all, waits[n].ns * UNITS_PER_NS));
}

static void answer(rpc_t *rpc, void *ctx)
{
	static char *names[SERIES] = {"call", "end", "bare_end", "made"};
	uint64_t codes[CODES] = {0}, calls = 0;
	double per_second = 0;
	struct result *result;
	void *reply, *node;
	char code[16];
	int n, m;

	for(n = 0; n < board->order.processes; n++) {
		result = &board->results[n];
		if(result->error[0] != '\0') {
			rpc->fault(ctx, 500, "%s", result->error);
			return;
		}
		calls += result->calls;
		per_second += result->calls / result->seconds;
		for(m = 0; m < CODES; m++)
			codes[m] += result->codes[m];
	}
	if(rpc->add(ctx, "{", &reply) < 0)
		return;
	rpc->struct_add(reply, "d", "batch", board->results[0].batch);
	rpc->struct_add(reply, "f", "calls", (double)calls);
	rpc->struct_add(reply, "f", "per_second", per_second);
	for(n = 0; n < SERIES; n++)
		answer_series(rpc, reply, n, names[n]);
	if(rpc->struct_add(reply, "{", "codes", &node) < 0)
		return;
	for(m = 0; m < CODES; m++) {
		snprintf(code, sizeof(code), "%d", m - LAST_CODE);
		if(codes[m] != 0)
			rpc->struct_add(node, "f", code, (double)codes[m]);
	}
}

/* bench.run target picks processes milliseconds count repeat batch hold size pause */
static void rpc_run(rpc_t *rpc, void *ctx)
{
	struct order order = {.processes = 1};
	str target, picks;

	if(rpc->scan(ctx, "SSdddddddd", &target, &picks, &order.processes, &order.milliseconds,
			   &order.count, &order.repeat, &order.batch, &order.hold, &order.size,
			   &order.pause)
			< 10)
		return;
	if(order.processes < 1 || order.processes > processes || order.repeat < 1
			|| target.len >= TEXT || picks.len >= TEXT) {
		rpc->fault(ctx, 400, "an argument is out of range");
		return;
	}
	memcpy(order.target, target.s, target.len);
	memcpy(order.picks, picks.s, picks.len);
	board->order = order;
	atomic_store(&board->stop, 0);
	atomic_store(&board->arrived, 0);
	atomic_store(&board->done, 0);
	atomic_fetch_add(&board->number, 1);
	while(atomic_load(&board->done) < (unsigned int)order.processes)
		usleep(500);
	answer(rpc, ctx);
}

static void rpc_stop(rpc_t *rpc, void *ctx)
{
	(void)rpc, (void)ctx;
	atomic_store(&board->stop, 1);
}

static const char *run_doc[] = {"Calls a target and tells what a call took", 0};
static const char *stop_doc[] = {"Ends the order that runs", 0};

static rpc_export_t methods[] = {
		{"bench.run", rpc_run, run_doc, 0},
		{"bench.stop", rpc_stop, stop_doc, 0},
		{0, 0, 0, 0}};

static param_export_t params[] = {
		{"processes", PARAM_INT, &processes}, {0, 0, 0}};

/* The floor of all checks: evaluates its arguments as they do, and does nothing. */
static int w_floor3(struct sip_msg *msg, char *first, char *second, char *third)
{
	char *arguments[] = {first, second, third};
	str value = {NULL, 0};
	int n;

	for(n = 0; n < 3; n++)
		if(arguments[n] != NULL && get_str_fparam(&value, msg, (fparam_t *)arguments[n]) != 0)
			return -1;
	return 1;
}

static int w_floor(struct sip_msg *msg, char *first, char *second)
{
	return w_floor3(msg, first, second, NULL);
}

static cmd_export_t functions[] = {
		{"bench_floor", w_floor, 0, 0, 0, REQUEST_ROUTE},
		{"bench_floor", w_floor, 1, fixup_spve_all, fixup_free_spve_all, REQUEST_ROUTE},
		{"bench_floor", w_floor, 2, fixup_spve_all, fixup_free_spve_all, REQUEST_ROUTE},
		{"bench_floor", (cmd_function)(void (*)(void))w_floor3, 3, fixup_spve_all, fixup_free_spve_all, REQUEST_ROUTE},
		{0, 0, 0, 0, 0, 0}};

struct module_exports exports = {"bench", DEFAULT_DLFLAGS, functions, params, methods,
		bench_variables, 0, mod_init, child_init, 0};
