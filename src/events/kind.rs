//! The kinds of events, their names, and what the script is told of each.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EventKind {
    /// A source is blocked.
    BlockStarted,
    BlockEnded,
    /// A request was refused for its source.
    Denied,
    /// A call was refused: the calls of a scope have reached its limit.
    Limit,
    /// Calls of a scope have come near to its limit.
    NearLimit,
    Reload,
    ReloadFailed,
    /// A call was still counted while its dialog was gone.
    Leak,
    /// An AoR is banned from a source.
    BanStarted,
    BanEnded,
    /// A call that counted ended although neither end hung up.
    CallExpired,
    /// A company may use a source for a time.
    GrantStarted,
    GrantEnded,
    /// A host name means other addresses from now on.
    NameChanged,
}

impl EventKind {
    pub const ALL: [EventKind; 14] = [
        EventKind::BlockStarted,
        EventKind::BlockEnded,
        EventKind::Denied,
        EventKind::Limit,
        EventKind::NearLimit,
        EventKind::Reload,
        EventKind::ReloadFailed,
        EventKind::Leak,
        EventKind::BanStarted,
        EventKind::BanEnded,
        EventKind::CallExpired,
        EventKind::GrantStarted,
        EventKind::GrantEnded,
        EventKind::NameChanged,
    ];

    /// Every name under which the script is told: [`EventKind::route`] of each, and what
    /// tells of all calls now and then.
    pub const ROUTES: [&str; 10] = [
        "block", "unblock", "denied", "limit", "reload", "leak", "expired", "grant", "name",
        "gauge",
    ];

    /// As `$swd(event)` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            EventKind::BlockStarted => "block_started",
            EventKind::BlockEnded => "block_ended",
            EventKind::Denied => "denied",
            EventKind::Limit => "limit",
            EventKind::NearLimit => "near_limit",
            EventKind::Reload => "reload",
            EventKind::ReloadFailed => "reload_failed",
            EventKind::Leak => "leak",
            EventKind::BanStarted => "auth_ban_started",
            EventKind::BanEnded => "auth_ban_ended",
            EventKind::CallExpired => "call_expired",
            EventKind::GrantStarted => "grant_started",
            EventKind::GrantEnded => "grant_ended",
            EventKind::NameChanged => "name_changed",
        }
    }

    /// The name under which the script is told: what it has one route for.
    pub const fn route(self) -> &'static str {
        match self {
            EventKind::BlockStarted | EventKind::BanStarted => "block",
            EventKind::BlockEnded | EventKind::BanEnded => "unblock",
            EventKind::Denied => "denied",
            EventKind::Limit | EventKind::NearLimit => "limit",
            EventKind::Reload | EventKind::ReloadFailed => "reload",
            EventKind::Leak => "leak",
            EventKind::CallExpired => "expired",
            EventKind::GrantStarted | EventKind::GrantEnded => "grant",
            EventKind::NameChanged => "name",
        }
    }
    /// The attributes of `$swd` that it may have; all have `event`, `reason`, `count` and
    /// `monitored`.
    pub const fn attributes(self) -> &'static [&'static str] {
        match self {
            EventKind::BlockStarted | EventKind::BlockEnded => {
                &["code", "class", "function", "ip", "learnt", "country", "calls", "since", "until"]
            }
            EventKind::BanStarted => {
                &["code", "function", "ip", "learnt", "country", "aor", "calls", "since", "until"]
            }
            EventKind::BanEnded => &["ip", "country", "aor", "calls", "since", "until"],
            EventKind::GrantStarted => {
                &["function", "ip", "country", "company", "text", "since", "until"]
            }
            EventKind::GrantEnded => {
                &["function", "ip", "country", "company", "text", "calls", "since", "until"]
            }
            EventKind::NameChanged => &["ip", "country", "company", "text"],
            EventKind::Denied => &[
                "code", "function", "ip", "learnt", "country", "company", "brand", "aor",
                "call_id", "from",
            ],
            EventKind::Limit => &[
                "code",
                "class",
                "function",
                "ip",
                "learnt",
                "country",
                "company",
                "brand",
                "aor",
                "text",
                "call_id",
                "from",
                "calls",
                "limit",
                "limit_kind",
                "limit_id",
                "limit_direction",
            ],
            EventKind::NearLimit => &[
                "company",
                "brand",
                "text",
                "calls",
                "limit",
                "limit_near",
                "limit_kind",
                "limit_id",
                "limit_direction",
            ],
            EventKind::Reload => &["calls"],
            EventKind::ReloadFailed => &["text"],
            EventKind::Leak => &["text", "call_id"],
            EventKind::CallExpired => &["company", "brand", "text", "call_id"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::EventKind;

    #[test]
    fn routes_are_those_of_all_kinds() {
        let of_kinds = EventKind::ALL.map(EventKind::route);
        assert!(of_kinds.iter().all(|route| EventKind::ROUTES.contains(route)));
        let mut routes = EventKind::ROUTES.iter();
        assert!(routes.all(|route| *route == "gauge" || of_kinds.contains(route)));
    }
}
