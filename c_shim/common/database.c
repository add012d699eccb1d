/*
 * sipwarden: reads whole tables through the host's database API.
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every column is read as hexadecimal text:
 * the drivers turn what they do not expect into 0 (SQLite: the text "abc" in
 * an integer column, and a mask of 0 grants the world), end text at a zero byte
 * (MySQL) or take backslashes out of it (PostgreSQL).
 */
#include <stdarg.h>
#include <string.h>
#include "shim.h"

#define MAX_SQL 4096
#define MAX_COLUMNS 12
/* Rows converted at a time; even the longest texts fit in private memory. */
#define FETCH_ROWS 128
/* Bytes of one page of SQLite rows; private memory is 8 MB by default. */
#define PAGE_BYTES (512 * 1024)
/* Longer than any valid value; what is cut here is refused as too long. */
#define MAX_TEXT 330

/* What differs between the databases. %s is a column. */
struct dialect {
	const char *scheme;
	const char *driver;
	const char *hex;
	/* Begins a transaction in which all tables are of one state. */
	const char *begin;
	/* Names the session: a driver that reconnects leaves the transaction. */
	const char *session;
};

static const struct dialect dialects[] = {
		{"sqlite:", "db_sqlite", "SUBSTR(HEX(CAST(%s AS TEXT)),1,%d)", SW_SQLITE_BEGIN,
				NULL},
		{"mysql:", "db_mysql", "SUBSTR(HEX(CAST(%s AS BINARY)),1,%d)",
				"START TRANSACTION WITH CONSISTENT SNAPSHOT",
				"SELECT CONNECTION_ID()"},
		{"postgres:", "db_postgres",
				"SUBSTR(ENCODE(CONVERT_TO(CAST(%s AS TEXT),'UTF8'),'hex'),1,%d)",
				"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
				"SELECT pg_backend_pid()"},
};

struct connection {
	db_func_t api;
	sw_db_con *con;
	const struct dialect *dialect;
	char session[32];
};

static int execute(struct connection *db, const char *sql)
{
	str query = {(char *)sql, strlen(sql)};
	sw_db_res *res = NULL;
	int rc = db->api.raw_query(db->con, &query, &res);

	if(res != NULL)
		db->api.free_result(db->con, res);
	return rc;
}

static const struct dialect *dialect_of(const char *url)
{
	size_t i;

	for(i = 0; i < sizeof(dialects) / sizeof(dialects[0]); i++) {
		if(strncmp(url, dialects[i].scheme, strlen(dialects[i].scheme)) == 0)
			return &dialects[i];
	}
	return NULL;
}

int sw_db_bind(const char *url, db_func_t *api)
{
	const struct dialect *dialect = dialect_of(url);

	return dialect == NULL ? -1 : sw_db_bind_driver(dialect->driver, api);
}

int sw_db_has_driver(const char *url)
{
	db_func_t api = {0};

	return sw_db_bind(url, &api) == 0;
}

static int bind_driver(struct connection *db, const char *url, const char **error)
{
	db->dialect = dialect_of(url);
	if(db->dialect == NULL) {
		*error = "its scheme is not sqlite, mysql or postgres";
		return -1;
	}
	if(sw_db_bind(url, &db->api) != 0 || !db->api.init || !db->api.close
			|| !db->api.raw_query || !db->api.free_result) {
		*error = "its driver is not loaded: db_sqlite.so, db_mysql.so or "
				 "db_postgres.so goes before sipwarden.so";
		return -1;
	}
	return 0;
}

