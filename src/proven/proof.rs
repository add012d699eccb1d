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
}

impl Proof {
    pub const ALL: [Proof; 3] = [Proof::Connection, Proof::Authentication, Proof::Dialog];

    /// As listings print it.
    pub const fn name(self) -> &'static str {
        match self {
            Proof::Connection => "connection",
            Proof::Authentication => "authentication",
            Proof::Dialog => "dialog",
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
