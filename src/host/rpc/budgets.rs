//! What RPC methods say of budgets.

use crate::host::contract::rpc::Node;
use crate::host::state::{State, budgets};
use crate::limiter::ClassId;

/// The budgets that are set, with what is spent of them.
pub fn tell(reply: &Node<'_>, state: &State) {
    let list = reply.array(c"budgets");
    for spent in budgets::all(state) {
        let node = list.item_structure();
        node.text(c"class", state.settings.classes.name(Some(spent.class)));
        node.int(c"requests", spent.requests);
        node.int(c"budget", spent.budget);
        node.int(c"window_ms", spent.window);
        node.int(c"refused_seconds", spent.refused_seconds);
    }
}

/// The same in words, of one class; None without a budget.
pub fn words(state: &State, class: Option<ClassId>) -> Option<String> {
    let spent = budgets::of(state, class?)?;
    let refused = match spent.refused_seconds {
        0 => String::new(),
        seconds => format!("; they have been refused for {seconds} s"),
    };
    Some(format!(
        "budget of class {}: {} of {} requests in {} ms by unknown sources{refused}",
        state.settings.classes.name(class),
        spent.requests,
        spent.budget,
        spent.window
    ))
}
