//! The module in a host in Rust, started once in this process.

use std::sync::Once;

use serde_json::json;
use sipwarden::tables::Table;

use crate::host::begin::started;
use crate::host::world::{rows, world};

/// Starts it, with small tables so that they fill.
pub fn begin() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        let none = "NULL";
        rows(
            Table::Limit,
            &[
                &["did", "7", "in", "2", "3", "60", "1", "3600", "50", "2"],
                &["carrier", "*", "any", "4", none, none, none, none, none, none],
                &["user", "alice@example.com", "out", "1", none, none, none, none, none, none],
            ],
        );
        rows(Table::Tool, &[&["user_agent", "prefix", "friendly"], &["from", "contains", "x"]]);
        started(&[
            ("limit_table", json!("sipwarden_limit")),
            ("tool_table", json!("sipwarden_tool")),
            ("flood_class", json!("carrier=limit:2000")),
            ("flood_sources", json!(1024)),
            ("flood_unproven", json!("block")),
            ("auth_sources", json!(1024)),
            ("grants", json!(64)),
            ("max_calls", json!(16)),
            // Replies tell how many pages are used: the kernel looks at each.
            ("snapshot_memory", json!(2)),
            ("blocklist_memory", json!(2)),
        ]);
        check();
    });
}

/// Nothing has panicked behind a guard; and forgets what the host was told.
pub fn check() {
    let mut world = world();
    let bug = world.log.iter().find(|(_, line)| line.contains("BUG")).cloned();
    world.log.clear();
    world.events.clear();
    world.audit.clear();
    drop(world);
    assert_eq!(bug, None);
}
