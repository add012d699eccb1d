/*
 * sipwarden: the contract between the shim of a host, in C, and the Rust module.
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Plain C types only, no header of a host: bindgen reads this file, so a drift
 * between the two sides is a compile error. What is the habit of one host, or of
 * one of its versions, stays in its shim: a folder beside this file.
 */
#ifndef SIPWARDEN_H
#define SIPWARDEN_H

#include <stddef.h>
#include <stdint.h>

/* Bytes that need not end in NUL; s is NULL only when len is 0. */
struct sw_text {
	const char *s;
	size_t len;
};

/* A binary address in network order. family: 4, 6, or 0 for none. */
struct sw_address {
	uint8_t bytes[16];
	uint8_t family;
};

/*
 * The SIP message a script function was called for. (address, id, pid) names
 * it: two messages of one process never share all three.
 */
struct sw_message {
	const void *address;
	uint32_t id;
	int32_t pid;
	/* Of no family if nobody has sent the message: one that the host has made. */
	struct sw_address source;
	uint8_t proxied;  /* 1: the packet came from another address, which told this one */
	uint8_t stream;   /* 1: it came over a connection, so its sender receives what is sent */
	uint8_t is_given; /* 1: the script gives what to judge in place of the source */
	struct sw_text given; /* undefined unless is_given */
};

/* A message that may begin or belong to a call. */
struct sw_call {
	struct sw_message msg;
	struct sw_text call_id;
	/* Name the INVITE among those with its Call-ID: CSeq, and the branch that
	 * its first sender put into Via. */
	struct sw_text cseq;
	struct sw_text branch;
	/* 1 for an INVITE without a To tag. */
	int initial_invite;
	/* 1 for a request with a To tag: within a dialog. */
	int within;
	/* 1 in a kind of route in which no call can be counted. */
	int misplaced;
};

/* Headers with credentials that are told apart. */
#define SW_MAX_CREDENTIALS 4

/* A request that has failed to authenticate, and the bodies of its Authorization
 * and Proxy-Authorization headers; the count may exceed what fits. */
struct sw_attempt {
	struct sw_message msg;
	struct sw_text credentials[SW_MAX_CREDENTIALS];
	uint32_t credential_count;
	/* What the host's function returned, as text; empty if the script does not say. */
	struct sw_text code;
};

/* The host's name of a dialog. */
struct sw_dialog {
	uint32_t entry;
	uint32_t id;
};

/* What became of a dialog. */
enum sw_dialog_event {
	SW_DIALOG_ENDED,   /* the call is over, as far as the dialog knows */
	SW_DIALOG_RESUMED, /* it turned out to live */
	SW_DIALOG_ANSWERED, /* it was answered: it rings no more */
	SW_DIALOG_GONE     /* the dialog is destroyed */
};

/* Why a dialog ended although neither end hung up. */
enum sw_expiry {
	SW_EXPIRY_LIFETIME,      /* its time was over */
	SW_EXPIRY_NO_ACK,        /* answered, never acknowledged */
	SW_EXPIRY_CALLER_SILENT, /* no answer to the keepalive */
	SW_EXPIRY_CALLEE_SILENT,
	SW_EXPIRY_CALLER_GONE, /* an answer to the keepalive that ends a dialog */
	SW_EXPIRY_CALLEE_GONE,
	SW_EXPIRY_EARLY /* not answered for too long */
};

/* What a dialog that was restored from the database remembers. */
struct sw_restored {
	struct sw_dialog dialog;
	struct sw_text call_id;
	struct sw_text company; /* empty: not counted by cc_limit */
	struct sw_text user;    /* empty: not counted by roadwarrior_acquire */
	struct sw_text flags;
	struct sw_text more;    /* what dialog_append has kept */
	uint64_t started;       /* seconds since 1970 */
};

/* What the host can do with dialogs; bits. */
#define SW_DIALOG_LOADED 1   /* it has them */
#define SW_DIALOG_PERSISTS 2 /* it keeps them in a database */
#define SW_DIALOG_LOOKUP 4   /* a dialog can be looked up by its name */

enum sw_log_level {
	SW_LOG_CRITICAL,
	SW_LOG_ERROR,
	SW_LOG_WARNING,
	SW_LOG_NOTICE,
	SW_LOG_INFO,
	SW_LOG_DEBUG
};

