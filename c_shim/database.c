/*
 * sipwarden: reads whole tables through Kamailio's database API.
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Drivers are bound with find_mod_export: the library that holds db_bind_mod
 * exists only in some versions. Every column is read as text, because the
 * drivers turn what they do not expect into 0 (SQLite: the text "abc" in an
 * integer column), and a mask of 0 grants the world.
 */
#include "core/sr_module.h"
#include "lib/srdb1/db.h"
#include "shim.h"

#define MAX_SQL 2048
#define MAX_COLUMNS 8
#define FETCH_ROWS 8192
/* When private memory is too small for FETCH_ROWS long texts. */
#define FETCH_ROWS_LEAST 128
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

static int select_sql(const struct connection *db, char *sql, const char *table,
		const char *const *columns, uint32_t count)
{
	int len = snprintf(sql, MAX_SQL, "SELECT ");
	uint32_t i;

	for(i = 0; i < count && len < MAX_SQL; i++)
		len += snprintf(sql + len, MAX_SQL - len, "%sSUBSTR(CAST(%s AS %s),1,%d)",
				i ? "," : "", columns[i], db->text_type, MAX_TEXT);
	if(len < MAX_SQL)
		len += snprintf(sql + len, MAX_SQL - len, " FROM %s", table);
	return len < MAX_SQL ? len : -1;
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
		rc = db->api.fetch_result(db->con, &res, FETCH_ROWS_LEAST) < 0 ? -1 : 0;
		if(rc == 0 && res != NULL)
			rc = deliver(res, count, row, ctx);
	} while(rc == 0 && res != NULL && RES_ROW_N(res) > 0);
	if(res != NULL)
		db->api.free_result(db->con, res);
	return rc;
}

/* For SQLite, whose driver copies a whole result into private memory (8 MB). */
static int rows_paged(struct connection *db, char *sql, int len, uint32_t count,
		sw_row_fn row, void *ctx)
{
	int page = FETCH_ROWS;
	long offset = 0;
	db1_res_t *res;
	int rows, rc;

	do {
		str query = {sql, len};
		int tail = snprintf(sql + len, MAX_SQL - len, " LIMIT %d OFFSET %ld", page, offset);

		if(tail < 0 || tail >= MAX_SQL - len)
			return -1;
		query.len += tail;
		res = NULL;
		if(db->api.raw_query(db->con, &query, &res) != 0 || res == NULL) {
			if(page == FETCH_ROWS_LEAST)
				return -1;
			rows = page = FETCH_ROWS_LEAST;
			continue;
		}
		rows = RES_ROW_N(res);
		rc = deliver(res, count, row, ctx);
		db->api.free_result(db->con, res);
		if(rc != 0)
			return rc;
		offset += rows;
	} while(rows == page);
	return 0;
}

int sw_db_rows(void *handle, const char *table, const char *const *columns,
		uint32_t count, sw_row_fn row, void *ctx)
{
	struct connection *db = handle;
	char sql[MAX_SQL];
	int len;

	if(count > MAX_COLUMNS)
		return -1;
	len = select_sql(db, sql, table, columns, count);
	if(len < 0)
		return -1;
	if(db->api.fetch_result != NULL)
		return rows_fetched(db, sql, len, count, row, ctx);
	return rows_paged(db, sql, len, count, row, ctx);
}
