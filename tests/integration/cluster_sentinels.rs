//! A server that Sentinels watch, and another one in its place.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cluster::Stage;
use crate::support::kamailio::free_port;
use crate::support::redis::{self, Redis};
use crate::support::{Folder, wait_up_to};

const TENANTS: &str = "INSERT INTO sipwarden_brand VALUES ('b', 0);
    INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 2);";

/// Three, of which two must agree.
struct Sentinels {
    children: Vec<Child>,
    ports: Vec<u16>,
    _folder: Folder,
}

impl Sentinels {
    fn watch(primary: &Redis) -> Self {
        let folder = Folder::new();
        let address = primary.address();
        let ports: Vec<_> = (0..3).map(|_| free_port()).collect();
        let start = |port: &u16| {
            let file = folder.join(&format!("{port}.conf"));
            let text = format!(
                "port {port}\nbind 127.0.0.1\ndir {}\n\
                 sentinel monitor mymaster {} {} 2\n\
                 sentinel down-after-milliseconds mymaster 1000\n\
                 sentinel failover-timeout mymaster 3000\n",
                folder.path().display(),
                address.ip(),
                address.port()
            );
            fs::write(&file, text).unwrap();
            let mut command = Command::new(redis::program());
            command.arg(file).arg("--sentinel").stdout(Stdio::null()).spawn().unwrap()
        };
        let children = ports.iter().map(start).collect();
        let sentinels = Sentinels { children, ports, _folder: folder };
        for (what, count) in [("replicas", 1), ("sentinels", 2)] {
            for port in &sentinels.ports {
                wait_up_to(Duration::from_secs(40), "Sentinels to know each other", || {
                    (ask(*port, &["SENTINEL", what, "mymaster"]).matches("runid").count() == count)
                        .then_some(())
                });
            }
        }
        sentinels
    }

    fn list(&self) -> String {
        let all = self.ports.iter().map(|port| format!("127.0.0.1:{port}"));
        all.collect::<Vec<_>>().join(", ")
    }

    fn kill(&mut self, n: usize) {
        self.children[n].kill().unwrap();
        self.children[n].wait().unwrap();
    }
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn ask(port: u16, arguments: &[&str]) -> String {
    let mut command = Command::new("redis-cli");
    let out = command.args(["-p", &port.to_string(), "--raw"]).args(arguments).output().unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn set(name: &str, value: &str) -> String {
    format!("modparam(\"sipwarden\", \"{name}\", \"{value}\")\n")
}

#[test]
fn the_proxies_follow_sentinels_to_the_server_that_takes_over() {
    let mut stage = Stage::new(0, TENANTS);
    let replica = Redis::start();
    replica.follow(stage.redis.address());
    stage.redis.wait_for_replica();
    let mut sentinels = Sentinels::watch(&stage.redis);
    for n in 0..2 {
        let config = stage.config(&format!("node{n}"));
        let config = config.settings(&set("cluster_url", "redis://mymaster/0"));
        let proxy = config.settings(&set("cluster_sentinels", &sentinels.list())).start();
        stage.proxies.push(proxy);
    }
    stage.wait_for_members(2);
    let doubt = "parameter cluster_replicas is 0 beside cluster_sentinels";
    assert!(stage.proxies[0].log().contains(doubt), "{}", stage.proxies[0].log());
    let here = stage.call(0, "c", "").unwrap();
    let there = stage.call(1, "c", "").unwrap();
    assert_eq!(stage.call(0, "c", "").err().unwrap(), "company_limit");
    // The first one that is asked is gone, too.
    sentinels.kill(0);
    stage.redis.kill();
    for proxy in &stage.proxies {
        wait_up_to(Duration::from_secs(60), "the session with the other server", || {
            (proxy.counter("cluster_sessions") >= 2).then_some(())
        });
    }
    stage.wait_for_members(2);
    assert_eq!(replica.claims().iter().sum::<u64>(), 2);
    for proxy in 0..2 {
        assert_eq!(stage.call(proxy, "c", "").err().unwrap(), "company_limit");
    }
    stage.hang_up(here);
    let again = stage.call_in_the_end(1, "c");
    assert_eq!(stage.call(0, "c", "").err().unwrap(), "company_limit");
    assert_eq!(stage.callee.observed().most["c"], 2);
    stage.hang_up(there);
    stage.hang_up(again);
}

#[test]
fn wrong_sentinels_are_named() {
    let stage = Stage::new(0, TENANTS);
    let cases = [
        ("redis://mymaster", "10.0.0.5", "cluster_sentinels: number 1 is neither host:port"),
        ("redis://mymaster", "a:1, redis://:secret@", "cluster_sentinels: number 2 is neither"),
        ("unix:///run/redis", "10.0.0.5:26379", "the host in cluster_url is the name"),
    ];
    for (url, sentinels, told) in cases {
        let config = stage.config("node").settings(&set("cluster_url", url));
        let log = config.settings(&set("cluster_sentinels", sentinels)).fail_to_start();
        assert!(log.contains(told), "{told}: {log}");
        assert!(!log.contains("secret@"), "{log}");
    }
}
