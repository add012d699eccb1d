-- sipwarden on an IvozProvider database (MySQL 8, MariaDB): views that show its
-- tables as sipwarden reads them. Nothing in the platform's own schema changes: all
-- of this is in a database of its own on the same server.
--
-- Run as the server's administrator, as often as you like:
--     mysql < views.sql
-- The platform's database is `ivozprovider`; for another name:
--     sed 's/`ivozprovider`/`myname`/g' views.sql | mysql
-- Then create the users: grants.sql. What each view makes of odd rows is said with it,
-- and in docs/ivozprovider.md; `SELECT * FROM sipwarden.sipwarden_remarks` lists yours.
-- Run it again after each upgrade of the platform.

-- Texts of tables are turned into this collation: the platform's tables have several,
-- which no UNION would take, and all of them ignore accents.
SET NAMES utf8mb4 COLLATE utf8mb4_bin;

CREATE DATABASE IF NOT EXISTS sipwarden CHARACTER SET utf8mb4;
USE sipwarden;

-- ---------------------------------------------------------------- what is ours to fill

-- The operator's list of addresses that flood control spares on both proxies (exempt),
-- or that get the limits of the class `carrier`. The platform's own servers are spared
-- anyhow.
CREATE TABLE IF NOT EXISTS sipwarden_operator_address (
    ip_addr     VARCHAR(50) NOT NULL COMMENT '192.0.2.1, 192.0.2.0/24, 2001:db8::/64',
    class       ENUM('exempt', 'carrier') NOT NULL DEFAULT 'exempt',
    description VARCHAR(100) NOT NULL DEFAULT '',
    PRIMARY KEY (ip_addr)
) ENGINE=InnoDB;

-- Companies whose filter is only watched: refusals are reported, nobody is refused.
CREATE TABLE IF NOT EXISTS sipwarden_watched_company (
    company_id INT UNSIGNED NOT NULL PRIMARY KEY
) ENGINE=InnoDB;

-- Limits of the operator's own, with SIPWARDEN_LIMITS (docs/limits.md): numbers that are
-- called, DDI providers, companies by direction, calls per second.
CREATE TABLE IF NOT EXISTS sipwarden_operator_limit (
    kind           VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'did, ddiprovider, company, brand',
    id             VARCHAR(320) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT '*: all that are not listed',
    direction      ENUM('any', 'in', 'out') NOT NULL DEFAULT 'any',
    max_calls      INT UNSIGNED NULL,
    max_new        INT UNSIGNED NULL,
    window_seconds INT UNSIGNED NULL,
    reserved       INT UNSIGNED NULL,
    longest        INT UNSIGNED NULL,
    near_percent   TINYINT UNSIGNED NULL,
    max_ringing    INT UNSIGNED NULL,
    PRIMARY KEY (kind, id, direction)
) ENGINE=InnoDB;

-- What scanners call themselves, for scanner_check; with SIPWARDEN_TOOLS. ASCII case does not matter. Delete what may be one of your own.
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

-- What was refused, blocked and reloaded; written by both proxies.
CREATE TABLE IF NOT EXISTS sipwarden_audit (
    reason     VARCHAR(64) CHARACTER SET ascii NOT NULL,
    source     VARCHAR(64) CHARACTER SET ascii NOT NULL,
    company    VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    brand      VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    aor        VARCHAR(320) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    first_time BIGINT NOT NULL,
    last_time  BIGINT NOT NULL,
    hits       BIGINT NOT NULL,
    PRIMARY KEY (reason, source, company, brand, aor),
    KEY (last_time)
) ENGINE=InnoDB;

-- ---------------------------------------------------------------- brands and companies

-- INT UNSIGNED goes further than sipwarden's numbers; no limit is as high as either.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW sipwarden_brand AS
SELECT CAST(b.id AS CHAR) AS id,
       LEAST(COALESCE(b.maxCalls, 0), 2147483647) AS max_calls
FROM `ivozprovider`.Brands AS b;

-- Filter: NULL is off, wholesale companies have none, what is not 0 is on.
-- A company without its brand is left to sipwarden, which refuses the load and names it.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW sipwarden_company AS
SELECT CAST(c.id AS CHAR) AS id,
       CAST(c.brandId AS CHAR) AS brand_id,
       CASE WHEN CONVERT(TRIM(c.type) USING utf8mb4) = 'wholesale' OR COALESCE(c.ipFilter, 0) = 0 THEN 0
            WHEN w.company_id IS NOT NULL THEN 2
            ELSE 1 END AS ip_filter,
       LEAST(COALESCE(c.maxCalls, 0), 2147483647) AS max_calls
