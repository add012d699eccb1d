//! A connection to the server, or to a Sentinel. The answers to one request are bounded in bytes
//! and in time: a server that never ends one would take all memory, or keep its reader for ever.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use redis::{
    ConnectionAddr, ConnectionInfo, ConnectionLike, IntoConnectionInfo, Parser,
    RedisConnectionInfo, RedisError, RedisResult, Value, cmd,
};

/// Bytes of the answers to one request. The longest honest ones are 500 notices, half of it.
const LONGEST: usize = 1 << 20;
/// Characters of what the server says that are told.
const TOLD: usize = 200;

/// What went wrong, in one line.
pub fn told(error: RedisError) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.chars().filter(|sign| !sign.is_control()).take(TOLD).collect()
}

/// A connection, and the address that it leads to; None: a socket in the file system.
pub type Connected = (Connection, Option<SocketAddr>);

/// Connects, and asks for the address of a host name before, for as long as the resolver
/// takes. `patience`: for the connection, and for each answer.
pub fn connect(to: impl IntoConnectionInfo, patience: [Duration; 2]) -> Result<Connected, String> {
    let info = to.into_connection_info().map_err(told)?;
    let ConnectionAddr::Tcp(host, port) = info.addr() else {
        return Ok((Connection::open(&info, None, patience)?, None));
    };
    let found = (host.as_str(), *port).to_socket_addrs();
    let found = found.map_err(|error| format!("host \"{}\": {error}", host.escape_debug()))?;
    let mut why = format!("host \"{}\" has no address", host.escape_debug());
    for address in found {
        match Connection::open(&info, Some(address), patience) {
            Ok(connection) => return Ok((connection, Some(address))),
            Err(error) => why = error,
        }
    }
    Err(why)
}

trait Stream: Read + Write + Send {
    fn set_patience(&self, patience: Duration) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))
    }
}

impl Stream for UnixStream {
    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(patience))
    }
}

pub struct Connection {
    stream: Box<dyn Stream>,
    parser: Parser,
    /// For the answers to one request, all of them.
    patience: Duration,
    /// For one read, as the system knows it.
    known: Duration,
    /// After an error: an answer that comes late would be taken for that of another request.
    is_over: bool,
}

impl Connection {
    /// Connects to an address, or without one to the socket that `info` names. `patience`: for
    /// the connection, and for each answer.
    pub fn open(
        info: &ConnectionInfo,
        address: Option<SocketAddr>,
        patience: [Duration; 2],
    ) -> Result<Self, String> {
        let [connecting, answering] = patience;
        let stream = stream(info, address, patience).map_err(|error| told(error.into()))?;
        let parser = Parser::new();
        let (patience, known) = (connecting, Duration::ZERO);
        let mut new = Connection { stream, parser, patience, known, is_over: false };
        new.begin(info.redis_settings())?;
        new.patience = answering;
        Ok(new)
    }

    /// What the URL says: user, password and database.
    fn begin(&mut self, settings: &RedisConnectionInfo) -> Result<(), String> {
        if let Some(password) = settings.password() {
            let mut command = cmd("AUTH");
            if let Some(user) = settings.username() {
                command.arg(user);
            }
            // Not its own words where it refuses: it knows the password.
            command.arg(password).exec(self).map_err(|error| match error.is_io_error() {
                true => told(error),
                false => "it refuses the user or the password".to_owned(),
            })?;
        }
        if settings.db() != 0 {
            let select = cmd("SELECT").arg(settings.db()).exec(self);
            select.map_err(|error| format!("database {}: {}", settings.db(), told(error)))?;
        }
        Ok(())
    }

    fn ask(&mut self, request: &[u8], answers: usize) -> RedisResult<Vec<Value>> {
        if self.is_over {
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        }
        self.is_over = true;
        self.stream.write_all(request)?;
        let until = Instant::now() + self.patience;
        let mut bounded = Bounded {
            stream: &mut *self.stream,
            room: LONGEST,
            until,
            left: self.patience,
            known: &mut self.known,
        };
        let parser = &mut self.parser;
        let all = (0..answers).map(|_| parser.parse_value(&mut bounded));
        let all = all.collect::<RedisResult<Vec<_>>>()?;
        self.is_over = false;
        Ok(all)
    }
}

