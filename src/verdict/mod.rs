//! The one table of verdicts: what docs, `$swd`, logs, RPC and statistics print.
#![forbid(unsafe_code)]

mod functions;

pub use functions::{
    AUTH_CHECK, AUTH_FAILED, AUTH_OK, CC_LIMIT, CHECK_COMPANY_IP, CHECK_COUNTRY, Counted,
    FLOOD_CHECK, FUNCTIONS, Function, GRANT, ROADWARRIOR_ACQUIRE, SCANNER_CHECK, STATISTICS,
};

/// What a script function decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    GrantedRange,
    FilterOff,
    GrantedCountry,
    CountryListed,
    CountryNotListed,
    CountryUnknown,
    DeniedSource,
    DeniedNoRanges,
    RoadwarriorCounted,
    RoadwarriorHeld,
    RoadwarriorRequest,
    RoadwarriorEmergency,
    RoadwarriorNone,
    RoadwarriorLimit,
    CallCounted,
    CallHeld,
    CallEmergency,
    CallUntracked,
    CallHeldByOther,
    BrandLimit,
    CompanyLimit,
    CallDuplicate,
    UnderLimit,
    Exempt,
    FloodUntracked,
    FloodEmergency,
    FloodMonitored,
    FloodStarted,
    FloodBlocked,
    FloodThrottled,
    AuthClear,
    AuthCounted,
    AuthCleared,
    AuthUntracked,
    AuthSame,
    AuthMonitored,
    AuthChallenge,
    AuthBanStarted,
    AuthBanned,
    Monitored,
    UnknownCompany,
    InternalError,
    LedgerFull,
    BadAddress,
    BadAddressPassed,
    Limit,
    Rate,
    ScopesFull,
    TooManyScopes,
    FloodUnproven,
    FloodBudget,
    FloodBudgetSilent,
    Spraying,
    NoScanner,
    Scanner,
    GrantedTemporarily,
    GrantGiven,
    GrantNeedless,
    GrantsFull,
    CallCountedAlone,
    RoadwarriorCountedAlone,
    ClusterWait,
    ClusterDown,
    FloodListed,
    Ringing,
}

/// One row of the verdict table.
pub struct VerdictRow {
    pub verdict: Verdict,
    /// What the script function returns: above 0 allows, below 0 refuses; never 0.
    pub code: i32,
    pub reason: &'static str,
    /// One sentence for people.
    pub meaning: &'static str,
}

const fn row(
    verdict: Verdict,
    code: i32,
    reason: &'static str,
    meaning: &'static str,
) -> VerdictRow {
    VerdictRow { verdict, code, reason, meaning }
}

