-- The database users of both proxies. Run as the server's administrator after views.sql;
-- change the host and the password first. SELECT on the views is all that the tables
-- take: the views run with the rights of the account that made them, so that neither user can read
-- (let alone write) a table of the platform, and no password is ever in sight.
CREATE USER IF NOT EXISTS 'sipwarden'@'127.0.0.1' IDENTIFIED BY 'change-me';
GRANT SELECT ON sipwarden.sipwarden_brand TO 'sipwarden'@'127.0.0.1';
GRANT SELECT ON sipwarden.sipwarden_company TO 'sipwarden'@'127.0.0.1';
GRANT SELECT ON sipwarden.sipwarden_company_address TO 'sipwarden'@'127.0.0.1';
GRANT SELECT ON sipwarden.sipwarden_company_country TO 'sipwarden'@'127.0.0.1';
GRANT SELECT ON sipwarden.sipwarden_user TO 'sipwarden'@'127.0.0.1';
GRANT SELECT ON sipwarden.sipwarden_limit TO 'sipwarden'@'127.0.0.1';
GRANT SELECT ON sipwarden.sipwarden_tool TO 'sipwarden'@'127.0.0.1';
GRANT SELECT ON sipwarden.sipwarden_trusted_users TO 'sipwarden'@'127.0.0.1';
GRANT SELECT ON sipwarden.sipwarden_trusted_trunks TO 'sipwarden'@'127.0.0.1';
GRANT SELECT ON sipwarden.sipwarden_trusted_trunks_bounded TO 'sipwarden'@'127.0.0.1';

-- The audit table, through a connection of its own (audit_url).
CREATE USER IF NOT EXISTS 'sipwarden_audit'@'127.0.0.1' IDENTIFIED BY 'change-me-too';
GRANT SELECT, INSERT, UPDATE ON sipwarden.sipwarden_audit TO 'sipwarden_audit'@'127.0.0.1';

-- Only with SIPWARDEN_DIALOG_DB_URL: the dialogs of both proxies.
-- CREATE USER IF NOT EXISTS 'sipwarden_dialogs'@'127.0.0.1' IDENTIFIED BY 'change-me-as-well';
-- GRANT SELECT, INSERT, UPDATE, DELETE ON `sipwarden\_dialogs\_%`.* TO 'sipwarden_dialogs'@'127.0.0.1';
