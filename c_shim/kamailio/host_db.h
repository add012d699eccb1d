/*
 * sipwarden: Kamailio's names for what hosts have of databases.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SIPWARDEN_HOST_DB_H
#define SIPWARDEN_HOST_DB_H

#include "lib/srdb1/db.h"

typedef db1_con_t sw_db_con;
typedef db1_res_t sw_db_res;

#define SW_DB_INT DB1_INT
#define SW_DB_BIGINT DB1_BIGINT
#define SW_DB_DOUBLE DB1_DOUBLE
#define SW_DB_STRING DB1_STRING
#define SW_DB_STR DB1_STR
#define SW_DB_BLOB DB1_BLOB

/* Begins a transaction of SQLite, and a statement that selects a page of rows. */
#define SW_SQLITE_BEGIN "BEGIN"
#define SW_SQLITE_PAGE ""

/* With find_mod_export: the library that has db_bind_mod exists only in some versions. */
static inline int sw_db_bind_driver(const char *driver, db_func_t *api)
{
	/* the core types every export as a script function */
	db_bind_api_f bind = (db_bind_api_f)(void (*)(void))find_mod_export(
			(char *)driver, "db_bind_api", 0, 0);

	return bind == NULL || bind(api) != 0 ? -1 : 0;
}

/* Whether the last update has changed a row; 1 if that cannot be told. */
static inline int sw_db_has_changed(const db_func_t *api, sw_db_con *con)
{
	return api->affected_rows == NULL || api->affected_rows(con) != 0;
}

#endif
