//! `sipwarden.settings`.

use super::reply::{Call, Fault};
use crate::host::auth::with_auth_rules;
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
        let names = &state.settings.classes;
        reply.text(c"flood_company_sources", names.name(rules.company_sources()));
        let classes = reply.array(c"classes");
        for class in names.ids().map(Some) {
            let rule = rules.class(class);
            let node = classes.item_structure();
            node.text(c"class", names.name(class));
            node.int(c"limit", rule.limit);
            node.int(c"window_ms", rule.window);
            node.int(c"block", rule.block);
            node.int(c"block_max", rule.block_max);
        }
    });
    let auth = state.auth_rules.settings();
    with_auth_rules(state, |rules| {
        reply.int(c"auth_monitor", auth.monitor);
        reply.int(c"auth_same", auth.same);
        let names = &state.settings.classes;
        reply.text(c"auth_company_sources", names.name(rules.company_sources()));
        let classes = reply.array(c"auth_classes");
        for class in names.ids().map(Some) {
            let rule = rules.class(class);
            let node = classes.item_structure();
            node.text(c"class", names.name(class));
            node.int(c"limit", rule.limit);
            node.int(c"window", rule.window);
            node.int(c"block", rule.block);
            node.int(c"restart", rule.restart);
        }
    });
    Ok(())
}
