//! The parameters of shared limits.

use super::at;
use super::kind::Kind;
use super::param::{Param, fixed, int, runtime};

pub(super) const CLUSTER: [Param; at::COUNT - at::CLUSTER_URL] = [
    fixed(
        c"cluster_url",
        Kind::Text { default: c"", min: 0, max: 1024 },
        c"Redis or Valkey server by which several proxies share their limits: `redis://user:password@host:6379/0` or `unix:///path`. Empty: limits are this one's own.",
    ),
    fixed(
        c"cluster_sentinels",
        Kind::Text { default: c"", min: 0, max: 1024 },
        c"Sentinels that know which server is the primary, as `host:port`, with commas between; one with a password as `redis://:password@host:port`. The host in `cluster_url` is then the name that they have for it. Empty: `cluster_url` is the server.",
    ),
    fixed(
        c"cluster_name",
        Kind::Text { default: c"sipwarden", min: 1, max: 63 },
        c"Name of the cluster: nodes with the same server and name share their limits.",
    ),
    fixed(
        c"cluster_node",
        Kind::Text { default: c"", min: 0, max: 63 },
        c"Name of this node, another one on each. Empty: the host name.",
    ),
    fixed(
        c"cluster_secret",
        Kind::Text { default: c"", min: 0, max: 256 },
        c"Secret of the cluster, at least 16 bytes, the same on all nodes. The server sees keyed hashes in place of ids.",
    ),
    runtime(
        c"cluster_timeout",
        int(20, 1, 500),
        c"Milliseconds that a SIP worker waits at most for the cluster's answer about a call.",
    ),
    runtime(
        c"cluster_policy",
        Kind::Choice { default: c"share", words: &["share", "local", "closed", "open"] },
        c"New calls while the cluster's server cannot be reached. `share`: each node admits its part of a limit. `local`: the whole limit. `closed`: none. `open`: all. Emergencies are always admitted.",
    ),
    runtime(
        c"cluster_policy_user",
        Kind::Choice { default: c"closed", words: &["share", "local", "closed", "open"] },
        c"The same for the slots of roadwarriors.",
    ),
    runtime(
        c"cluster_size",
        int(0, 0, 1000),
        c"Number of nodes, for the policy `share`. 0: as many as were seen at a time since the start.",
    ),
    runtime(
        c"cluster_replicas",
        int(0, 0, 5),
        c"Replicas of the server that must confirm each heartbeat: as many as it has, or 0 for a server alone.",
    ),
    fixed(
        c"cluster_trust",
        int(3, 2, 60),
        c"Seconds after its last heartbeat for which a node uses the slots it has. The same on all nodes.",
    ),
    fixed(
        c"cluster_dead",
        int(10, 5, 600),
        c"Seconds of silence after which other nodes may use a node's slots: more than twice `cluster_trust`. The same on all nodes.",
    ),
    runtime(
        c"cluster_blocks",
        int(1, 0, 1),
        c"1: blocks of sources begin and are lifted on all nodes, each judged by the node's own tables and classes. 0: this node neither tells nor takes them.",
    ),
    runtime(
        c"cluster_bans",
        int(1, 0, 1),
        c"The same for bans of AoRs.",
    ),
    runtime(
        c"cluster_grants",
        int(1, 0, 1),
        c"The same for grants, within the node's own `grant_longest`, `grant_prefix` and `grant_ipv6_prefix`.",
    ),
];
