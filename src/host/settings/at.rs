//! Position of each parameter in [`PARAMS`](super::PARAMS).
#![allow(missing_docs)]

use crate::tables::Table;

pub const DB_URL: usize = 0;
pub const FIRST_TABLE: usize = 1;
pub const RELOAD_BAD_ROWS: usize = FIRST_TABLE + Table::ALL.len();
pub const GEOIP_DB: usize = RELOAD_BAD_ROWS + 1;
pub const TABLES_FILE: usize = GEOIP_DB + 1;
pub const SNAPSHOT_MEMORY: usize = TABLES_FILE + 1;
pub const MAX_CALLS: usize = SNAPSHOT_MEMORY + 1;
pub const REAPER_INTERVAL: usize = MAX_CALLS + 1;
pub const NEAR_PERCENT: usize = REAPER_INTERVAL + 1;
pub const FLOOD_LIMIT: usize = NEAR_PERCENT + 1;
pub const FLOOD_WINDOW: usize = FLOOD_LIMIT + 1;
pub const FLOOD_BLOCK: usize = FLOOD_WINDOW + 1;
pub const FLOOD_BLOCK_MAX: usize = FLOOD_BLOCK + 1;
pub const FLOOD_CLASS: usize = FLOOD_BLOCK_MAX + 1;
pub const FLOOD_COMPANY_SOURCES: usize = FLOOD_CLASS + 1;
pub const FLOOD_UNPROVEN: usize = FLOOD_COMPANY_SOURCES + 1;
pub const FLOOD_PROVEN_CLASS: usize = FLOOD_UNPROVEN + 1;
pub const FLOOD_PROVEN_KEEP: usize = FLOOD_PROVEN_CLASS + 1;
pub const FLOOD_BUDGET: usize = FLOOD_PROVEN_KEEP + 1;
pub const FLOOD_EXEMPT_PREFIX: usize = FLOOD_BUDGET + 1;
pub const FLOOD_EXEMPT_IPV6_PREFIX: usize = FLOOD_EXEMPT_PREFIX + 1;
pub const FLOOD_IPV6_PREFIX: usize = FLOOD_EXEMPT_IPV6_PREFIX + 1;
pub const FLOOD_MONITOR: usize = FLOOD_IPV6_PREFIX + 1;
pub const FLOOD_SOURCES: usize = FLOOD_MONITOR + 1;
pub const FLOOD_PERSIST: usize = FLOOD_SOURCES + 1;
pub const MONITOR: usize = FLOOD_PERSIST + 1;
pub const EVENT_CALLBACK: usize = MONITOR + 1;
pub const AUDIT_URL: usize = EVENT_CALLBACK + 1;
pub const AUDIT_TABLE: usize = AUDIT_URL + 1;
pub const AUTH_LIMIT: usize = AUDIT_TABLE + 1;
pub const AUTH_WINDOW: usize = AUTH_LIMIT + 1;
pub const AUTH_BLOCK: usize = AUTH_WINDOW + 1;
pub const AUTH_RESTART: usize = AUTH_BLOCK + 1;
pub const AUTH_SAME: usize = AUTH_RESTART + 1;
pub const AUTH_CLASS: usize = AUTH_SAME + 1;
pub const AUTH_COMPANY_SOURCES: usize = AUTH_CLASS + 1;
pub const AUTH_MONITOR: usize = AUTH_COMPANY_SOURCES + 1;
pub const AUTH_SOURCES: usize = AUTH_MONITOR + 1;
pub const SPRAY_AORS: usize = AUTH_SOURCES + 1;
pub const SPRAY_AORS_WINDOW: usize = SPRAY_AORS + 1;
pub const SPRAY_UNKNOWN: usize = SPRAY_AORS_WINDOW + 1;
pub const SPRAY_UNKNOWN_WINDOW: usize = SPRAY_UNKNOWN + 1;
pub const SPRAY_PASSWORDS: usize = SPRAY_UNKNOWN_WINDOW + 1;
pub const SPRAY_PASSWORDS_WINDOW: usize = SPRAY_PASSWORDS + 1;
pub const SPRAY_BLOCK: usize = SPRAY_PASSWORDS_WINDOW + 1;
pub const BLOCKLIST_FILE: usize = SPRAY_BLOCK + 1;
pub const BLOCKLIST_INTERVAL: usize = BLOCKLIST_FILE + 1;
pub const BLOCKLIST_MEMORY: usize = BLOCKLIST_INTERVAL + 1;
pub const GRANTS: usize = BLOCKLIST_MEMORY + 1;
pub const GRANT_LONGEST: usize = GRANTS + 1;
pub const GRANT_PREFIX: usize = GRANT_LONGEST + 1;
pub const GRANT_IPV6_PREFIX: usize = GRANT_PREFIX + 1;
pub const HOST_NAMES: usize = GRANT_IPV6_PREFIX + 1;
pub const HOST_NAME_MIN_TTL: usize = HOST_NAMES + 1;
pub const HOST_NAME_MAX_TTL: usize = HOST_NAME_MIN_TTL + 1;
pub const HOST_NAME_KEEP: usize = HOST_NAME_MAX_TTL + 1;
pub const FIREWALL: usize = HOST_NAME_KEEP + 1;
pub const FIREWALL_AFTER: usize = FIREWALL + 1;
pub const FIREWALL_NFT: usize = FIREWALL_AFTER + 1;
pub const CLUSTER_URL: usize = FIREWALL_NFT + 1;
pub const CLUSTER_SENTINELS: usize = CLUSTER_URL + 1;
pub const CLUSTER_NAME: usize = CLUSTER_SENTINELS + 1;
pub const CLUSTER_NODE: usize = CLUSTER_NAME + 1;
pub const CLUSTER_SECRET: usize = CLUSTER_NODE + 1;
pub const CLUSTER_TIMEOUT: usize = CLUSTER_SECRET + 1;
pub const CLUSTER_POLICY: usize = CLUSTER_TIMEOUT + 1;
pub const CLUSTER_POLICY_USER: usize = CLUSTER_POLICY + 1;
pub const CLUSTER_SIZE: usize = CLUSTER_POLICY_USER + 1;
pub const CLUSTER_REPLICAS: usize = CLUSTER_SIZE + 1;
pub const CLUSTER_TRUST: usize = CLUSTER_REPLICAS + 1;
pub const CLUSTER_DEAD: usize = CLUSTER_TRUST + 1;
pub const CLUSTER_BLOCKS: usize = CLUSTER_DEAD + 1;
pub const CLUSTER_BANS: usize = CLUSTER_BLOCKS + 1;
pub const CLUSTER_GRANTS: usize = CLUSTER_BANS + 1;
pub const COUNT: usize = CLUSTER_GRANTS + 1;

/// Whether a setting is one of shared limits.
pub const fn is_cluster(index: usize) -> bool {
    index >= CLUSTER_URL && index <= CLUSTER_GRANTS
}

/// Whether a setting is one of brute force protection.
pub const fn is_auth(index: usize) -> bool {
    index >= AUTH_LIMIT && index <= SPRAY_BLOCK
}