fn stream(
    info: &ConnectionInfo,
    address: Option<SocketAddr>,
    [connecting, answering]: [Duration; 2],
) -> io::Result<Box<dyn Stream>> {
    Ok(match (address, info.addr()) {
        (Some(address), _) => {
            let stream = TcpStream::connect_timeout(&address, connecting)?;
            stream.set_write_timeout(Some(answering))?;
            Box::new(stream)
        }
        (None, ConnectionAddr::Unix(path)) => {
            let stream = UnixStream::connect(path)?;
            stream.set_write_timeout(Some(answering))?;
            Box::new(stream)
        }
        (None, _) => return Err(io::Error::other("its address is not known")),
    })
}

/// What may still come, and until when.
struct Bounded<'a> {
    stream: &'a mut dyn Stream,
    room: usize,
    until: Instant,
    /// At the last look at the clock.
    left: Duration,
    known: &'a mut Duration,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let most = buffer.len().min(self.room);
            let Some(part) = buffer.get_mut(..most).filter(|part| !part.is_empty()) else {
                return Err(io::Error::other("its answer is longer than 1 MiB"));
            };
            if self.left.is_zero() {
                return Err(late());
            }
            // Most answers come in one piece, so that all reads have the same.
            if *self.known != self.left {
                self.stream.set_patience(self.left)?;
                *self.known = self.left;
            }
            let read = self.stream.read(part);
            self.left = self.until.saturating_duration_since(Instant::now());
            match read {
                Ok(length) => {
                    self.room = self.room.saturating_sub(length);
                    return Ok(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(late()),
                Err(error) => return Err(error),
            }
        }
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it does not answer in time")
}

impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, request: &[u8]) -> RedisResult<Value> {
        Ok(self.ask(request, 1)?.pop().unwrap_or(Value::Nil))
    }

    fn req_packed_commands(
        &mut self,
        request: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let mut all = self.ask(request, offset.saturating_add(count))?;
        Ok(all.split_off(offset.min(all.len())))
    }

    fn get_db(&self) -> i64 {
        0
    }

    fn check_connection(&mut self) -> bool {
        self.is_open()
    }

    fn is_open(&self) -> bool {
        !self.is_over
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread::{sleep, spawn};

    use super::*;

    /// A server that sends pieces of one answer, one after the other, as long as it is heard.
    fn server(pieces: usize, piece: &'static [u8], pause: u64) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let size = pieces * piece.len();
            let mut is_heard = client.write_all(format!("${size}\r\n").as_bytes()).is_ok();
            for _ in 0..pieces {
                sleep(Duration::from_millis(pause));
                is_heard = is_heard && client.write_all(piece).is_ok();
            }
            let _ = client.write_all(b"\r\n+two\r\n");
            // It does not hang up first.
            let _ = io::copy(&mut client, &mut io::sink());
        });
        address
    }

    fn connected(address: SocketAddr, patience: u64) -> Connection {
        let info = format!("redis://{address}/").into_connection_info().unwrap();
        let times = [Duration::from_secs(10), Duration::from_millis(patience)];
        Connection::open(&info, Some(address), times).unwrap()
    }

    #[test]
    fn an_answer_that_is_too_long_ends_the_connection() {
        const PIECE: &[u8] = &[b'x'; 1000];
        let mut good = connected(server(1000, PIECE, 0), 10_000);
        let mut both = redis::pipe();
        both.cmd("MGET").arg("a").cmd("MGET").arg("b");
        let (one, two): (Vec<u8>, String) = both.query(&mut good).unwrap();
        assert_eq!((one.len(), &*two), (1_000_000, "two"));
        let mut bad = connected(server(1100, PIECE, 0), 10_000);
        let why = cmd("MGET").arg("a").query::<Vec<u8>>(&mut bad).map_err(told);
        assert_eq!(why.unwrap_err(), "its answer is longer than 1 MiB");
        assert!(!bad.is_open());
        assert!(cmd("MGET").arg("b").query::<String>(&mut bad).is_err());
    }

    /// Each piece comes in time, the answer does not.
    #[test]
    fn an_answer_that_takes_too_long_ends_the_connection() {
        let mut slow = connected(server(200, b"x", 20), 300);
        let why = cmd("MGET").arg("a").query::<Vec<u8>>(&mut slow).map_err(told);
        assert_eq!(why.unwrap_err(), "it does not answer in time");
        assert!(!slow.is_open());
    }

    /// On a quarter of the stack that its threads have: what it takes is up to the compiler.
    #[test]
    fn an_answer_that_is_nested_without_end_leaves_stack() {
        let nested = b"*1\r\n".repeat(100_000);
        let read = move || Parser::new().parse_value(&*nested).map_err(told);
        let thread = std::thread::Builder::new().stack_size(super::super::broker::STACK / 4);
        assert!(thread.spawn(read).unwrap().join().unwrap().is_err());
    }
}
