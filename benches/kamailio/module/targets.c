/*
 * What can be called: script functions with their fixups, a pseudo-variable, and
 * a walk through memory.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <stdio.h>
#include <sys/mman.h>
#include "bench.h"
#include "core/mem/mem.h"
#include "core/pvar.h"

#define MAX_STEPS 4
#define MAX_ARGUMENTS 3

typedef int (*function0)(struct sip_msg *, char *, char *);
typedef int (*function3)(struct sip_msg *, char *, char *, char *);

struct step {
	const char *name;
	int arguments;
	const char *text[MAX_ARGUMENTS];
	/* looked up in the process that calls it */
	cmd_function function;
	char *fixed[MAX_ARGUMENTS];
};

struct target {
	const char *name;
	int needs_dialog;
	/* ends at the first one without a name; or a pseudo-variable is read */
	struct step steps[MAX_STEPS];
	const char *variable;
	int sets; /* the pseudo-variable, to 1 */
	int walks;
};

#define COMPANY "$bench(company)"
#define BRAND "$bench(brand)"
#define CARRIER "$bench(carrier)"
#define SCOPES "carrier=" CARRIER ";did=" COMPANY ";group=" BRAND ";user=" COMPANY

/* clang-format off */
static struct target targets[] = {
	{.name = "nothing"},
	{.name = "memory", .walks = 1},
	{.name = "check_company_ip", .steps = {{"check_company_ip", 1, {COMPANY}}}},
	{.name = "check_floor", .steps = {{"bench_floor", 1, {COMPANY}}}},
	{.name = "allow_source_address", .steps = {{"allow_source_address", 1, {"1"}}}},
	{.name = "flood_check", .steps = {{"flood_check", 0, {0}}}},
	{.name = "flood_floor", .steps = {{"bench_floor", 0, {0}}}},
	{.name = "pike_check_req", .steps = {{"pike_check_req", 0, {0}}}},
	{.name = "htable", .variable = "$sht(ipban=>$si)"},
	{.name = "htable_set", .variable = "$sht(ipban=>$si)", .sets = 1},
	{.name = "bare", .needs_dialog = 1},
	{.name = "floor", .needs_dialog = 1, .steps = {{"bench_floor", 1, {COMPANY}}}},
	{.name = "six_scopes", .needs_dialog = 1, .steps = {{"cc_limit", 3, {COMPANY, "o", SCOPES}}}},
	{.name = "six_floor", .needs_dialog = 1, .steps = {{"bench_floor", 3, {COMPANY, "o", SCOPES}}}},
	{.name = "cc_limit", .needs_dialog = 1, .steps = {{"cc_limit", 1, {COMPANY}}}},
	{.name = "roadwarrior_acquire", .needs_dialog = 1,
		.steps = {{"roadwarrior_acquire", 2, {COMPANY, COMPANY}}}},
	{.name = "set_profiles", .needs_dialog = 1, .steps = {
		{"set_dlg_profile", 2, {"brand", BRAND}},
		{"set_dlg_profile", 2, {"company", COMPANY}}}},
	{.name = "profiles", .needs_dialog = 1, .steps = {
		{"get_profile_size", 3, {"brand", BRAND, "$var(calls)"}},
		{"get_profile_size", 3, {"company", COMPANY, "$var(calls)"}},
		{"set_dlg_profile", 2, {"brand", BRAND}},
		{"set_dlg_profile", 2, {"company", COMPANY}}}},
};
/* clang-format on */

const struct pick *current_pick;
static pv_spec_t *variable;

/* A ring of cache lines in random order: each load waits for the one before. */
static void **walk_at;

static int prepare_walk(size_t size, char *error)
{
	size_t lines = size / 64, n, other;
	char *memory;
	uint64_t state = 0x9e3779b97f4a7c15ULL;
	uint32_t *order, swap;

	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	order = malloc(lines * sizeof(*order));
	if(lines < 2 || memory == MAP_FAILED || order == NULL) {
		snprintf(error, TEXT, "no memory to walk through");
		return -1;
	}
	for(n = 0; n < lines; n++)
		order[n] = n;
	for(n = lines - 1; n > 0; n--) {
		state ^= state << 13, state ^= state >> 7, state ^= state << 17;
		other = state % n;
		swap = order[n], order[n] = order[other], order[other] = swap;
	}
	for(n = 0; n < lines; n++)
		*(void **)(memory + 64UL * order[n]) = memory + 64UL * order[(n + 1) % lines];
	free(order);
	walk_at = (void **)memory;
	return 0;
}

