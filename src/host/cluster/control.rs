//! The thread that keeps the session: it joins, and beats once a second, each time with a
//! proof that the server is the one it was. It calls nothing of the host.

use std::sync::Arc;
use std::time::Duration;

use super::link::Link;
use super::room::{Line, Room};
use crate::clock;
use crate::cluster::Phase;

/// The longest sleep.
const NAP: Duration = Duration::from_millis(100);

pub struct Control {
    room: Arc<Room>,
    link: Option<Link>,
    /// That the server forgets claims was told.
    warned: bool,
}

impl Control {
    pub fn new(room: Arc<Room>) -> Self {
        Control { room, link: None, warned: false }
    }

    /// Runs until the process ends.
    pub fn run(mut self) {
        loop {
            let now = clock::boottime();
            let inner = self.room.lock();
            let early = inner.node.session().wants_beat();
            match inner.node.session().phase() {
                Phase::Down | Phase::Joining if inner.pace.join_is_due(now) => {
                    drop(inner);
                    self.join();
                }
                Phase::Publishing | Phase::Member if inner.pace.beat_is_due(now, early) => {
                    drop(inner);
                    self.beat();
                }
                _ => {
                    let mut inner = inner;
                    self.room.news.wait_for(&mut inner, NAP);
                }
            }
        }
    }

    fn join(&mut self) {
        self.link = None;
        if let Err(why) = self.try_join() {
            self.link = None;
            let mut inner = self.room.lock();
            self.room.end(&mut inner, &why);
        }
        self.room.desk.bell.ring();
    }

    fn try_join(&mut self) -> Result<(), String> {
        let (room, settings) = (&self.room, self.room.settings);
        let mut link = Link::open(&settings.server, &settings.key)?;
        if !self.warned {
            self.warned = true;
            if let Some(policy) = link.evicts() {
                room.lock().lines.push(Line::Warning(format!(
                    "the cluster's server may forget slots when its memory is full: set its \
                     maxmemory-policy to noeviction (it is {policy})"
                )));
            }
        }
        let next = getrandom::u64().map_err(|error| error.to_string())? >> 12 | 1;
        let sent = clock::boottime();
        let request = room.lock().node.join(&settings.setup, &link.server, next, sent);
        let reply = link.run(&request, &settings.setup.times)?;
        let proven = self.is_proven(&mut link)?;
        let room = &self.room;
        room.desk.set_server(link.address);
        let mut inner = room.lock();
        inner.server.clone_from(&link.server);
        inner.epoch += 1;
        let outcome = inner.node.joined(reply, proven, sent, &mut &room.state.ledger);
        let joined = inner.node.session().phase() >= Phase::Publishing;
        if joined {
            inner.pace.beaten(sent, &settings.setup.times);
            self.link = Some(link);
        } else if outcome.events.is_empty() {
            room.end(
                &mut inner,
                "its replicas do not confirm what it says; is cluster_replicas right?",
            );
        }
        room.settle(&mut inner, outcome);
        Ok(())
    }

    /// Whether all replicas have what was just written, so that no other server has taken over.
    fn is_proven(&self, link: &mut Link) -> Result<bool, String> {
        let replicas = self.room.desk.standing.policies().replicas;
        let has = if replicas > 0 { link.replicated(replicas)? } else { 0 };
        let role = link.role()?;
        Ok(has >= replicas && role.is_primary && role.server == link.server)
    }

    fn beat(&mut self) {
        if let Err(why) = self.try_beat() {
            self.link = None;
            let mut inner = self.room.lock();
            self.room.end(&mut inner, &why);
        }
    }

    fn try_beat(&mut self) -> Result<(), String> {
        let room = &self.room;
        let times = &room.settings.setup.times;
        let Some(mut link) = self.link.take() else {
            return Err("its connection is gone".into());
        };
        let sent = clock::boottime();
        let (request, epoch) = {
            let mut inner = room.lock();
            inner.pace.beaten(sent, times);
            let epoch = inner.epoch;
            let Some(request) = inner.node.beat() else { return Ok(()) };
            (request, epoch)
        };
        let reply = link.run(&request, times)?;
        let proven = self.is_proven(&mut link)?;
        let room = &self.room;
        let mut inner = room.lock();
        if inner.epoch != epoch {
            return Ok(());
        }
        room.see(&reply);
        let outcome = inner.node.beaten(reply, proven, sent);
        if inner.node.session().phase() >= Phase::Publishing {
            room.desk.standing.break_with(|breaker| breaker.answered());
            self.link = Some(link);
        }
        room.settle(&mut inner, outcome);
        room.desk.bell.ring();
        Ok(())
    }
}
