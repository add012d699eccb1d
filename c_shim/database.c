/*
 * sipwarden: reads whole tables through Kamailio's database API.
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Drivers are bound with find_mod_export: the library that holds db_bind_mod
 * exists only in some versions. Every column is read as text, because the
 * drivers turn what they do not expect into 0 (SQLite: the text "abc" in an
 * integer column), and a mask of 0 grants the world.
 */
#include <stdarg.h>
#include "core/sr_module.h"
#include "lib/srdb1/db.h"
#include "shim.h"

#define MAX_SQL 4096
#define MAX_COLUMNS 8
/* Rows converted at a time; even the longest texts fit in private memory. */
#define FETCH_ROWS 128
/* Longer than any valid value; what is cut here is refused as too long. */
#define MAX_TEXT 512

struct connection {
	db_func_t api;
	db1_con_t *con;
	/* SQL type that keeps the bytes of any column as they are. */
	const char *text_type;
};

static int execute(struct connection *db, const char *sql)
{
	str query = {(char *)sql, strlen(sql)};
	db1_res_t *res = NULL;
	int rc = db->api.raw_query(db->con, &query, &res);

	if(res != NULL)
		db->api.free_result(db->con, res);
	return rc;
}

static int bind_driver(struct connection *db, const char *url)
{
	const char *colon = strchr(url, ':');
	const char *scheme = strncmp(url, "db_", 3) == 0 ? url + 3 : url;
	db_bind_api_f bind;
	char module[64];
	int len;

	if(colon == NULL || colon == scheme)
		return -1;
	len = snprintf(module, sizeof(module), "db_%.*s", (int)(colon - scheme), scheme);
	if(len < 0 || len >= (int)sizeof(module))
		return -1;
	/* the core types every export as a script function */
	bind = (db_bind_api_f)(void (*)(void))find_mod_export(
			module, "db_bind_api", 0, 0);
	if(bind == NULL || bind(&db->api) != 0)
		return -1;
	db->text_type = strcmp(module, "db_mysql") == 0 ? "BINARY" : "TEXT";
	return db->api.init && db->api.close && db->api.raw_query
						   && db->api.free_result
				   ? 0
				   : -1;
}