static int prepare_step(struct step *step, char *error)
{
	ksr_cmd_export_t *export =
			find_export_record((char *)step->name, step->arguments, 0);
	void *argument;
	int n;

	if(step->function != NULL)
		return 0;
	if(export == NULL) {
		snprintf(error, TEXT, "no function %s with %d arguments", step->name,
				step->arguments);
		return -1;
	}
	for(n = 0; n < step->arguments; n++) {
		/* fixups free or keep what the parser gave them */
		argument = pkg_malloc(strlen(step->text[n]) + 1);
		if(argument == NULL)
			return -1;
		strcpy(argument, step->text[n]);
		if(export->fixup != NULL && export->fixup(&argument, n + 1) != 0) {
			snprintf(error, TEXT, "%s: %s is refused", step->name, step->text[n]);
			return -1;
		}
		step->fixed[n] = argument;
	}
	step->function = export->function;
	return 0;
}

const struct target *target_find(const struct order *order, char *error)
{
	struct target *target = NULL;
	struct step *step;
	size_t n;
	str name;

	for(n = 0; n < sizeof(targets) / sizeof(targets[0]); n++) {
		if(strcmp(targets[n].name, order->target) == 0)
			target = &targets[n];
	}
	if(target == NULL) {
		snprintf(error, TEXT, "no target of this name");
		return NULL;
	}
	for(step = target->steps; step < target->steps + MAX_STEPS && step->name; step++) {
		if(prepare_step(step, error) != 0)
			return NULL;
	}
	if(target->variable != NULL) {
		name.s = (char *)target->variable;
		name.len = strlen(name.s);
		variable = pv_cache_get(&name);
		if(variable == NULL) {
			snprintf(error, TEXT, "no variable %s", name.s);
			return NULL;
		}
	}
	if(target->walks && prepare_walk((size_t)order->size * 1024, error) != 0)
		return NULL;
	return target;
}

int target_needs_dialog(const struct target *target)
{
	return target->needs_dialog;
}

int target_call(const struct target *target, struct sip_msg *msg)
{
	const struct step *step;
	pv_value_t value;
	int rc = 1;

	if(target->walks) {
		walk_at = *(void ***)walk_at;
		/* the next call depends on it, so the compiler must not see through */
		__asm__ volatile("" : "+r"(walk_at));
		return 1;
	}
	if(target->sets) {
		memset(&value, 0, sizeof(value));
		value.ri = 1;
		value.flags = PV_VAL_INT | PV_TYPE_INT;
		return pv_set_spec_value(msg, variable, 0, &value) == 0 ? 1 : -2;
	}
	if(target->variable != NULL) {
		if(pv_get_spec_value(msg, variable, &value) != 0)
			return -2;
		return (value.flags & PV_VAL_NULL) ? -1 : 1;
	}
	for(step = target->steps; step < target->steps + MAX_STEPS && step->name; step++) {
		if(step->arguments == 3)
			rc = ((function3)(void (*)(void))step->function)(
					msg, step->fixed[0], step->fixed[1], step->fixed[2]);
		else
			rc = step->function(msg, step->fixed[0], step->fixed[1]);
	}
	return rc;
}

enum { OF_COMPANY, OF_BRAND, OF_CARRIER };

/* Ids of carriers, so many that no rate of one is reached. */
static const char carriers[] = "0123456789abcdef";

static int parse_variable(pv_spec_p sp, str *in)
{
	sp->pvp.pvn.type = PV_NAME_INTSTR;
	if(in->len > 0 && in->s[0] == 'b')
		sp->pvp.pvn.u.isname.name.n = OF_BRAND;
	else if(in->len > 1 && in->s[1] == 'a')
		sp->pvp.pvn.u.isname.name.n = OF_CARRIER;
	else
		sp->pvp.pvn.u.isname.name.n = OF_COMPANY;
	return 0;
}

static int get_variable(struct sip_msg *msg, pv_param_t *param, pv_value_t *res)
{
	str text;

	if(current_pick == NULL)
		return pv_get_null(msg, param, res);
	text.s = (char *)current_pick->company;
	switch(param->pvn.u.isname.name.n) {
		case OF_BRAND:
			text.len = current_pick->brand_len;
			break;
		case OF_CARRIER:
			text.s = (char *)&carriers[current_pick->address[3] % (sizeof(carriers) - 1)];
			text.len = 1;
			break;
		default:
			text.len = current_pick->company_len;
	}
	return pv_get_strval(msg, param, res, &text);
}

pv_export_t bench_variables[] = {
		{{"bench", sizeof("bench") - 1}, PVT_OTHER, get_variable, 0, parse_variable, 0,
				0, 0},
		{{0, 0}, 0, 0, 0, 0, 0, 0, 0}};
