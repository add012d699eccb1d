//! What RPC methods ask of the server, each process over a connection of its own that it keeps.

use std::cell::RefCell;
use std::time::Duration;

use super::link::Link;
use crate::clock;
use crate::desk::Desk;
use crate::host::settings::ClusterSettings;
use crate::host::state::State;

/// So long an answer may take: the process may be one of SIP over TCP.
const PATIENCE: Duration = Duration::from_millis(300);
/// Ms without a question after one that failed.
const PAUSE: u64 = 1_000;

#[derive(Default)]
struct Reader {
    link: Option<Link>,
    /// The session of the node when that was opened: another one may be with another server.
    session: u64,
    /// Not before.
    next: u64,
}

thread_local! {
    static READER: RefCell<Reader> = RefCell::default();
}

/// What the server says.
///
/// # Errors
/// Why it does not; not asked while this node has no session.
pub fn ask<R>(
    state: &State,
    settings: &ClusterSettings,
    question: impl Fn(&mut Link) -> Result<R, String>,
) -> Result<R, String> {
    let desk = state.desk.as_ref();
    let session = desk.map_or(0, |desk| desk.standing.stamp().session);
    if session == 0 {
        return Err(
            "no session with it; the log says why: look for \"session with the cluster\"".into()
        );
    }
    READER.with_borrow_mut(|reader| {
        if clock::monotonic() < reader.next {
            return Err("it did not answer a moment ago".into());
        }
        if reader.session != session {
            *reader = Reader { session, ..Reader::default() };
        }
        // The one that is kept may have been closed.
        if let Some(answer) = reader.link.as_mut().and_then(|link| question(link).ok()) {
            return Ok(answer);
        }
        let address = desk.and_then(Desk::server);
        let new = Link::open_at(&settings.server, &settings.key, address, PATIENCE);
        let asked = new.and_then(|mut link| question(&mut link).map(|answer| (link, answer)));
        match asked {
            Ok((link, answer)) => {
                reader.link = Some(link);
                Ok(answer)
            }
            Err(why) => {
                *reader = Reader { link: None, session, next: clock::monotonic() + PAUSE };
                Err(why)
            }
        }
    })
}
