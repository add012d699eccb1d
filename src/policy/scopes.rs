//! Scopes of a call: its company and brand, and those that the script names.

use arrayvec::ArrayVec;

use crate::ledger::{Direction, Limit, SCOPES, Scope, ScopeKind, Wanted};
use crate::snapshot::{CompanyView, ScopeLimits, View};
use crate::unset::is_unset;

/// What is wrong with a text of scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadScopes<'a> {
    /// This part is not `kind=id`.
    NotAScope(&'a [u8]),
    /// The script cannot name this kind: the company's argument stands for it.
    NotNamed(&'a [u8]),
    /// A call cannot have so many.
    TooMany,
}

/// All scopes that a call shall count against.
pub struct CallScopes<'a> {
    wanted: ArrayVec<Wanted<'a>, SCOPES>,
    /// The first kind of which no limit was ever read: the call does not count there.
    pub unknown: Option<&'a [u8]>,
}

impl<'a> CallScopes<'a> {
    /// Those of the company.
    pub fn new(view: &View<'a>, company: &CompanyView<'a>, direction: Direction) -> Self {
        let mut scopes = CallScopes { wanted: ArrayVec::new(), unknown: None };
        scopes.wanted.extend(call_scopes(view, company, direction));
        scopes
    }

    /// That of a company which the tables have no more: nobody knows its brand.
    pub fn of_gone(view: &View<'a>, company: &'a [u8], direction: Direction) -> Self {
        let (kind, id) = (ScopeKind::COMPANY, company);
        let company = wanted(Scope { kind, id }, view.limits(kind, id), direction);
        CallScopes { wanted: ArrayVec::from_iter([company]), unknown: None }
    }

    /// Adds those of a text `kind=id;kind=id`. One without an id, or a user, is left out.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn add_named(
        &mut self,
        view: &View<'a>,
        direction: Direction,
        text: &'a [u8],
    ) -> Result<(), BadScopes<'a>> {
        for scope in named_scopes(text) {
            let (word, id) = scope?;
            match view.kind(word) {
                _ if is_unset(id) => {}
                None => self.unknown = self.unknown.or(Some(word)),
                Some(ScopeKind::USER) if is_nobody(id) => {}
                Some(kind) => {
                    let want = wanted(Scope { kind, id }, view.limits(kind, id), direction);
                    self.wanted.try_push(want).map_err(|_| BadScopes::TooMany)?;
                }
            }
        }
        Ok(())
    }

    /// In the order in which limits are judged.
    pub fn wanted(&self) -> &[Wanted<'a>] {
        &self.wanted
    }
}

/// Whether an AoR has no user, as of a From that has none: all such callers would have one limit.
fn is_nobody(aor: &[u8]) -> bool {
    aor.starts_with(b"@") || aor.starts_with(b"<null>@")
}

/// Kinds and ids of a text, in its order.
pub fn named_scopes(text: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), BadScopes<'_>>> {
    let parts = text.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    parts.filter(|part| !part.is_empty()).map(|part| {
        let at = part.iter().position(|byte| *byte == b'=');
        let (word, id) = at.and_then(|at| part.split_at_checked(at)).unwrap_or_default();
        let (word, id) = (word.trim_ascii(), id.get(1..).unwrap_or_default().trim_ascii());
        match word {
            b"" => Err(BadScopes::NotAScope(part)),
            b"brand" | b"company" | b"roadwarrior" => Err(BadScopes::NotNamed(word)),
            word => Ok((word, id)),
        }
    })
}

/// The scopes of an external call of a company.
pub fn call_scopes<'a>(
    view: &View<'a>,
    company: &CompanyView<'a>,
    direction: Direction,
) -> [Wanted<'a>; 2] {
    let (brand, limit) = company.brand();
    let [brand_key, company_key] = company.scope_keys();
    let of = |kind, id, key, calls| {
        let want = wanted(Scope { kind, id }, view.limits(kind, id), direction);
        Wanted { key, limit: limit_beside(view, want.limit, calls), ..want }
    };
    [
        of(ScopeKind::BRAND, brand, brand_key, limit),
        of(ScopeKind::COMPANY, company.id(), company_key, company.max_calls()),
    ]
}