FROM `ivozprovider`.Companies AS c
LEFT JOIN sipwarden_watched_company AS w ON w.company_id = c.id;

-- ---------------------------------------------------------------- addresses

-- Both tables of addresses, the address in binary (NULL: not an address).
CREATE OR REPLACE SQL SECURITY DEFINER VIEW sipwarden_platform_address AS
SELECT 'kam_users_address' AS origin, a.companyId AS owner,
       CONVERT(TRIM(a.ip_addr) USING utf8mb4) COLLATE utf8mb4_bin AS raw,
       INET6_ATON(TRIM(a.ip_addr)) AS bits, a.mask AS mask, a.port AS port
FROM `ivozprovider`.kam_users_address AS a
UNION ALL
SELECT 'kam_trunks_address', t.grp,
       CONVERT(TRIM(t.ip_addr) USING utf8mb4) COLLATE utf8mb4_bin,
       INET6_ATON(TRIM(t.ip_addr)), t.mask, t.port
FROM `ivozprovider`.kam_trunks_address AS t;

-- `len` is the length that the permissions module takes today: 0 and NULL are a host.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW sipwarden_platform_length AS
SELECT origin, owner, raw, bits, mask, port,
       CASE WHEN COALESCE(mask, 0) <> 0 THEN mask WHEN LENGTH(bits) = 16 THEN 128 ELSE 32 END AS len
FROM sipwarden_platform_address;

-- `network` has no bits beyond the length: today such rows grant their whole network,
-- sipwarden would call them an error. Both halves of an IPv6 address on their own.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW sipwarden_platform_range AS
SELECT origin, owner, raw, bits, mask, port, len,
       CASE WHEN bits IS NULL THEN raw
            WHEN LENGTH(bits) = 4 AND len BETWEEN 1 AND 32 THEN
                INET_NTOA(INET_ATON(INET6_NTOA(bits)) & (4294967295 << (32 - len)) & 4294967295)
            WHEN LENGTH(bits) = 16 AND len BETWEEN 33 AND 127 THEN
                INET6_NTOA(UNHEX(CONCAT(
                    LPAD(HEX(CAST(CONV(LEFT(HEX(bits), 16), 16, 10) AS UNSIGNED)
                         & CASE WHEN len >= 64 THEN 18446744073709551615
                                ELSE 18446744073709551615 << (64 - len) END), 16, '0'),
                    LPAD(HEX(CAST(CONV(RIGHT(HEX(bits), 16), 16, 10) AS UNSIGNED)
                         & CASE WHEN len <= 64 THEN 0
                                ELSE 18446744073709551615 << (128 - len) END), 16, '0'))))
            ELSE INET6_NTOA(bits) END AS network
FROM sipwarden_platform_length;

-- Ranges of companies. The portal knows masks up to 32 only, so that an IPv6 host stands
-- there with mask 32, which would grant 2^96 addresses: it is the host that was typed. A
-- smaller mask gets one that sipwarden refuses, with a message that names company and
-- address. Rows of companies that are gone grant nothing and are left out. A text that
-- is not an address is refused.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW sipwarden_company_address AS
SELECT CAST(r.owner AS CHAR) AS company_id,
       r.network AS ip_addr,
       CASE WHEN LENGTH(r.bits) = 16 AND r.len = 32 THEN '128'
            WHEN LENGTH(r.bits) = 16 AND r.len < 32 THEN CONCAT(r.len, ' on IPv6: 128 meant?')
            ELSE CAST(r.len AS CHAR) END AS mask
FROM sipwarden_platform_range AS r
JOIN `ivozprovider`.Companies AS c ON c.id = r.owner
WHERE r.origin = 'kam_users_address';

-- Countries. A code that is not two letters is refused.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW sipwarden_company_country AS
SELECT DISTINCT CAST(c.id AS CHAR) AS company_id, UPPER(CONVERT(TRIM(k.code) USING utf8mb4)) COLLATE utf8mb4_bin AS country
FROM `ivozprovider`.CompaniesRelGeoIPCountries AS r
JOIN `ivozprovider`.Companies AS c ON c.id = r.companyId
JOIN `ivozprovider`.Countries AS k ON k.id = r.countryId;

-- ---------------------------------------------------------------- users

