//! What a node is told of its cluster.

use redis::ConnectionAddr;

use super::at;
use super::values::Values;
use crate::cluster::{Keys, Setup, Share, Times};
use crate::desk::Policies;
use crate::notices::Seal;
use crate::system::host_name;

/// Shortest secret in bytes.
const SECRET: usize = 16;
/// Texts that stand in the examples in place of a secret.
const EXAMPLES: [&str; 2] = ["PUT THE SECOND TEXT HERE", "a-long-text-of-your-own"];
/// Longest name of a node.
const LONGEST_NAME: usize = 63;

/// Where the server is.
#[derive(Clone)]
pub struct Server {
    /// With its password. With Sentinels its host is the name that they have for it.
    pub url: String,
    /// URLs of those that know which server is the primary.
    pub sentinels: Vec<String>,
}

impl Server {
    /// # Errors
    /// A sentence that names parameter and remedy.
    fn take(url: String, sentinels: &str) -> Result<Self, String> {
        let Ok(client) = redis::Client::open(url.as_str()) else {
            return Err("parameter cluster_url: it is not redis://[[user]:password@]host[:port] \
                        nor unix:///path of a socket"
                .into());
        };
        let is_tcp = matches!(client.get_connection_info().addr(), ConnectionAddr::Tcp(..));
        if !sentinels.is_empty() && !is_tcp {
            return Err("parameter cluster_sentinels: the host in cluster_url is the name that \
                        they have for the server, as in redis://:password@mymaster"
                .into());
        }
        let entries = sentinels.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let url_of = |(n, entry): (usize, &str)| {
            let url = match entry.contains("://") {
                true => entry.to_owned(),
                false => format!("redis://{entry}"),
            };
            let is_good = redis::Client::open(url.as_str()).is_ok() && entry.contains(':');
            is_good.then_some(url).ok_or_else(|| {
                // Not its text: a part of a password may be what is wrong.
                format!(
                    "parameter cluster_sentinels: number {} is neither host:port nor \
                     redis://:password@host:port",
                    n + 1
                )
            })
        };
        let sentinels = entries.enumerate().map(url_of).collect::<Result<_, _>>()?;
        Ok(Server { url, sentinels })
    }
}

/// What does not change while the node runs.
#[derive(Clone)]
pub struct ClusterSettings {
    pub server: Server,
    /// The key of the members at the server.
    pub key: String,
    pub keys: Keys,
    /// Proves that a notice is one of the cluster.
    pub seal: Seal,
    /// The node.
    pub setup: Setup,
}

impl ClusterSettings {
    /// None: limits are this node's own.
    ///
    /// # Errors
    /// A sentence that names parameter and remedy.
    pub fn take(values: &Values) -> Result<Option<Self>, String> {
        let url = values.text(at::CLUSTER_URL);
        let sentinels = values.text(at::CLUSTER_SENTINELS);
        if url.is_empty() {
            return match sentinels.is_empty() {
                true => Ok(None),
                false => Err("parameter cluster_sentinels: cluster_url is missing".into()),
            };
        }
        let server = Server::take(url, &sentinels)?;
        let name = values.text(at::CLUSTER_NAME);
        if !is_name(&name) {
            return Err(named("cluster_name", &name));
        }
        let node = match values.text(at::CLUSTER_NODE) {
            node if node.is_empty() => host_name().unwrap_or_default(),
            node => node,
        };
        if !is_name(&node) {
            return Err(named("cluster_node", &node));
        }
        let secret = values.text(at::CLUSTER_SECRET);
        if secret.len() < SECRET {
            return Err(format!(
                "parameter cluster_secret: {} bytes are too few; give a text of at least {SECRET}, \
                 the same on all nodes",
                secret.len()
            ));
        }
        if EXAMPLES.contains(&secret.as_str()) {
            return Err(format!(
                "parameter cluster_secret: \"{secret}\" is the text of an example; draw one with \
                 openssl rand -hex 32, the same on all nodes"
            ));
        }
        let seconds = |index| u64::try_from(values.int(index)).unwrap_or(0).saturating_mul(1000);
        let (trust, dead) = (seconds(at::CLUSTER_TRUST), seconds(at::CLUSTER_DEAD));
        let times = Times { trust, dead, ..Times::default() };
        if !times.fit() {
            return Err(format!(
                "parameter cluster_dead: {} is too short for cluster_trust {}; give at least {}",
                dead / 1000,
                trust / 1000,
                2 * (trust / 1000) + 1
            ));
        }
        let keys = Keys::new(secret.as_bytes());
        let (trust, dead) = (trust.to_string(), dead.to_string());
        let fingerprint = keys.fingerprint(&[trust.as_bytes(), dead.as_bytes()]);
        let mut instance = [0; 16];
        getrandom::fill(&mut instance).map_err(|error| format!("no random numbers: {error}"))?;
        let instance = u128::from_ne_bytes(instance);
        let setup = Setup { instance, name: node, fingerprint, times };
        let (key, seal) = (format!("sw:{{{name}}}:m"), Seal(keys.seal()));
        Ok(Some(ClusterSettings { server, key, keys, seal, setup }))
    }
}

/// What is allowed, and seldom meant.
pub fn doubts(values: &Values) -> Option<&'static str> {
    let has_sentinels = !values.text(at::CLUSTER_SENTINELS).is_empty();
    (has_sentinels && values.int(at::CLUSTER_REPLICAS) == 0).then_some(
        "parameter cluster_replicas is 0 beside cluster_sentinels: after a failover a proxy that \
         reaches only the old primary admits calls by it for as long as it does; set \
         cluster_replicas to the number of replicas, and it stops within cluster_trust \
         (docs/cluster.md, \"Replicas\")",
    )
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(allowed)
}

fn named(parameter: &str, name: &str) -> String {
    format!(
        "parameter {parameter}: \"{}\" is not 1 to {LONGEST_NAME} letters, digits, dots, dashes \
         or underscores",
        name.escape_debug()
    )
}

/// What operators may change while the node runs.
pub fn policies(values: &Values) -> Policies {
    let int = |index| u32::try_from(values.int(index)).unwrap_or(0);
    let share = |index| match values.text(index).as_str() {
        "closed" => Share::Closed,
        "local" => Share::Parts(1000),
        "open" => Share::Open,
        _ => Share::Equal,
    };
    Policies {
        timeout: int(at::CLUSTER_TIMEOUT).into(),
        shared: share(at::CLUSTER_POLICY),
        user: share(at::CLUSTER_POLICY_USER),
        size: int(at::CLUSTER_SIZE),
        replicas: int(at::CLUSTER_REPLICAS),
    }
}
