//! Refusals as an operator sees them who types. What is of each host is in tests/hosts.

use crate::hosts::denied::longest_refusals;

#[test]
fn a_page_of_the_longest_refusals_fits_kamcmd() {
    let (kamailio, _folder) = longest_refusals();
    for (page, count) in [("1", 20), ("2", 5)] {
        let typed = kamailio.kamcmd(&["sipwarden.denied", "s:", page]);
        assert_eq!(typed.matches("reason: unknown_company").count(), count, "{typed}");
    }
    assert!(!kamailio.log().contains("ERROR"), "{}", kamailio.log());
}
