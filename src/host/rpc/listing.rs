//! What is loaded: `sipwarden.companies`, `sipwarden.users`, `sipwarden.trusted`.

use super::arguments::no_snapshot;
use super::company::filter;
use super::page::Page;
use crate::address::Prefix;
use crate::host::contract::rpc::{Call, Fault, Node};
use crate::host::state::{State, with_snapshot};
use crate::printable::Printable;
use crate::snapshot::{SourceKind, View};

/// Items on a page.
const PAGE: usize = 20;

/// What is searched for: a text that is found in an id, whatever its case.
struct Search(Option<Vec<u8>>);

impl Search {
    fn read(call: &Call) -> Result<Self, Fault> {
        let text = call.argument("text")?.filter(|text| !text.is_empty());
        Ok(Search(text.map(|text| text.to_ascii_lowercase())))
    }

    fn finds(&self, id: &[u8]) -> bool {
        let Some(text) = &self.0 else { return true };
        id.windows(text.len()).any(|part| part.eq_ignore_ascii_case(text))
    }

    /// The address or range that the text is.
    fn prefix(&self) -> Option<Prefix> {
        Prefix::parse(std::str::from_utf8(self.0.as_ref()?).ok()?, None).ok()
    }
}

/// Answers with a page of the items of a snapshot that are meant: [page [text]].
fn list<'a, T>(
    call: &Call,
    view: &View<'a>,
    page: Page,
    items: impl Iterator<Item = T>,
    describe: impl Fn(&Node<'_>, T),
) -> Result<(), Fault> {
    let (mut total, mut shown) = (0, Vec::new());
    for item in items {
        if page.has(total) {
            shown.push(item);
        }
        total += 1;
    }
    page.check(total)?;
    let reply = call.reply();
    reply.time((c"loaded_at", c"loaded_date"), view.compiled_at());
    reply.int(c"total", total as u64);
    page.tell(&reply, total);
    let list = reply.array(c"list");
    shown.into_iter().for_each(|item| describe(&list.item_structure(), item));
    Ok(())
}

/// Companies, or those with a text in their id or brand.
pub fn companies(call: &Call, _: &State) -> Result<(), Fault> {
    let (page, search) = (Page::read(call, PAGE)?, Search::read(call)?);
    call.no_more()?;
    with_snapshot(|view, _| {
        let meant = view
            .companies()
            .filter(|company| search.finds(company.id()) || search.finds(company.brand().0));
        list(call, view, page, meant, |node, company| {
            node.text(c"company", Printable::full(company.id()));
            node.text(c"brand", Printable::full(company.brand().0));
            node.text(c"ip_filter", filter(&company));
            node.int(c"max_calls", company.max_calls());
            node.int(c"ranges", company.range_count() as u64);
            node.int(c"countries", company.countries().len() as u64);
        })
    })
    .ok_or_else(no_snapshot)?
}

/// Users, or those with a text in their AoR or company.
pub fn users(call: &Call, _: &State) -> Result<(), Fault> {
    let (page, search) = (Page::read(call, PAGE)?, Search::read(call)?);
    call.no_more()?;
    with_snapshot(|view, _| {
        let meant = view
            .users()
            .filter(|(aor, company, _)| search.finds(aor) || search.finds(company.id()));
        list(call, view, page, meant, |node, (aor, company, calls)| {
            node.text(c"aor", Printable::full(aor));
            node.text(c"company", Printable::full(company.id()));
            node.int(c"external_calls", calls);
        })
    })
    .ok_or_else(no_snapshot)?
}

/// Trusted ranges, or those with a text in them, around an address, or within a range.
pub fn trusted(call: &Call, state: &State) -> Result<(), Fault> {
    let (page, search) = (Page::read(call, PAGE)?, Search::read(call)?);
    call.no_more()?;
    let asked = search.prefix();
    with_snapshot(|view, _| {
        let meant = view.trusted_ranges().filter(|(range, _, _)| match asked {
            Some(asked) => range.contains(asked) || asked.contains(*range),
            None => {
                search.finds(range.to_string().as_bytes())
                    || view.name_of(None, *range).is_some_and(|name| search.finds(name))
            }
        });
        list(call, view, page, meant, |node, (range, kind, is_named)| {
            let SourceKind::Trusted(class) = kind else { return };
            node.text(c"range", range);
            node.text(c"class", state.settings.classes.name(class));
            if let Some(name) = view.name_of(None, range).filter(|_| is_named) {
                node.text(c"host_name", Printable::full(name));
            }
        })
    })
    .ok_or_else(no_snapshot)?
}
