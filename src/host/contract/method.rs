//! RPC methods as hosts and operators are told of them.

use std::ffi::CStr;
use std::fmt::Write;

/// An argument of a method.
pub struct Argument {
    /// By this name it may be given.
    pub name: &'static CStr,
    /// How a usage shows it, where that is more than its name.
    shown: Option<&'static str>,
}

impl Argument {
    /// Shown by its name.
    pub const fn new(name: &'static CStr) -> Self {
        Argument { name, shown: None }
    }

    /// Shown in another way.
    pub const fn shown(name: &'static CStr, shown: &'static str) -> Self {
        Argument { name, shown: Some(shown) }
    }

    fn write(&self, usage: &mut String) {
        let name = self.name.to_string_lossy();
        // A string takes all.
        let _ = match self.shown {
            Some(shown) => write!(usage, "{shown}"),
            None => write!(usage, "<{name}>"),
        };
    }
}

/// A method.
pub struct Method {
    /// Operators put the host's prefix before it.
    pub name: &'static CStr,
    /// One sentence.
    pub meaning: &'static CStr,
    /// In their order.
    pub arguments: &'static [Argument],
    /// The first so many of them must be given.
    pub required: usize,
}

impl Method {
    /// Its arguments as people write them: `<company> <ip> [<aor>]`.
    pub fn synopsis(&self) -> String {
        let mut synopsis = String::new();
        for (place, argument) in self.arguments.iter().enumerate() {
            synopsis.push_str(if place > 0 { " " } else { "" });
            synopsis.push_str(if place >= self.required { "[" } else { "" });
            argument.write(&mut synopsis);
        }
        synopsis + &"]".repeat(self.arguments.len().saturating_sub(self.required))
    }

    /// Its name, then its arguments.
    pub fn usage(&self) -> String {
        let usage = format!("{} {}", self.name.to_string_lossy(), self.synopsis());
        usage.trim_end().to_owned()
    }

    /// The position of an argument.
    pub(super) fn place_of(&self, name: &[u8]) -> Option<usize> {
        self.arguments.iter().position(|argument| argument.name.to_bytes() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usages_show_what_may_be_left_out() {
        static ARGUMENTS: [Argument; 3] = [
            Argument::shown(c"address", "<address|prefix>"),
            Argument::new(c"page"),
            Argument::shown(c"free", "free"),
        ];
        let usage = |count: usize, required| {
            let arguments = &ARGUMENTS[..count];
            Method { name: c"list", meaning: c"", arguments, required }.usage()
        };
        assert_eq!(usage(0, 0), "list");
        assert_eq!(usage(2, 2), "list <address|prefix> <page>");
        assert_eq!(usage(3, 1), "list <address|prefix> [<page> [free]]");
        assert_eq!(usage(1, 0), "list [<address|prefix>]");
    }
}