/* All tables are read from one state of the database. */
static int begin(struct connection *db, const char *url)
{
	if(strncmp(url, "sqlite:", 7) == 0) {
		/* wait for a writer instead of failing at once */
		execute(db, "PRAGMA busy_timeout=5000");
		return execute(db, "BEGIN");
	}
	if(strncmp(url, "mysql:", 6) == 0)
		return execute(db, "START TRANSACTION WITH CONSISTENT SNAPSHOT");
	if(strncmp(url, "postgres:", 9) == 0)
		return execute(db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
	return 0;
}

void *sw_db_open(const char *url, const char **error)
{
	struct connection *db = pkg_malloc(sizeof(*db));
	str text = {(char *)url, strlen(url)};

	if(db == NULL) {
		*error = "no private memory left";
		return NULL;
	}
	memset(db, 0, sizeof(*db));
	if(bind_driver(db, url) != 0) {
		*error = "no database driver for it: load db_sqlite.so, db_mysql.so or "
				 "db_postgres.so before sipwarden.so";
		goto failed;
	}
	db->con = db->api.init(&text);
	if(db->con == NULL) {
		*error = "it cannot be opened (the driver's log line above says why)";
		goto failed;
	}
	if(begin(db, url) != 0) {
		*error = "no transaction can be begun (the driver's log line above "
				 "says why)";
		db->api.close(db->con);
		goto failed;
	}
	return db;

failed:
	pkg_free(db);
	return NULL;
}

void sw_db_close(void *handle)
{
	struct connection *db = handle;

	execute(db, "COMMIT");
	db->api.close(db->con);
	pkg_free(db);
}

/* The drivers answer text in one of several types; numbers are not expected
 * after the cast and are printed for drivers that ignore it. */
static struct sw_text value_text(const db_val_t *val, char *buf, size_t size)
{
	struct sw_text out = {NULL, 0};
	int len = 0;

	if(VAL_NULL(val))
		return out;
	switch(VAL_TYPE(val)) {
		case DB1_STRING:
			out.s = VAL_STRING(val);
			out.len = strlen(out.s);
			return out;
		case DB1_STR:
			return sw_text_of(&VAL_STR(val));
		case DB1_BLOB:
			return sw_text_of(&VAL_BLOB(val));
		case DB1_INT:
			len = snprintf(buf, size, "%d", VAL_INT(val));
			break;
		case DB1_BIGINT:
			len = snprintf(buf, size, "%lld", (long long)VAL_BIGINT(val));
			break;
		case DB1_DOUBLE:
			len = snprintf(buf, size, "%g", VAL_DOUBLE(val));
			break;
		default:
			len = snprintf(buf, size, "(type %d)", (int)VAL_TYPE(val));
			break;
	}
	out.s = buf;
	out.len = len > 0 ? (size_t)len : 0;
	return out;
}

static int deliver(const db1_res_t *res, uint32_t count, sw_row_fn row, void *ctx)
{
	struct sw_text values[MAX_COLUMNS];
	char numbers[MAX_COLUMNS][32];
	uint32_t column;
	int i, rc;

	if(RES_ROW_N(res) > 0 && (uint32_t)RES_COL_N(res) != count)
		return -1;
	for(i = 0; i < RES_ROW_N(res); i++) {
		const db_val_t *vals = ROW_VALUES(&RES_ROWS(res)[i]);

		for(column = 0; column < count; column++)
			values[column] = value_text(
					&vals[column], numbers[column], sizeof(numbers[column]));
		rc = row(ctx, values, count);
		if(rc != 0)
			return rc;
	}
	return 0;
}

/* Appends to sql; the new length, or -1 when there is no room. */
static int append(char *sql, int len, const char *format, ...)
{
	va_list args;
	int added;

	if(len < 0)
		return -1;
	va_start(args, format);
	added = vsnprintf(sql + len, MAX_SQL - len, format, args);
	va_end(args);
	return added < 0 || added >= MAX_SQL - len ? -1 : len + added;
}

/* For drivers that hand over a result piece by piece (MySQL, PostgreSQL). */
static int rows_fetched(struct connection *db, const char *sql, int len,
		uint32_t count, sw_row_fn row, void *ctx)
{
	str query = {(char *)sql, len};
	db1_res_t *res = NULL;
	int rc;

	if(db->api.raw_query(db->con, &query, NULL) != 0)
		return -1;
	do {
		rc = db->api.fetch_result(db->con, &res, FETCH_ROWS) < 0 ? -1 : 0;
		if(rc == 0 && res != NULL)
			rc = deliver(res, count, row, ctx);
	} while(rc == 0 && res != NULL && RES_ROW_N(res) > 0);
	if(res != NULL)
		db->api.free_result(db->con, res);
	return rc;
}

/* Reads what rows_packed selects: per column N, or T<bytes>:<text>. */
static int deliver_packed(struct sw_text packed, uint32_t count, sw_row_fn row,
		void *ctx, int *rows)
{
	struct sw_text values[MAX_COLUMNS];
	const char *at = packed.s, *end = packed.s + packed.len;
	uint32_t column;
	size_t len;
	int rc;

	for(*rows = 0; at < end; ++*rows) {
		for(column = 0; column < count; column++) {
			values[column].s = NULL;
			values[column].len = 0;
			if(at == end || (*at != 'N' && *at != 'T'))
				return -1;
			if(*at++ == 'N')
				continue;
			for(len = 0; at < end && *at >= '0' && *at <= '9'; at++)
				len = len * 10 + (size_t)(*at - '0');
			if(at == end || *at++ != ':' || len > (size_t)(end - at))
				return -1;
			values[column].s = at;
			values[column].len = len;
			at += len;
		}
		rc = row(ctx, values, count);
		if(rc != 0)
			return rc;
	}
	return 0;
}

/*
 * For SQLite, whose driver copies a whole result into private memory (8 MB),
 * with several slow allocations per row: a page of rows travels as one text.
 */
static int rows_packed(struct connection *db, char *sql, int prefix, uint32_t count,
		sw_row_fn row, void *ctx)
{
	static const int pages[] = {16384, 1024, 64};
	uint32_t tier = 0;
	long offset = 0;
	int rows, rc;

	do {
		int len = append(sql, prefix, " LIMIT %d OFFSET %ld)", pages[tier], offset);
		str query = {sql, len};
		db1_res_t *res = NULL;
		char number[32];

		if(len < 0)
			return -1;
		if(db->api.raw_query(db->con, &query, &res) != 0 || res == NULL
				|| RES_ROW_N(res) != 1 || RES_COL_N(res) != 1) {
			if(res != NULL)
				db->api.free_result(db->con, res);
			/* the texts may be too long for private memory */
			if(++tier == sizeof(pages) / sizeof(pages[0]))
				return -1;
			rows = pages[tier];
			continue;
		}
		rc = deliver_packed(value_text(ROW_VALUES(&RES_ROWS(res)[0]), number,
									sizeof(number)),
				count, row, ctx, &rows);
		db->api.free_result(db->con, res);
		if(rc != 0)
			return rc;
		offset += rows;
	} while(rows == pages[tier]);
	return 0;
}

int sw_db_rows(void *handle, const char *table, const char *const *columns,
		uint32_t count, sw_row_fn row, void *ctx)
{
	struct connection *db = handle;
	int packed = db->api.fetch_result == NULL;
	char sql[MAX_SQL];
	uint32_t i;
	int len;

	if(count > MAX_COLUMNS)
		return -1;
	len = append(sql, 0, packed ? "SELECT group_concat(r,'') FROM (SELECT " : "SELECT ");
	for(i = 0; i < count; i++) {
		char text[256];

		snprintf(text, sizeof(text), "SUBSTR(CAST(%s AS %s),1,%d)", columns[i],
				db->text_type, MAX_TEXT);
		if(packed)
			len = append(sql, len,
					"%sCASE WHEN %s IS NULL THEN 'N' ELSE "
					"'T'||LENGTH(CAST(%s AS BLOB))||':'||%s END",
					i ? "||" : "", columns[i], text, text);
		else
			len = append(sql, len, "%s%s", i ? "," : "", text);
	}
	len = append(sql, len, packed ? " AS r FROM %s" : " FROM %s", table);
	if(len < 0)
		return -1;
	if(packed)
		return rows_packed(db, sql, len, count, row, ctx);
	return rows_fetched(db, sql, len, count, row, ctx);
}
