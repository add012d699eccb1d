-- sipwarden tables for PostgreSQL. Read-only for the module: GRANT SELECT.
CREATE TABLE IF NOT EXISTS sipwarden_brand (
    id        VARCHAR(128) PRIMARY KEY,
    max_calls INTEGER NOT NULL DEFAULT 0            -- concurrent external calls, 0 is off
);
CREATE TABLE IF NOT EXISTS sipwarden_company (
    id        VARCHAR(128) PRIMARY KEY,
    brand_id  VARCHAR(128) NOT NULL REFERENCES sipwarden_brand (id),
    ip_filter SMALLINT NOT NULL DEFAULT 0,          -- 1: only listed sources may send, 2: only watched
    max_calls INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS sipwarden_company_address (
    company_id VARCHAR(128) NOT NULL REFERENCES sipwarden_company (id),
    ip_addr    VARCHAR(50) NOT NULL,                -- 192.0.2.0/24, 192.0.2.1, 2001:db8::/32
    mask       SMALLINT                             -- NULL: as in ip_addr, or a host
);
CREATE INDEX IF NOT EXISTS sipwarden_company_address_company ON sipwarden_company_address (company_id);
CREATE TABLE IF NOT EXISTS sipwarden_company_country (
    company_id VARCHAR(128) NOT NULL REFERENCES sipwarden_company (id),
    country    CHAR(2) NOT NULL                     -- ISO 3166-1 alpha-2, capitals
);
CREATE INDEX IF NOT EXISTS sipwarden_company_country_company ON sipwarden_company_country (company_id);
CREATE TABLE IF NOT EXISTS sipwarden_user (
    aor            VARCHAR(320) PRIMARY KEY,        -- user@domain
    company_id     VARCHAR(128) NOT NULL REFERENCES sipwarden_company (id),
    external_calls SMALLINT NOT NULL DEFAULT 0      -- 0 to 3 calls from other addresses
);
CREATE TABLE IF NOT EXISTS sipwarden_trusted (
    ip_addr VARCHAR(50) NOT NULL,
    mask    SMALLINT,
    tag     VARCHAR(64)
);

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
