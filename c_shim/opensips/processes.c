/*
 * sipwarden: the module's own processes.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <signal.h>
#include <unistd.h>
#include "shim.h"
#include "ut.h"

/* How often a process of the module's own looks what there is to do. */
#define TICK_US 100000

/* Asked for before the fork: a child whose parent was killed meanwhile would take the one
 * that it was given to for its parent, and never end. */
static pid_t parent;

static int before_fork(void)
{
	parent = getpid();
	return 0;
}

/* The core's handler would take the exits of children away. */
static void wait_for_own_children(void)
{
	signal(SIGCHLD, SIG_DFL);
	/* a file that grows too large is an error, no end */
	signal(SIGXFSZ, SIG_IGN);
}

static void run_warden(int number)
{
	(void)number;
	wait_for_own_children();
	while(getppid() == parent) {
		usleep(TICK_US);
		sw_rust_module.tick();
	}
	_exit(0);
}

static void run_recorder(int number)
{
	(void)number;
	while(getppid() == parent) {
		if(!sw_rust_module.record())
			usleep(TICK_US);
	}
	_exit(0);
}

static void run_broker(int number)
{
	(void)number;
	while(getppid() == parent)
		sw_rust_module.serve();
	_exit(0);
}

static void run_resolver(int number)
{
	(void)number;
	while(getppid() == parent) {
		sw_rust_module.resolve();
		usleep(TICK_US);
	}
	_exit(0);
}

static void run_loader(int number)
{
	(void)number;
	while(getppid() == parent) {
		sleep(1);
		sw_rust_module.load();
	}
	_exit(0);
}

enum { WARDEN, RECORDER, BROKER, RESOLVER, LOADER };

#define SW_PROCESS(name, function, number, flags)                               \
	{                                                                           \
		"sipwarden " name, before_fork, NULL, function, number,                 \
				PROC_FLAG_INITCHILD | (flags)                                   \
	}

proc_export_t sw_processes[] = {
		[WARDEN] = SW_PROCESS("warden", run_warden, 1, 0),
		/* the dialog module sends a BYE itself, and says whether it could, where there is a
		 * script */
		[RECORDER] = SW_PROCESS("recorder", run_recorder, 1, PROC_FLAG_NEEDS_SCRIPT),
		[BROKER] = SW_PROCESS("broker", run_broker, 0, 0),
		[RESOLVER] = SW_PROCESS("resolver", run_resolver, 0, 0),
		[LOADER] = SW_PROCESS("loader", run_loader, 0, 0),
		{NULL, NULL, NULL, NULL, 0, 0},
};

void sw_processes_choose(void)
{
	sw_processes[BROKER].no = sw_rust_module.can_serve() != 0;
	sw_processes[RESOLVER].no = sw_rust_module.can_resolve() != 0;
	sw_processes[LOADER].no = sw_rust_module.can_load() != 0;
}
