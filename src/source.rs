//! The source that a function judges: its address, and how it was learnt.
#![forbid(unsafe_code)]

use crate::address::Address;

/// How the address of a source was learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Learnt {
    /// The packet came from it.
    #[default]
    Packet,
    /// The sender of the packet named it by the PROXY protocol.
    Proxy,
    /// The script gave it to the function.
    Script,
}

impl Learnt {
    pub const ALL: [Learnt; 3] = [Learnt::Packet, Learnt::Proxy, Learnt::Script];

    /// As listings print it.
    pub const fn name(self) -> &'static str {
        match self {
            Learnt::Packet => "packet",
            Learnt::Proxy => "proxy",
            Learnt::Script => "script",
        }
    }
}

/// What is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub address: Address,
    /// How that was learnt.
    pub learnt: Learnt,
}

impl From<Address> for Source {
    /// The sender of a packet.
    fn from(address: Address) -> Self {
        Source { address, learnt: Learnt::Packet }
    }
}

/// The ways in which the requests of a blocked source have come. A firewall sees only those
/// whose packets come from the source itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ways(u32);

impl Ways {
    pub const NONE: Self = Ways(0);

    pub fn add(&mut self, learnt: Learnt) {
        self.0 |= 1 << learnt as u32;
    }

    pub fn have(self, learnt: Learnt) -> bool {
        self.0 & 1 << learnt as u32 != 0
    }

    /// The first of them, in the order of [`Learnt::ALL`].
    pub fn first(self) -> Option<Learnt> {
        Learnt::ALL.into_iter().find(|way| self.have(*way))
    }

    /// The set as a number, and back.
    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        Ways(bits)
    }

    /// Its ways with commas between; `none` for none.
    pub fn names(self) -> String {
        let names = Learnt::ALL.into_iter().filter(|way| self.have(*way)).map(Learnt::name);
        match self {
            Ways::NONE => "none".into(),
            _ => names.collect::<Vec<_>>().join(","),
        }
    }

    /// The reverse of [`Ways::names`].
    pub fn from_names(names: &str) -> Option<Self> {
        let mut ways = Ways::NONE;
        for name in names.split(',').filter(|name| *name != "none") {
            ways.add(Learnt::ALL.into_iter().find(|way| way.name() == name)?);
        }
        Some(ways)
    }
}

impl From<Learnt> for Ways {
    fn from(learnt: Learnt) -> Self {
        let mut ways = Ways::NONE;
        ways.add(learnt);
        ways
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_their_names() {
        for (ways, names) in [
            (Ways::NONE, "none"),
            (Ways::from(Learnt::Packet), "packet"),
            (Ways(6), "proxy,script"),
            (Ways(7), "packet,proxy,script"),
        ] {
            assert_eq!(ways.names(), names);
            assert_eq!(Ways::from_names(names), Some(ways));
        }
        assert_eq!(Ways::from_names("packet,radio"), None);
        assert_eq!(Ways::from_names(""), None);
        assert!(!Ways(6).have(Learnt::Packet));
    }
}
