//! A TCP connection that a test cuts, slows down or leads elsewhere. What is in it when it is
//! cut comes later, also if the sender has gone: a late command.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

use super::uninterrupted;

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToServer,
    FromServer,
}

struct State {
    over: AtomicBool,
    cut: [AtomicBool; 2],
    /// In us, for each piece.
    delay: AtomicU64,
    server: Mutex<SocketAddr>,
    open: Mutex<Vec<TcpStream>>,
}

/// Between those that connect to its address and a server.
pub struct Wire {
    pub address: SocketAddr,
    state: Arc<State>,
}

impl Wire {
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            over: AtomicBool::new(false),
            cut: Default::default(),
            delay: AtomicU64::new(0),
            server: Mutex::new(server),
            open: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        spawn(move || accept(&listener, &shared));
        Wire { address, state }
    }

    pub fn cut(&self, way: Way, is_cut: bool) {
        self.state.cut[way as usize].store(is_cut, SeqCst);
    }

    pub fn delay(&self, ms: u64) {
        self.delay_by(Duration::from_millis(ms));
    }

    /// Each piece in either direction.
    pub fn delay_by(&self, time: Duration) {
        self.state.delay.store(time.as_micros() as u64, SeqCst);
    }

    /// New connections lead there; those that are open end.
    pub fn lead_to(&self, server: SocketAddr) {
        *self.state.server.lock().unwrap() = server;
        self.break_off();
    }

    /// Ends what is open.
    pub fn break_off(&self) {
        for stream in self.state.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.state.over.store(true, SeqCst);
        self.break_off();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for client in listener.incoming() {
        if state.over.load(SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        let to = *state.server.lock().unwrap();
        let Ok(server) = TcpStream::connect(to) else { continue };
        let both = [&client, &server].map(|stream| stream.try_clone().unwrap());
        state.open.lock().unwrap().extend(both);
        let clones = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let (there, back) = (Arc::clone(state), Arc::clone(state));
        spawn(move || pass(client, server, Way::ToServer, &there));
        spawn(move || pass(clones.1, clones.0, Way::FromServer, &back));
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, way: Way, state: &State) {
    for stream in [&from, &to] {
        let _ = stream.set_nodelay(true);
    }
    // A short delay is no longer than it says.
    // SAFETY: a system call without memory, about this thread alone.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1) };
    let mut piece = [0; 65536];
    while let Ok(length) = uninterrupted(|| from.read(&mut piece)) {
        sleep(Duration::from_micros(state.delay.load(SeqCst)));
        while state.cut[way as usize].load(SeqCst) && !state.over.load(SeqCst) {
            sleep(Duration::from_millis(2));
        }
        if length == 0 || to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
