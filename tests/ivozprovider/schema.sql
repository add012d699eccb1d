-- A platform's tables, as far as the proxies read them. What is marked as assumed is
-- not told by the platform's description: names that these tests have chosen.
CREATE DATABASE ivozprovider CHARACTER SET utf8mb4;
USE ivozprovider;

CREATE TABLE Brands (
    id INT UNSIGNED NOT NULL PRIMARY KEY,
    name VARCHAR(75) NOT NULL DEFAULT '',
    maxCalls INT UNSIGNED NOT NULL DEFAULT 0
) ENGINE=InnoDB;
CREATE TABLE Companies (
    id INT UNSIGNED NOT NULL PRIMARY KEY,
    brandId INT UNSIGNED NOT NULL,
    type VARCHAR(25) NOT NULL DEFAULT 'vpbx',
    name VARCHAR(80) NOT NULL DEFAULT '',
    domain_users VARCHAR(190) NULL,
    ipFilter TINYINT(1) NULL DEFAULT 1,
    maxCalls INT UNSIGNED NOT NULL DEFAULT 0
) ENGINE=InnoDB;
CREATE TABLE kam_users_address (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    companyId INT UNSIGNED NOT NULL,
    source_address VARCHAR(100) NOT NULL DEFAULT '',
    ip_addr VARCHAR(50) NULL,
    mask INT NULL DEFAULT 32,
    port INT NOT NULL DEFAULT 0,
    tag VARCHAR(64) NULL,
    description VARCHAR(200) NULL,
    KEY (companyId)
) ENGINE=InnoDB;
CREATE TABLE Countries (
    id INT UNSIGNED NOT NULL PRIMARY KEY,
    code VARCHAR(100) NULL
) ENGINE=InnoDB;
CREATE TABLE CompaniesRelGeoIPCountries (
    companyId INT UNSIGNED NOT NULL,
    countryId INT UNSIGNED NOT NULL
) ENGINE=InnoDB;
CREATE TABLE Domains (
    id INT UNSIGNED NOT NULL PRIMARY KEY,
    domain VARCHAR(190) NOT NULL
) ENGINE=InnoDB;
CREATE TABLE Terminals (
    id INT UNSIGNED NOT NULL PRIMARY KEY,
    name VARCHAR(100) NOT NULL,
    domainId INT UNSIGNED NULL,
    companyId INT UNSIGNED NOT NULL,
    password VARCHAR(25) NOT NULL DEFAULT '' -- assumed
) ENGINE=InnoDB;
CREATE TABLE Users (
    id INT UNSIGNED NOT NULL PRIMARY KEY,
    companyId INT UNSIGNED NOT NULL,
    terminalId INT UNSIGNED NULL,
    extensionId INT UNSIGNED NULL,
    active TINYINT(1) NULL DEFAULT 1,
    maxCalls INT UNSIGNED NOT NULL DEFAULT 0,
    externalIpCalls VARCHAR(1) NULL DEFAULT '0',
    KEY (terminalId)
) ENGINE=InnoDB;
CREATE TABLE RetailAccounts (
    id INT UNSIGNED NOT NULL PRIMARY KEY,
    companyId INT UNSIGNED NOT NULL,
    name VARCHAR(65) NOT NULL,
    domainId INT UNSIGNED NULL,
    password VARCHAR(64) NOT NULL DEFAULT '' -- assumed
) ENGINE=InnoDB;
CREATE TABLE ResidentialDevices LIKE RetailAccounts;
CREATE TABLE Friends LIKE RetailAccounts;
CREATE TABLE ApplicationServers (
    id INT UNSIGNED NOT NULL PRIMARY KEY,
    ip VARCHAR(50) NOT NULL,
    name VARCHAR(64) NULL
) ENGINE=InnoDB;
CREATE TABLE kam_trusted (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    src_ip VARCHAR(50) NULL,
    proto VARCHAR(4) NULL,
    tag VARCHAR(64) NULL,
    companyId INT UNSIGNED NOT NULL
) ENGINE=InnoDB;
CREATE TABLE kam_trunks_address (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    grp INT NOT NULL DEFAULT 1,
    ip_addr VARCHAR(50) NULL,
    mask INT NULL DEFAULT 32,
    port INT NOT NULL DEFAULT 0,
    tag VARCHAR(64) NULL -- assumed
) ENGINE=InnoDB;
CREATE TABLE BannedAddresses (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    ip VARCHAR(50) NULL,
    blocker VARCHAR(50) NULL,
    description VARCHAR(100) NULL,
    lastTimeBanned DATETIME NULL,
    brandId INT UNSIGNED NULL,
    companyId INT UNSIGNED NULL,
    aor VARCHAR(300) NULL
) ENGINE=InnoDB;

-- Assumed: the accounts that phones authenticate with.
CREATE VIEW kam_users AS
SELECT t.name AS username, d.domain, t.password, t.companyId, c.type
FROM Terminals AS t JOIN Domains AS d ON d.id = t.domainId JOIN Companies AS c ON c.id = t.companyId
UNION ALL
SELECT r.name, d.domain, r.password, r.companyId, c.type
FROM RetailAccounts AS r JOIN Domains AS d ON d.id = r.domainId JOIN Companies AS c ON c.id = r.companyId
UNION ALL
SELECT r.name, d.domain, r.password, r.companyId, c.type
FROM ResidentialDevices AS r JOIN Domains AS d ON d.id = r.domainId JOIN Companies AS c ON c.id = r.companyId
UNION ALL
SELECT f.name, d.domain, f.password, f.companyId, c.type
FROM Friends AS f JOIN Domains AS d ON d.id = f.domainId JOIN Companies AS c ON c.id = f.companyId;
-- Assumed: whose number it is that a carrier calls.
CREATE TABLE DDIs (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    companyId INT UNSIGNED NOT NULL,
    DDIE164 VARCHAR(25) NOT NULL
) ENGINE=InnoDB;
-- Assumed: what Kamailio's own modules look for in a database.
CREATE TABLE version (table_name VARCHAR(64) NOT NULL PRIMARY KEY, table_version INT NOT NULL);
INSERT INTO version VALUES ('kam_users', 7), ('kam_users_address', 6), ('kam_trunks_address', 6);
INSERT INTO version VALUES ('kam_trusted', 6), ('kam_dispatcher', 4);
CREATE VIEW kam_dispatcher AS
SELECT 1 AS setid, CONCAT('sip:', IF(ip LIKE '%:%', CONCAT('[', ip, ']'), ip)) AS destination,
       0 AS flags, 0 AS priority, '' AS attrs, '' AS description
FROM ApplicationServers;
ALTER TABLE kam_trusted ADD from_pattern VARCHAR(64) NULL, ADD ruri_pattern VARCHAR(64) NULL,
    ADD priority INT NOT NULL DEFAULT 0;
