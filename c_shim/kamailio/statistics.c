/*
 * sipwarden: statistics, kept by Kamailio's own per-process counters; some are
 * asked for their value when somebody looks.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "core/sr_module.h"
#include "core/counters.h"
#include "shim.h"

#define SW_MAX_STATISTICS 256

static counter_handle_t handles[SW_MAX_STATISTICS];
static uint32_t registered;

static counter_val_t ask(counter_handle_t handle, void *index)
{
	(void)handle;
	return (counter_val_t)sw_rust_module.gauge((uint32_t)(size_t)index);
}

int sw_statistics_register(void)
{
	const char *name;
	int gauge = 0;
	uint32_t i;

	for(i = 0; (name = sw_rust_module.statistic(i, &gauge)) != NULL; i++) {
		if(i >= SW_MAX_STATISTICS
				|| counter_register(&handles[i], "sipwarden", name, 0,
						   gauge ? ask : 0, (void *)(size_t)i, name, 0)
						   < 0) {
			LM_ERR("statistic sipwarden:%s cannot be registered\n", name);
			return -1;
		}
		registered = i + 1;
		gauge = 0;
	}
	return 0;
}

void sw_count(uint32_t index)
{
	if(index < registered)
		counter_inc(handles[index]);
}

uint64_t sw_counted(uint32_t index)
{
	return index < registered ? (uint64_t)counter_get_val(handles[index]) : 0;
}
