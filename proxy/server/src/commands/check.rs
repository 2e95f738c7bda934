//! `switchback check`.

use std::path::PathBuf;

use serde_json::json;
use switchback::{Outcome, Server};
use switchback_conf::plan::Plan;

use crate::config_search;
use crate::exit::Exit;
use crate::output::{fail, show, tell};

/// Reports everything that is wrong with the configuration.
pub(crate) fn check(named: Option<PathBuf>, as_json: bool) -> Exit {
    let path = match config_search::find(named) {
        Ok(path) => path,
        Err(none) => {
            fail(none);
            return Exit::Usage;
        }
    };
    let outcome = Server::from_file(&path).logger().check();
    let exit = if outcome.value.is_some() { Exit::Done } else { Exit::Failed };
    if as_json {
        let findings =
            json!({ "accepted": outcome.value.is_some(), "diagnostics": outcome.diagnostics });
        return worse(show(format_args!("{findings}\n")), exit);
    }
    if !outcome.diagnostics.is_empty() {
        tell(outcome.report());
    }
    match &outcome {
        Outcome { value: Some(plan), .. } => worse(
            show(format_args!("{}: the configuration is good: {}\n", path.display(), extent(plan))),
            exit,
        ),
        Outcome { value: None, .. } => exit,
    }
}

fn worse(printed: Exit, found: Exit) -> Exit {
    if found == Exit::Done { printed } else { found }
}

fn extent(plan: &Plan) -> String {
    let counts = [
        (plan.listeners.len(), "listener"),
        (plan.sites.len(), "site"),
        (plan.routes.len(), "route"),
        (plan.upstreams.len(), "upstream"),
    ];
    let counted =
        counts.map(|(count, noun)| format!("{count} {noun}{}", if count == 1 { "" } else { "s" }));
    counted.join(", ")
}
