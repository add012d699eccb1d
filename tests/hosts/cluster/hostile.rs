//! A server of shared limits, or somebody between, whose answers have no end.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

use serde_json::json;

use super::{Server, Stage};
use crate::support::{uninterrupted, wait_for};

const TENANTS: &str = "INSERT INTO sipwarden_brand VALUES ('b', 0);
    INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 4);";
/// Bytes of one answer, at most: should nobody cut it off, the machine lives.
const MOST: usize = 384 << 20;
/// What the broker may have more than before, at its peak: three connections are read, and a
/// byte that is read may cost 60 bytes.
const PEAK: u64 = 256 << 20;

/// An answer without an end: how it begins, and what follows again and again.
#[derive(Clone, Copy)]
struct Endless {
    what: &'static str,
    begin: &'static [u8],
    piece: &'static [u8],
    /// Ms before each piece.
    pause: u64,
}

const ENDLESS: [Endless; 6] = [
    Endless { what: "text", begin: b"$9000000000\r\n", piece: &[b'x'; 65536], pause: 0 },
    Endless { what: "line", begin: b"+", piece: &[b'x'; 65536], pause: 0 },
    Endless { what: "error", begin: b"-ERR ", piece: &[b'x'; 65536], pause: 0 },
    Endless { what: "list", begin: b"*9000000000\r\n", piece: b"*1\r\n*1\r\n:1\r\n", pause: 0 },
    Endless { what: "depth", begin: b"", piece: b"*1\r\n", pause: 0 },
    // Each byte comes in time, the answer never.
    Endless { what: "drip", begin: b"$9000000000\r\n", piece: b"x", pause: 50 },
];

struct State {
    server: SocketAddr,
    /// None: answers pass as they are.
    answer: Mutex<Option<Endless>>,
    /// How many such answers were cut off by those that asked.
    cut: Mutex<u32>,
}

/// Between proxies and their server.
struct Between {
    address: SocketAddr,
    state: Arc<State>,
}

impl Between {
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { server, answer: Mutex::new(None), cut: Mutex::new(0) });
        let shared = Arc::clone(&state);
        spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(shared.server) else { continue };
                let clones = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let state = Arc::clone(&shared);
                spawn(move || ask(client, server));
                spawn(move || answer(clones.1, clones.0, &state));
            }
        });
        Between { address, state }
    }

    /// Puts this in the place of each answer, also on connections that are open.
    fn turn(&self, answer: Option<Endless>) {
        *self.state.answer.lock().unwrap() = answer;
        *self.state.cut.lock().unwrap() = 0;
    }

    fn wait_until_cut(&self, times: u32) {
        let what = self.state.answer.lock().unwrap().map_or("none", |answer| answer.what);
        wait_for(&format!("an endless {what} to be cut off"), || {
            (*self.state.cut.lock().unwrap() >= times).then_some(())
        });
    }
}

fn ask(mut client: TcpStream, mut server: TcpStream) {
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = uninterrupted(|| client.read(&mut piece)) {
        if server.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
}

fn answer(mut server: TcpStream, mut client: TcpStream, state: &State) {
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = uninterrupted(|| server.read(&mut piece)) {
        let endless = *state.answer.lock().unwrap();
        let Some(endless) = endless else {
            if client.write_all(&piece[..length]).is_err() {
                break;
            }
            continue;
        };
        if pour(&mut client, &endless).is_err() {
            *state.cut.lock().unwrap() += 1;
            break;
        }
        // Nobody has cut it off: nothing more is sent, and nothing is ended.
        return sleep(Duration::from_secs(600));
    }
    let _ = client.shutdown(Shutdown::Both);
}

fn pour(client: &mut TcpStream, endless: &Endless) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    client.write_all(endless.begin)?;
    let piece = match endless.pause {
        0 => endless.piece.repeat(65536 / endless.piece.len()),
        _ => endless.piece.to_vec(),
    };
    let mut sent = 0;
    while sent < MOST {
        sleep(Duration::from_millis(endless.pause));
        client.write_all(&piece)?;
        sent += piece.len();
    }
    Ok(())
}

/// Bytes that a process had at most so far.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
}

fn brokers(stage: &Stage) -> Vec<u32> {
    stage.proxies.iter().map(|proxy| Server::process(proxy, "sipwarden broker")).collect()
}

#[test]
fn answers_without_end_are_cut_off_and_the_policy_judges_meanwhile() {
    let mut stage = Stage::new(0, TENANTS);
    let between = Between::to(stage.redis.address());
    for node in ["node0", "node1"] {
        stage.start_by(node, &format!("redis://{}/", between.address));
    }
    stage.wait_for_members(2);
    stage.call(0, "c", "").unwrap();
    let pids = brokers(&stage);
    let before: Vec<u64> = pids.iter().map(|pid| peak(*pid)).collect();
    let asked = |proxy: usize| stage.proxies[proxy].try_ask("cluster", json!(["company", "c"]));
    for proxy in 0..2 {
        let shown = asked(proxy).unwrap().to_string();
        assert!(shown.contains("node0: 1"), "{shown}");
    }
    for endless in ENDLESS {
        between.turn(Some(endless));
        // By RPC a process asks over a connection of its own.
        for proxy in 0..2 {
            let told = asked(proxy).unwrap_err();
            assert!(told.contains("the cluster's server"), "{}: {told}", endless.what);
        }
        between.wait_until_cut(4);
    }
    // Each node admits its half.
    for (proxy, calls) in [(1, 2), (0, 1)] {
        for _ in 0..calls {
            stage.call_in_the_end(proxy, "c");
        }
        assert_eq!(stage.call(proxy, "c", "").err().unwrap(), "cluster_down");
    }
    assert_eq!(brokers(&stage), pids);
    for ((pid, before), proxy) in pids.iter().zip(before).zip(&stage.proxies) {
        let more = peak(*pid).saturating_sub(before);
        assert!(more < PEAK, "the broker had {more} bytes more");
        let log = proxy.log();
        assert!(log.contains("its answer is longer than 1 MiB"), "{log}");
        assert!(log.contains("it does not answer in time"), "{log}");
    }
    between.turn(None);
    stage.wait_for_members(2);
    wait_for("all claims to be told again", || {
        (stage.redis.claims().iter().sum::<u64>() == 4).then_some(())
    });
    for proxy in 0..2 {
        assert_eq!(stage.call(proxy, "c", "").err().unwrap(), "company_limit");
    }
}
