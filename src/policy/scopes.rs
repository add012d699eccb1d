//! Scopes of a call: its company and brand, and those that the script names.

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
    wanted: [Wanted<'a>; SCOPES],
    count: usize,
    /// The first kind of which no limit was ever read: the call does not count there.
    pub unknown: Option<&'a [u8]>,
}

impl<'a> CallScopes<'a> {
    /// Those of the company.
    pub fn new(view: &View<'a>, company: &CompanyView<'a>, direction: Direction) -> Self {
        let [brand, company] = call_scopes(view, company, direction);
        let mut scopes = CallScopes { wanted: [company; SCOPES], count: 2, unknown: None };
        scopes.wanted[0] = brand;
        scopes
    }

    /// Adds those of a text `kind=id;kind=id`. One without an id is left out.
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
                Some(kind) => {
                    self.add(wanted(Scope { kind, id }, view.limits(kind, id), direction))?;
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, want: Wanted<'a>) -> Result<(), BadScopes<'a>> {
        let slot = self.wanted.get_mut(self.count).ok_or(BadScopes::TooMany)?;
        *slot = want;
        self.count += 1;
        Ok(())
    }

    /// In the order in which limits are judged.
    pub fn wanted(&self) -> &[Wanted<'a>] {
        self.wanted.get(..self.count).unwrap_or_default()
    }
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
    let of = |kind, id, calls| {
        let want = wanted(Scope { kind, id }, view.limits(kind, id), direction);
        Wanted { limit: limit_beside(view, want.limit, calls), ..want }
    };
    [of(ScopeKind::BRAND, brand, limit), of(ScopeKind::COMPANY, company.id(), company.max_calls())]
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
    let [any, ..] = *limits;
    let directed = limits.get(direction as usize).copied().unwrap_or(Limit::NONE);
    Wanted { scope, direction, limit: any, directed, counts: true }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
