//! What a node is told when it starts.

use super::trust::Times;

/// What does not change while the node runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Setup {
    /// Names this start: drawn at random.
    pub instance: u128,
    /// The node's name.
    pub name: String,
    /// Of the secret and all settings that must agree.
    pub fingerprint: u128,
    /// The cluster's times.
    pub times: Times,
}
