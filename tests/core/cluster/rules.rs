//! The rules of the server and of nodes by name, for the checker, which leaves them out.

/// Rules that the checker may leave out. Each must be missed, but for `force_raises` and
/// `one_instance`, without which no limit is exceeded.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Requests of another session or incarnation are refused.
    pub fence: bool,
    /// Nothing is granted before all claims are published.
    pub barrier: bool,
    /// JOIN is not enough: PUBLISHED ends the waiting for a node.
    pub waits_for_published: bool,
    /// Claims of the session before go on counting until they are published anew.
    pub keeps_claims: bool,
    /// Burial removes the record, so that the session is over.
    pub buries_records: bool,
    /// If all that join may know too little, the barrier lasts as long as nodes may be silent.
    pub fresh_waits: bool,
    /// FORCE only raises.
    pub force_raises: bool,
    /// Lowers and forces of a batch go before its takes.
    pub lowers_first: bool,
    /// A call gets slots in all of its scopes or in none.
    pub all_or_none: bool,
    /// A name has one instance.
    pub one_instance: bool,
    /// A node becomes a member when all others know it.
    pub known_by_all: bool,
    /// After the server has slept nobody is dead at once.
    pub spares: bool,
    /// And no name is free.
    pub names_after_sleep: bool,
    /// Others than the members' fingerprints are refused while a member may live.
    pub strangers_wait: bool,
    /// And for as long as that may be after the server has slept.
    pub strangers_wait_after_sleep: bool,
    /// And while one may live that has claims to tell again.
    pub strangers_wait_for_expected: bool,
    /// When nobody may live any more they are not refused.
    pub strangers_begin: bool,
    /// An incarnation keeps the times with which it began.
    pub keeps_times: bool,
}

impl Rules {
    pub const ALL: Rules = Rules {
        fence: true,
        barrier: true,
        waits_for_published: true,
        keeps_claims: true,
        buries_records: true,
        fresh_waits: true,
        force_raises: true,
        lowers_first: true,
        all_or_none: true,
        one_instance: true,
        known_by_all: true,
        spares: true,
        names_after_sleep: true,
        strangers_wait: true,
        strangers_wait_after_sleep: true,
        strangers_wait_for_expected: true,
        strangers_begin: true,
        keeps_times: true,
    };
}

/// Rules of a node that may be left out. Each must be missed.
#[derive(Clone, Copy, Debug)]
pub struct NodeRules {
    /// What a claim is lowered to is lowered here before it is told.
    pub lowers_here_first: bool,
    /// Whatever leaves a grant idle marks its scope.
    pub settles: bool,
    /// The mirror knows a claim until the server says that it is gone.
    pub keeps_mirror: bool,
    /// A forced claim covers calls that live, and no more.
    pub forces_make_no_room: bool,
    /// A call that ends takes its slot along.
    pub takes_slots_along: bool,
    /// While the node trusts the server, calls without an answer are refused.
    pub slow_calls_are_refused: bool,
    /// A session or a beat counts when the replicas have it.
    pub waits_for_proof: bool,
    /// JOIN names the members that the node knows.
    pub tells_whom_it_knows: bool,
    /// The clock goes on while the machine sleeps.
    pub clock_sees_sleep: bool,
    /// Slots are asked for in scopes that lack one, and no other.
    pub asks_for_what_lacks: bool,
    /// A scope that a call names twice counts it once.
    pub counts_once: bool,
}

impl NodeRules {
    pub const ALL: NodeRules = NodeRules {
        lowers_here_first: true,
        settles: true,
        keeps_mirror: true,
        forces_make_no_room: true,
        takes_slots_along: true,
        slow_calls_are_refused: true,
        waits_for_proof: true,
        tells_whom_it_knows: true,
        clock_sees_sleep: true,
        asks_for_what_lacks: true,
        counts_once: true,
    };
}
