//! A platform with both proxies running, a carrier and an application server.

use super::account::Account;
use super::call::{Caller, Endpoint, Message};
use super::platform::Platform;
use super::proxies::{Inside, Kind, Proxies, Proxy};

/// Where phones of company 7 may be, and where they may not.
pub const GRANTED: &str = "127.50.7.1";
pub const ELSEWHERE: &str = "127.60.0.1";
const CARRIER: &str = "127.70.0.1";

/// A platform, both proxies, a carrier and an application server.
pub struct World {
    pub platform: Platform,
    pub proxies: Proxies,
    pub inside: Inside,
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
    INSERT INTO DDIs (brandId, companyId, DDIE164) VALUES (8, 7, '+34911111111'), (1, NULL, '+34922222222');";

impl World {
    pub fn start(kind: Kind, settings: &[(&str, &str)]) -> Self {
        let owned = settings.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let owned: Vec<_> = owned.collect();
        World::start_with(kind, &|_| owned.clone())
    }

    /// With settings that the platform's database has to be there for.
    pub fn start_with(kind: Kind, settings: &dyn Fn(&Platform) -> Vec<(String, String)>) -> Self {
        World::start_under(&[], kind, settings)
    }

    /// The same, its proxies by another program, which is given Kamailio's.
    pub fn start_under(
        wrapper: &[String],
        kind: Kind,
        settings: &dyn Fn(&Platform) -> Vec<(String, String)>,
    ) -> Self {
        let platform = Platform::start();
        let settings = settings(&platform);
        let settings: Vec<_> = settings.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let inside = Inside::new();
        let Inside { users, trunks, server } = inside;
        platform.run(SETUP);
        platform.run(&format!(
            "INSERT INTO ApplicationServers VALUES (1, '{server}', 'as');
             INSERT INTO ProxyUsers (name, ip) VALUES ('users', '{users}'), ('none', NULL);
             INSERT INTO ProxyTrunks (name, ip) VALUES ('trunks', '{trunks}');
             INSERT INTO kam_dispatcher (setid, destination) VALUES (0, 'sip:{server}:5060');"
        ));
        let carrier = Endpoint::new(CARRIER);
        let to = carrier.address();
        let proxies = Proxies::start_under(wrapper, &platform, kind, inside, to, &settings);
        let server = Endpoint::at((server, 5060).into());
        World { platform, proxies, inside, carrier, server }
    }

    pub fn phone(&self, ip: &str, company: u32) -> Account {
        let domain = format!("c{company}.example");
        Account::new(ip, self.proxies.users.address(), "alice", &domain)
    }

    /// Brings a call of a vPBX phone up to the application server, which answers.
    pub fn answered<'a>(&self, phone: &'a Account) -> Caller<'a> {
        let mut caller = phone.call("+34600000000", &phone.domain, "");
        let invite = self.server.request("INVITE");
        assert!(invite.0.line.starts_with("INVITE sip:+34600000000@"), "{}", invite.0.line);
        self.server.reply(&invite, 200, "a");
        assert_eq!(caller.final_reply().status(), Some(200));
        caller.ack();
        self.server.request("ACK");
        caller
    }

    pub fn hang_up(&self, mut caller: Caller<'_>, other: &Endpoint) {
        caller.within("BYE");
        let bye = other.request("BYE");
        other.reply(&bye, 200, "a");
    }

    /// An INVITE of the application server for an external call of a company.
    pub fn external(&self, company: u32, number: &str) -> Caller<'_> {
        self.external_over(&self.proxies.trunks, company, number)
    }

    /// The same over another copy of trunks.
    pub fn external_over(&self, trunks: &Proxy, company: u32, number: &str) -> Caller<'_> {
        let brand = company % 20 + 1;
        let headers = format!(
            "X-Info-BrandId: {brand}\r\nX-Info-CompanyId: {company}\r\nX-Info-Type: vpbx\r\n"
        );
        let mut caller = Caller::new(&self.server, trunks.address(), "as.example", &headers);
        caller.dial(number);
        caller.invite();
        caller
    }

    /// The carrier answers the INVITE of this call.
    pub fn carrier_answers(&self, caller: &mut Caller<'_>) {
        let invite = self.carrier.request("INVITE");
        self.carrier.reply(&invite, 200, "c");
        assert_eq!(caller.final_reply().status(), Some(200));
        caller.ack();
        self.carrier.request("ACK");
    }

    /// An INVITE of the carrier to company 7.
    pub fn carrier_call<'a>(&self, carrier: &'a Endpoint) -> Caller<'a> {
        let mut caller = Caller::new(carrier, self.proxies.trunks.address(), "carrier.example", "");
        caller.dial("+34911111111");
        caller
    }

    /// The application server's INVITE to a phone that is registered.
    pub fn call_phone(&self, phone: &Account) -> (Caller<'_>, (Message, std::net::SocketAddr)) {
        let headers = "X-Info-BrandId: 8\r\nX-Info-CompanyId: 7\r\nX-Info-Type: vpbx\r\n";
        let mut caller =
            Caller::new(&self.server, self.proxies.users.address(), "as.example", headers);
        caller.dial_at(&phone.user, &phone.domain);
        caller.invite();
        let ringing = phone.endpoint.request("INVITE");
        (caller, ringing)
    }

    pub fn calls_of_company_are(&self, company: &str, calls: u32) {
        let expected = format!("calls: {calls}");
        self.proxies.trunks.wait_until(&["sipwarden.company", company], &expected);
    }

    /// Rows of the portal's list of banned addresses.
    pub fn banned(&self) -> String {
        self.platform.server.query(
            "SELECT CONCAT_WS(' ', ip, blocker, companyId, brandId, aor) FROM ivozprovider.BannedAddresses ORDER BY id",
        )
    }
}
