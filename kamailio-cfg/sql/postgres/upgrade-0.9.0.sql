-- From the tables of 0.1.0 to those of 0.9.0, for PostgreSQL. It may be run again.

-- Limits of your own, which a parameter names.
CREATE TABLE IF NOT EXISTS sipwarden_limit (
    kind           VARCHAR(32) NOT NULL,            -- company, brand, user, or a word of yours: carrier, did
    id             VARCHAR(320) NOT NULL,           -- '*': all that are not listed
    direction      VARCHAR(3) NOT NULL DEFAULT 'any', -- any, in, out
    max_calls      INTEGER,                         -- calls at a time
    max_new        INTEGER,                         -- new calls within window_seconds
    window_seconds INTEGER,
    reserved       INTEGER,                         -- of max_calls, for emergencies
    longest        INTEGER,                         -- seconds that a call may last
    near_percent   SMALLINT,                        -- of max_calls: near from here on (NULL: parameter, 0: never)
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
INSERT INTO sipwarden_tool (header, kind, pattern) VALUES
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
    ('to', 'contains', 'sipvicious')
ON CONFLICT DO NOTHING;

-- Versions of the tables, in the table that Kamailio has for those of its own.
CREATE TABLE IF NOT EXISTS version (
    id            SERIAL PRIMARY KEY NOT NULL,
    table_name    VARCHAR(32) NOT NULL,
    table_version INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT version_table_name_idx UNIQUE (table_name)
);
INSERT INTO version (table_name, table_version) VALUES
    ('sipwarden_brand', 1),
    ('sipwarden_company', 1),
    ('sipwarden_company_address', 1),
    ('sipwarden_company_country', 1),
    ('sipwarden_user', 1),
    ('sipwarden_trusted', 1),
    ('sipwarden_limit', 1),
    ('sipwarden_tool', 1) ON CONFLICT (table_name) DO NOTHING;
UPDATE version SET table_version = 1 WHERE table_version < 1 AND table_name IN ('sipwarden_brand',
    'sipwarden_company', 'sipwarden_company_address', 'sipwarden_company_country', 'sipwarden_user', 'sipwarden_trusted',
    'sipwarden_limit', 'sipwarden_tool');
