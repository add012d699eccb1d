/*
 * sipwarden: test builds only: what sanitizers must find, to prove that they do.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>

/* 0: writes beyond what it has allocated; 1: adds to the largest number. */
void sw_plant(int kind);

void sw_plant(int kind)
{
	/* The compiler must not see what is wrong. */
	volatile int largest = INT_MAX;
	volatile size_t size = 24;
	volatile char *memory;

	if(kind == 1) {
		largest = largest + 1;
		return;
	}
	memory = malloc(size);
	if(memory == NULL)
		return;
	memory[size] = 1;
	free((void *)memory);
}
