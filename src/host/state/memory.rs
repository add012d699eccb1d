//! The memory that is mapped at start-up, and the error where there is no room for it.

use std::fs;
use std::io;

use crate::auth::AuthTable;
use crate::flood::FloodTable;
use crate::host::settings::{Kind, PARAMS, Settings, at};
use crate::ledger::Ledger;
use crate::proven::ProvenTable;
use crate::shm::page_size;
use crate::spraying::SprayTable;
use crate::system::address_space_limit;

/// Left for everything else that the host maps: a reload, connections, other modules.
const REST: usize = 64 << 20;
/// So many entries of each table are mapped to measure the size of one.
const TRIAL: usize = 4096;

/// A source over connections for so many that are known: a host bounds its connections.
pub const STREAMS: usize = 4;
/// A source that fails for so many pairs of AoR and source.
pub const SPRAYERS: usize = 4;

/// A parameter that sets the size of a mapping.
struct Size {
    index: usize,
    value: usize,
    /// Of what, in its unit.
    unit: &'static str,
    /// Bytes of one unit.
    each: usize,
    /// Whether it is rounded up to a power of two.
    rounded: bool,
}

impl Size {
    fn bytes(&self) -> usize {
        let value = if self.rounded { self.value.next_power_of_two() } else { self.value };
        value.saturating_mul(self.each)
    }

    fn name(&self) -> &'static str {
        PARAMS.get(self.index).map_or("", |param| param.name.to_str().unwrap_or_default())
    }

    /// The largest value that fits in so many bytes; None below the lowest that is allowed.
    fn within(&self, bytes: usize) -> Option<usize> {
        let value = bytes.checked_div(self.each)?;
        let value = if self.rounded { (value / 2 + 1).next_power_of_two() } else { value };
        let lowest = match PARAMS.get(self.index)?.kind {
            Kind::Int { min, .. } => usize::try_from(min).ok()?,
            _ => 0,
        };
        (value >= lowest && value < self.value).then_some(value)
    }
}

/// The planned mappings, and the room for them.
pub struct Plan {
    sizes: [Size; 5],
    /// Bytes of address space, where it is limited.
    room: Option<usize>,
}

impl Plan {
    /// Measures with trial mappings where address space is limited.
    pub fn new(settings: &Settings) -> Self {
        let room = room();
        let each = |bytes: &dyn Fn() -> io::Result<usize>| {
            room.map_or(0, |_| bytes().map_or(0, |bytes| bytes.div_ceil(TRIAL)))
        };
        let size = |index, value, unit, each, rounded| Size { index, value, unit, each, rounded };
        let call = each(&|| Ledger::new(TRIAL, [0; 2]).map(|table| table.memory().bytes));
        let source = each(&|| FloodTable::new(TRIAL, [0; 2]).map(|table| table.usage().bytes));
        let proven = each(&|| ProvenTable::new(TRIAL, [0; 2]).map(|table| table.bytes()));
        let source = source + source / STREAMS + proven;
        let spray = each(&|| SprayTable::new(TRIAL, [0; 2]).map(|table| table.usage().bytes));
        let login = each(&|| AuthTable::new(TRIAL, [0; 2]).map(|table| table.usage().bytes));
        let login = login + spray / SPRAYERS;
        let feeds = if settings.feeds.is_empty() { 0 } else { settings.feeds_bytes };
        let sizes = [
            size(at::SNAPSHOT_MEMORY, settings.snapshot_bytes >> 20, "MiB", 1 << 20, false),
            // Some of its parts are rounded up.
            size(at::MAX_CALLS, settings.max_calls, "calls", call + call / 8, false),
            size(at::FLOOD_SOURCES, settings.flood_sources, "sources", source, true),
            size(at::AUTH_SOURCES, settings.auth_sources, "pairs of AoR and source", login, true),
            size(at::BLOCKLIST_MEMORY, feeds >> 20, "MiB", 1 << 20, false),
        ];
        Plan { sizes, room }
    }

    /// Why the mappings failed: the parameter that takes most, and a value that would fit.
    pub fn explain(&self, error: &io::Error) -> String {
        let most = self.sizes.iter().max_by_key(|size| size.bytes());
        let (Some(room), Some(most)) = (self.room, most) else {
            let all = self.sizes.iter().map(|size| format!("{} {}", size.name(), size.value));
            let all = all.collect::<Vec<_>>().join(", ");
            return format!("no address space for {all}: {error}; smaller values may do");
        };
        let (name, value, unit) = (most.name(), most.value, most.unit);
        let mib = |bytes: usize| bytes.div_ceil(1 << 20);
        let all = self.sizes.iter().map(Size::bytes).fold(REST, usize::saturating_add);
        let begin = format!(
            "parameter {name}: no address space for {value} {unit} ({} MiB of {} in all): {error}",
            mib(most.bytes()),
            mib(all)
        );
        let missing = mib(all.saturating_sub(room));
        let larger = format!("a limit (ulimit -v) that is {missing} MiB higher");
        match most.within(room.saturating_sub(all - most.bytes())) {
            Some(value) => format!("{begin}; {name} {value} would do, or {larger}"),
            None => format!("{begin}; {larger} would do"),
        }
    }
}

/// Bytes of address space that the process may map; None without a limit.
fn room() -> Option<usize> {
    let limit = address_space_limit()?;
    let pages: usize =
        fs::read_to_string("/proc/self/statm").ok()?.split(' ').next()?.parse().ok()?;
    Some(limit.saturating_sub(pages * page_size()))
}