/* Most arguments of an RPC method, and bytes of its usage. */
#define SW_MAX_ARGUMENTS 5
#define SW_MAX_USAGE 128

/* An RPC method; operators write the host's prefix before its name. The texts live as long
 * as the library. */
struct sw_rpc_method {
	const char *name;
	const char *meaning;
	/* Names of its arguments, in the order in which they go by position. The first so
	 * many must be there. */
	const char *arguments[SW_MAX_ARGUMENTS];
	uint32_t argument_count, required;
	/* Its name and its arguments, as people write them. */
	char usage[SW_MAX_USAGE];
};

enum sw_param_kind {
	SW_PARAM_INT,
	SW_PARAM_TEXT,
	SW_PARAM_DURATION, /* a text, or an integer for seconds */
	SW_PARAM_LIST      /* a text, may be given several times */
};

/* One module parameter. The texts live as long as the library. */
struct sw_param {
	const char *name;
	enum sw_param_kind kind;
	const char *text_default; /* not for SW_PARAM_INT */
	int32_t int_default, int_min, int_max;
	int runtime; /* 1: can be changed at run time */
	const char *meaning;
};

/* The value of a variable of the script, or of an attribute of an event. */
enum sw_value_kind { SW_VALUE_NULL, SW_VALUE_INT, SW_VALUE_TEXT };

struct sw_value {
	enum sw_value_kind kind;
	int64_t number;
	struct sw_text text;
};

struct sw_attribute {
	struct sw_text name;
	struct sw_value value;
};

/* Something that has happened, under a name such as "denied". It has only the attributes
 * that say something about it. */
struct sw_event {
	struct sw_text name;
	const struct sw_attribute *attributes;
	uint32_t attribute_count;
};

/*
 * Receives one database row: count texts, s NULL where the column is NULL.
 * The texts are valid during the call. Returns 0 to go on, else reading stops.
 */
typedef int (*sw_row_fn)(void *ctx, const struct sw_text *values, uint32_t count);

/* A row of the audit table: adds hits to the row with these texts, or makes it. */
struct sw_audit {
	struct sw_text reason, source, company, brand, aor;
	int64_t first, last; /* seconds since 1970 */
	int64_t hits;
};

/* What a host has for an argument of an RPC call. */
enum sw_argument {
	SW_ARGUMENT_NONE,     /* there are no more */
	SW_ARGUMENT_TEXT,     /* a text, or a whole number */
	SW_ARGUMENT_DOUBTFUL, /* a number, perhaps in place of another text */
	SW_ARGUMENT_UNUSABLE  /* anything else */
};

/* What the host gives to Rust. Every function may be called in any process. */
struct sw_host {
	/* Its name, as operators write it, and the version that the shim was compiled for. */
	const char *name;
	const char *version;
	/* Its flags that the shim was compiled with. */
	const char *build_flags;
	/* Where the tables are unless the operator says so. */
	const char *db_url;
	/* What operators write before the name of an RPC method. */
	const char *method_prefix;
	/* Bytes of a fault's reason that reach the operator; 0: all. */
	uint32_t reason_bytes;
	/* What is said of an argument that is there and cannot be used, after its name. */
	const char *unusable_argument;

	/* Writes one line; the text is never used as a format. */
	void (*log)(enum sw_log_level level, struct sw_text line);
	/* 1 if lines of this level are written at all. */
	int (*log_enabled)(enum sw_log_level level);

	/* Adds one to statistic number index (order of sw_module.statistic). */
	void (*count)(uint32_t index);
	/* Sum of that statistic over all processes. */
	uint64_t (*counted)(uint32_t index);

	/*
	 * Database, through the host's drivers. open connects and begins one read
	 * transaction; on failure it returns NULL and *error says why. rows reads
	 * all rows of the columns as text: 0 on success, the callback's value if
	 * that stopped it, -1 if the table cannot be read. close always follows; it
	 * returns -1 if the connection was lost in between, so that what was read
	 * is not of one state.
	 */
	void *(*db_open)(const char *url, const char **error);
	int (*db_rows)(void *db, const char *table, const char *const *columns,
			uint32_t count, sw_row_fn row, void *ctx);
	int (*db_close)(void *db);