static int is_sqlite(const struct connection *db)
{
	return db->dialect->session == NULL;
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
		case SW_DB_STRING:
			out.s = VAL_STRING(val);
			out.len = strlen(out.s);
			return out;
		case SW_DB_STR:
			return sw_text_of(&VAL_STR(val));
		case SW_DB_BLOB:
			return sw_text_of(&VAL_BLOB(val));
		case SW_DB_INT:
			len = snprintf(buf, size, "%d", VAL_INT(val));
			break;
		case SW_DB_BIGINT:
			len = snprintf(buf, size, "%lld", (long long)VAL_BIGINT(val));
			break;
		case SW_DB_DOUBLE:
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

/* Names the session the connection is in now; 0 on success. */
static int session_of(struct connection *db, char *out, size_t size)
{
	str query = {(char *)db->dialect->session, strlen(db->dialect->session)};
	sw_db_res *res = NULL;
	struct sw_text id;
	char number[32];
	int rc = -1;

	if(db->api.raw_query(db->con, &query, &res) == 0 && res != NULL
			&& RES_ROW_N(res) == 1 && RES_COL_N(res) == 1) {
		id = value_text(ROW_VALUES(&RES_ROWS(res)[0]), number, sizeof(number));
		rc = 0;
		snprintf(out, size, "%.*s", (int)id.len, id.s ? id.s : "");
	}
	if(res != NULL)
		db->api.free_result(db->con, res);
	return rc;
}

static int begin(struct connection *db)
{
	if(is_sqlite(db)) {
		/* wait for a writer instead of failing at once */
		execute(db, "PRAGMA busy_timeout=5000");
		return execute(db, db->dialect->begin);
	}
	if(execute(db, db->dialect->begin) != 0)
		return -1;
	return session_of(db, db->session, sizeof(db->session));
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
	if(bind_driver(db, url, error) != 0)
		goto failed;
	db->con = db->api.init(&text);
	if(db->con == NULL) {
		*error = "it cannot be opened: " SW_HOST "'s log says why";
		goto failed;
	}
	if(begin(db) != 0) {
		*error = "no transaction can be begun: " SW_HOST "'s log says why";
		db->api.close(db->con);
		goto failed;
	}
	return db;

failed:
	pkg_free(db);
	return NULL;
}

int sw_db_close(void *handle)
{
	struct connection *db = handle;
	char session[sizeof(db->session)];
	int kept = is_sqlite(db)
			   || (session_of(db, session, sizeof(session)) == 0
					   && strcmp(session, db->session) == 0);

	execute(db, "COMMIT");
	/* other modules may use the same connection of this process */
	if(is_sqlite(db))
		execute(db, "PRAGMA busy_timeout=0");
	db->api.close(db->con);
	pkg_free(db);
	return kept ? 0 : -1;
}

static int hex_digit(char c)
{
	if(c >= '0' && c <= '9')
		return c - '0';
	if(c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Turns hexadecimal text into bytes where it stands; 0 on success. */
static int decode(struct sw_text *text)
{
	char *out = (char *)text->s;
	size_t i;

	for(i = 0; i + 1 < text->len; i += 2) {
		int high = hex_digit(text->s[i]), low = hex_digit(text->s[i + 1]);

		if(high < 0 || low < 0)
			return -1;
		out[i / 2] = (char)(high << 4 | low);
	}
	if(text->len % 2 != 0)
		return -1;
	text->len /= 2;
	return 0;
}

static int deliver(const sw_db_res *res, uint32_t count, sw_row_fn row, void *ctx)
{
	struct sw_text values[MAX_COLUMNS];
	char numbers[MAX_COLUMNS][32];
	uint32_t column;
	int i, rc;

	for(i = 0; i < RES_ROW_N(res); i++) {
		const db_val_t *vals = ROW_VALUES(&RES_ROWS(res)[i]);

		for(column = 0; column < count; column++) {
			values[column] = value_text(
					&vals[column], numbers[column], sizeof(numbers[column]));
			if(decode(&values[column]) != 0)
				return -1;
		}
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

/* Appends the columns, each as its hexadecimal text. */
static int append_columns(const struct connection *db, char *sql, int len,
		const char *const *columns, uint32_t count)
{
	char hex[256];
	uint32_t i;

	for(i = 0; i < count; i++) {
		snprintf(hex, sizeof(hex), db->dialect->hex, columns[i], 2 * MAX_TEXT);
		if(is_sqlite(db))
			len = append(sql, len, "%sCASE WHEN %s IS NULL THEN 'N' ELSE %s END||','",
					i ? "||" : "", columns[i], hex);
		else
			len = append(sql, len, "%s%s", i ? "," : "", hex);
	}
	return len;
}

/* For drivers that hand over a result piece by piece (MySQL, PostgreSQL). */
static int rows_fetched(struct connection *db, const char *table,
		const char *const *columns, uint32_t count, sw_row_fn row, void *ctx)
{
	char sql[MAX_SQL];
	int len = append(sql, 0, "SELECT ");
	str query = {sql, 0};
	sw_db_res *res = NULL;
	int rc;

	len = append_columns(db, sql, len, columns, count);
	query.len = append(sql, len, " FROM %s", table);
	if(query.len < 0 || db->api.fetch_result == NULL
			|| db->api.raw_query(db->con, &query, NULL) != 0)
		return -1;
	do {
		rc = db->api.fetch_result(db->con, &res, FETCH_ROWS) < 0 ? -1 : 0;
		if(rc == 0 && (res == NULL || (uint32_t)RES_COL_N(res) != count))
			rc = -1;
		if(rc == 0)
			rc = deliver(res, count, row, ctx);
	} while(rc == 0 && RES_ROW_N(res) > 0);
	if(res != NULL)
		db->api.free_result(db->con, res);
	return rc;
}

/* Reads a page: per column N or hexadecimal digits, then a comma. */
static int deliver_packed(struct sw_text packed, uint32_t count, sw_row_fn row,
		void *ctx, int *rows)
{
	struct sw_text values[MAX_COLUMNS];
	const char *at = packed.s, *end = packed.s + packed.len;
	uint32_t column;
	int rc;

	for(*rows = 0; at < end; ++*rows) {
		for(column = 0; column < count; column++) {
			const char *comma = memchr(at, ',', (size_t)(end - at));

			if(comma == NULL)
				return -1;
			values[column].s = *at == 'N' ? NULL : at;
			values[column].len = *at == 'N' ? 0 : (size_t)(comma - at);
			if(decode(&values[column]) != 0)
				return -1;
			at = comma + 1;
		}
		rc = row(ctx, values, count);
		if(rc != 0)
			return rc;
	}
	return 0;
}

/* Selects a page of the copied rows, as one text. */
static int select_page(struct connection *db, long after, int page, sw_db_res **res)
{
	char sql[256];
	str query = {sql, 0};

	query.len = snprintf(sql, sizeof(sql),
			SW_SQLITE_PAGE "SELECT group_concat(r,'') FROM (SELECT r FROM "
						   "temp.sipwarden_rows WHERE rowid>%ld ORDER BY rowid LIMIT %d)",
			after, page);
#ifdef SW_SQLITE_DECLARED
	/* Of a column that no table declares the driver takes the type from nowhere. */
	if(execute(db, "DROP TABLE IF EXISTS temp.sipwarden_page") != 0
			|| execute(db, "CREATE TEMP TABLE sipwarden_page(r TEXT)") != 0
			|| execute(db, sql) != 0)
		return -1;
	query.s = "SELECT r FROM temp.sipwarden_page";
	query.len = (int)strlen(query.s);
#endif
	return db->api.raw_query(db->con, &query, res);
}

/* Reads the next page of the copied rows; the bytes it had are added to bytes. */
static int read_page(struct connection *db, long after, int page, uint32_t count,
		sw_row_fn row, void *ctx, int *rows, size_t *bytes)
{
	char number[32];
	sw_db_res *res = NULL;
	struct sw_text packed;
	int rc = -1;

	*rows = 0;
	if(select_page(db, after, page, &res) == 0 && res != NULL
			&& RES_ROW_N(res) == 1 && RES_COL_N(res) == 1) {
		packed = value_text(ROW_VALUES(&RES_ROWS(res)[0]), number, sizeof(number));
		*bytes += packed.len;
		rc = deliver_packed(packed, count, row, ctx, rows);
	}
	if(res != NULL)
		db->api.free_result(db->con, res);
	return rc;
}

/*
 * For SQLite, whose driver copies a whole result into private memory, with
 * several slow allocations per row, and crashes when that memory is too small:
 * the rows are copied into a temporary table of SQLite's, from where a page of
 * them travels as one text. The size of a page follows that of the rows.
 */
static int rows_packed(struct connection *db, const char *table,
		const char *const *columns, uint32_t count, sw_row_fn row, void *ctx)
{
	char sql[MAX_SQL];
	int len = append(sql, 0, "CREATE TEMP TABLE sipwarden_rows AS SELECT ");
	int page = 64, rows = 0, rc;
	long after = 0;
	size_t bytes = 0;

	len = append_columns(db, sql, len, columns, count);
	len = append(sql, len, " AS r FROM %s", table);
	execute(db, "DROP TABLE IF EXISTS temp.sipwarden_rows");
	if(len < 0 || execute(db, sql) != 0)
		return -1;
	do {
		rc = read_page(db, after, page, count, row, ctx, &rows, &bytes);
		if(rc != 0 || rows == 0)
			break;
		after += rows;
		/* a quarter of what fits, as later rows may be longer */
		page = (int)(PAGE_BYTES / 4 / (bytes / (size_t)after + 1));
		page = page < 64 ? 64 : page;
	} while(1);
	execute(db, "DROP TABLE temp.sipwarden_rows");
	return rc;
}

int sw_db_rows(void *handle, const char *table, const char *const *columns,
		uint32_t count, sw_row_fn row, void *ctx)
{
	struct connection *db = handle;

	if(count > MAX_COLUMNS)
		return -1;
	return is_sqlite(db) ? rows_packed(db, table, columns, count, row, ctx)
						 : rows_fetched(db, table, columns, count, row, ctx);
}
