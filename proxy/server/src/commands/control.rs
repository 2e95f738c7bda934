//! `switchback reload`, `upgrade`, `stop`, `reopen`, `purge` and `status`: calls to the control socket.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use switchback::Server;
use switchback_admin::message::{Group, Purge, Status, StopMode, Verdict};
use switchback_admin::{CallError, Client};
use switchback_conf::{ProcessEnvironment, load_file, report};

use crate::cli::{self, Process};
use crate::config_search;
use crate::exit::Exit;
use crate::output::{fail, show, tell};

/// Has the running process put its configuration in force.
pub(crate) fn reload(process: Process, as_json: bool) -> Exit {
    ask(process, |client| {
        let verdict = client.reload()?;
        Ok(if as_json { show_json(&verdict, verdict.accepted) } else { show_verdict(&verdict) })
    })
}

/// Has another process take over from the running one.
pub(crate) fn upgrade(process: Process, as_json: bool) -> Exit {
    ask(process, |client| {
        let upgraded = client.upgrade()?;
        Ok(match (as_json, upgraded.taken_over) {
            (true, taken_over) => show_json(&upgraded, taken_over),
            (false, true) => show(format_args!("process {} has taken over\n", upgraded.pid)),
            (false, false) => fail(format_args!(
                "not upgraded, process {} keeps serving: {}",
                upgraded.pid,
                upgraded.report.trim_end()
            )),
        })
    })
}

/// Has the running process stop.
pub(crate) fn stop(process: Process, fast: bool) -> Exit {
    ask(process, |client| {
        client.stop(if fast { StopMode::Fast } else { StopMode::Graceful })?;
        Ok(Exit::Done)
    })
}

/// Has the running process open its log files again.
pub(crate) fn reopen(process: Process) -> Exit {
    ask(process, |client| client.reopen_logs().map(|()| Exit::Done))
}

/// Has the running process purge.
pub(crate) fn purge(wanted: cli::Purge) -> Exit {
    let cli::Purge { urls, prefix, host, tags, group, all, zones, soft, process, json } = wanted;
    let group = match &*group {
        [origin, name] => Some(Group { origin: origin.clone(), name: name.clone() }),
        _ => None,
    };
    let wanted = Purge { urls, prefix, host, tags, group, all, zones, soft };
    ask(process, |client| {
        let purged = client.purge(&wanted)?;
        if json {
            return Ok(show_json(&purged, true));
        }
        Ok(show(format_args!("purged in {}\n", purged.zones.join(", "))))
    })
}

/// Shows how the running process stands.
pub(crate) fn status(process: Process, as_json: bool) -> Exit {
    ask(process, |client| {
        let status = client.status()?;
        Ok(if as_json { show_json(&status, true) } else { show(describe(&status)) })
    })
}

pub(super) fn ask(process: Process, call: impl FnOnce(&Client) -> Result<Exit, CallError>) -> Exit {
    let socket = match socket_of(process) {
        Ok(socket) => socket,
        Err(exit) => return exit,
    };
    call(&Client::new(socket)).unwrap_or_else(fail)
}

fn socket_of(process: Process) -> Result<PathBuf, Exit> {
    if let Some(socket) = process.control {
        return Ok(socket);
    }
    let path = config_search::find(process.file.config).map_err(|none| {
        fail(none);
        Exit::Usage
    })?;
    let outcome = load_file(&path, &ProcessEnvironment);
    let Some(loaded) = outcome.value else {
        return socket_despite(&path, &report(&outcome.diagnostics));
    };
    match (loaded.plan.process.control_socket, loaded.config.control.socket) {
        (Some(socket), _) => Ok(socket),
        (None, None) => Ok(Server::runtime_socket(&path)),
        (None, Some(_)) => {
            Err(fail(format_args!("{}: `control.socket` is \"off\"", path.display())))
        }
    }
}

/// The socket that a configuration names in spite of its mistakes: the running process has an older, better one.
fn socket_despite(path: &Path, mistakes: &str) -> Result<PathBuf, Exit> {
    let named = std::fs::read_to_string(path).ok().and_then(|text| named_socket(path, &text));
    named.ok_or_else(|| {
        tell(mistakes);
        fail("the control socket cannot be told from this; name it with --control SOCKET")
    })
}

fn named_socket(path: &Path, text: &str) -> Option<PathBuf> {
    let table: toml::Table = text.parse().ok()?;
    let here = path.parent().unwrap_or(Path::new(""));
    if let Some(socket) = table.get("control").and_then(|control| control.get("socket")) {
        return socket.as_str().filter(|socket| *socket != "off").map(|socket| here.join(socket));
    }
    let Some(pid_file) = table.get("pid_file") else { return Some(Server::runtime_socket(path)) };
    Some(here.join(pid_file.as_str()?).with_extension("sock"))
}

pub(super) fn show_json(value: &impl serde::Serialize, good: bool) -> Exit {
    let shown = match serde_json::to_string(value) {
        Ok(text) => show(format_args!("{text}\n")),
        Err(error) => fail(error),
    };
    if good { shown } else { Exit::Failed }
}

fn show_verdict(verdict: &Verdict) -> Exit {
    if !verdict.report.is_empty() {
        tell(&verdict.report);
    }
    if verdict.accepted {
        return show(format_args!("generation {} is in force\n", verdict.generation));
    }
    fail(format_args!("refused, generation {} keeps serving", verdict.generation))
}

fn describe(status: &Status) -> String {
    let mut text = format!("process      {}, {}\n", status.pid, status.state.as_str());
    // Writing to a string cannot fail.
    if let Some(config) = &status.config {
        let _ =
            writeln!(text, "config       {}, generation {}", config.display(), status.generation);
    } else {
        let _ = writeln!(text, "config       generation {}", status.generation);
    }
    let _ = writeln!(text, "up           {}", spell(status.uptime_seconds));
    let _ = writeln!(text, "workers      {}", status.workers);
    for listener in &status.listeners {
        let tls = if listener.tls { " (TLS)" } else { "" };
        let _ = writeln!(text, "listener     {} at {}{tls}", listener.name, listener.address);
    }
    let _ = writeln!(text, "connections  {}", status.connections);
    let _ =
        writeln!(text, "requests     {}, {} in flight", status.requests, status.requests_in_flight);
    if status.log_lines_lost > 0 {
        let _ = writeln!(text, "logs         {} lines lost", status.log_lines_lost);
    }
    if let Some(failure) = &status.upgrade_failure {
        let _ = writeln!(text, "upgrade      failed: {}", failure.trim_end());
    }
    text
}

/// A time as people say it: the two largest units.
fn spell(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_found_in_a_configuration_that_is_wrong_elsewhere() {
        let path = Path::new("/etc/switchback/switchback.toml");
        let socket = |text| named_socket(path, text);
        let wrong = "listeners = 7\npid_file = \"/run/a.pid\"\n";
        assert_eq!(socket(wrong), Some("/run/a.sock".into()));
        assert_eq!(
            socket("pid_file = \"/run/a.pid\"\n[control]\nsocket = \"b.sock\""),
            Some("/etc/switchback/b.sock".into())
        );
        assert_eq!(socket("pid_file = \"/run/a.pid\"\n[control]\nsocket = \"off\""), None);
        assert_eq!(socket("[[["), None);
    }

    #[test]
    fn times_are_spelled_in_two_units() {
        let spelled = [7, 67, 3_660, 90_000].map(spell);
        assert_eq!(spelled, ["7 s", "1 min 7 s", "1 h 1 min", "1 d 1 h"]);
    }
}
