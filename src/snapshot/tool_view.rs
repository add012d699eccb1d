//! Whether a request calls itself as a known scanner does.

use super::blob::Section;
use super::tools::ToolRecord;
use super::view::View;
use crate::tables::{ToolHeader, ToolMatch};

/// Bytes of a header that are compared.
const COMPARED: usize = 512;

/// The patterns of a snapshot.
pub struct ToolsView<'a> {
    view: View<'a>,
    records: &'a [ToolRecord],
}

impl<'a> View<'a> {
    pub fn tools(&self) -> ToolsView<'a> {
        ToolsView { view: *self, records: self.section(Section::Tools) }
    }
}

impl<'a> ToolsView<'a> {
    /// All patterns, in the order read.
    pub fn iter(&self) -> impl Iterator<Item = (ToolHeader, ToolMatch, &'a [u8])> + use<'a> {
        let view = self.view;
        self.records.iter().filter_map(move |&[offset, len, header, kind]| {
            let header = ToolHeader::ALL.get(header as usize)?;
            let kind = ToolMatch::ALL.get(kind as usize)?;
            Some((*header, *kind, view.text(offset, len as usize)))
        })
    }

    /// Whether a pattern matches what a request says in User-Agent, From or To. `claims` is
    /// called only where there are patterns.
    pub fn any_matches(&self, claims: impl FnOnce() -> [&'a [u8]; 3]) -> bool {
        self.first_match(claims).is_some()
    }

    /// The first pattern that matches.
    pub fn first_match<'c>(
        &self,
        claims: impl FnOnce() -> [&'c [u8]; 3],
    ) -> Option<(ToolHeader, ToolMatch, &'a [u8])> {
        if self.records.is_empty() {
            return None;
        }
        let mut lower = [[0u8; COMPARED]; 3];
        let mut lens = [0; 3];
        for ((to, len), from) in lower.iter_mut().zip(&mut lens).zip(claims()) {
            let from = from.trim_ascii();
            *len = from.len().min(COMPARED);
            to.iter_mut().zip(from).for_each(|(to, from)| *to = from.to_ascii_lowercase());
        }
        self.iter().find(|(header, kind, pattern)| {
            let (text, len) = (lower.get(*header as usize), lens.get(*header as usize));
            let text = text.zip(len).and_then(|(text, len)| text.get(..*len)).unwrap_or_default();
            matches(text, *kind, pattern)
        })
    }
}

fn matches(text: &[u8], kind: ToolMatch, pattern: &[u8]) -> bool {
    match kind {
        ToolMatch::Equal => text == pattern,
        ToolMatch::Prefix => text.starts_with(pattern),
        ToolMatch::Contains => {
            !pattern.is_empty() && text.windows(pattern.len()).any(|part| part == pattern)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{compile, kept};
    use crate::tables::{BadRows, Loader, Table, kept::Kept};

    #[test]
    fn patterns_match_where_they_say_and_survive_in_a_file() {
        let names = || Table::ALL.map(|t| t.short_name().into());
        let mut loader = Loader::new(names(), BadRows::Fail);
        for row in [
            ["user_agent", "equal", "PPLSIP"],
            ["user_agent", "prefix", "friendly-"],
            ["from", "contains", "SIPVicious"],
        ] {
            loader.row(Table::Tool, &row.map(|text| Some(text.as_bytes())));
        }
        let Ok((config, _)) = loader.finish() else { panic!("invalid rows") };
        let first = compile(config, [1, 2], 0).unwrap();
        let file = kept(&View::new(first.bytes()).unwrap(), &Default::default());
        let loader = Loader::new(names(), BadRows::Fail);
        let loader = Kept::read(&file).unwrap().load(loader).unwrap();
        let Ok((config, _)) = loader.finish() else { panic!("invalid rows") };
        let second = compile(config, [3, 4], 0).unwrap();
        for blob in [&first, &second] {
            let view = View::new(blob.bytes()).unwrap();
            let is = |agent: &'static str, from: &'static str| {
                view.tools().any_matches(|| [agent.as_bytes(), from.as_bytes(), b""])
            };
            assert_eq!((view.tools().iter().count(), view.counts().rows_of(Table::Tool)), (3, 3));
            assert!(is("pplsip", "") && is(" PPLSIP ", "") && !is("PPLSIP 2", ""));
            assert!(is("Friendly-Scanner", "") && !is("a friendly-scanner", ""));
            assert!(is("", "\"sipvicious\"<sip:100@1.1.1.1>") && !is("sipvicious", ""));
            assert!(!is("", ""));
            let long = "x".repeat(600).leak();
            assert!(!is(long, long));
        }
    }
}
