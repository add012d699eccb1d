//! The metrics page at its bound: 2,000 companies that take turns, with the longest ids.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

use crate::support::call::{Caller, Endpoint};
use crate::support::page::{Server, headers};
use crate::support::{PATIENCE, wait_for, wait_up_to};

const COMPANIES: usize = 2000;
/// Companies, and brands, that are told at a time.
const MOST: usize = 200;
/// More than it takes until those are forgotten that are told no more.
const A_TURN: Duration = Duration::from_secs(200);

/// The metrics of one scrape: values by name, and by label. The last line must be whole.
struct Scrape {
    text: String,
    single: HashMap<String, f64>,
    companies: HashSet<String>,
    brands: HashSet<String>,
}

/// A client that reads little at a time, and none of it before all could be there.
fn scrape(http: u16) -> Scrape {
    let mut stream = TcpStream::connect(("127.0.0.1", http)).unwrap();
    let little: libc::c_int = 2048;
    // SAFETY: the option is an int that outlives the call.
    unsafe {
        let (value, len) = ((&raw const little).cast(), size_of_val(&little) as u32);
        assert_eq!(
            libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, value, len),
            0
        );
    }
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head =
        format!("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{http}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let text =
        String::from_utf8(crate::support::kamailio::read_http(&mut stream).unwrap()).unwrap();
    assert!(text.ends_with('\n'), "cut off: {text}");
    let mut scrape =
        Scrape { text, single: HashMap::new(), companies: HashSet::new(), brands: HashSet::new() };
    for line in scrape.text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = match line.split_once('}') {
            Some((name, value)) => (format!("{name}}}"), value.trim()),
            None => line.split_once(' ').map(|(n, v)| (n.to_owned(), v)).unwrap(),
        };
        let value: f64 = value.split(' ').next().unwrap().parse().unwrap();
        assert!(scrape.single.insert(name.clone(), value).is_none(), "twice: {name}");
        if let Some(labels) = name.strip_prefix("kamailio_sipwarden_company_calls") {
            scrape.companies.insert(labels.to_owned());
        }
        if let Some(labels) = name.strip_prefix("kamailio_sipwarden_brand_calls") {
            scrape.brands.insert(labels.to_owned());
        }
    }
    assert!(scrape.companies.len() <= MOST, "{}", scrape.companies.len());
    assert!(scrape.brands.len() <= MOST, "{}", scrape.brands.len());
    let limits = scrape.single.iter().filter(|(name, _)| name.contains("_limit{"));
    limits.for_each(|(name, limit)| assert_eq!(*limit, 1.0, "{name}"));
    // What comes last on the page is there.
    let statistics = scrape.single.keys().filter(|name| !name.contains('{')).count();
    assert!(statistics > 90, "{statistics} of the module's own");
    scrape
}

impl Scrape {
    /// Whether each company and brand has its limit too: they are told one after the
    /// other, and a scrape may come in between.
    fn is_whole(&self) -> bool {
        let all = [("company", &self.companies), ("brand", &self.brands)];
        all.iter().all(|(gauge, labels)| {
            let limit = |label: &String| format!("kamailio_sipwarden_{gauge}_limit{label}");
            labels.iter().all(|label| self.single.contains_key(&limit(label)))
        })
    }
}

fn id(kind: char, n: usize) -> String {
    format!("{kind}{n:0127}")
}

#[test]
fn no_scrape_is_cut_off_and_what_does_not_fit_is_counted_and_said() {
    let mut tables = String::from(
        "BEGIN; INSERT INTO sipwarden_trusted VALUES ('127.0.0.99', NULL, 'exempt'),
            ('127.50.0.1', NULL, 'exempt');",
    );
    for n in 0..COMPANIES {
        let (company, brand) = (id('c', n), id('b', n));
        tables += &format!("INSERT INTO sipwarden_brand VALUES ('{brand}', 1);\n");
        tables +=
            &format!("INSERT INTO sipwarden_company VALUES ('{company}', '{brand}', 0, 1);\n");
    }
    let server = Server::start(&(tables + "COMMIT;"));
    let phone = Endpoint::new("127.50.0.1");
    let mut calls: Vec<_> = (0..COMPANIES)
        .map(|n| {
            let headers = headers(&id('c', n), "alice");
            let mut call = Caller::new(&phone, server.example.address(), "x.example", &headers);
            call.invite();
            assert_eq!(call.final_reply().status(), Some(200), "{}", server.example.log());
            call.ack();
            call
        })
        .collect();
    let left_out = |scrape: &Scrape| scrape.single["kamailio_sipwarden_gauges_left_out"] as usize;
    let first = wait_for("all that fit", || {
        Some(scrape(server.http))
            .filter(|s| (s.companies.len(), s.brands.len()) == (MOST, MOST) && s.is_whole())
            .filter(|s| left_out(s) == 2 * (COMPANIES - MOST))
    });
    assert!(first.text.len() > 200_000, "{}", first.text.len());
    // As many as there were at the first look, when not all calls may have been there.
    let said = "companies, brands and scopes are not told to monitoring";
    wait_for("the log", || (server.example.log().matches(said).count() == 1).then_some(()));

    // Their calls end: others have their turn, and no scrape in between is too long.
    for (n, call) in calls.iter_mut().enumerate() {
        if first.companies.iter().any(|label| label.contains(&id('c', n))) {
            call.within("BYE");
        }
    }
    let second = wait_up_to(A_TURN, "the turn of others", || {
        Some(scrape(server.http))
            .filter(|s| s.companies.len() == MOST && s.companies.is_disjoint(&first.companies))
            .filter(Scrape::is_whole)
    });
    assert_eq!(left_out(&second), 2 * (COMPANIES - 2 * MOST));
    let log = server.example.log();
    assert!(!log.contains("ERROR"), "{log}");
    assert_eq!(log.matches("are not told to monitoring").count(), 1, "{log}");
}
