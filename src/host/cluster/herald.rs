//! The thread that brings notices to the server, and those of others here. It calls nothing
//! of the host.

use std::sync::Arc;
use std::time::Duration;

use super::link::NoticesLink;
use super::room::{Line, Room};
use crate::clock;
use crate::cluster::Phase;
use crate::notices::Notice;

/// From one look at the server to the next.
const EVERY: Duration = Duration::from_millis(50);
/// Sleep after an error.
const PAUSE: Duration = Duration::from_millis(500);
/// Notices that are told at a time.
const PORTION: usize = 200;
/// Notices that wait to be looked at: no more are asked for meanwhile.
const WAITING: usize = 20_000;

pub struct Herald {
    room: Arc<Room>,
    link: Option<NoticesLink>,
    /// The server's memory, and the session's incarnation.
    memory: (String, u64),
    /// The last change that was read.
    read: u64,
    /// What was to be told was dropped: all is told anew.
    dropped: bool,
    /// That the server has no room was told.
    warned: bool,
}

impl Herald {
    pub fn new(room: Arc<Room>) -> Self {
        Herald {
            room,
            link: None,
            memory: (String::new(), 0),
            read: 0,
            dropped: false,
            warned: false,
        }
    }

    /// Runs until the process ends.
    pub fn run(mut self) {
        loop {
            let session = self.room.lock().node.session().clone();
            if session.phase() != Phase::Member {
                self.disconnect();
                std::thread::sleep(EVERY);
                continue;
            }
            match self.turn(session.named().incarnation) {
                Ok(true) => {}
                Ok(false) => self.room.post.wait(EVERY),
                Err(_) => {
                    // The session's own connections tell what is wrong with the server.
                    self.disconnect();
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    /// What is to be told would grow for as long as the server is away.
    fn disconnect(&mut self) {
        self.link = None;
        self.dropped = true;
        self.room.post.lock().out.clear();
    }

    /// True: there is more to do at once.
    fn turn(&mut self, incarnation: u64) -> Result<bool, String> {
        if self.room.post.lock().heard.len() >= WAITING {
            std::thread::sleep(EVERY);
            return Ok(true);
        }
        let settings = self.room.settings;
        let link = match &mut self.link {
            Some(link) => link,
            none => none.insert(NoticesLink::open(&settings.server, &settings.key)?),
        };
        let told: Vec<Notice> = {
            let mut post = self.room.post.lock();
            let count = post.out.len().min(PORTION);
            post.out.drain(..count).collect()
        };
        let fresh = settings.seal.memory(getrandom::u64().unwrap_or(incarnation));
        // On an error they are told on the next connection, with all others.
        let heard = link.exchange(&fresh, self.read, &told, settings.seal)?;
        let now = clock::monotonic();
        let mut post = self.room.post.lock();
        post.server = Some((heard.now, now));
        post.anew |= std::mem::take(&mut self.dropped);
        if (&heard.id, incarnation) != (&self.memory.0, self.memory.1) || heard.change < self.read {
            self.memory = (heard.id, incarnation);
            self.read = 0;
            (post.anew, post.caught_up) = (true, false);
            return Ok(true);
        }
        self.read = heard.reached;
        let more = heard.has_more();
        let news = !heard.told.is_empty();
        post.caught_up |= !more;
        post.heard.extend(heard.told);
        let more = more || !post.out.is_empty();
        drop(post);
        if heard.left > 0 && !self.warned {
            self.warned = true;
            self.room.lock().lines.push(Line::Warning(
                "the cluster's server keeps as many blocks, bans and grants as it may: more are \
                 not told to other nodes"
                    .to_owned(),
            ));
        }
        if news {
            self.room.desk.bell.ring();
        }
        Ok(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::Desk;
    use crate::flood::FloodSettings;
    use crate::host::settings::{ClusterSettings, Settings, Value, Values, at};
    use crate::host::state::State;
    use crate::shm::Bell;

    fn leaked<T>(value: T) -> &'static T {
        Box::leak(Box::new(value))
    }

    /// The herald of a node whose server is not there.
    fn herald() -> Herald {
        let values = Values::new().unwrap();
        for (index, text) in [
            (at::CLUSTER_URL, "unix:///nowhere/redis.sock"),
            (at::CLUSTER_NAME, "tests"),
            (at::CLUSTER_NODE, "node"),
            (at::CLUSTER_SECRET, "a secret of the tests"),
        ] {
            values.set(index, &Value::Text(text.into()));
        }
        values.set(at::CLUSTER_TRUST, &Value::Int(2));
        values.set(at::CLUSTER_DEAD, &Value::Int(5));
        let cluster = leaked(ClusterSettings::take(&values).unwrap().unwrap());
        let mut settings = Settings::with_classes(&[]).unwrap();
        settings.snapshot_bytes = 1 << 16;
        let flood = FloodSettings::new(100, 2000, 300, 0);
        let state = leaked(State::new(settings, values, flood, [1, 2], [3, 4]).unwrap());
        let desk = leaked(Desk::new(leaked(Bell::new().unwrap())).unwrap());
        Herald::new(Arc::new(Room::new(state, desk, cluster)))
    }

    #[test]
    fn the_server_is_not_asked_while_as_much_waits_as_may() {
        let mut herald = herald();
        let notice = (String::new(), String::new());
        herald.room.post.lock().heard = vec![notice; WAITING];
        assert_eq!(herald.turn(1), Ok(true));
        herald.room.post.lock().heard.pop();
        assert!(herald.turn(1).is_err());
    }
}
