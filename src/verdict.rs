//! The one table of verdicts: what docs, `$swd`, logs, RPC and statistics print.
#![forbid(unsafe_code)]

/// What a script function decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The source is in one of the company's ranges.
    GrantedRange,
    /// The company has no IP filter.
    FilterOff,
    /// Filter on, source not granted.
    DeniedSource,
    /// Filter on and nothing listed: all is rejected.
    DeniedNoRanges,
    /// No such company; fails closed.
    UnknownCompany,
    /// No snapshot, bad argument, caught panic; fails closed.
    InternalError,
}

/// One row of the verdict table.
pub struct Entry {
    /// The verdict.
    pub verdict: Verdict,
    /// What the script function returns: above 0 allows, below 0 refuses, never 0.
    pub code: i32,
    /// The stable name.
    pub reason: &'static str,
    /// One sentence for people.
    pub meaning: &'static str,
}

/// Verdicts of `check_company_ip`.
pub const CHECK_COMPANY_IP: [Entry; 6] = [
    Entry {
        verdict: Verdict::GrantedRange,
        code: 1,
        reason: "granted_range",
        meaning: "the source is in one of the company's ranges",
    },
    Entry {
        verdict: Verdict::FilterOff,
        code: 2,
        reason: "filter_off",
        meaning: "the company has no IP filter",
    },
    Entry {
        verdict: Verdict::DeniedSource,
        code: -1,
        reason: "denied_source",
        meaning: "filter on, source not granted",
    },
    Entry {
        verdict: Verdict::DeniedNoRanges,
        code: -2,
        reason: "denied_no_ranges",
        meaning: "filter on and nothing listed: all is rejected",
    },
    Entry {
        verdict: Verdict::UnknownCompany,
        code: -3,
        reason: "unknown_company",
        meaning: "no such company: fails closed",
    },
    Entry {
        verdict: Verdict::InternalError,
        code: -9,
        reason: "internal_error",
        meaning: "no snapshot, bad argument, caught panic: fails closed",
    },
];

impl Verdict {
    /// The row of this verdict.
    pub const fn entry(self) -> &'static Entry {
        let [range, off, denied, no_ranges, unknown, error] = &CHECK_COMPANY_IP;
        match self {
            Verdict::GrantedRange => range,
            Verdict::FilterOff => off,
            Verdict::DeniedSource => denied,
            Verdict::DeniedNoRanges => no_ranges,
            Verdict::UnknownCompany => unknown,
            Verdict::InternalError => error,
        }
    }

    /// What the script function returns.
    pub const fn code(self) -> i32 {
        self.entry().code
    }

    /// The stable name.
    pub const fn reason(self) -> &'static str {
        self.entry().reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verdict_names_its_own_row() {
        for row in &CHECK_COMPANY_IP {
            assert_eq!(row.verdict.entry().reason, row.reason);
            assert_eq!(row.verdict, row.verdict.entry().verdict);
        }
    }

    #[test]
    fn no_code_ends_the_script() {
        assert!(CHECK_COMPANY_IP.iter().all(|row| row.code != 0));
    }

    #[test]
    fn codes_and_reasons_are_unique() {
        for (i, a) in CHECK_COMPANY_IP.iter().enumerate() {
            for b in &CHECK_COMPANY_IP[i + 1..] {
                assert_ne!(a.code, b.code);
                assert_ne!(a.reason, b.reason);
            }
        }
    }
}
