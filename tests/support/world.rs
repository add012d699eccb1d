//! A platform with both proxies running, a carrier and an application server.

use std::net::SocketAddr;

use super::account::Account;
use super::call::{Caller, Endpoint};
use super::kamailio::free_port;
use super::platform::Platform;
use super::proxies::Proxies;

/// Where phones of company 7 may be, and where they may not.
pub const GRANTED: &str = "127.50.7.1";
pub const ELSEWHERE: &str = "127.60.0.1";
const CARRIER: &str = "127.70.0.1";

/// A platform, both proxies, a carrier and an application server.
pub struct World {
    pub platform: Platform,
    pub proxies: Proxies,
    pub carrier: Endpoint,
    /// The application server.
    pub server: Endpoint,
}

/// Company 7 (vpbx, alice: 3 calls from elsewhere) may come from one network; 8 (vpbx,
/// alice: none), 9 (retail) and 10 (residential) from nowhere here; 11 is wholesale.
const SETUP: &str = "
    UPDATE Companies SET type = 'retail' WHERE id = 9;
    UPDATE Companies SET type = 'residential' WHERE id = 10;
    UPDATE Companies SET type = 'wholesale' WHERE id = 11;
    INSERT INTO kam_users_address (companyId, ip_addr, mask) VALUES (7, '127.50.7.0', 24);
    DELETE FROM Terminals WHERE companyId IN (9, 10);
    INSERT INTO RetailAccounts (id, companyId, name, domainId, password) VALUES (1, 9, 'alice', 9, 'secret');
    INSERT INTO ResidentialDevices (id, companyId, name, domainId, password) VALUES (1, 10, 'alice', 10, 'secret');
    INSERT INTO kam_trusted (src_ip, proto, tag, companyId) VALUES ('127.80.0.1', 'any', '11', 11);
    INSERT INTO kam_trunks_address (grp, ip_addr, mask) VALUES (1, '127.70.0.0', 24);
    INSERT INTO DDIs (companyId, DDIE164) VALUES (7, '+34911111111');
    INSERT INTO sipwarden.sipwarden_operator_address (ip_addr, description) VALUES ('127.0.0.1', 'both proxies');";

impl World {
    pub fn start(defines: &[(&str, &str)]) -> Self {
        let platform = Platform::start();
        // An address of loopback for itself, so that its port may be 5060.
        let [high, low] = free_port().to_be_bytes();
        let server: SocketAddr = ([127, high, low, 5], 5060).into();
        platform.run(SETUP);
        platform
            .run(&format!("INSERT INTO ApplicationServers VALUES (1, '{}', 'as');", server.ip()));
        let carrier = Endpoint::new(CARRIER);
        let proxies = Proxies::start(&platform, carrier.address(), defines);
        World { platform, proxies, carrier, server: Endpoint::at(server) }
    }

    pub fn phone(&self, ip: &str, company: u32) -> Account {
        let domain = format!("c{company}.example");
        Account::new(ip, self.proxies.users.address(), "alice", &domain)
    }

    /// Brings an external call up to the carrier and answers it.
    pub fn external<'a>(&self, phone: &'a Account) -> Caller<'a> {
        let mut caller = phone.call("+34600000000", &phone.domain, "");
        let invite = self.carrier.request("INVITE");
        self.carrier.reply(&invite, 200, "c");
        assert_eq!(caller.final_reply().status(), Some(200));
        caller.ack();
        self.carrier.request("ACK");
        caller
    }

    pub fn hang_up(&self, mut caller: Caller<'_>) {
        caller.within("BYE");
        let bye = self.carrier.request("BYE");
        self.carrier.reply(&bye, 200, "c");
    }

    /// An INVITE of the carrier to company 7.
    pub fn carrier_call<'a>(&self, carrier: &'a Endpoint) -> Caller<'a> {
        let mut caller = Caller::new(carrier, self.proxies.trunks.address(), "carrier.example", "");
        caller.dial("+34911111111");
        caller
    }

    pub fn calls_of_company_are(&self, company: &str, calls: u32) {
        let expected = format!("calls: {calls}");
        self.proxies.trunks.wait_until(&["sipwarden.company", company], &expected);
    }
}
