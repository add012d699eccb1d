//! One generation of the configuration as an immutable, offset-based blob.
//!
//! [`compile`] builds it in private memory; [`View`] reads it at any address.
//! Nothing in it is a pointer, so it can be copied into shared memory.
#![forbid(unsafe_code)]

mod blob;
mod compile;
mod ids;
mod limit_view;
mod limits;
mod name_view;
mod names;
mod overlaps;
pub mod prefixes;
mod rows;
mod sources;
mod text;
mod tool_view;
mod tools;
pub mod uses;
mod view;

pub use blob::{Blob, copy_of};
pub use compile::{TooLarge, compile, compile_keyed};
pub use limits::ScopeLimits;
pub use name_view::NamedView;
pub use overlaps::overlaps;
pub use rows::{kept, kept_room, mark};
pub use sources::SourceKind;
pub use tool_view::ToolsView;
pub use uses::Mark;
pub use view::{CompanyView, Counts, UserView, View};
