//! Arguments for each RPC method, also for the tests in a real Kamailio.

/// Arguments that each method takes, all of them.
pub const METHODS: [(&str, &[&str]); 22] = [
    ("reload", &[]),
    ("check", &["7", "192.0.2.7", "alice@example.com", "did=7", "i"]),
    ("source", &["192.0.2.7"]),
    ("blocks", &["1", "192.0.2"]),
    ("block", &["203.0.113.0/24", "60"]),
    ("unblock", &["all"]),
    ("bans", &["1"]),
    ("ban", &["alice@example.com", "192.0.2.7", "60"]),
    ("unban", &["all", "192.0.2.0/24"]),
    ("company", &["7", "1"]),
    ("calls", &["7", "1"]),
    ("limits", &["company", "7", "1"]),
    ("release", &["nobody@192.0.2.7"]),
    ("reconcile", &["free"]),
    ("denied", &["7", "1"]),
    ("top", &["5"]),
    ("suggest", &["7"]),
    ("settings", &[]),
    ("set", &["event_callback", "on_event"]),
    ("problems", &["1"]),
    ("stats", &[]),
    ("version", &[]),
];
