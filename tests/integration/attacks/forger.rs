//! Packets in the name of somebody else, through a raw socket in a network of their own.

use super::*;

/// As route[FLOOD] and route[AUTH] of the example: above the limit only right credentials and
/// live calls are answered.
pub const SCRIPT: &str = r#"
request_route {
    $var(unproven) = 0;
    if (!flood_check()) {
        if ($swd(code) != -17 || $au == $null) { exit; }
        $var(unproven) = 1;
    }
    if (is_method("OPTIONS")) {
        append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
        sl_send_reply("200", "OK");
        exit;
    }
    $var(aor) = $au + "@" + $ar;
    pv_auth_check("test.invalid", "right", "0", "0");
    if ($rc == 1) {
        auth_ok("$var(aor)");
        sl_send_reply("200", "OK");
        exit;
    }
    if ($var(unproven) == 1) { exit; }
    auth_challenge("test.invalid", "0");
    exit;
}
"#;

/// Forged requests a second.
const RATE: u32 = 2000;

/// A socket that writes the IPv4 headers of its packets itself. Needs root.
struct Forger(i32);

impl Forger {
    fn new() -> Self {
        // SAFETY: a system call without memory.
        let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW) };
        assert!(socket >= 0, "{}", std::io::Error::last_os_error());
        Forger(socket)
    }

    fn send(&self, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        let (SocketAddr::V4(from), SocketAddr::V4(to)) = (from, to) else { panic!("not IPv4") };
        let length = (28 + payload.len()) as u16;
        // The kernel fills identification and checksum; a UDP checksum of 0 is none.
        let mut packet = vec![0x45, 0];
        packet.extend(length.to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        packet.extend(from.ip().octets());
        packet.extend(to.ip().octets());
        packet.extend(from.port().to_be_bytes());
        packet.extend(to.port().to_be_bytes());
        packet.extend((length - 20).to_be_bytes());
        packet.extend([0, 0]);
        packet.extend(payload);
        // SAFETY: all zero is a value of the structure.
        let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
        address.sin_family = libc::AF_INET as u16;
        address.sin_addr.s_addr = u32::from_ne_bytes(to.ip().octets());
        // SAFETY: packet and address outlive the call.
        let sent = unsafe {
            libc::sendto(
                self.0,
                packet.as_ptr().cast(),
                packet.len(),
                0,
                (&raw const address).cast(),
                size_of::<libc::sockaddr_in>() as u32,
            )
        };
        assert!(sent > 0, "{}", std::io::Error::last_os_error());
    }
}

impl Drop for Forger {
    fn drop(&mut self) {
        // SAFETY: its own descriptor, which is open.
        unsafe { libc::close(self.0) };
    }
}

