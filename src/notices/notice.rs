//! One notice, and how it is written at the server.

use std::fmt::Write;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// Something that began, or was lifted, with a name that is the same on all nodes. Times are of
/// the server's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Kind and whom it is about.
    pub name: String,
    /// When it began or was lifted, in us.
    pub version: u64,
    /// When it is void, in ms.
    pub until: u64,
    /// What is said of it; None: it is lifted.
    pub line: Option<String>,
}

/// Proves that a notice is one of this cluster: whoever can only write to the server can
/// withhold notices, but make none.
#[derive(Clone, Copy)]
pub struct Seal(pub [u64; 2]);

impl Seal {
    fn of(self, notice: &Notice) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(self.0[0], self.0[1]);
        let line = notice.line.as_deref();
        for part in [notice.name.as_bytes(), line.unwrap_or_default().as_bytes()] {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part);
        }
        for number in [notice.version, notice.until, u64::from(line.is_some())] {
            hasher.write(&number.to_le_bytes());
        }
        hasher.finish128().as_u128()
    }

    /// Names a memory for notices that are sealed so. `random`: of this memory alone.
    pub fn memory(self, random: u64) -> String {
        let mut hasher = SipHasher13::new_with_keys(self.0[0], self.0[1]);
        hasher.write(b"memory");
        format!("{:016x}{random:016x}", hasher.finish128().h1)
    }
}

impl Notice {
    /// Whether it holds, of two of a name: the later one; of two that are as late, as when two
    /// nodes tell anew what they had, the one that lifts; else the one that ends later.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        let order = |notice: &Self| (notice.version, notice.line.is_none(), notice.until);
        order(self) > order(other)
    }

    /// As it stands at the server, behind its name.
    pub fn write(&self, seal: Seal) -> String {
        let mut text = format!("{} {} {:032x}", self.version, self.until, seal.of(self));
        if let Some(line) = &self.line {
            let _ = write!(text, " {line}");
        }
        text
    }

    /// None: it is none, or not one of this cluster.
    pub fn read(name: &str, text: &str, seal: Seal) -> Option<Self> {
        let mut parts = text.splitn(4, ' ');
        let (version, until, proof) = (parts.next()?, parts.next()?, parts.next()?);
        let notice = Notice {
            name: name.to_owned(),
            version: version.parse().ok()?,
            until: until.parse().ok()?,
            line: parts.next().map(str::to_owned),
        };
        let proof = u128::from_str_radix(proof, 16).ok()?;
        (proof == seal.of(&notice)).then_some(notice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEAL: Seal = Seal([1, 2]);

    fn notice(line: Option<&str>) -> Notice {
        let name = "block 192.0.2.1/32".to_owned();
        Notice { name, version: 5, until: 9, line: line.map(str::to_owned) }
    }

    #[test]
    fn what_is_written_is_read() {
        for line in [None, Some(""), Some("a b c"), Some("  ")] {
            let of = notice(line);
            assert_eq!(Notice::read(&of.name, &of.write(SEAL), SEAL), Some(of));
        }
    }

    #[test]
    fn what_others_have_made_is_none() {
        let of = notice(Some("grant"));
        let text = of.write(SEAL);
        assert!(text.starts_with("5 9 ") && text.ends_with(" grant"));
        let forged = [
            ("block 192.0.2.2/32", text.clone()),
            (&*of.name, text.replace("5 9 ", "6 9 ")),
            (&*of.name, text.replace("5 9 ", "5 99 ")),
            (&*of.name, text.replace(" grant", " grants")),
            (&*of.name, text.replace(" grant", "")),
            (&*of.name, of.write(Seal([1, 3]))),
            (&*of.name, String::new()),
            (&*of.name, "5 9".to_owned()),
        ];
        for (name, text) in forged {
            assert_eq!(Notice::read(name, &text, SEAL), None, "{name}: {text}");
        }
    }
}
