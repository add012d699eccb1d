//! The script functions: what each may decide, and the statistics that count it.

use std::ffi::CStr;

use super::{ENTRIES, Verdict};

/// A verdict of a function and the statistic that counts it.
pub type Counted = (Verdict, &'static CStr);

/// A script function and its verdicts.
pub struct Function {
    pub name: &'static str,
    /// Place in [`FUNCTIONS`].
    place: usize,
    /// What it may decide.
    pub verdicts: &'static [Counted],
}

pub const CHECK_COMPANY_IP: Function = Function {
    name: "check_company_ip",
    place: 0,
    verdicts: &[
        (Verdict::GrantedRange, c"check_granted_range"),
        (Verdict::FilterOff, c"check_filter_off"),
        (Verdict::GrantedCountry, c"check_granted_country"),
        (Verdict::GrantedTemporarily, c"check_granted_temporarily"),
        (Verdict::Monitored, c"check_monitored"),
        (Verdict::DeniedSource, c"check_denied_source"),
        (Verdict::DeniedNoRanges, c"check_denied_no_ranges"),
        (Verdict::UnknownCompany, c"check_unknown_company"),
        (Verdict::InternalError, c"check_internal_error"),
        (Verdict::BadAddress, c"check_bad_address"),
    ],
};

pub const ROADWARRIOR_ACQUIRE: Function = Function {
    name: "roadwarrior_acquire",
    place: 1,
    verdicts: &[
        (Verdict::GrantedRange, c"roadwarrior_granted_range"),
        (Verdict::FilterOff, c"roadwarrior_filter_off"),
        (Verdict::GrantedCountry, c"roadwarrior_granted_country"),
        (Verdict::GrantedTemporarily, c"roadwarrior_granted_temporarily"),
        (Verdict::RoadwarriorCounted, c"roadwarrior_counted"),
        (Verdict::RoadwarriorHeld, c"roadwarrior_held"),
        (Verdict::RoadwarriorRequest, c"roadwarrior_request"),
        (Verdict::RoadwarriorEmergency, c"roadwarrior_emergency"),
        (Verdict::Monitored, c"roadwarrior_monitored"),
        (Verdict::RoadwarriorCountedAlone, c"roadwarrior_counted_alone"),
        (Verdict::CallDuplicate, c"roadwarrior_call_duplicate"),
        (Verdict::ClusterWait, c"roadwarrior_cluster_wait"),
        (Verdict::ClusterDown, c"roadwarrior_cluster_down"),
        (Verdict::RoadwarriorNone, c"roadwarrior_none"),
        (Verdict::RoadwarriorLimit, c"roadwarrior_limit"),
        (Verdict::UnknownCompany, c"roadwarrior_unknown_company"),
        (Verdict::InternalError, c"roadwarrior_internal_error"),
        (Verdict::LedgerFull, c"roadwarrior_ledger_full"),
        (Verdict::BadAddress, c"roadwarrior_bad_address"),
    ],
};

pub const CC_LIMIT: Function = Function {
    name: "cc_limit",
    place: 2,
    verdicts: &[
        (Verdict::CallCounted, c"cc_call_counted"),
        (Verdict::CallHeld, c"cc_call_held"),
        (Verdict::CallEmergency, c"cc_call_emergency"),
        (Verdict::CallUntracked, c"cc_call_untracked"),
        (Verdict::CallHeldByOther, c"cc_call_held_by_other"),
        (Verdict::Monitored, c"cc_monitored"),
        (Verdict::CallCountedAlone, c"cc_call_counted_alone"),
        (Verdict::CallDuplicate, c"cc_call_duplicate"),
        (Verdict::ClusterWait, c"cc_cluster_wait"),
        (Verdict::ClusterDown, c"cc_cluster_down"),
        (Verdict::BrandLimit, c"cc_brand_limit"),
        (Verdict::CompanyLimit, c"cc_company_limit"),
        (Verdict::Limit, c"cc_limit"),
        (Verdict::Rate, c"cc_rate"),
        (Verdict::Ringing, c"cc_ringing"),
        (Verdict::ScopesFull, c"cc_scopes_full"),
        (Verdict::TooManyScopes, c"cc_too_many_scopes"),
        (Verdict::UnknownCompany, c"cc_unknown_company"),
        (Verdict::InternalError, c"cc_internal_error"),
        (Verdict::LedgerFull, c"cc_ledger_full"),
    ],
};

pub const FLOOD_CHECK: Function = Function {
    name: "flood_check",
    place: 3,
    verdicts: &[
        (Verdict::UnderLimit, c"flood_under_limit"),
        (Verdict::Exempt, c"flood_exempt"),
        (Verdict::FloodUntracked, c"flood_untracked"),
        (Verdict::FloodEmergency, c"flood_emergency"),
        (Verdict::FloodMonitored, c"flood_monitored"),
        (Verdict::FloodStarted, c"flood_started"),
        (Verdict::FloodBlocked, c"flood_blocked"),
        (Verdict::FloodThrottled, c"flood_throttled"),
        (Verdict::FloodUnproven, c"flood_unproven"),
        (Verdict::FloodBudget, c"flood_budget"),
        (Verdict::FloodBudgetSilent, c"flood_budget_silent"),
        (Verdict::FloodListed, c"flood_listed"),
        (Verdict::BadAddressPassed, c"flood_bad_address"),
    ],
};

pub const CHECK_COUNTRY: Function = Function {
    name: "check_country",
    place: 4,
    verdicts: &[
        (Verdict::CountryListed, c"country_listed"),
        (Verdict::CountryNotListed, c"country_not_listed"),
        (Verdict::CountryUnknown, c"country_unknown"),
        (Verdict::InternalError, c"country_internal_error"),
        (Verdict::BadAddress, c"country_bad_address"),
    ],
};

pub const AUTH_CHECK: Function = Function {
    name: "auth_check",
    place: 5,
    verdicts: &[
        (Verdict::AuthClear, c"auth_check_clear"),
        (Verdict::Exempt, c"auth_check_exempt"),
        (Verdict::AuthUntracked, c"auth_check_untracked"),
        (Verdict::AuthMonitored, c"auth_check_monitored"),
        (Verdict::AuthBanned, c"auth_check_banned"),
        (Verdict::BadAddressPassed, c"auth_check_bad_address"),
    ],
};

pub const AUTH_FAILED: Function = Function {
    name: "auth_failed",
    place: 6,
    verdicts: &[
        (Verdict::AuthCounted, c"auth_failed_counted"),
        (Verdict::Exempt, c"auth_failed_exempt"),
        (Verdict::AuthUntracked, c"auth_failed_untracked"),
        (Verdict::AuthSame, c"auth_failed_same"),
        (Verdict::AuthMonitored, c"auth_failed_monitored"),
        (Verdict::AuthChallenge, c"auth_failed_challenge"),
        (Verdict::AuthBanStarted, c"auth_failed_ban_started"),
        (Verdict::AuthBanned, c"auth_failed_banned"),
        (Verdict::Spraying, c"auth_failed_spraying"),
        (Verdict::BadAddressPassed, c"auth_failed_bad_address"),
    ],
};

pub const AUTH_OK: Function = Function {
    name: "auth_ok",
    place: 7,
    verdicts: &[
        (Verdict::AuthCleared, c"auth_ok_cleared"),
        (Verdict::Exempt, c"auth_ok_exempt"),
        (Verdict::AuthUntracked, c"auth_ok_untracked"),
        (Verdict::AuthMonitored, c"auth_ok_monitored"),
        (Verdict::AuthBanned, c"auth_ok_banned"),
        (Verdict::BadAddressPassed, c"auth_ok_bad_address"),
    ],
};

pub const SCANNER_CHECK: Function = Function {
    name: "scanner_check",
    place: 8,
    verdicts: &[
        (Verdict::NoScanner, c"scanner_check_clear"),
        (Verdict::Monitored, c"scanner_check_monitored"),
        (Verdict::Scanner, c"scanner_check_scanner"),
    ],
};

pub const GRANT: Function = Function {
    name: "grant",
    place: 9,
    verdicts: &[
        (Verdict::GrantGiven, c"grant_given"),
        (Verdict::GrantNeedless, c"grant_needless"),
        (Verdict::UnknownCompany, c"grant_unknown_company"),
        (Verdict::GrantsFull, c"grant_full"),
        (Verdict::InternalError, c"grant_internal_error"),
        (Verdict::BadAddress, c"grant_bad_address"),
    ],
};

/// All script functions, in the order of their statistics.
pub const FUNCTIONS: [&Function; 10] = [
    &CHECK_COMPANY_IP,
    &ROADWARRIOR_ACQUIRE,
    &CC_LIMIT,
    &FLOOD_CHECK,
    &CHECK_COUNTRY,
    &AUTH_CHECK,
    &AUTH_FAILED,
    &AUTH_OK,
    &SCANNER_CHECK,
    &GRANT,
];

/// Number of the first statistic of each function; the last one is their count.
#[allow(clippy::indexing_slicing)] // while compiling
const FIRST: [usize; FUNCTIONS.len() + 1] = {
    let mut first = [0; FUNCTIONS.len() + 1];
    let mut n = 0;
    while n < FUNCTIONS.len() {
        assert!(FUNCTIONS[n].place == n);
        first[n + 1] = first[n] + FUNCTIONS[n].verdicts.len();
        n += 1;
    }
    first
};

/// Statistics of all functions together.
#[allow(clippy::indexing_slicing)] // while compiling
pub const STATISTICS: usize = FIRST[FUNCTIONS.len()];

/// Number of the statistic of each verdict of each function, from 1; 0 for none.
#[allow(clippy::indexing_slicing)] // while compiling
static NUMBERS: [[u16; ENTRIES.len()]; FUNCTIONS.len()] = {
    let mut numbers = [[0; ENTRIES.len()]; FUNCTIONS.len()];
    let mut function = 0;
    while function < FUNCTIONS.len() {
        let verdicts = FUNCTIONS[function].verdicts;
        let mut n = 0;
        while n < verdicts.len() {
            numbers[function][verdicts[n].0 as usize] = (FIRST[function] + n + 1) as u16;
            n += 1;
        }
        function += 1;
    }
    numbers
};

impl Function {
    /// Place in [`FUNCTIONS`].
    pub const fn place(&self) -> usize {
        self.place
    }

    /// Number of the statistic of a verdict; None for a verdict of another function.
    pub fn statistic(&self, verdict: Verdict) -> Option<usize> {
        let number = *NUMBERS.get(self.place)?.get(verdict as usize)?;
        usize::from(number).checked_sub(1)
    }
}
