/*
 * sipwarden: OpenSIPS's names for what hosts have of databases.
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef SIPWARDEN_HOST_DB_H
#define SIPWARDEN_HOST_DB_H

#include "db/db.h"

typedef db_con_t sw_db_con;
typedef db_res_t sw_db_res;

#define SW_DB_INT DB_INT
#define SW_DB_BIGINT DB_BIGINT
#define SW_DB_DOUBLE DB_DOUBLE
#define SW_DB_STRING DB_STRING
#define SW_DB_STR DB_STR
#define SW_DB_BLOB DB_BLOB

/* Its driver of SQLite takes what is shorter than "select" for a query, and dies of a
 * column that no table declares: a page of rows is selected into one first. */
#define SW_SQLITE_BEGIN "BEGIN TRANSACTION"
#define SW_SQLITE_PAGE "INSERT INTO temp.sipwarden_page "
#define SW_SQLITE_DECLARED

static inline int sw_db_bind_driver(const char *driver, db_func_t *api)
{
	str name = {(char *)driver, (int)strlen(driver)};
	/* the core types every export as a script function */
	db_bind_api_f bind =
			(db_bind_api_f)(void (*)(void))find_mod_export(driver, "db_bind_api", 0);

	return bind == NULL || bind(&name, api) != 0 ? -1 : 0;
}

/* The drivers do not tell whether the last update has changed a row: two proxies that
 * raise the hits of one row at once may lose one. */
static inline int sw_db_has_changed(const db_func_t *api, sw_db_con *con)
{
	(void)api, (void)con;
	return 1;
}

#endif
