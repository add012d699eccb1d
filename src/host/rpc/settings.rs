//! `sipwarden.settings`.

use super::reply::{Call, Fault};
use crate::flood::{ClassId, CompanySources};
use crate::host::flood::with_rules;
use crate::host::state::State;

/// What can be changed at run time, as it holds now.
pub fn settings(call: &Call, state: &State) -> Result<(), Fault> {
    let reply = call.reply();
    let flood = state.flood_rules.settings();
    with_rules(state, |rules| {
        reply.int(c"monitor", flood.monitor_all);
        reply.int(c"flood_monitor", flood.monitor);
        reply.int(c"flood_ipv6_prefix", flood.ipv6_prefix);
        reply.int(c"flood_exempt_prefix", flood.broadest_v4);
        reply.int(c"flood_exempt_ipv6_prefix", flood.broadest_v6);
        let sources = match rules.company_sources() {
            CompanySources::Exempt => None,
            CompanySources::Class(class) => Some(class),
        };
        reply.text(c"flood_company_sources", state.settings.class_name(sources));
        let classes = reply.array(c"classes");
        for id in 0..=state.settings.classes.len() {
            let class = Some(ClassId(id as u8));
            let rule = rules.class(class);
            let node = classes.item_structure();
            node.text(c"class", state.settings.class_name(class));
            node.int(c"limit", rule.limit);
            node.int(c"window_ms", rule.window);
            node.int(c"block", rule.block);
            node.int(c"block_max", rule.block_max);
        }
    });
    Ok(())
}
