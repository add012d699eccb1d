//! The server's script, its arguments, and its answers.

use std::collections::BTreeMap;
use std::iter;

use super::batch::MOST;
use super::key::Key;
use super::message::{Claim, Group, Reply, Request, Seen, Stamp, Take};
use super::trust::Times;

/// The script. The first of its keys is that of the members, and ends in `m`.
pub const SCRIPT: &str = include_str!("script.lua");

/// Values that Lua unpacks at once: of 8,000 on its stack.
const LUA_VALUES: usize = 7_900;

/// Whether the largest request of calls that want so many scopes each is one that Lua can unpack.
pub const fn fits_lua(wants: usize) -> bool {
    3 + 2 * MOST + MOST * (1 + 2 * wants) < LUA_VALUES
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(i64),
    /// A text.
    Text(Vec<u8>),
    /// More of them.
    List(Vec<Value>),
}

/// What follows the script's name in EVALSHA: the number of its keys, the keys, the arguments.
/// `members`: the key of the members.
pub fn encode(request: &Request, times: &Times, members: &str) -> Vec<Vec<u8>> {
    let head = |mode: &str, stamp: &Stamp| {
        let Stamp { number, session, incarnation, knows } = *stamp;
        let numbers = [number, session, incarnation, knows, times.beat, times.dead];
        let numbers = numbers.map(|number| number.to_string());
        iter::once(mode.to_owned()).chain(numbers).collect::<Vec<_>>()
    };
    let (mut scopes, mut words) = (Scopes::default(), Vec::new());
    let arguments = match request {
        Request::Join(join) => {
            let number = join.number.unwrap_or(0);
            let incarnation = join.incarnation;
            let mut arguments = head("join", &Stamp { number, incarnation, ..Stamp::default() });
            arguments.push(join.next_incarnation.to_string());
            arguments.push(format!("{:032x}", join.instance));
            arguments.push(join.name.clone());
            arguments.push(format!("{:032x}", join.fingerprint));
            arguments.push(join.server.clone());
            arguments.push(u64::from(join.fresh).to_string());
            arguments.extend(join.known.iter().map(u64::to_string));
            arguments
        }
        Request::Publish(stamp, claims) => {
            words.push(claims.len() as u32);
            scopes.write(claims, &mut words);
            head("publish", stamp)
        }
        Request::Published(stamp) => head("published", stamp),
        Request::Beat(stamp) => head("beat", stamp),
        Request::Leave(stamp) => head("leave", stamp),
        Request::Batch { stamp, lowers, forces, takes } => {
            words.extend([lowers.len(), forces.len(), takes.len()].map(|length| length as u32));
            scopes.write(lowers, &mut words);
            scopes.write(forces, &mut words);
            for Group { lacks } in takes {
                words.push(lacks.len() as u32);
                scopes.write(lacks, &mut words);
            }
            head("batch", stamp)
        }
    };
    let prefix = members.strip_suffix('m').unwrap_or(members);
    let keys = scopes.keys.iter().map(|key| scope_name(prefix, *key));
    let count = (scopes.keys.len() + 1).to_string();
    let texts = [count, members.to_owned()].into_iter().chain(keys).chain(arguments);
    let words: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    texts.map(String::into_bytes).chain((!words.is_empty()).then_some(words)).collect()
}

/// The server's name of a scope. `prefix`: the key of the members without its `m`.
pub fn scope_name(prefix: &str, key: Key) -> String {
    format!("{prefix}s:{:032x}", key.0)
}

/// The text of a scope: its incarnation, and the claim of each number. None: it is none.
pub fn read_scope(text: &str) -> Option<(u64, Vec<(u64, u32)>)> {
    let mut parts = text.split(' ');
    let incarnation = parts.next()?.parse().ok()?;
    let claim = |part: &str| {
        let (number, slots) = part.split_once('=')?;
        Some((number.parse().ok()?, slots.parse().ok()?))
    };
    Some((incarnation, parts.map(claim).collect::<Option<_>>()?))
}

/// The scopes that a request names, in the order in which it first does.
#[derive(Default)]
struct Scopes {
    keys: Vec<Key>,
    places: BTreeMap<Key, u32>,
}

impl Scopes {
    /// For each claim its place, from 1, and its slots.
    fn write(&mut self, claims: &[Claim], into: &mut Vec<u32>) {
        for Claim { key, slots } in claims {
            let place = *self.places.entry(*key).or_insert_with(|| {
                self.keys.push(*key);
                self.keys.len() as u32
            });
            into.extend([place, *slots]);
        }
    }
}

