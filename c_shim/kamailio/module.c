/*
 * sipwarden: what Kamailio looks up in the library, and the life cycle.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "core/sr_module.h"
#include <signal.h>
#include "core/cfg/cfg_struct.h"
#include "core/globals.h"
#include "core/pt.h"
#include "core/timer.h"
#include "core/ut.h"
#include "shim.h"

MODULE_VERSION

int sw_is_warden;
/* Processes of the module's own: the warden waits for nothing, the recorder for scripts
 * and databases; a loader, after some starts, for the database of the tables; a
 * resolver, where host names are allowed, for that of the system; and a broker, where
 * limits are shared with other nodes, for their server. */
#define LONG_LIVED 2
static int with_loader, with_resolver, with_broker;

/* Rights are dropped between mod_init and the first fork. */
uint32_t sw_run_as(void)
{
	return uid > 0 ? (uint32_t)uid : geteuid();
}

/* How often a process of the module's own looks what there is to do. */
#define TICK_US 100000

static int mod_init(void)
{
	sw_rpc_init();
	if(sw_settings_init() != 0 || sw_statistics_register() != 0)
		return -1;
	if(sw_dialog_init() != 0 || sw_rust_module.init() != 0)
		return -1;
	with_loader = sw_rust_module.can_load();
	with_broker = sw_rust_module.can_serve();
	with_resolver = sw_rust_module.can_resolve();
	if(register_procs(LONG_LIVED + with_loader + with_resolver + with_broker) < 0) {
		LM_ERR("no room for the module's own processes\n");
		return -1;
	}
	cfg_register_child(LONG_LIVED + with_resolver);
	return 0;
}

/* These end with the main process, which may be killed and leave its children behind;
 * not before, as Kamailio stops when a child ends. */
static void run_warden(pid_t parent)
{
	sw_is_warden = 1;
	/* a file that grows too large is an error, no end */
	signal(SIGXFSZ, SIG_IGN);
	while(getppid() == parent) {
		sleep_us(TICK_US);
		sw_settings_update();
		sw_rust_module.tick();
	}
}

static void run_recorder(pid_t parent)
{
	while(getppid() == parent) {
		/* scripts read settings of others, too */
		cfg_update();
		if(!sw_rust_module.record())
			sleep_us(TICK_US);
	}
}

static void run_loader(pid_t parent)
{
	while(getppid() == parent) {
		sleep_us(1000000);
		sw_rust_module.load();
	}
}

static void run_broker(pid_t parent)
{
	while(getppid() == parent)
		sw_rust_module.serve();
}

static void run_resolver(pid_t parent)
{
	while(getppid() == parent) {
		/* the core's settings of its resolver */
		cfg_update();
		sw_rust_module.resolve();
		sleep_us(TICK_US);
	}
}

/* The parent is asked for before the fork: a child whose parent was killed meanwhile
 * would take the one that it was given to for its parent, and never end. */
static int start_process(char *name, int (*take_settings)(void), void (*run)(pid_t parent))
{
	pid_t parent = getpid();
	int pid = fork_process(PROC_TIMER, name, 1);

	if(pid < 0) {
		LM_ERR("process %s cannot be started\n", name);
		return -1;
	}
	if(pid == 0) {
		if(take_settings() != 0)
			return -1;
		run(parent);
		_exit(0);
	}
	return 0;
}

static int child_init(int rank)
{
	sw_script_is_fixed = 1;
	if(rank == PROC_INIT)
		sw_dialog_report();
	if(rank != PROC_MAIN)
		return 0;
	if(start_process("sipwarden warden", cfg_child_init, run_warden) != 0
			|| start_process("sipwarden recorder", cfg_child_init, run_recorder) != 0)
		return -1;
	/* what these need of the settings lies in memory of our own */
	if(with_broker
			&& start_process("sipwarden broker", cfg_child_no_cb_init, run_broker) != 0)
		return -1;
	if(with_resolver
			&& start_process("sipwarden resolver", cfg_child_init, run_resolver) != 0)
		return -1;
	if(!with_loader)
		return 0;
	return start_process("sipwarden loader", cfg_child_no_cb_init, run_loader);
}

static void mod_destroy(void)
{
	sw_rust_module.destroy();
}

struct module_exports exports = {
		.name = "sipwarden",
		.dlflags = DEFAULT_DLFLAGS,
		.cmds = sw_functions,
		.params = sw_params,
		.rpc_methods = sw_rpc_methods,
		.pv_items = sw_variables,
		.response_f = sw_dialog_reply,
		.init_mod_f = mod_init,
		.init_child_f = child_init,
		.destroy_mod_f = mod_destroy,
};

/* Runs before Kamailio reads `exports`, so that parameters and RPC methods can come from
 * the tables of the Rust side. */
int mod_register(char *path, int *dlflags, void *p1, void *p2)
{
	(void)path, (void)dlflags, (void)p1, (void)p2;
	sw_rust_module.attach(&sw_host);
	if(sw_params_declare() != 0 || sw_rpc_declare() != 0)
		return -1;
	return sr_kemi_modules_add(sw_kemi_functions);
}
