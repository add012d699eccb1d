//! One event: plain bytes of a fixed size.

use bytemuck::{Pod, Zeroable};

use super::expiry::Expiry;
use super::kind::EventKind;
use crate::address::Prefix;
use crate::ledger::{Direction, Limit};
use crate::limiter::ClassId;
use crate::source::Learnt;
use crate::verdict::{ENTRIES, FUNCTIONS, Function, Verdict};

/// What an event is about; empty fields are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subject<'a> {
    pub source: Option<Prefix>,
    /// How the source was learnt.
    pub learnt: Option<Learnt>,
    pub company: &'a [u8],
    pub brand: &'a [u8],
    pub aor: &'a [u8],
    /// Further text, of an event without an AoR.
    pub text: &'a [u8],
    pub call_id: &'a [u8],
    /// URI in its From header: what the request claims as its sender.
    pub from: &'a [u8],
}

const NONE: u8 = u8::MAX;
/// The request passed, in monitor mode.
const MONITORED: u8 = 1;
/// Both ends of the call were sent a BYE.
const SAID_BYE: u8 = 2;
/// A text is kept in place of an AoR.
const TEXT: u8 = 4;

/// An event of 840 bytes; all zero is none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Event {
    /// Kind + 1; 0 for no event.
    kind: u8,
    verdict: u8,
    function: u8,
    /// Bits: [`MONITORED`], [`SAID_BYE`], [`TEXT`].
    marks: u8,
    /// 0 for no source, 4 or 6.
    family: u8,
    prefix_len: u8,
    /// Of company, brand, Call-ID and From.
    lens: [u8; 4],
    /// Of AoR or text.
    aor_len: u16,
    /// A [`Learnt`] + 1; 0 for none.
    learnt: u8,
    /// Expiry + 1; 0 for none.
    expiry: u8,
    /// Class of the source as a number + 1; 0 if it was not looked up.
    class: u8,
    /// Direction of the calls that a limit is for + 1; 0 for none.
    direction: u8,
    /// Live calls from which on they are near to the limit; 0 for never.
    pub near: u32,
    /// How often it happened.
    pub count: u32,
    /// Ms since 1970: when it happened last.
    pub time: u64,
    /// Live calls, or requests refused in a block.
    pub calls: u32,
    pub limit: u32,
    /// Start of a block, ms since 1970.
    pub since: u64,
    /// End of a block, ms since 1970.
    pub until: u64,
    source: [u8; 16],
    company: [u8; 128],
    brand: [u8; 128],
    /// Or the text.
    aor: [u8; 320],
    call_id: [u8; 128],
    from: [u8; 64],
}

impl Default for Event {
    fn default() -> Self {
        Event::zeroed()
    }
}

impl Event {
    /// Words of an event.
    pub const WORDS: usize = size_of::<Event>() / 8;

    /// An event that happened once, at `time` in ms since 1970.
    pub fn new(kind: EventKind, time: u64, subject: &Subject<'_>) -> Self {
        let mut event = Event::zeroed();
        event.kind = kind as u8 + 1;
        (event.verdict, event.function) = (NONE, NONE);
        (event.count, event.time) = (1, time);
        match subject.source {
            Some(Prefix::V4(bits, len)) => {
                (event.family, event.prefix_len) = (4, len);
                event.source = u128::from(bits).to_be_bytes();
            }
            Some(Prefix::V6(bits, len)) => {
                (event.family, event.prefix_len) = (6, len);
                event.source = bits.to_be_bytes();
            }
            None => {}
        }
        event.lens = [
            put(&mut event.company, subject.company) as u8,
            put(&mut event.brand, subject.brand) as u8,
            put(&mut event.call_id, subject.call_id) as u8,
            put(&mut event.from, subject.from) as u8,
        ];
        let (kept, marks) = match subject.text {
            [] => (subject.aor, 0),
            text => (text, TEXT),
        };
        event.aor_len = put(&mut event.aor, kept) as u16;
        event.marks = marks;
        event.learnt = subject.learnt.map_or(0, |learnt| learnt as u8 + 1);
        event
    }

    /// Made by a function.
    pub fn by(mut self, function: &Function) -> Self {
        self.function = function.place() as u8;
        self
    }

    /// With the verdict of a function, and whether it was only reported.
    pub fn with_verdict(mut self, function: &Function, verdict: Verdict, monitored: bool) -> Self {
        self = self.by(function);
        self.verdict = verdict as u8;
        self.marks |= if monitored { MONITORED } else { 0 };
        self
    }

    /// With the class of the source; None: exempt.
    pub fn with_class(mut self, class: Option<ClassId>) -> Self {
        self.class = ClassId::to_number(class).saturating_add(1);
        self
    }

    /// About a limit of these calls: how many there are, and what it admits.
    pub fn with_limit(mut self, direction: Direction, calls: u32, limit: u32) -> Self {
        self.direction = direction as u8 + 1;
        (self.calls, self.limit) = (calls, limit);
        self
    }

