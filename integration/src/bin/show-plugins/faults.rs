//! What goes wrong with a plugin of each kind: whether exactly the requests that it is about end as declared, the process lives, and memory
//! comes back.

use switchback_integration::{Faulted, PluginFault, Show, plugin_fault};
use switchback_plugin::Kind;

const KINDS: [Kind; 3] = [Kind::Linked, Kind::Native, Kind::Wasm];
const WANTED: &str = "all as declared, none other, same process, at most 24 MiB more";

/// Each fault of each kind.
pub(crate) fn all(show: &mut Show) {
    for fault in PluginFault::ALL {
        for kind in KINDS.into_iter().filter(|kind| fault.is_for(*kind)) {
            let played = plugin_fault(kind, fault, rounds(kind, fault));
            show.line(&format!("{kind}: {fault}"), &figure(&played), WANTED, played.holds());
            for wrong in played.wrong.iter().take(3) {
                show.say(&format!("  {wrong}"));
            }
        }
    }
}

/// So often that whatever is not given back is seen: with one instance of 64 MiB, or 64 KiB of each of a few hundred requests.
fn rounds(kind: Kind, fault: PluginFault) -> usize {
    match (fault, kind) {
        (PluginFault::Panic, Kind::Linked | Kind::Native) => 300,
        (PluginFault::PanicBesideOthers, Kind::Linked | Kind::Native) => 60,
        (PluginFault::Timeout, _) => 30,
        (PluginFault::ClientGone, _) => 60,
        (PluginFault::Spin, Kind::Linked | Kind::Native) => 3,
        (_, Kind::Wasm) => 30,
        (PluginFault::Memory, _) => 0,
    }
}

fn figure(played: &Faulted) -> String {
    let Faulted { affected, as_declared, others, wrong, counted, lives, memory } = played;
    let process = if *lives { "same process" } else { "ANOTHER PROCESS" };
    let more = i128::from(memory.1) - i128::from(memory.0);
    format!(
        "{as_declared} of {affected} as declared, {others} others 200, {} wrong, {} of {} failures counted, {process}, {:+.1} MiB",
        wrong.len(),
        counted.0,
        counted.1,
        more as f64 / 1024.0
    )
}
