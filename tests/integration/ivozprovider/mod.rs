//! The drop-in on a platform like IvozProvider.

mod calls;
mod check;
mod collations;
mod copies;
mod floods;
mod guide;
mod keepalive;
mod logins;
mod side_by_side;
mod start;
mod tables;
