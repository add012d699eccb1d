/*
 * sipwarden: statistics. One of OpenSIPS's own is one number for all processes: in a flood
 * all workers would fight for its cache line. So each process counts in a row of its own,
 * and the sum is told when somebody looks.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <sys/mman.h>
#include "shim.h"
#include "statistics.h"

#define MAX_STATISTICS 256
/* Processes beyond these share a row with others. Their number is not known yet when the
 * rows are made, and workers may be added later. */
#define ROWS 256

typedef uint64_t row_t[MAX_STATISTICS];

static row_t *rows;
static uint32_t registered;

static unsigned long count_of(void *index)
{
	return (unsigned long)sw_counted((uint32_t)(size_t)index);
}

static unsigned long gauge_of(void *index)
{
	return (unsigned long)sw_rust_module.gauge((uint32_t)(size_t)index);
}

int sw_statistics_register(void)
{
	const char *name;
	int gauge = 0;
	uint32_t i;

	/* pages of rows that nobody uses cost nothing */
	rows = mmap(NULL, ROWS * sizeof(row_t), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if(rows == MAP_FAILED) {
		LM_ERR("no shared memory for the statistics\n");
		return -1;
	}
	for(i = 0; (name = sw_rust_module.statistic(i, &gauge)) != NULL; i++) {
		stat_function read = gauge ? gauge_of : count_of;

		if(i >= MAX_STATISTICS
				|| register_stat2("sipwarden", (char *)name, (stat_var **)(void *)read,
						   STAT_NO_RESET | STAT_IS_FUNC, (void *)(size_t)i, 0)
						   != 0) {
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
		__atomic_fetch_add(&rows[process_no % ROWS][index], 1, __ATOMIC_RELAXED);
}

uint64_t sw_counted(uint32_t index)
{
	uint64_t sum = 0;
	int row;

	for(row = 0; index < registered && row < ROWS; row++)
		sum += __atomic_load_n(&rows[row][index], __ATOMIC_RELAXED);
	return sum;
}
