//! Why a source that is listed is served all the same.

/// The first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// `sipwarden_trusted` has it, in whatever class.
    Trusted,
    /// It is in a range of a company whose filter is on.
    Authorized,
    /// A company may use it for a time.
    Granted,
    /// It has authenticated, or sent a request within a call that counts.
    Proven,
}

impl Pass {
    /// As listings print it.
    pub const fn name(self) -> &'static str {
        match self {
            Pass::Trusted => "trusted",
            Pass::Authorized => "authorized",
            Pass::Granted => "granted",
            Pass::Proven => "proven",
        }
    }
}