/// The limit of all calls of a company or brand with so many `max_calls` in its own table.
pub fn limit_of(view: &View<'_>, kind: ScopeKind, id: &[u8], max_calls: u32) -> Limit {
    let [any, ..] = *view.limits(kind, id);
    limit_beside(view, any, max_calls)
}

/// A limit of limit_table beside `max_calls` of the company's or brand's own table. Where
/// limit_table does not say when calls are near, the parameter does.
fn limit_beside(view: &View<'_>, limit: Limit, max_calls: u32) -> Limit {
    let near = if limit.near == 0 { view.near() } else { limit.near };
    Limit { near, ..limit }.beside(max_calls)
}

fn wanted<'a>(scope: Scope<'a>, limits: &ScopeLimits, direction: Direction) -> Wanted<'a> {
    let [any, inbound, outbound] = limits;
    let directed = match direction {
        Direction::Any => any,
        Direction::In => inbound,
        Direction::Out => outbound,
    };
    Wanted { scope, key: None, direction, limit: *any, directed: *directed, counts: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Call, DialogId, Enforcement, Ledger};
    use crate::snapshot::compile_keyed;
    use crate::tables::{BadRows, Loader, Table};

    #[test]
    fn scopes_are_read_in_order_and_what_is_wrong_is_named() {
        let read =
            |text: &'static str| named_scopes(text.as_bytes()).collect::<Result<Vec<_>, _>>();
        let both = vec![(&b"carrier"[..], &b"x"[..]), (b"did", b"+34=7")];
        assert_eq!(read("carrier=x;did=+34=7"), Ok(both.clone()));
        assert_eq!(read(" carrier = x ; did=+34=7; "), Ok(both));
        assert_eq!(read("did="), Ok(vec![(&b"did"[..], &b""[..])]));
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(read("did=7;x"), Err(BadScopes::NotAScope(b"x")));
        assert_eq!(read("=7"), Err(BadScopes::NotAScope(b"=7")));
        assert_eq!(read("company=7"), Err(BadScopes::NotNamed(b"company")));
    }

    #[test]
    fn the_keys_of_a_snapshot_are_those_of_the_ledger() {
        let mut loader = Loader::new(Table::ALL.map(|t| t.short_name().into()), BadRows::Fail);
        let mut row = |table, values: &[&str]| {
            let values: Vec<_> = values.iter().map(|value| Some(value.as_bytes())).collect();
            loader.row(table, &values);
        };
        let long = "c".repeat(100);
        for (brand, company) in [("b", "c"), (&*long, &*long)] {
            row(Table::Brand, &[brand, "0"]);
            row(Table::Company, &[company, brand, "0", "0"]);
        }
        let Ok((config, _)) = loader.finish() else { panic!("bad rows") };
        let ledger = Ledger::new(8, [3, 4]).unwrap();
        let key = |kind, id: &[u8]| ledger.lasting_key(kind, id);
        let blob = compile_keyed(config, [1, 2], 0, key).unwrap();
        let view = View::new(blob.bytes()).unwrap();
        for (n, company) in view.companies().enumerate() {
            let wanted = call_scopes(&view, &company, Direction::Any);
            for want in &wanted {
                assert_eq!(want.key, ledger.lasting_key(want.scope.kind, want.scope.id));
                assert!(want.key.is_some());
            }
            // One counts where the other does.
            let hashed = wanted.map(|want| Wanted { key: None, ..want });
            let call = |dialog| Call { dialog: DialogId(dialog), ..Call::NONE };
            let dialog = 2 * n as u64;
            ledger.take(&call(dialog), &wanted, Enforcement::Full);
            let taken = ledger.take(&call(dialog + 1), &hashed, Enforcement::Full);
            let calls = taken.counts.map(|calls| calls.map_or(0, |calls| calls.any));
            assert_eq!(calls[..3], [2, 2, 0]);
        }
    }
}