/// All verdicts, in the order of [`Verdict`].
pub const ENTRIES: [VerdictRow; 65] = [
    row(Verdict::GrantedRange, 1, "granted_range", "the source is in one of the company's ranges"),
    row(Verdict::FilterOff, 2, "filter_off", "the company has no IP filter"),
    row(Verdict::GrantedCountry, 3, "granted_country", "the source's country is granted"),
    row(Verdict::CountryListed, 1, "country_listed", "the address is in one of the countries"),
    row(Verdict::CountryNotListed, -1, "country_not_listed", "the address is in another country"),
    row(Verdict::CountryUnknown, -2, "country_unknown", "the country of the address is unknown"),
    row(Verdict::DeniedSource, -1, "denied_source", "the filter is on, the source is not granted"),
    row(
        Verdict::DeniedNoRanges,
        -2,
        "denied_no_ranges",
        "the filter is on, and nothing is listed: every source is refused",
    ),
    row(
        Verdict::RoadwarriorCounted,
        4,
        "roadwarrior_counted",
        "an INVITE took one of the user's slots",
    ),
    row(Verdict::RoadwarriorHeld, 5, "roadwarrior_held", "this dialog has its slot already"),
    row(
        Verdict::RoadwarriorRequest,
        6,
        "roadwarrior_request",
        "the request is not an initial INVITE: allowed, not counted",
    ),
    row(
        Verdict::RoadwarriorEmergency,
        7,
        "roadwarrior_emergency",
        "flag e: never refused, not counted here",
    ),
    row(
        Verdict::RoadwarriorNone,
        -4,
        "roadwarrior_none",
        "the user may not call from addresses that are not granted",
    ),
    row(
        Verdict::RoadwarriorLimit,
        -5,
        "roadwarrior_limit",
        "the user has as many calls from elsewhere as external_calls allows",
    ),
    row(Verdict::CallCounted, 1, "call_counted", "the call counts for the company and its brand"),
    row(Verdict::CallHeld, 2, "call_held", "this dialog is counted already"),
    row(
        Verdict::CallEmergency,
        3,
        "call_emergency",
        "flag e: counted; refused only by a limit with reserved slots",
    ),
    row(
        Verdict::CallUntracked,
        4,
        "call_untracked",
        "the request is within a call that has no dialog here: allowed, not counted",
    ),
    row(
        Verdict::CallHeldByOther,
        5,
        "call_held_by_other",
        "this dialog is counted for another company already: not counted again",
    ),
    row(Verdict::BrandLimit, -6, "brand_limit", "the brand's calls have reached its limit"),
    row(Verdict::CompanyLimit, -7, "company_limit", "the company's calls have reached its limit"),
    row(
        Verdict::CallDuplicate,
        -8,
        "call_duplicate",
        "another INVITE with this Call-ID and From tag is counted already",
    ),
    row(
        Verdict::UnderLimit,
        1,
        "under_limit",
        "the request is counted, and its source is within the limit",
    ),
    row(
        Verdict::Exempt,
        2,
        "exempt",
        "the source is exempt, by sipwarden_trusted or by a company's range: not counted",
    ),
    row(
        Verdict::FloodUntracked,
        3,
        "flood_untracked",
        "the table is full of blocks, there is no source address, or an error was caught: fails open",
    ),
    row(Verdict::FloodEmergency, 4, "flood_emergency", "flag e: counted, and not refused for it"),
    row(
        Verdict::FloodMonitored,
        5,
        "flood_monitored",
        "monitor mode: counted; without it the request would be refused",
    ),
    row(
        Verdict::FloodStarted,
        -1,
        "flood_started",
        "this request is above the limit: the block starts now",
    ),
    row(Verdict::FloodBlocked, -2, "flood_blocked", "the source is blocked: send no answer"),
    row(
        Verdict::FloodThrottled,
        -11,
        "flood_throttled",
        "the source is above the limit of a class that is never blocked: refused while the rate lasts",
    ),
    row(Verdict::AuthClear, 1, "auth_clear", "the AoR is not banned from this source"),
    row(Verdict::AuthCounted, 1, "auth_counted", "the failure is counted"),
    row(Verdict::AuthCleared, 1, "auth_cleared", "failures of this AoR and source are forgotten"),
    row(
        Verdict::AuthUntracked,
        3,
        "auth_untracked",
        "the table is full of bans, there is no AoR or source address, or an error was caught: fails open",
    ),
    row(
        Verdict::AuthSame,
        4,
        "auth_same",
        "the same wrong credentials within auth_same seconds: not counted again",
    ),
    row(
        Verdict::AuthMonitored,
        5,
        "auth_monitored",
        "monitor mode: counted; without it the request would be refused",
    ),
    row(
        Verdict::AuthChallenge,
        6,
        "auth_challenge",
        "the request has no credentials: it is challenged, and nothing is counted",
    ),
    row(
        Verdict::AuthBanStarted,
        -1,
        "auth_ban_started",
        "this failure reaches the limit: the ban starts now",
    ),
    row(Verdict::AuthBanned, -2, "auth_banned", "the AoR is banned from this source"),
    row(
        Verdict::Monitored,
        9,
        "monitored",
        "monitor mode: without it the request would be refused; the RPC `denied` tells the reason",
    ),
    row(Verdict::UnknownCompany, -3, "unknown_company", "there is no such company: fails closed"),
    row(
        Verdict::InternalError,
        -9,
        "internal_error",
        "no tables are loaded, an argument is wrong, there is no dialog, or an error was caught: fails closed",
    ),
    row(Verdict::LedgerFull, -10, "ledger_full", "max_calls calls are counted: fails closed"),
    row(
        Verdict::BadAddress,
        -12,
        "bad_address",
        "the script gave a text that is not an IP address: fails closed",
    ),
    row(
        Verdict::BadAddressPassed,
        7,
        "bad_address",
        "the script gave a text that is not an IP address: nothing is judged, fails open",
    ),
    row(
        Verdict::Limit,
        -13,
        "limit",
        "the calls of a scope have reached its limit: $swd(limit_kind) and $swd(limit_id) name it",
    ),
    row(
        Verdict::Rate,
        -14,
        "rate",
        "a scope has as many new calls in its window as max_new allows; named as for limit",
    ),
    row(
        Verdict::ScopesFull,
        -15,
        "scopes_full",
        "there is no room for another id of the script's: fails closed",
    ),
    row(
        Verdict::TooManyScopes,
        -16,
        "too_many_scopes",
        "a call counts against at most 12 scopes, its company and brand among them: fails closed",
    ),
    row(
        Verdict::FloodUnproven,
        -17,
        "flood_unproven",
        "the source is above the limit by requests that anybody may have forged: refused while the rate lasts, never blocked",
    ),
    row(
        Verdict::FloodBudget,
        -18,
        "flood_budget",
        "the unknown sources of the class have sent all requests of its budget: answer 503 with Retry-After",
    ),
    row(
        Verdict::FloodBudgetSilent,
        -19,
        "flood_budget_silent",
        "the same for more than 10 seconds: send no answer",
    ),
    row(
        Verdict::Spraying,
        -20,
        "spraying",
        "with this failure the source passes a limit of spraying: it is blocked from now on",
    ),
    row(
        Verdict::NoScanner,
        1,
        "no_scanner",
        "the request does not look like one of a known scanner",
    ),
    row(Verdict::Scanner, -1, "scanner", "the request calls itself as a known scanner does"),
    row(
        Verdict::GrantedTemporarily,
        8,
        "granted_temporarily",
        "a grant that has not ended allows the source: the RPC `grants` has it",
    ),
    row(
        Verdict::GrantGiven,
        1,
        "grant_given",
        "the source is allowed for the company until the grant ends",
    ),
    row(
        Verdict::GrantNeedless,
        2,
        "grant_needless",
        "the company's tables allow the source: nothing is kept",
    ),
    row(Verdict::GrantsFull, -17, "grants_full", "there is no room for another grant"),
    row(
        Verdict::CallCountedAlone,
        6,
        "call_counted_alone",
        "counted by cluster_policy: the other proxies cannot be asked",
    ),
    row(
        Verdict::RoadwarriorCountedAlone,
        10,
        "roadwarrior_counted_alone",
        "the same for a slot of the user: counted by cluster_policy_user",
    ),
    row(
        Verdict::ClusterWait,
        -21,
        "cluster_wait",
        "the cluster gave no answer in time: ask the caller to try again",
    ),
    row(
        Verdict::ClusterDown,
        -22,
        "cluster_down",
        "the other proxies cannot be asked, and the policy for that admits no more calls here",
    ),
    row(
        Verdict::FloodListed,
        -21,
        "listed",
        "a feed (blocklist_file) lists the source, which is neither trusted, authorized, granted nor proven by a login or a call: send no answer",
    ),
    row(
        Verdict::Ringing,
        -23,
        "ringing",
        "a scope has as many calls that are not answered yet as max_ringing allows; named as for limit",
    ),
];