-- Roadwarriors: the AoR is terminal@domain, in lower case, as the scripts ask for it.
-- externalIpCalls is a text; NULL and empty count as 0. Users without terminal or domain
-- have no calls of their own. (Users.active is their access to the portal.) Two users on
-- one terminal get the lower number; one AoR in two companies is refused. Friends,
-- residential devices and retail accounts are never roadwarriors: they are not listed.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW sipwarden_user AS
SELECT n.aor AS aor, CAST(n.company AS CHAR) AS company_id, MIN(n.calls) AS external_calls
FROM (SELECT LOWER(CONVERT(CONCAT(TRIM(t.name), '@', TRIM(d.domain)) USING utf8mb4)) COLLATE utf8mb4_bin AS aor,
             u.companyId AS company,
             CASE WHEN TRIM(COALESCE(u.externalIpCalls, '')) = '' THEN '0'
                  ELSE CONVERT(TRIM(u.externalIpCalls) USING utf8mb4) COLLATE utf8mb4_bin END AS calls
      FROM `ivozprovider`.Users AS u
      JOIN `ivozprovider`.Companies AS c ON c.id = u.companyId
      JOIN `ivozprovider`.Terminals AS t ON t.id = u.terminalId
      JOIN `ivozprovider`.Domains AS d ON d.id = t.domainId
      WHERE TRIM(t.name) <> '' AND TRIM(d.domain) <> '') AS n
GROUP BY n.aor, n.company;

-- ---------------------------------------------------------------- limits

-- The operator's, and Users.maxCalls: calls that a user receives. AoRs as in sipwarden_user; two
-- users on one terminal get the lower number. A row of the operator's for an AoR replaces it.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW sipwarden_limit AS
SELECT o.kind AS kind, o.id AS id, CONVERT(o.direction USING utf8mb4) COLLATE utf8mb4_bin AS direction,
       o.max_calls AS max_calls, o.max_new AS max_new, o.window_seconds AS window_seconds,
       o.reserved AS reserved, o.longest AS longest, o.near_percent AS near_percent,
       o.max_ringing AS max_ringing
FROM sipwarden_operator_limit AS o
UNION ALL
SELECT CONVERT('user' USING utf8mb4) COLLATE utf8mb4_bin, n.aor,
       CONVERT('in' USING utf8mb4) COLLATE utf8mb4_bin, MIN(n.calls), NULL, NULL, NULL, NULL, NULL, NULL
FROM (SELECT LOWER(CONVERT(CONCAT(TRIM(t.name), '@', TRIM(d.domain)) USING utf8mb4)) COLLATE utf8mb4_bin AS aor,
             LEAST(u.maxCalls, 2147483647) AS calls
      FROM `ivozprovider`.Users AS u
      JOIN `ivozprovider`.Companies AS c ON c.id = u.companyId
      JOIN `ivozprovider`.Terminals AS t ON t.id = u.terminalId
      JOIN `ivozprovider`.Domains AS d ON d.id = t.domainId
      WHERE u.maxCalls > 0 AND TRIM(t.name) <> '' AND TRIM(d.domain) <> '') AS n
LEFT JOIN sipwarden_operator_limit AS l ON l.kind = 'user' AND l.id = n.aor AND l.direction = 'in'
WHERE l.id IS NULL
GROUP BY n.aor;

-- ---------------------------------------------------------------- flood control

-- The inside: both proxies and the application servers; and the operator's list. A server
-- without a valid address is refused: it must never be flood-checked by mistake.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW sipwarden_trusted_platform AS
SELECT COALESCE(INET6_NTOA(s.bits), s.raw) AS ip_addr,
       CASE LENGTH(s.bits) WHEN 4 THEN '32' WHEN 16 THEN '128' END AS mask,
       s.tag AS tag
FROM (SELECT CONVERT(TRIM(a.ip) USING utf8mb4) COLLATE utf8mb4_bin AS raw,
             INET6_ATON(TRIM(a.ip)) AS bits, 'exempt' AS tag
      FROM `ivozprovider`.ApplicationServers AS a
      UNION ALL
      SELECT CONVERT(TRIM(u.ip) USING utf8mb4) COLLATE utf8mb4_bin, INET6_ATON(TRIM(u.ip)), 'exempt'
      FROM `ivozprovider`.ProxyUsers AS u
      WHERE u.ip IS NOT NULL
      UNION ALL
      SELECT CONVERT(TRIM(t.ip) USING utf8mb4) COLLATE utf8mb4_bin, INET6_ATON(TRIM(t.ip)), 'exempt'
      FROM `ivozprovider`.ProxyTrunks AS t
      WHERE t.ip IS NOT NULL
      UNION ALL
      SELECT CONVERT(TRIM(o.ip_addr) USING utf8mb4) COLLATE utf8mb4_bin, INET6_ATON(TRIM(o.ip_addr)),
             CAST(o.class AS CHAR)
      FROM sipwarden_operator_address AS o) AS s;

