//! Digest authentication as phones do it (RFC 2617 without qop).

use super::sip::{Phone, Reply};

pub const REALM: &str = "test.invalid";

/// The nonce of a challenge.
pub fn nonce(challenge: &Reply) -> String {
    let header = challenge.header("WWW-Authenticate");
    let header = header.or(challenge.header("Proxy-Authenticate")).expect("a challenge");
    header.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

/// Asks without credentials; the nonce of the challenge.
pub fn challenge(phone: &Phone, method: &str, user: &str) -> String {
    let reply = phone.request(method, user, "").expect("a challenge");
    assert!(matches!(reply.status, 401 | 407), "{}", reply.text);
    nonce(&reply)
}

/// The header with credentials for a request.
pub fn credentials(method: &str, user: &str, password: &str, nonce: &str) -> String {
    let hash = |text: String| format!("{:x}", md5::compute(text));
    let uri = format!("sip:{REALM}");
    let secret = hash(format!("{user}:{REALM}:{password}"));
    let response = hash(format!("{secret}:{nonce}:{}", hash(format!("{method}:{uri}"))));
    let header = if method == "REGISTER" { "Authorization" } else { "Proxy-Authorization" };
    format!(
        "{header}: Digest username=\"{user}\", realm=\"{REALM}\", nonce=\"{nonce}\", \
         uri=\"{uri}\", response=\"{response}\"\r\n"
    )
}