/// The answer of the script; None if it is no answer of it.
pub fn decode(value: &Value) -> Option<Reply> {
    let items = value.list()?;
    let (Value::Text(kind), rest) = items.split_first()? else { return None };
    Some(match (kind.as_slice(), rest) {
        (b"joined", [number, session, incarnation, barrier, newest, members]) => {
            let seen = seen(barrier, newest)?;
            let (number, session) = (number.number()?, session.number()?);
            let incarnation = incarnation.number()?;
            let stamp = Stamp { number, session, incarnation, knows: seen.newest };
            Reply::Joined { stamp, seen, members: members.numbers()? }
        }
        (b"taken", []) => Reply::NameTaken,
        (b"differs", []) => Reply::Differs,
        (b"rejoin", []) => Reply::Rejoin,
        (b"fenced", []) => Reply::Fenced,
        (b"set", []) => Reply::Set,
        (b"left", []) => Reply::Left,
        (b"member", [barrier, newest]) => Reply::Member(seen(barrier, newest)?),
        (b"unknown", [barrier, newest]) => Reply::Unknown(seen(barrier, newest)?),
        (b"beaten", [barrier, newest, members]) => {
            Reply::Beaten { seen: seen(barrier, newest)?, members: members.numbers()? }
        }
        (b"batch", [barrier, newest, claims, takes]) => Reply::Batch {
            seen: seen(barrier, newest)?,
            claims: claims.numbers()?,
            takes: taken(&takes.numbers()?)?,
        },
        _ => return None,
    })
}

fn seen(barrier: &Value, newest: &Value) -> Option<Seen> {
    Some(Seen { barrier: barrier.number::<u64>()? == 1, newest: newest.number()? })
}

/// One after the other.
fn taken(mut numbers: &[u32]) -> Option<Vec<Take>> {
    let mut takes = Vec::new();
    while let Some((&kind, rest)) = numbers.split_first() {
        let (take, rest) = match (kind, rest) {
            (0, &[place, total, ref rest @ ..]) => (Take::Full { place, total }, rest),
            (1, &[count, ref rest @ ..]) => {
                let (claims, rest) = rest.split_at_checked(count as usize)?;
                (Take::Granted(claims.to_vec()), rest)
            }
            (2, rest) => (Take::Busy, rest),
            _ => return None,
        };
        takes.push(take);
        numbers = rest;
    }
    Some(takes)
}

impl Value {
    fn list(&self) -> Option<&[Value]> {
        if let Value::List(items) = self { Some(items) } else { None }
    }

    /// A number, or a text that is one.
    fn number<N: TryFrom<u64>>(&self) -> Option<N> {
        let number = match self {
            Value::Number(number) => u64::try_from(*number).ok()?,
            Value::Text(text) => std::str::from_utf8(text).ok()?.parse().ok()?,
            Value::List(_) => return None,
        };
        N::try_from(number).ok()
    }

    fn numbers<N: TryFrom<u64>>(&self) -> Option<Vec<N>> {
        self.list()?.iter().map(Value::number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_named_once_and_has_its_place() {
        let claim = |key, slots| Claim { key: Key(key), slots };
        let takes = vec![Group { lacks: vec![claim(7, 3), claim(10, 500)] }];
        let stamp = Stamp { number: 1, session: 2, incarnation: 3, knows: 4 };
        let (lowers, forces) = (vec![claim(10, 9)], vec![claim(7, u32::MAX)]);
        let request = Request::Batch { stamp, lowers, forces, takes };
        let sent = encode(&request, &Times::default(), "sw:{x}:m");
        let (texts, words) = sent.split_at(sent.len() - 1);
        let ten = format!("sw:{{x}}:s:{:032x}", 10);
        let seven = format!("sw:{{x}}:s:{:032x}", 7);
        let keys = ["3", "sw:{x}:m", &ten, &seven];
        let arguments = ["batch", "1", "2", "3", "4", "1000", "10000"];
        let named: Vec<&str> = keys.into_iter().chain(arguments).collect();
        assert_eq!(texts, named.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
        let numbers = [1, 1, 1, 1, 9, 2, u32::MAX, 2, 2, 3, 1, 500];
        assert_eq!(words, [numbers.map(u32::to_le_bytes).concat()]);
    }

    #[test]
    fn what_is_no_scope_is_not_read_as_one() {
        assert_eq!(read_scope("7 1=2 30=4"), Some((7, vec![(1, 2), (30, 4)])));
        assert_eq!(read_scope("18446744073709551615"), Some((u64::MAX, vec![])));
        for text in ["", " ", "7 ", "x 1=2", "7 1", "7 1=", "7 =2", "7  1=2", "7 1=4294967296"] {
            assert_eq!(read_scope(text), None, "{text:?}");
        }
    }
}