-- Proxy for users: and wholesale companies' addresses. Their tag is a company's id there
-- and not passed on; names and `any` match no address and are left out. Of one address
-- that is there twice, `exempt` counts (it sorts last).
CREATE OR REPLACE SQL SECURITY DEFINER VIEW sipwarden_trusted_users AS
SELECT a.ip_addr AS ip_addr, a.mask AS mask, MAX(a.tag) AS tag
FROM (SELECT ip_addr, mask, tag FROM sipwarden_trusted_platform
      UNION ALL
      SELECT INET6_NTOA(INET6_ATON(TRIM(t.src_ip))),
             CASE LENGTH(INET6_ATON(TRIM(t.src_ip))) WHEN 4 THEN '32' ELSE '128' END,
             'exempt'
      FROM `ivozprovider`.kam_trusted AS t
      WHERE INET6_ATON(TRIM(t.src_ip)) IS NOT NULL) AS a
GROUP BY a.ip_addr, a.mask;

-- Carriers. Names match no source today and are left out: enter their addresses in
-- sipwarden_operator_address. An IPv6 row with mask 32 or less is a host.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW sipwarden_carrier AS
SELECT r.network AS ip_addr,
       CASE WHEN LENGTH(r.bits) = 16 AND r.len <= 32 THEN '128' ELSE CAST(r.len AS CHAR) END AS mask
FROM sipwarden_platform_range AS r
WHERE r.origin = 'kam_trunks_address' AND r.bits IS NOT NULL;

-- Proxy for trunks: carriers are exempt, as today.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW sipwarden_trusted_trunks AS
SELECT a.ip_addr AS ip_addr, a.mask AS mask, MAX(a.tag) AS tag
FROM (SELECT ip_addr, mask, tag FROM sipwarden_trusted_platform
      UNION ALL
      SELECT ip_addr, mask, 'exempt' FROM sipwarden_carrier) AS a
GROUP BY a.ip_addr, a.mask;

-- The same, but carriers have the limits of the class `carrier`: a carrier that goes mad
-- is throttled, never blocked. Chosen with the parameter trusted_table.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW sipwarden_trusted_trunks_bounded AS
SELECT a.ip_addr AS ip_addr, a.mask AS mask, MAX(a.tag) AS tag
FROM (SELECT ip_addr, mask, tag FROM sipwarden_trusted_platform
      UNION ALL
      SELECT ip_addr, mask, 'carrier' FROM sipwarden_carrier) AS a
GROUP BY a.ip_addr, a.mask;

-- ---------------------------------------------------------------- what to look at

-- Rows that are left out, changed or refused, and why. Read it before the first start.
CREATE OR REPLACE SQL SECURITY DEFINER VIEW sipwarden_remarks AS
SELECT r.origin AS platform_table, CAST(r.owner AS CHAR) AS owner,
       CONCAT(COALESCE(r.raw, 'NULL'), ' mask ', COALESCE(r.mask, 'NULL')) AS value,
       'refused: IPv6 with this mask, was 128 meant?' AS remark
FROM sipwarden_platform_range AS r
WHERE r.origin = 'kam_users_address' AND LENGTH(r.bits) = 16 AND r.len < 32
UNION ALL
SELECT r.origin, CAST(r.owner AS CHAR), CONCAT(r.raw, ' mask ', r.mask), 'taken as a single host'
FROM sipwarden_platform_range AS r
WHERE LENGTH(r.bits) = 16
      AND (r.len = 32 OR (r.len < 32 AND r.origin = 'kam_trunks_address'))
UNION ALL
SELECT r.origin, CAST(r.owner AS CHAR), COALESCE(r.raw, 'NULL'),
       CASE WHEN r.origin = 'kam_users_address' THEN 'refused: no IP address'
            ELSE 'left out: no IP address (enter its addresses in sipwarden_operator_address)' END
FROM sipwarden_platform_range AS r
WHERE r.bits IS NULL
UNION ALL
SELECT r.origin, CAST(r.owner AS CHAR), CONCAT(r.raw, ' mask ', COALESCE(r.mask, 'NULL')),
       'mask 0 or NULL is a single host, as today'
