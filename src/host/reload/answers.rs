//! What host names mean while tables are loaded: what they mean in the current ones, or, at
//! the start, what they meant in an earlier run.

use crate::host::contract::log;
use crate::host::files;
use crate::host::state::{State, with_snapshot};
use crate::names::Answers;
use crate::tables::kept::{Kept, MOST_BYTES};

/// Nothing where no names are allowed.
pub fn known(state: &State) -> Answers {
    if state.settings.host_names == 0 {
        return Answers::new();
    }
    with_snapshot(|view, _| view.answers()).unwrap_or_else(|| kept(state))
}

/// Those of `tables_file`. Without them the names mean nothing until they are resolved.
fn kept(state: &State) -> Answers {
    let Some(path) = state.values.tables_file() else { return Answers::new() };
    let read = files::read_trusted(&path, MOST_BYTES);
    let answers =
        read.and_then(|bytes| bytes.map_or(Ok(Answers::new()), |b| Kept::read(&b)?.answers()));
    answers.unwrap_or_else(|why| {
        let path = path.display();
        log::warning(format_args!(
            "host names mean nothing until they are resolved: {path} cannot be used: {why}"
        ));
        Answers::new()
    })
}