impl Verdict {
    /// The row of this verdict.
    pub const fn entry(self) -> &'static VerdictRow {
        // In bounds by the assertion below.
        #[allow(clippy::indexing_slicing)]
        &ENTRIES[self as usize]
    }

    /// What the script function returns.
    pub const fn code(self) -> i32 {
        self.entry().code
    }

    pub const fn reason(self) -> &'static str {
        self.entry().reason
    }
}

#[allow(clippy::indexing_slicing)] // while compiling
const _: () = {
    let mut n = 0;
    while n < ENTRIES.len() {
        assert!(ENTRIES[n].verdict as usize == n && ENTRIES[n].code != 0);
        n += 1;
    }
    assert!(Verdict::Ringing as usize + 1 == ENTRIES.len());
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_unique_and_codes_within_a_function_too() {
        // A reason may refuse in one function and pass in another.
        let named = |e: &VerdictRow| (e.reason, e.code > 0);
        for (i, a) in ENTRIES.iter().enumerate() {
            assert!(ENTRIES[i + 1..].iter().all(|b| named(a) != named(b)));
        }
        for function in FUNCTIONS {
            for (i, (a, _)) in function.verdicts.iter().enumerate() {
                let others = &function.verdicts[i + 1..];
                assert!(others.iter().all(|(b, _)| a.code() != b.code()));
                assert!(others.iter().all(|(b, _)| a.reason() != b.reason()));
            }
        }
    }
}
