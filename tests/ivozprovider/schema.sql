-- A platform's tables, as far as the proxies read them: types, defaults, keys and
-- collations are those of its releases.
CREATE DATABASE ivozprovider CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci;
USE ivozprovider;

CREATE TABLE Brands (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(75) NOT NULL,
    maxCalls INT UNSIGNED NOT NULL DEFAULT 0
) ENGINE=InnoDB;
CREATE TABLE ApplicationServerSets (
    id INT UNSIGNED NOT NULL PRIMARY KEY,
    name VARCHAR(32) NOT NULL,
    distributeMethod VARCHAR(25) NOT NULL DEFAULT 'hash'
) ENGINE=InnoDB CHARACTER SET utf8mb4;
INSERT INTO ApplicationServerSets VALUES (0, 'default', 'hash');
CREATE TABLE Companies (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    brandId INT UNSIGNED NOT NULL,
    type VARCHAR(25) NOT NULL DEFAULT 'vpbx',
    name VARCHAR(80) NOT NULL DEFAULT '',
    domain_users VARCHAR(190) NULL,
    ipFilter TINYINT(1) NULL DEFAULT 1,
    maxCalls INT UNSIGNED NOT NULL DEFAULT 0,
    applicationServerSetId INT UNSIGNED NOT NULL DEFAULT 0,
    UNIQUE KEY (domain_users),
    FOREIGN KEY (brandId) REFERENCES Brands (id) ON DELETE CASCADE,
    FOREIGN KEY (applicationServerSetId) REFERENCES ApplicationServerSets (id) ON DELETE RESTRICT
) ENGINE=InnoDB;
CREATE TABLE kam_users_address (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    companyId INT UNSIGNED NOT NULL,
    source_address VARCHAR(100) NOT NULL DEFAULT '',
    ip_addr VARCHAR(50) NULL,
    mask INT NOT NULL DEFAULT 32,
    port INT NOT NULL DEFAULT 0,
    tag VARCHAR(64) NULL,
    description VARCHAR(200) NULL,
    FOREIGN KEY (companyId) REFERENCES Companies (id) ON DELETE CASCADE
) ENGINE=InnoDB;
CREATE TABLE Countries (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    code VARCHAR(100) NOT NULL DEFAULT '',
    UNIQUE KEY (code)
) ENGINE=InnoDB;
CREATE TABLE CompaniesRelGeoIPCountries (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    companyId INT UNSIGNED NOT NULL,
    countryId INT UNSIGNED NOT NULL,
    FOREIGN KEY (companyId) REFERENCES Companies (id) ON DELETE CASCADE,
    FOREIGN KEY (countryId) REFERENCES Countries (id) ON DELETE CASCADE
) ENGINE=InnoDB CHARACTER SET utf8mb3 COLLATE utf8mb3_unicode_ci;
CREATE TABLE Domains (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    domain VARCHAR(190) NOT NULL,
    UNIQUE KEY (domain)
) ENGINE=InnoDB;
CREATE TABLE Terminals (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(100) NOT NULL,
    domainId INT UNSIGNED NULL,
    companyId INT UNSIGNED NOT NULL,
    password VARCHAR(25) NOT NULL DEFAULT '',
    UNIQUE KEY terminal_name_domain (name, domainId),
    FOREIGN KEY (domainId) REFERENCES Domains (id) ON DELETE SET NULL,
    FOREIGN KEY (companyId) REFERENCES Companies (id) ON DELETE CASCADE
) ENGINE=InnoDB;
CREATE TABLE Users (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    companyId INT UNSIGNED NOT NULL,
    terminalId INT UNSIGNED NULL,
    extensionId INT UNSIGNED NULL,
    active TINYINT UNSIGNED NOT NULL DEFAULT 0,
    maxCalls INT UNSIGNED NOT NULL DEFAULT 0,
    externalIpCalls VARCHAR(1) NOT NULL DEFAULT '0',
    UNIQUE KEY uniqueTerminalId (terminalId),
    FOREIGN KEY (companyId) REFERENCES Companies (id) ON DELETE CASCADE,
    FOREIGN KEY (terminalId) REFERENCES Terminals (id) ON DELETE SET NULL
) ENGINE=InnoDB;
CREATE TABLE RetailAccounts (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    companyId INT UNSIGNED NOT NULL,
    name VARCHAR(65) NOT NULL,
    domainId INT UNSIGNED NULL,
    ip VARCHAR(50) NULL,
    password VARCHAR(64) NULL,
    FOREIGN KEY (companyId) REFERENCES Companies (id) ON DELETE CASCADE
) ENGINE=InnoDB;
CREATE TABLE ResidentialDevices LIKE RetailAccounts;
CREATE TABLE Friends LIKE RetailAccounts;
CREATE TABLE ApplicationServers (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    ip VARCHAR(50) NOT NULL,
    name VARCHAR(64) NOT NULL,
    UNIQUE KEY (ip),
    UNIQUE KEY (name)
) ENGINE=InnoDB;
CREATE TABLE ProxyUsers (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(100) NULL,
    ip VARCHAR(50) NULL,
    UNIQUE KEY (ip)
) ENGINE=InnoDB;
CREATE TABLE ProxyTrunks (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(100) NULL,
    ip VARCHAR(50) NOT NULL,
    UNIQUE KEY (ip)
) ENGINE=InnoDB;
CREATE TABLE kam_trusted (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    src_ip VARCHAR(50) NULL,
    proto VARCHAR(4) NULL,
    from_pattern VARCHAR(64) NULL,
    ruri_pattern VARCHAR(64) NULL,
    tag VARCHAR(64) NULL,
    description VARCHAR(200) NULL,
    priority INT NOT NULL DEFAULT 0,
    companyId INT UNSIGNED NOT NULL,
    UNIQUE KEY (src_ip),
    FOREIGN KEY (companyId) REFERENCES Companies (id) ON DELETE CASCADE
) ENGINE=InnoDB CHARACTER SET utf8mb3 COLLATE utf8mb3_unicode_ci;
CREATE TABLE kam_trunks_address (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    grp INT UNSIGNED NOT NULL DEFAULT 1,
    ip_addr VARCHAR(50) NULL,
    mask INT NOT NULL DEFAULT 32,
    port INT NOT NULL DEFAULT 0,
    tag VARCHAR(64) NULL
) ENGINE=InnoDB;
CREATE TABLE BannedAddresses (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    ip VARCHAR(50) NULL,
    blocker VARCHAR(50) NULL,
    description VARCHAR(100) NULL,
    lastTimeBanned DATETIME NULL,
    brandId INT UNSIGNED NULL,
    companyId INT UNSIGNED NULL,
    aor VARCHAR(300) NULL,
    KEY bannedAddress_ip_blocker (ip, blocker),
    FOREIGN KEY (companyId) REFERENCES Companies (id) ON DELETE CASCADE,
    FOREIGN KEY (brandId) REFERENCES Brands (id) ON DELETE CASCADE
) ENGINE=InnoDB CHARACTER SET utf8mb3 COLLATE utf8mb3_unicode_ci;
CREATE TABLE DDIs (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    brandId INT UNSIGNED NOT NULL,
    companyId INT UNSIGNED NULL,
    DDIE164 VARCHAR(25) NULL,
    type VARCHAR(25) NOT NULL DEFAULT 'inout',
    retailAccountId INT UNSIGNED NULL,
    FOREIGN KEY (companyId) REFERENCES Companies (id) ON DELETE CASCADE,
    FOREIGN KEY (brandId) REFERENCES Brands (id) ON DELETE CASCADE
) ENGINE=InnoDB;
CREATE TABLE kam_dispatcher (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    setid INT NOT NULL DEFAULT 0,
    destination VARCHAR(192) NOT NULL DEFAULT '',
    flags INT NOT NULL DEFAULT 0,
    priority INT NOT NULL DEFAULT 0,
    attrs VARCHAR(128) NOT NULL DEFAULT '',
    description VARCHAR(64) NOT NULL DEFAULT ''
) ENGINE=InnoDB;
CREATE TABLE kam_version (
    table_name VARCHAR(32) NOT NULL,
    table_version INT UNSIGNED NOT NULL DEFAULT 0,
    UNIQUE KEY (table_name)
) ENGINE=InnoDB;
INSERT INTO kam_version VALUES ('kam_dispatcher', 4), ('kam_trunks_address', 6), ('kam_trusted', 6),
    ('kam_users_address', 6), ('kam_users_location', 9);
