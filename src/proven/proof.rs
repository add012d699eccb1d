//! How a source has proven itself.

/// What a source could not have done without receiving what was sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Proof {
    /// A request came over TCP, TLS or WebSocket.
    Connection,
    /// It authenticated, with the nonce that it was sent.
    Authentication,
    /// A request within a call that counts, with the tag that it was sent.
    Dialog,
    /// It answered a nonce that only it was sent, with a wrong password.
    Nonce,
}

impl Proof {
    pub const ALL: [Proof; 4] =
        [Proof::Connection, Proof::Authentication, Proof::Dialog, Proof::Nonce];

    /// As listings print it.
    pub const fn name(self) -> &'static str {
        match self {
            Proof::Connection => "connection",
            Proof::Authentication => "authentication",
            Proof::Dialog => "dialog",
            Proof::Nonce => "nonce",
        }
    }
}

/// A set of proofs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proofs(u8);

impl Proofs {
    /// With one more.
    pub fn with(self, proof: Proof) -> Self {
        Proofs(self.0 | 1 << proof as u8)
    }

    pub fn have(self, proof: Proof) -> bool {
        self.0 & 1 << proof as u8 != 0
    }

    /// Whether it is somebody that is served, beyond that its address is its own. Scanners open
    /// connections and guess at passwords.
    pub fn show_customer(self) -> bool {
        self.have(Proof::Authentication) || self.have(Proof::Dialog)
    }

    /// Whether budgets leave it alone, and it has the class of proven sources. Whoever guesses
    /// at passwords has no more than a nonce.
    pub fn spare_budget(self) -> bool {
        self.have(Proof::Connection) || self.show_customer()
    }

    pub(super) fn bits(self) -> u8 {
        self.0
    }

    pub(super) fn from_bits(bits: u8) -> Self {
        Proofs(bits)
    }

    /// Its proofs with commas between.
    pub fn names(self) -> String {
        let names = Proof::ALL.into_iter().filter(|proof| self.have(*proof)).map(Proof::name);
        names.collect::<Vec<_>>().join(",")
    }
}
