//! What five linked plugins add to a request, in instructions.

use switchback_integration::{PluginCost, Show, plugin_cost};

/// The most that is wanted, in hundredths.
const MOST: f64 = 2.0;

/// Plugins that do nothing are held to it; those that do something are told beside, and so are answers from the cache.
pub(crate) fn all(show: &mut Show) {
    let Some(found) = plugin_cost(if crate::is_quick() { 300 } else { 1_000 }) else {
        return show.absent("what five linked plugins add to a proxied request", "valgrind");
    };
    for cost in &found {
        let PluginCost { plugins, is_hit, without, with } = cost;
        let excess = cost.excess();
        let kind = if *is_hit { "an answer from the cache" } else { "a proxied request" };
        let what = format!("five linked plugins {plugins}: {kind}");
        let figure =
            format!("{with:.0} instructions in user space, {without:.0} without: {excess:+.2} %");
        // What a plugin does for a request is its own work: ten look-ups in the map of headers take 1.2 % by themselves. What a hit loses was
        // promised nowhere.
        if *is_hit || !plugins.contains("nothing") {
            show.say(&format!("  {what}: {figure}"));
        } else {
            show.line(&what, &figure, "at most +2 %", excess <= MOST);
        }
    }
    if !found.iter().any(|cost| cost.plugins.contains("nothing")) {
        let how = "cargo build --example idle_plugins -p switchback, with the binary's profile";
        show.line(
            "five linked plugins that do nothing",
            &format!("not there: {how}"),
            "at most +2 %",
            false,
        );
    }
}
