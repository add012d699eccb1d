-- sipwarden tables for MySQL and MariaDB. Read-only for the module: GRANT SELECT.
CREATE TABLE IF NOT EXISTS sipwarden_brand (
    id        VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
    max_calls INT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'concurrent external calls, 0 is off'
) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS sipwarden_company (
    id        VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
    brand_id  VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    ip_filter TINYINT NOT NULL DEFAULT 0 COMMENT '1: only listed sources may send, 2: only watched',
    max_calls INT UNSIGNED NOT NULL DEFAULT 0,
    FOREIGN KEY (brand_id) REFERENCES sipwarden_brand (id)
) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS sipwarden_company_address (
    company_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    ip_addr    VARCHAR(255) NOT NULL COMMENT '192.0.2.0/24, 192.0.2.1, 2001:db8::/32',
    mask       SMALLINT NULL COMMENT 'NULL: as in ip_addr, or a host',
    FOREIGN KEY (company_id) REFERENCES sipwarden_company (id)
) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS sipwarden_company_country (
    company_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    country    CHAR(2) NOT NULL COMMENT 'ISO 3166-1 alpha-2, capitals',
    FOREIGN KEY (company_id) REFERENCES sipwarden_company (id)
) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS sipwarden_user (
    aor            VARCHAR(320) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY COMMENT 'user@domain',
    company_id     VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    external_calls TINYINT NOT NULL DEFAULT 0 COMMENT '0 to 3 calls from other addresses',
    FOREIGN KEY (company_id) REFERENCES sipwarden_company (id)
) ENGINE=InnoDB;
CREATE TABLE IF NOT EXISTS sipwarden_trusted (
    ip_addr VARCHAR(255) NOT NULL,
    mask    SMALLINT NULL,
    tag     VARCHAR(64) NULL
) ENGINE=InnoDB;
-- Limits of your own; read if the parameter limit_table names this table (docs/limits.md).
-- NULL or 0 is off.
CREATE TABLE IF NOT EXISTS sipwarden_limit (
    kind           VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'company, brand, user, or a word of yours: carrier, did',
    id             VARCHAR(320) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT '*: all that are not listed',
    direction      VARCHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'any' COMMENT 'any, in, out',
    max_calls      INT UNSIGNED NULL COMMENT 'calls at a time',
    max_new        INT UNSIGNED NULL COMMENT 'new calls within window_seconds',
    window_seconds INT UNSIGNED NULL,
    reserved       INT UNSIGNED NULL COMMENT 'of max_calls, for emergencies',
    longest        INT UNSIGNED NULL COMMENT 'seconds that a call may last',
    near_percent   TINYINT UNSIGNED NULL COMMENT 'of max_calls: near from here on (NULL: parameter, 0: never)',
    max_ringing    INT UNSIGNED NULL COMMENT 'calls at a time that are not answered yet',
    PRIMARY KEY (kind, id, direction)
) ENGINE=InnoDB;
-- What scanners call themselves, for scanner_check; read if the parameter tool_table names
-- this table. ASCII case does not matter. Delete what may be one of your own.
CREATE TABLE IF NOT EXISTS sipwarden_tool (
    header  VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'user_agent, from, to',
    kind    VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'equal, prefix, contains',
    pattern VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    PRIMARY KEY (header, kind, pattern)
) ENGINE=InnoDB;
INSERT IGNORE INTO sipwarden_tool (header, kind, pattern) VALUES
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
    reason     VARCHAR(64) CHARACTER SET ascii NOT NULL,
    source     VARCHAR(64) CHARACTER SET ascii NOT NULL,
    company    VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    brand      VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    aor        VARCHAR(320) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'or a text: why a reload failed',
    first_time BIGINT NOT NULL,
    last_time  BIGINT NOT NULL,
    hits       BIGINT NOT NULL,
    PRIMARY KEY (reason, source, company, brand, aor),
    KEY (last_time)
) ENGINE=InnoDB;

-- Versions of the tables above, in the table that Kamailio has for those of its own.
-- At start and reload a version that does not fit is refused. A row that is missing is not.
-- Kamailio's own tables in the same database: create those first, their script stops at a table
-- that is there.
CREATE TABLE IF NOT EXISTS version (
    id            INT(10) UNSIGNED AUTO_INCREMENT PRIMARY KEY NOT NULL,
    table_name    VARCHAR(32) NOT NULL,
    table_version INT UNSIGNED DEFAULT 0 NOT NULL,
    CONSTRAINT table_name_idx UNIQUE (table_name)
);
INSERT IGNORE INTO version (table_name, table_version) VALUES
    ('sipwarden_brand', 1),
    ('sipwarden_company', 1),
    ('sipwarden_company_address', 1),
    ('sipwarden_company_country', 1),
    ('sipwarden_user', 1),
    ('sipwarden_trusted', 1),
    ('sipwarden_limit', 1),
    ('sipwarden_tool', 1);
