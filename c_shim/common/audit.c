/*
 * sipwarden: the audit table, written through the host's database drivers. All
 * values are bound, none is spliced into SQL.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <string.h>
#include "shim.h"

struct audit {
	db_func_t api;
	sw_db_con *con;
	str table;
};

#define KEYS 5

static str column_reason = str_init("reason");
static str column_source = str_init("source");
static str column_company = str_init("company");
static str column_brand = str_init("brand");
static str column_aor = str_init("aor");
static str column_first = str_init("first_time");
static str column_last = str_init("last_time");
static str column_hits = str_init("hits");

void sw_audit_close(void *handle)
{
	struct audit *audit = handle;

	if(audit->con != NULL)
		audit->api.close(audit->con);
	pkg_free(audit);
}

void *sw_audit_open(const char *url, const char *table)
{
	struct audit *audit = pkg_malloc(sizeof(*audit));
	str db_url = {(char *)url, strlen(url)};

	if(audit == NULL)
		return NULL;
	memset(audit, 0, sizeof(*audit));
	audit->table.s = (char *)table;
	audit->table.len = strlen(table);
	if(sw_db_bind(url, &audit->api) == 0)
		audit->con = audit->api.init(&db_url);
	if(audit->con == NULL || audit->api.use_table(audit->con, &audit->table) < 0) {
		sw_audit_close(audit);
		return NULL;
	}
	return audit;
}

static db_val_t text_of(struct sw_text text)
{
	db_val_t value = {.type = SW_DB_STR};

	value.val.str_val = sw_str_of(text);
	if(value.val.str_val.s == NULL)
		value.val.str_val.s = "";
	return value;
}

static db_val_t number_of(int64_t number)
{
	db_val_t value = {.type = SW_DB_BIGINT};

	VAL_BIGINT(&value) = number;
	return value;
}

/* The integer that a driver has read; -2 if it is none: a column of another type. */
static int64_t integer_of(const db_val_t *value)
{
	if(VAL_NULL(value))
		return 0;
	switch(VAL_TYPE(value)) {
		case SW_DB_INT:
			return VAL_INT(value);
		case SW_DB_BIGINT:
			return VAL_BIGINT(value);
		default:
			LM_ERR("audit: column %s is not an integer (type %d)\n", column_hits.s,
					VAL_TYPE(value));
			return -2;
	}
}

/* Hits of the row so far: -1 if there is none, -2 on failure. */
static int64_t hits_of(struct audit *audit, db_key_t *keys, db_val_t *values)
{
	db_key_t wanted[] = {&column_hits};
	sw_db_res *result = NULL;
	int64_t hits = -1;

	if(audit->api.query(audit->con, keys, NULL, values, wanted, KEYS, 1, NULL, &result) < 0
			|| result == NULL)
		return -2;
	if(RES_ROW_N(result) > 0)
		hits = integer_of(ROW_VALUES(RES_ROWS(result)));
	audit->api.free_result(audit->con, result);
	return hits;
}

/* Sets the hits of a row that still has as many as were read: 1, 0 if another
 * process has changed them meanwhile, -1 on failure. */
static int add_hits(struct audit *audit, db_key_t *keys, db_val_t *values, int64_t hits)
{
	db_key_t found[] = {keys[0], keys[1], keys[2], keys[3], keys[4], &column_hits};
	db_val_t match[] = {values[0], values[1], values[2], values[3], values[4],
			number_of(hits)};
	db_val_t changed[] = {values[KEYS + 1],
			number_of(hits + VAL_BIGINT(&values[KEYS + 2]))};

	if(audit->api.update(audit->con, found, NULL, match, keys + KEYS + 1, changed,
			   KEYS + 1, 2)
			< 0)
		return -1;
	/* Every row changes, as hits only grow. */
	return sw_db_has_changed(&audit->api, audit->con);
}

int sw_audit_write(void *handle, const struct sw_audit *row)
{
	struct audit *audit = handle;
	db_key_t keys[] = {&column_reason, &column_source, &column_company, &column_brand,
			&column_aor, &column_first, &column_last, &column_hits};
	db_val_t values[] = {text_of(row->reason), text_of(row->source),
			text_of(row->company), text_of(row->brand), text_of(row->aor),
			number_of(row->first), number_of(row->last), number_of(row->hits)};
	int attempts, rc = 0;

	/* Two proxies may write the same row at the same time. */
	for(attempts = 0; attempts < 8 && rc == 0; attempts++) {
		int64_t hits = hits_of(audit, keys, values);

		if(hits == -2)
			return -1;
		if(hits >= 0)
			rc = add_hits(audit, keys, values, hits);
		else if(audit->api.insert(audit->con, keys, values, KEYS + 3) >= 0)
			rc = 1;
	}
	return rc == 1 ? 0 : -1;
}
