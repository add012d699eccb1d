-- sipwarden tables for SQLite. Read-only for the module.
-- sqlite3 /var/lib/kamailio/sipwarden.sqlite < sipwarden.sql
CREATE TABLE IF NOT EXISTS sipwarden_brand (
    id        VARCHAR(128) PRIMARY KEY NOT NULL,
    max_calls INTEGER NOT NULL DEFAULT 0            -- concurrent external calls, 0 is off
);
CREATE TABLE IF NOT EXISTS sipwarden_company (
    id        VARCHAR(128) PRIMARY KEY NOT NULL,
    brand_id  VARCHAR(128) NOT NULL REFERENCES sipwarden_brand (id),
    ip_filter INTEGER NOT NULL DEFAULT 0,           -- 1: only listed sources may send, 2: only watched
    max_calls INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS sipwarden_company_address (
    company_id VARCHAR(128) NOT NULL REFERENCES sipwarden_company (id),
    ip_addr    VARCHAR(255) NOT NULL,               -- 192.0.2.0/24, 192.0.2.1, 2001:db8::/32
    mask       INTEGER                              -- NULL: as in ip_addr, or a host
);
CREATE INDEX IF NOT EXISTS sipwarden_company_address_company ON sipwarden_company_address (company_id);
CREATE TABLE IF NOT EXISTS sipwarden_company_country (
    company_id VARCHAR(128) NOT NULL REFERENCES sipwarden_company (id),
    country    CHAR(2) NOT NULL                     -- ISO 3166-1 alpha-2, capitals
);
CREATE INDEX IF NOT EXISTS sipwarden_company_country_company ON sipwarden_company_country (company_id);
CREATE TABLE IF NOT EXISTS sipwarden_user (
    aor            VARCHAR(320) PRIMARY KEY NOT NULL,  -- user@domain
    company_id     VARCHAR(128) NOT NULL REFERENCES sipwarden_company (id),
    external_calls INTEGER NOT NULL DEFAULT 0          -- 0 to 3 calls from other addresses
);
CREATE TABLE IF NOT EXISTS sipwarden_trusted (
    ip_addr VARCHAR(255) NOT NULL,
    mask    INTEGER,
    tag     VARCHAR(64)
);
-- Limits of your own; read if the parameter limit_table names this table (docs/limits.md).
-- NULL or 0 is off.
CREATE TABLE IF NOT EXISTS sipwarden_limit (
    kind           VARCHAR(32) NOT NULL,            -- company, brand, user, or a word of yours: carrier, did
    id             VARCHAR(320) NOT NULL,           -- '*': all that are not listed
    direction      VARCHAR(3) NOT NULL DEFAULT 'any', -- any, in, out
    max_calls      INTEGER,                         -- calls at a time
    max_new        INTEGER,                         -- new calls within window_seconds
    window_seconds INTEGER,
    reserved       INTEGER,                         -- of max_calls, for emergencies
    longest        INTEGER,                         -- seconds that a call may last
    near_percent   INTEGER,                         -- of max_calls: near from here on (NULL: parameter, 0: never)
    max_ringing    INTEGER,                         -- calls at a time that are not answered yet
    PRIMARY KEY (kind, id, direction)
);
-- What scanners call themselves, for scanner_check; read if the parameter tool_table names
-- this table. ASCII case does not matter. Delete what may be one of your own.
CREATE TABLE IF NOT EXISTS sipwarden_tool (
    header  VARCHAR(16) NOT NULL,                   -- user_agent, from, to
    kind    VARCHAR(16) NOT NULL,                   -- equal, prefix, contains
    pattern VARCHAR(64) NOT NULL,
    PRIMARY KEY (header, kind, pattern)
);
INSERT OR IGNORE INTO sipwarden_tool (header, kind, pattern) VALUES
    ('user_agent', 'prefix', 'friendly-scanner'),
    ('user_agent', 'prefix', 'friendly-request'),
    ('user_agent', 'contains', 'sipvicious'),
    ('user_agent', 'prefix', 'sipcli'),
    ('user_agent', 'prefix', 'sip-scan'),
    ('user_agent', 'prefix', 'sundayddr'),
    ('user_agent', 'prefix', 'iwar'),
    ('user_agent', 'prefix', 'pplsip'),
    ('user_agent', 'prefix', 'sivus'),
    ('user_agent', 'prefix', 'siparmyknife'),
    ('user_agent', 'prefix', 'smap'),
    ('from', 'contains', 'sipvicious'),
    ('from', 'contains', 'sip:nm@nm'),
    ('from', 'contains', '100@1.1.1.1'),
    ('to', 'contains', 'sip:nm2@nm2'),
    ('to', 'contains', 'sipvicious');

-- What was refused, blocked and reloaded. Written by the module (audit_url), which
-- needs SELECT, INSERT and UPDATE here and nothing else. Times: seconds since 1970.
CREATE TABLE IF NOT EXISTS sipwarden_audit (
    reason     VARCHAR(64) NOT NULL,
    source     VARCHAR(64) NOT NULL,
    company    VARCHAR(128) NOT NULL,
    brand      VARCHAR(128) NOT NULL,
    aor        VARCHAR(320) NOT NULL,                  -- or a text: why a reload failed
    first_time BIGINT NOT NULL,
    last_time  BIGINT NOT NULL,
    hits       BIGINT NOT NULL,
    PRIMARY KEY (reason, source, company, brand, aor)
);
CREATE INDEX IF NOT EXISTS sipwarden_audit_last_time ON sipwarden_audit (last_time);

-- Versions of the tables above, in the table that Kamailio has for those of its own.
-- At start and reload a version that does not fit is refused. A row that is missing is not.
-- Kamailio's own tables in the same database: create those first, their script stops at a table
-- that is there.
CREATE TABLE IF NOT EXISTS version (
    id            INTEGER PRIMARY KEY NOT NULL,
    table_name    VARCHAR(32) NOT NULL,
    table_version INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT version_table_name_idx UNIQUE (table_name)
);
INSERT OR IGNORE INTO version (table_name, table_version) VALUES
    ('sipwarden_brand', 1),
    ('sipwarden_company', 1),
    ('sipwarden_company_address', 1),
    ('sipwarden_company_country', 1),
    ('sipwarden_user', 1),
    ('sipwarden_trusted', 1),
    ('sipwarden_limit', 1),
    ('sipwarden_tool', 1);