    /// The same, and from which calls on they are near to it.
    pub fn with_near_limit(mut self, direction: Direction, calls: u32, limit: &Limit) -> Self {
        self.near = limit.near_calls();
        self.with_limit(direction, calls, limit.calls)
    }

    /// With why the call ended, and whether both ends were sent a BYE.
    pub fn with_expiry(mut self, why: Expiry, said_bye: bool) -> Self {
        self.expiry = why as u8 + 1;
        self.marks |= if said_bye { SAID_BYE } else { 0 };
        self
    }

    /// In monitor mode: it would be so without it.
    pub fn watched(mut self) -> Self {
        self.marks |= MONITORED;
        self
    }

    /// The same event, `count` times, the last one at `time`.
    pub fn repeated(mut self, count: u32, since: u64, time: u64) -> Self {
        (self.count, self.since, self.time) = (count, since, time);
        self
    }

    /// What has happened; None for no event.
    pub fn kind(&self) -> Option<EventKind> {
        EventKind::ALL.get(usize::from(self.kind).checked_sub(1)?).copied()
    }

    /// Reason of the verdict or of the end of a call, or the name of the event.
    pub fn reason(&self) -> &'static str {
        match (ENTRIES.get(usize::from(self.verdict)), self.expiry()) {
            (Some(entry), _) => entry.reason,
            (None, Some(why)) => why.reason(),
            (None, None) => self.kind().map_or("", EventKind::name),
        }
    }

    pub fn expiry(&self) -> Option<Expiry> {
        Expiry::ALL.get(usize::from(self.expiry).checked_sub(1)?).copied()
    }

    /// Whether both ends of the call were sent a BYE.
    pub fn said_bye(&self) -> bool {
        self.marks & SAID_BYE != 0
    }

    pub fn verdict(&self) -> Option<Verdict> {
        ENTRIES.get(usize::from(self.verdict)).map(|entry| entry.verdict)
    }

    pub fn code(&self) -> Option<i32> {
        ENTRIES.get(usize::from(self.verdict)).map(|entry| entry.code)
    }

    pub fn function(&self) -> &'static str {
        FUNCTIONS.get(usize::from(self.function)).map_or("", |function| function.name)
    }

    /// Whether the request passed all the same, in monitor mode.
    pub fn is_monitored(&self) -> bool {
        self.marks & MONITORED != 0
    }

    pub fn source(&self) -> Option<Prefix> {
        let bits = u128::from_be_bytes(self.source);
        match self.family {
            4 => Some(Prefix::V4(bits as u32, self.prefix_len)),
            6 => Some(Prefix::V6(bits, self.prefix_len)),
            _ => None,
        }
    }

    /// How the source was learnt.
    pub fn learnt(&self) -> Option<Learnt> {
        Learnt::ALL.get(usize::from(self.learnt).checked_sub(1)?).copied()
    }

    pub fn company(&self) -> &[u8] {
        let [len, ..] = self.lens;
        self.company.get(..len.into()).unwrap_or_default()
    }

    pub fn brand(&self) -> &[u8] {
        let [_, len, ..] = self.lens;
        self.brand.get(..len.into()).unwrap_or_default()
    }

    pub fn aor(&self) -> &[u8] {
        if self.marks & TEXT == 0 { self.kept() } else { &[] }
    }

    /// Why a reload failed, the Call-ID of a leak or of a call that expired, the scope of a
    /// limit as `kind=id`, the note of a grant, a host name and what it means.
    pub fn text(&self) -> &[u8] {
        match self.kind() {
            Some(EventKind::Leak | EventKind::CallExpired) => self.call_id(),
            _ if self.marks & TEXT != 0 => self.kept(),
            _ => &[],
        }
    }

    /// Kind and id of the scope whose limit it is about.
    pub fn limited(&self) -> Option<(&[u8], &[u8])> {
        if !matches!(self.kind(), Some(EventKind::Limit | EventKind::NearLimit)) {
            return None;
        }
        if self.marks & TEXT != 0 {
            let at = self.kept().iter().position(|byte| *byte == b'=')?;
            let (kind, id) = self.kept().split_at_checked(at)?;
            return Some((kind, id.get(1..)?));
        }
        match self.verdict() {
            Some(Verdict::BrandLimit) => Some((b"brand", self.brand())),
            Some(Verdict::CompanyLimit) => Some((b"company", self.company())),
            Some(Verdict::RoadwarriorLimit) => Some((b"roadwarrior", self.aor())),
            None if self.company().is_empty() => Some((b"brand", self.brand())),
            None => Some((b"company", self.company())),
            Some(_) => None,
        }
    }

    /// The calls that its limit is for.
    pub fn direction(&self) -> Option<Direction> {
        Direction::ALL.get(usize::from(self.direction).checked_sub(1)?).copied()
    }

    /// The AoR or text, whichever there is.
    pub fn about(&self) -> &[u8] {
        self.kept()
    }

    fn kept(&self) -> &[u8] {
        self.aor.get(..self.aor_len.into()).unwrap_or_default()
    }

    /// Class of the source, Some(None) for an exempt one; None if it was not looked up.
    pub fn class(&self) -> Option<Option<ClassId>> {
        self.class.checked_sub(1).map(ClassId::from_number)
    }

    /// Call-ID of the request, of repeats that of the first.
    pub fn call_id(&self) -> &[u8] {
        let [_, _, len, _] = self.lens;
        self.call_id.get(..len.into()).unwrap_or_default()
    }

    /// The URI in its From header.
    pub fn from(&self) -> &[u8] {
        let [.., len] = self.lens;
        self.from.get(..len.into()).unwrap_or_default()
    }

    /// Whether both are repeats of one event.
    pub fn is_like(&self, other: &Event) -> bool {
        self.key() == other.key()
    }

    fn key(&self) -> impl PartialEq {
        let what = (self.kind, self.verdict, self.function, self.marks);
        let source = (self.source(), self.learnt, self.class, self.direction);
        (what, source, self.company(), self.brand(), self.kept())
    }
}