FROM sipwarden_platform_range AS r
WHERE COALESCE(r.mask, 0) = 0 AND r.bits IS NOT NULL
UNION ALL
SELECT r.origin, CAST(r.owner AS CHAR), CONCAT(r.raw, ' mask ', r.mask),
       CONCAT('taken as ', r.network, '/', r.len, ', as today')
FROM sipwarden_platform_range AS r
WHERE r.bits <> INET6_ATON(r.network)
UNION ALL
SELECT r.origin, CAST(r.owner AS CHAR), CONCAT(r.raw, ' port ', r.port),
       'the port is not looked at: granted from every port'
FROM sipwarden_platform_range AS r
WHERE r.port <> 0
UNION ALL
SELECT r.origin, CAST(r.owner AS CHAR), COALESCE(r.raw, 'NULL'), 'left out: no such company'
FROM sipwarden_platform_range AS r
LEFT JOIN `ivozprovider`.Companies AS c ON c.id = r.owner
WHERE r.origin = 'kam_users_address' AND c.id IS NULL
UNION ALL
SELECT 'kam_trusted', CAST(t.companyId AS CHAR),
       COALESCE(CONVERT(t.src_ip USING utf8mb4) COLLATE utf8mb4_bin, 'NULL'),
       'left out: no IP address'
FROM `ivozprovider`.kam_trusted AS t
WHERE INET6_ATON(TRIM(t.src_ip)) IS NULL
UNION ALL
SELECT 'ApplicationServers', CAST(s.id AS CHAR), CONVERT(s.ip USING utf8mb4) COLLATE utf8mb4_bin,
       'refused: no IP address'
FROM `ivozprovider`.ApplicationServers AS s
WHERE INET6_ATON(TRIM(s.ip)) IS NULL
UNION ALL
SELECT 'ProxyUsers', CAST(u.id AS CHAR), COALESCE(CONVERT(u.ip USING utf8mb4) COLLATE utf8mb4_bin, 'NULL'),
       IF(u.ip IS NULL, 'left out: no address', 'refused: no IP address')
FROM `ivozprovider`.ProxyUsers AS u
WHERE INET6_ATON(TRIM(u.ip)) IS NULL
UNION ALL
SELECT 'ProxyTrunks', CAST(t.id AS CHAR), COALESCE(CONVERT(t.ip USING utf8mb4) COLLATE utf8mb4_bin, 'NULL'),
       IF(t.ip IS NULL, 'left out: no address', 'refused: no IP address')
FROM `ivozprovider`.ProxyTrunks AS t
WHERE INET6_ATON(TRIM(t.ip)) IS NULL
UNION ALL
SELECT 'Companies', CAST(c.id AS CHAR), COALESCE(CAST(c.brandId AS CHAR), 'NULL'), 'refused: no such brand'
FROM `ivozprovider`.Companies AS c
LEFT JOIN `ivozprovider`.Brands AS b ON b.id = c.brandId
WHERE b.id IS NULL
UNION ALL
SELECT 'Users', CAST(u.id AS CHAR), CONVERT(u.externalIpCalls USING utf8mb4) COLLATE utf8mb4_bin,
       CASE WHEN c.id IS NULL THEN 'left out: no such company'
            ELSE 'left out: no terminal, or one without name or domain' END
FROM `ivozprovider`.Users AS u
LEFT JOIN `ivozprovider`.Companies AS c ON c.id = u.companyId
LEFT JOIN `ivozprovider`.Terminals AS t ON t.id = u.terminalId
LEFT JOIN `ivozprovider`.Domains AS d ON d.id = t.domainId
WHERE TRIM(COALESCE(u.externalIpCalls, '0')) NOT IN ('', '0')
  AND (c.id IS NULL OR t.id IS NULL OR d.id IS NULL
       OR TRIM(t.name) = '' OR TRIM(d.domain) = '')
UNION ALL
SELECT 'Users', GROUP_CONCAT(n.id ORDER BY n.id), n.aor,
       'one AoR more than once: the lower number counts, two companies are refused'
FROM (SELECT u.id AS id,
             LOWER(CONVERT(CONCAT(TRIM(t.name), '@', TRIM(d.domain)) USING utf8mb4)) COLLATE utf8mb4_bin AS aor
      FROM `ivozprovider`.Users AS u
      JOIN `ivozprovider`.Terminals AS t ON t.id = u.terminalId
      JOIN `ivozprovider`.Domains AS d ON d.id = t.domainId) AS n
GROUP BY n.aor HAVING COUNT(*) > 1;
