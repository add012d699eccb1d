//! What the last reload found wrong, kept in shared memory for `sipwarden.problems`.

use super::state::{REPORT_BYTES, State};
use crate::tables::Problems;

/// Keeps a summary, the counts of each kind of problem and the first of each.
/// Whole lines only: what does not fit is left out from the end.
pub fn keep(state: &State, summary: &str, kinds: &[(&str, &Problems)]) {
    let mut lines = Vec::new();
    if !summary.is_empty() {
        lines.push(format!("failed: {summary}\n"));
    }
    for (kind, problems) in kinds.iter().filter(|(_, problems)| problems.count() > 0) {
        let shown = problems.kept().len();
        lines.push(format!("{kind}: {} in all, {shown} shown\n", problems.count()));
        lines.extend(problems.kept().iter().map(|problem| format!("{kind}: {problem}\n")));
    }
    let mut report = state.report.lock();
    *report = [0; REPORT_BYTES];
    // The last byte stays zero.
    let mut room = report.iter_mut().take(REPORT_BYTES - 1);
    for line in &lines {
        if room.len() < line.len() {
            break;
        }
        room.by_ref().zip(line.bytes()).for_each(|(to, from)| *to = from);
    }
}

/// The lines kept.
pub fn last(state: &State) -> Vec<String> {
    let report = *state.report.lock();
    let text = report.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).lines().map(str::to_owned).collect()
}
