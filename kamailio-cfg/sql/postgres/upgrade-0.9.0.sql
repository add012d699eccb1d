-- From the tables of 0.1.0 to those of 0.9.0, for PostgreSQL. It may be run again.

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
    ('sipwarden_trusted', 1) ON CONFLICT (table_name) DO NOTHING;
UPDATE version SET table_version = 1 WHERE table_version < 1 AND table_name IN ('sipwarden_brand',
    'sipwarden_company', 'sipwarden_company_address', 'sipwarden_company_country', 'sipwarden_user', 'sipwarden_trusted');