/// Copies what fits; the number of bytes copied.
fn put(to: &mut [u8], from: &[u8]) -> usize {
    let len = from.len().min(to.len());
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::CHECK_COMPANY_IP;

    #[test]
    fn an_event_keeps_what_it_is_about() {
        let source = Prefix::parse("2001:db8::/64", None).unwrap();
        let long = [b'x'; 400];
        let (company, brand) = (&b"c"[..], &b"<b>"[..]);
        let subject = Subject {
            source: Some(source),
            learnt: Some(Learnt::Script),
            company,
            brand,
            aor: &long,
            text: b"",
            call_id: &long,
            from: b"sip:a@b",
        };
        let event = Event::new(EventKind::Denied, 77, &subject).with_verdict(
            &CHECK_COMPANY_IP,
            Verdict::DeniedSource,
            true,
        );
        assert_eq!(event.kind(), Some(EventKind::Denied));
        assert_eq!((event.reason(), event.code()), ("denied_source", Some(-1)));
        assert_eq!((event.function(), event.is_monitored()), ("check_company_ip", true));
        assert_eq!((event.company(), event.brand()), (&b"c"[..], &b"<b>"[..]));
        assert_eq!((event.aor(), event.source()), (&long[..320], Some(source)));
        assert_eq!(event.learnt(), Some(Learnt::Script));
        assert_eq!((event.call_id(), event.from()), (&long[..128], &b"sip:a@b"[..]));
        let plain = Event::new(EventKind::Reload, 1, &Subject::default());
        assert_eq!((plain.reason(), plain.code(), plain.source()), ("reload", None, None));
        assert_eq!(Event::zeroed().kind(), None);
        assert_eq!(Event::WORDS * 8, size_of::<Event>());
    }
    #[test]
    fn a_class_or_a_text_is_no_aor() {
        let block = Event::new(EventKind::BlockStarted, 1, &Subject::default());
        assert_eq!((block.aor(), block.class()), (&b""[..], None));
        for class in [None, Some(ClassId::DEFAULT), Some(ClassId(14))] {
            let block = block.with_class(class);
            assert_eq!(
                (block.aor(), block.text(), block.class()),
                (&b""[..], &b""[..], Some(class))
            );
        }
        let why = Subject { text: b"no such table", ..Subject::default() };
        let failed = Event::new(EventKind::ReloadFailed, 1, &why);
        assert_eq!((failed.aor(), failed.text()), (&b""[..], &b"no such table"[..]));
        let scope = Subject { company: b"c", brand: b"b", text: b"did=7=8", ..Subject::default() };
        let limit = Event::new(EventKind::Limit, 1, &scope);
        assert_eq!(limit.limited(), Some((&b"did"[..], &b"7=8"[..])));
        let near = Event::new(EventKind::NearLimit, 1, &Subject { text: b"", ..scope });
        assert_eq!(near.limited(), Some((&b"company"[..], &b"c"[..])));
        let near =
            Event::new(EventKind::NearLimit, 1, &Subject { text: b"", company: b"", ..scope });
        assert_eq!(near.limited(), Some((&b"brand"[..], &b"b"[..])));
        let call = Subject { call_id: b"abc", ..Subject::default() };
        let leak = Event::new(EventKind::Leak, 1, &call);
        assert_eq!((leak.aor(), leak.text(), leak.call_id()), (&b""[..], &b"abc"[..], &b"abc"[..]));
        let denied = Event::new(EventKind::Denied, 1, &Subject { aor: b"a@b", ..call });
        let denied = denied.with_verdict(&CHECK_COMPANY_IP, Verdict::DeniedSource, true);
        assert_eq!((denied.aor(), denied.text()), (&b"a@b"[..], &b""[..]));
    }
}
