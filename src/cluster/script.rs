//! The server's script, its arguments, and its answers.

use super::message::{Claim, Group, Reply, Request, Seen, Stamp, Take};
use super::trust::Times;

/// The script. Its one key is that of the members, and ends in `m`.
pub const SCRIPT: &str = include_str!("script.lua");

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

/// The arguments of the script for a request.
pub fn encode(request: &Request, times: &Times) -> Vec<String> {
    let mut arguments;
    let head = |mode: &str, stamp: &Stamp| {
        let mut arguments = Arguments(vec![mode.to_owned()]);
        let Stamp { number, session, incarnation, knows } = *stamp;
        arguments.numbers(&[number, session, incarnation, knows, times.beat, times.dead]);
        arguments
    };
    match request {
        Request::Join(join) => {
            let number = join.number.unwrap_or(0);
            let incarnation = join.incarnation;
            arguments = head("join", &Stamp { number, incarnation, ..Stamp::default() });
            arguments.numbers(&[join.next_incarnation]);
            arguments.0.push(format!("{:032x}", join.instance));
            arguments.0.push(join.name.clone());
            arguments.0.push(format!("{:032x}", join.fingerprint));
            arguments.0.push(join.server.clone());
            arguments.numbers(&[u64::from(join.fresh)]);
            arguments.numbers(&join.known);
        }
        Request::Publish(stamp, claims) => {
            arguments = head("publish", stamp);
            arguments.claims(claims);
        }
        Request::Published(stamp) => arguments = head("published", stamp),
        Request::Beat(stamp) => arguments = head("beat", stamp),
        Request::Leave(stamp) => arguments = head("leave", stamp),
        Request::Batch { stamp, lowers, forces, takes } => {
            arguments = head("batch", stamp);
            let lengths = [lowers.len(), forces.len(), takes.len()];
            arguments.0.extend(lengths.map(|length| length.to_string()));
            arguments.claims(lowers);
            arguments.claims(forces);
            for Group { lacks } in takes {
                arguments.0.push(lacks.len().to_string());
                arguments.claims(lacks);
            }
        }
    }
    arguments.0
}

struct Arguments(Vec<String>);

impl Arguments {
    fn numbers(&mut self, numbers: &[u64]) {
        self.0.extend(numbers.iter().map(u64::to_string));
    }

    fn claims(&mut self, claims: &[Claim]) {
        for Claim { key, slots } in claims {
            self.0.push(format!("{:032x}", key.0));
            self.0.push(slots.to_string());
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
            takes: takes.list()?.iter().map(take).collect::<Option<_>>()?,
        },
        _ => return None,
    })
}

fn seen(barrier: &Value, newest: &Value) -> Option<Seen> {
    Some(Seen { barrier: barrier.number::<u64>()? == 1, newest: newest.number()? })
}

fn take(value: &Value) -> Option<Take> {
    let numbers = value.numbers::<u32>()?;
    Some(match numbers.split_first()? {
        (1, claims) => Take::Granted(claims.to_vec()),
        (0, &[place, total]) => Take::Full { place, total },
        (2, []) => Take::Busy,
        _ => return None,
    })
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
