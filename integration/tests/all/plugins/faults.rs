//! What goes wrong with a plugin concerns the requests that are in it, and nobody else.

use switchback_integration::{PluginFault, plugin_fault};
use switchback_plugin::Kind;

use super::KINDS;

#[track_caller]
fn holds(fault: PluginFault, kinds: &[Kind]) {
    for kind in kinds {
        let played = plugin_fault(*kind, fault, 3);
        assert!(played.holds(), "{kind}, {fault}: {played:#?}");
        assert!(played.affected > 0 && played.others > 0, "{kind}, {fault}: {played:#?}");
    }
}

#[test]
fn a_panic_refuses_its_request_or_is_passed_over() {
    holds(PluginFault::Panic, &KINDS);
}

#[test]
fn whoever_waits_beside_a_panic_goes_on_where_memory_is_not_shared_with_it() {
    holds(PluginFault::PanicBesideOthers, &KINDS);
}

#[test]
fn a_hook_of_wasm_that_never_ends_is_ended() {
    holds(PluginFault::Spin, &[Kind::Wasm]);
}

#[test]
fn wasm_that_takes_all_memory_gives_it_back() {
    holds(PluginFault::Memory, &[Kind::Wasm]);
}

#[test]
fn a_hook_over_its_time_is_given_up() {
    holds(PluginFault::Timeout, &KINDS);
}

#[test]
fn a_client_that_leaves_takes_what_its_hook_waits_for_along() {
    holds(PluginFault::ClientGone, &KINDS);
}