/// Sends in the name of a source, [`RATE`] a second, as long as it goes on.
pub fn forge(from: &str, server: SocketAddr, going: &Going) -> usize {
    let forger = Forger::new();
    let (began, mut sent) = (Instant::now(), 0);
    while going.is_on() {
        let due = (began.elapsed().as_secs_f64() * f64::from(RATE)) as usize;
        while sent < due {
            let from = format!("{from}:{}", 20_000 + sent % 20_000).parse().unwrap();
            forger.send(from, server, options(from, server, sent).as_bytes());
            sent += 1;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    sent
}

/// What a victim has while its address is forged.
#[derive(Debug)]
struct Share {
    /// Of requests that prove nothing: asked and answered.
    plain: (usize, usize),
    /// Of requests with right credentials.
    proven: (usize, usize),
}

fn attacked(kamailio: &Kamailio, victim: &Phone, from: &str, nonce: Option<&str>) -> Share {
    let (going, server) = (Going::begin(), kamailio.address());
    std::thread::scope(|scope| {
        let attack = scope.spawn(|| forge(from, server, &going));
        let ends = going.while_held();
        wait_for("the limit to be passed", || {
            let refused = kamailio.counter("flood_unproven") + kamailio.counter("flood_blocked");
            (refused > 100).then_some(())
        });
        let mut share = Share { plain: (0, 0), proven: (0, 0) };
        let until = Instant::now() + Duration::from_secs(6);
        let heard = |call_id: &str| victim.hears(call_id, Duration::from_millis(40));
        while Instant::now() < until {
            // At its own pace, so that one answer does not bring the next.
            std::thread::sleep(Duration::from_millis(23));
            let asked = victim.send("OPTIONS", "x", "");
            share.plain = (share.plain.0 + 1, share.plain.1 + usize::from(heard(&asked)));
            if let Some(nonce) = nonce {
                let header = credentials("REGISTER", "alice", "right", nonce);
                let asked = victim.send("REGISTER", "alice", &header);
                share.proven = (share.proven.0 + 1, share.proven.1 + usize::from(heard(&asked)));
            }
        }
        drop(ends);
        let sent = attack.join().unwrap();
        println!("{sent} forged requests; {share:?}");
        share
    })
}

pub fn start(folder: &Folder, settings: &str) -> Kamailio {
    login::config(&login::tenants(folder)).settings(settings).routes(SCRIPT).start()
}

#[test]
fn a_proven_victim_is_never_blocked_and_is_served_at_once_when_the_forging_ends() {
    let network = Namespace::new();
    network.run(|| {
        let folder = Folder::new();
        let kamailio = start(&folder, "");
        let victim = Phone::new("127.70.0.1", kamailio.address());
        let nonce = challenge(&victim, "REGISTER", "alice");
        let header = credentials("REGISTER", "alice", "right", &nonce);
        assert_eq!(victim.request("REGISTER", "alice", &header).unwrap().status, 200);
        assert_eq!(source(&kamailio, "127.70.0.1")["proven"], 1);
        let share = attacked(&kamailio, &victim, "127.70.0.1", Some(&nonce));
        // All that it proves, but for packets that no buffer had room for.
        let (asked, served) = share.proven;
        assert!(asked > 30 && served * 100 >= asked * 95, "{share:?}");
        // Anything else is refused like what is forged, but for its share of the limit.
        let (asked, served) = share.plain;
        assert!(served * 5 < asked, "{share:?}");
        assert_eq!(kamailio.rpc("sipwarden.blocks", json!([]))["total"], 0);
        assert_eq!(kamailio.counter("flood_started"), 0);
        // Within one window.
        let ended = Instant::now();
        wait_up_to(Duration::from_secs(10), "an answer after the attack", || {
            let asked = victim.send("OPTIONS", "x", "");
            victim.hears(&asked, Duration::from_millis(200)).then_some(())
        });
        println!("served {} ms after the attack", ended.elapsed().as_millis());
        // Kamailio's log says when it began and ended, and nothing for each packet.
        wait_up_to(Duration::from_secs(40), "the end of the throttling", || {
            kamailio.log().contains("throttling of 127.70.0.1/32 ends").then_some(())
        });
        assert_eq!(kamailio.log().matches("127.70.0.1 starts").count(), 1);
    });
}

#[test]
fn who_has_never_proven_itself_is_blocked_or_throttled_as_the_operator_says() {
    let network = Namespace::new();
    network.run(|| {
        let folder = Folder::new();
        let kamailio = start(&folder, "modparam(\"sipwarden\", \"flood_unproven\", \"block\")\n");
        let stranger = Phone::new("127.70.0.2", kamailio.address());
        attacked(&kamailio, &stranger, "127.70.0.2", None);
        assert_eq!(source(&kamailio, "127.70.0.2")["block"]["reason"], "flood");
        drop(kamailio);
        let folder = Folder::new();
        let throttle = "modparam(\"sipwarden\", \"flood_unproven\", \"throttle\")\n";
        let kamailio = start(&folder, throttle);
        let stranger = Phone::new("127.70.0.2", kamailio.address());
        attacked(&kamailio, &stranger, "127.70.0.2", None);
        assert_eq!(kamailio.rpc("sipwarden.blocks", json!([]))["total"], 0);
        wait_up_to(Duration::from_secs(10), "an answer after the attack", || {
            let asked = stranger.send("OPTIONS", "x", "");
            stranger.hears(&asked, Duration::from_millis(200)).then_some(())
        });
    });
}

/// Nonces of the auth module that are good only for the address that they were sent to.
const BOUND: &str = "modparam(\"auth\", \"auth_checks_register\", 8)\n\
                     modparam(\"auth\", \"auth_checks_no_dlg\", 8)\n\
                     modparam(\"auth\", \"auth_checks_in_dlg\", 8)\n";

#[test]
fn a_wrong_password_proves_an_address_if_its_nonce_is_good_only_there() {
    let folder = Folder::new();
    let kamailio = login::config(&login::tenants(&folder)).settings(BOUND).start();
    let [guesser, victim] =
        ["127.70.0.5", "127.70.0.6"].map(|from| Phone::new(from, kamailio.address()));
    let (status, told, _) = guess(&guesser, "REGISTER", "alice", "wrong");
    assert_eq!((status, told.reason.as_str()), (401, "auth_counted"));
    assert_eq!(source(&kamailio, "127.70.0.5")["proofs"], "nonce");
    // What the guesser sends in the victim's name is answered like a packet without a nonce.
    let stolen = challenge(&guesser, "REGISTER", "alice");
    let header = credentials("REGISTER", "alice", "wrong", &stolen);
    let reply = victim.request("REGISTER", "alice", &header).unwrap();
    assert_eq!((reply.status, reply.told()), (401, None));
    assert_eq!(source(&kamailio, "127.70.0.6")["proven"], 0);
    drop(kamailio);
    // As Kamailio's nonces are by default, anybody can answer them in anybody's name.
    let folder = Folder::new();
    let kamailio = login::config(&login::tenants(&folder)).start();
    let guesser = Phone::new("127.70.0.5", kamailio.address());
    assert_eq!(guess(&guesser, "REGISTER", "alice", "wrong").1.reason, "auth_counted");
    assert_eq!(source(&kamailio, "127.70.0.5")["proven"], 0);
}
