//! The edge: listeners, processes and connections, under load and under attack.

mod c10m;
mod change;
mod h2_conformance;
mod h2_hostile;
mod h2spec;
mod idle;
mod idle_load;
mod positions;
mod presented;
mod slow_clients;
mod smuggling;
mod traffic;

use std::path::PathBuf;

pub use c10m::{Effort, Fit, IdleFound, IdlePlan, IdleStep, Need, idle_connections, needs, report};
pub use change::{Change, ChangePlan, Changes, Feature, Successor, changes};
pub use h2_conformance::{H2Conformance, h2_conformance};
pub use h2_hostile::{H2Hostile, h2_hostile};
pub use h2spec::{H2spec, h2spec};
pub use idle::{GIVEN_BACK, IdleOne, IdleOnePlan, idle_in_one_process};
pub use idle_load::hold;
pub use positions::{Positions, positions};
pub use slow_clients::{NotPlayed, Slow, SlowPlan, SlowRun, median, slow_clients};
pub use smuggling::{Smuggling, cut_everywhere, smuggling};
pub use traffic::{Tally, Traffic, traffic};

/// The program that plays these scenarios, which is also the program of their helpers: this one, or the one beside it.
///
/// # Panics
/// When there is none.
fn show_edge_binary() -> PathBuf {
    let caller = std::env::current_exe().expect("a running program has a path");
    let folders = caller.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join("show-edge")).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no `show-edge` beside {}", caller.display()))
}
