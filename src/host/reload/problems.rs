//! What the last reload found wrong, kept in shared memory for `sipwarden.problems`.

use crate::host::state::{REPORT_BYTES, State};
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
    let mut text = String::new();
    for line in &lines {
        if text.len() + line.len() >= REPORT_BYTES {
            break;
        }
        text.push_str(line);
    }
    state.report.set(&text);
}

pub fn last(state: &State) -> Vec<String> {
    state.report.get().lines().map(str::to_owned).collect()
}
