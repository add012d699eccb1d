-- From the tables of 0.1.0 to those of 0.9.0, for MySQL and MariaDB. It may be run again.

-- Limits of your own, which a parameter names.
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

-- Versions of the tables, in the table that Kamailio has for those of its own.
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
UPDATE version SET table_version = 1 WHERE table_version < 1 AND table_name IN ('sipwarden_brand',
    'sipwarden_company', 'sipwarden_company_address', 'sipwarden_company_country', 'sipwarden_user', 'sipwarden_trusted',
    'sipwarden_limit', 'sipwarden_tool');
