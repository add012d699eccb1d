//! Why a call that counted ended although neither end hung up.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Expiry {
    /// The dialog's lifetime was over.
    Lifetime,
    /// The answer was never acknowledged.
    NoAck,
    /// The caller answered no keepalive.
    CallerSilent,
    /// The callee answered no keepalive.
    CalleeSilent,
    /// The caller answered that the call is gone.
    CallerGone,
    /// The callee answered that the call is gone.
    CalleeGone,
    /// It was not answered for longer than dialogs may live without an answer.
    Early,
    /// It has lasted as long as the limits of its scopes allow.
    Longest,
}

impl Expiry {
    pub const ALL: [Expiry; 8] = [
        Expiry::Lifetime,
        Expiry::NoAck,
        Expiry::CallerSilent,
        Expiry::CalleeSilent,
        Expiry::CallerGone,
        Expiry::CalleeGone,
        Expiry::Early,
        Expiry::Longest,
    ];

    /// As `$swd(reason)` prints it.
    pub const fn reason(self) -> &'static str {
        match self {
            Expiry::Lifetime => "lifetime",
            Expiry::NoAck => "no_ack",
            Expiry::CallerSilent => "caller_silent",
            Expiry::CalleeSilent => "callee_silent",
            Expiry::CallerGone => "caller_gone",
            Expiry::CalleeGone => "callee_gone",
            Expiry::Early => "not_answered",
            Expiry::Longest => "longest",
        }
    }

    /// For the log.
    pub const fn meaning(self) -> &'static str {
        match self {
            Expiry::Lifetime => "the lifetime of its dialog is over",
            Expiry::NoAck => "its answer was never acknowledged",
            Expiry::CallerSilent => "the caller does not answer the keepalive",
            Expiry::CalleeSilent => "the callee does not answer the keepalive",
            Expiry::CallerGone => "the caller answers the keepalive that the call is gone",
            Expiry::CalleeGone => "the callee answers the keepalive that the call is gone",
            Expiry::Early => "it was not answered within the dialog module's early_timeout",
            Expiry::Longest => "it has lasted as long as `longest` of limit_table allows",
        }
    }
}