	/*
	 * Dialogs. support: bits SW_DIALOG_*. hold: the dialog of a message, which is
	 * made if the message is an initial INVITE, and its name; it stays until
	 * unhold. NULL if there is none that lives; *why says so then. remember keeps
	 * a text with a held dialog, also in its database: 1 if it did. append adds to
	 * what it has kept before. answered: 1 if its call was, and its state said so
	 * before SW_DIALOG_ANSWERED is told. exists: 1, 0, or -1 if that cannot be told. end: a
	 * BYE to both ends of a call that was answered: 1 if they were sent, and the call
	 * was told to have ended; -1 if not both could be; 0 if it was not answered or is
	 * gone. No lock may be held.
	 */
	int (*dialog_support)(void);
	void *(*dialog_hold)(const struct sw_call *call, struct sw_dialog *out,
			const char **why);
	void (*dialog_unhold)(void *held);
	int (*dialog_remember)(void *held, const char *name, struct sw_text value);
	int (*dialog_append)(void *held, struct sw_text value);
	int (*dialog_answered)(void *held);
	int (*dialog_exists)(struct sw_dialog dialog);
	int (*dialog_end)(struct sw_dialog dialog);

	/* Call-ID of a message and the URI in its From header, as far as it has them; while
	 * the script function lasts that the message was given to. */
	void (*message_names)(const struct sw_message *msg, struct sw_text *call_id,
			struct sw_text *from);

	/* Whether a nonce is good only for requests from the address that it was sent to. */
	int (*nonces_are_bound)(void);

	/* What a message claims to be, as far as it says so: its User-Agent, and the whole
	 * bodies of From and To; as above. */
	void (*message_claims)(const struct sw_message *msg, struct sw_text *user_agent,
			struct sw_text *from, struct sw_text *to);

	/* Tells the script of an event, if it wants to know. Within record only. */
	void (*tell_event)(const struct sw_event *event);
	/* User that the host's processes run as, once all have started. */
	uint32_t (*run_as)(void);
	/* Whether all changes of settings so far have been applied. */
	int (*settings_settled)(void);
	/* Changes parameter number index, which can change at run time, to a value that
	 * was checked; text is NULL for an integer. 0: the change is on its way. */
	int (*change_setting)(uint32_t index, const char *text, int32_t number);
	/*
	 * Asks the host's resolver for the addresses of a name, and waits: A records for
	 * family 4, AAAA for 6. The name ends in a dot. How many there are, of which up to most
	 * are in out, and *ttl is the seconds for which all of them are good; 0 if there are
	 * none; -1 if there is no answer. Within resolve only.
	 */
	int (*find_addresses)(const char *name, int family, struct sw_address *out,
			uint32_t most, uint32_t *ttl);
	/* Whether the driver of a database URL is loaded. */
	int (*db_has_driver)(const char *url);
	/* Audit table, within record only. open: NULL if it cannot be
	 * reached. write: 0, or -1 after which only close may follow. */
	void *(*audit_open)(const char *url, const char *table);
	int (*audit_write)(void *audit, const struct sw_audit *row);
	void (*audit_close)(void *audit);

	/*
	 * RPC. argument: the next argument, as text. name is that by which it was given, NULL
	 * if it goes by its position. Both are valid until the next call of argument.
	 * open adds a structure (or an array) to parent, NULL being the reply
	 * itself; name is not used in an array. fault ends the call.
	 */
	enum sw_argument (*rpc_argument)(
			void *call, struct sw_text *name, struct sw_text *value);
	void *(*rpc_open)(void *call, void *parent, const char *name, int array);
	void (*rpc_int)(void *call, void *parent, const char *name, int64_t value);
	void (*rpc_text)(void *call, void *parent, const char *name,
			struct sw_text value);
	/* Adds a text to an array. */
	void (*rpc_item)(void *call, void *array, struct sw_text value);
	void (*rpc_fault)(void *call, int code, struct sw_text reason);
};

/* What Rust gives to the shim. No function unwinds. */
struct sw_module {
	/* First of all, in the process that starts the others: host is kept. */
	void (*attach)(const struct sw_host *host);

