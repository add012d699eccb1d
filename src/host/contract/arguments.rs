//! Arguments of an RPC call, by position or by name.

use std::fmt::Display;

use super::abi;
use super::fault::Fault;
use super::method::Method;
use crate::printable::Printable;

/// What a host has for an argument.
pub(super) enum Given {
    Text(Vec<u8>),
    /// A number, perhaps in place of another text.
    Doubtful(Vec<u8>),
    Unusable,
}

/// All that were given with a call.
pub(super) struct Arguments {
    method: &'static Method,
    /// In the order of the method's.
    given: Vec<Option<Given>>,
    /// One more than the method has.
    further: Option<Given>,
}

impl Arguments {
    /// Reads them: each with its name, None where it goes by its position.
    ///
    /// # Errors
    /// A name that the method does not have, or that is given twice. Whether the values
    /// are usable is told when they are asked for.
    pub fn read(
        method: &'static Method,
        given: impl Iterator<Item = (Option<Vec<u8>>, Given)>,
    ) -> Result<Self, Fault> {
        let free = method.arguments.iter().map(|_| None).collect();
        let mut arguments = Arguments { method, given: free, further: None };
        let mut positions = 0..;
        for (name, value) in given {
            let by_position = name.is_none();
            let place = match &name {
                Some(name) => method.place_of(name).ok_or_else(|| {
                    let name = Printable::short(name);
                    arguments.misused(format_args!("there is no argument \"{name}\""))
                })?,
                None => positions.next().unwrap_or(usize::MAX),
            };
            let is_unusable = matches!(value, Given::Unusable);
            match arguments.given.get_mut(place) {
                Some(Some(_)) => {
                    let name = name.unwrap_or_default();
                    let name = Printable::short(&name);
                    return Err(arguments.misused(format_args!("{name} is given twice")));
                }
                Some(free) => *free = Some(value),
                None => {
                    arguments.further = Some(value);
                    break;
                }
            }
            // What follows may be a part of it.
            if is_unusable && by_position {
                break;
            }
        }
        Ok(arguments)
    }

    /// The argument of this name.
    pub fn get(&self, name: &str) -> Result<Option<&Given>, Fault> {
        let place = self.method.place_of(name.as_bytes());
        let given = place.and_then(|place| self.given.get(place));
        let unknown = || Fault::internal(format!("BUG: there is no argument {name}"));
        Ok(given.ok_or_else(unknown)?.as_ref())
    }

    /// One more than the method has.
    pub fn further(&self) -> Option<&Given> {
        self.further.as_ref()
    }

    /// What is wrong with them, after how they go.
    pub fn misused(&self, what: impl Display) -> Fault {
        let (prefix, usage) = (abi::method_prefix(), self.method.usage());
        Fault::argument(format!("usage: {prefix}{usage}; {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::method::Argument;
    use super::*;

    static METHOD: Method = Method {
        name: c"check",
        meaning: c"",
        arguments: &[Argument::new(c"ip"), Argument::new(c"aor")],
        required: 1,
    };

    fn read(given: &[(Option<&str>, &str)]) -> Result<Arguments, String> {
        let value = |text: &str| match text {
            "?" => Given::Unusable,
            text => Given::Text(text.into()),
        };
        let given = given.iter().map(|(name, text)| (name.map(|n| n.into()), value(text)));
        Arguments::read(&METHOD, given).map_err(|fault| fault.reason().to_owned())
    }

    fn texts(arguments: &Arguments) -> [Option<&str>; 3] {
        let text = |given: &Given| match given {
            Given::Text(text) => String::from_utf8(text.clone()).unwrap().leak(),
            _ => "?",
        };
        let [ip, aor] = ["ip", "aor"].map(|name| arguments.get(name).ok().unwrap().map(text));
        [ip, aor, arguments.further().map(text)]
    }

    #[test]
    fn names_and_positions_are_the_same() {
        let by_position = read(&[(None, "a"), (None, "b"), (None, "c"), (None, "d")]).unwrap();
        assert_eq!(texts(&by_position), [Some("a"), Some("b"), Some("c")]);
        let by_name = read(&[(Some("aor"), "b"), (Some("ip"), "a")]).unwrap();
        assert_eq!(texts(&by_name), [Some("a"), Some("b"), None]);
        assert_eq!(texts(&read(&[(Some("aor"), "b")]).unwrap()), [None, Some("b"), None]);
        assert_eq!(texts(&read(&[]).unwrap()), [None; 3]);
    }

    #[test]
    fn names_that_are_unknown_or_there_twice_are_faults() {
        let why = |given: &[(Option<&str>, &str)]| read(given).err().unwrap();
        let usage = "usage: sipwarden.check <ip> [<aor>]; ";
        assert_eq!(why(&[(Some("IP"), "a")]), format!("{usage}there is no argument \"IP\""));
        let twice = [(Some("ip"), "a"), (Some("ip"), "a")];
        assert_eq!(why(&twice), format!("{usage}ip is given twice"));
        assert_eq!(why(&[(None, "a"), (Some("ip"), "b")]), format!("{usage}ip is given twice"));
        assert_eq!(
            read(&[]).unwrap().get("page").err().unwrap().reason(),
            "BUG: there is no argument page"
        );
    }

    #[test]
    fn what_follows_an_unusable_position_is_not_read() {
        let given = read(&[(None, "?"), (None, "b")]).unwrap();
        assert_eq!(texts(&given), [Some("?"), None, None]);
        let by_name = read(&[(Some("aor"), "?"), (Some("ip"), "a")]).unwrap();
        assert_eq!(texts(&by_name), [Some("a"), Some("?"), None]);
    }
}