	/* Fills out for parameter number index; 0 when there is none. */
	int (*param)(uint32_t index, struct sw_param *out);
	/* Fills out for RPC method number index; 0 when there is none. */
	int (*rpc_method)(uint32_t index, struct sw_rpc_method *out);
	/* Name of statistic number index, or NULL; *gauge is set if it is asked for its
	 * value instead of being counted. */
	const char *(*statistic)(uint32_t index, int *gauge);
	/* The value of such a statistic. */
	uint64_t (*gauge)(uint32_t index);
	/* Index of the attribute in $swd(attribute), or -1. */
	int (*variable_index)(struct sw_text name);
	/* Name of attribute number index; empty when there is none. */
	struct sw_text (*variable_name)(uint32_t index);
	/* The same of event number index. */
	struct sw_text (*event_name)(uint32_t index);

	/* At the start: the values as configured, in the order of their indexes; a list
	 * once per value. text is NULL for an integer. 0: ok. */
	int (*set_param)(uint32_t index, const char *text, int32_t number);
	/* Whether a value may be set at run time; what is wrong is logged. 0: yes. */
	int (*check_setting)(uint32_t index, const char *text, int32_t number);
	/* A value that was checked holds from now on, in all processes. */
	void (*apply_setting)(uint32_t index, const char *text, int32_t number);
	/* When the script is read: whether a function has these flags;
	 * what is wrong is logged. 0: yes. */
	int (*check_flags)(struct sw_text function, struct sw_text flags);
	/* The same for the scopes of cc_limit, as the script writes them. */
	int (*check_scopes)(struct sw_text scopes);
	/* Then: maps shared memory and loads the tables. 0: ok. */
	int (*init)(void);
	/* At the end; also called when init was not or has failed. */
	void (*destroy)(void);

	/* Whether the tables are those of a file; after init. */
	int (*can_load)(void);
	/* Tries to load the database's then, if it is time; called each second, in a
	 * process that may wait for a database. */
	void (*load)(void);

	/* Whether host names may stand in the place of addresses; after init. */
	int (*can_resolve)(void);
	/* Resolves those that are due; called all the time then, in one process of the
	 * module's own that may wait for a resolver. */
	void (*resolve)(void);

	/* Script functions return the code of the verdict, never 0. */
	int (*check_company_ip)(const struct sw_message *msg, struct sw_text company);
	int (*check_country)(const struct sw_message *msg, struct sw_text list);
	int (*flood_check)(const struct sw_message *msg, struct sw_text flags);
	int (*auth_check)(const struct sw_message *msg, struct sw_text aor);
	/* credentials: NULL for those of the request itself. */
	int (*auth_failed)(const struct sw_attempt *attempt, struct sw_text aor,
			const struct sw_text *credentials);
	int (*auth_ok)(const struct sw_message *msg, struct sw_text aor);
	int (*scanner_check)(const struct sw_message *msg);
	/* seconds: a number, as text. */
	int (*grant)(const struct sw_message *msg, struct sw_text company,
			struct sw_text seconds);
	int (*roadwarrior_acquire)(const struct sw_call *call, struct sw_text aor,
			struct sw_text company, struct sw_text flags);
	int (*cc_limit)(const struct sw_call *call, struct sw_text company,
			struct sw_text flags, struct sw_text scopes);

	/* A request of a dialog that counts has come: its sender has received our tag. */
	void (*dialog_request)(const struct sw_message *msg);
	/* Called in any process, with the dialog's lock held or not. */
	void (*dialog_event)(enum sw_dialog_event event, struct sw_dialog dialog);
	/* As SW_DIALOG_ENDED; said_bye: 1 if both ends get a BYE. */
	void (*dialog_expired)(struct sw_dialog dialog, enum sw_expiry why, int said_bye);
	/* Whether the call of a dialog counts. */
	int (*dialog_counts)(struct sw_dialog dialog);
	void (*dialog_restored)(const struct sw_restored *restored);
	/* Called all the time, each in one process of the module's own. tick: ends blocks,
	 * keeps the firewall's sets and the files, and waits for nothing. record: runs
	 * scripts and talks to databases; 1 if there is more to do at once. */
	void (*tick)(void);
	int (*record)(void);
	/* After init: whether limits are shared with other nodes. serve is then called all the
	 * time in a process that waits for their server. */
	int (*can_serve)(void);
	void (*serve)(void);

	void (*variable)(const struct sw_message *msg, int index,
			struct sw_value *out);
	/* Answers a call of RPC method number index. */
	void (*rpc)(uint32_t index, void *call);
};

extern const struct sw_module sw_rust_module;

#endif
