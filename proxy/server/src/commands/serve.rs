//! What `run`, `proxy` and `demo` have in common: a server that owns this process.

use std::fmt::Write as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use switchback::{Drained, Error, Handle, Server, Signals, VERSION};
use switchback_conf::report;

use crate::exit::Exit;
use crate::memory;
use crate::output::{show, tell};

/// What the person at the terminal is told once it serves, beside what listens where.
pub(crate) enum Introduction {
    /// Nothing more: a service, whose standard output may be an access log.
    None,
    /// This, all of it on standard output: they asked for it.
    Shown(String),
}

/// Serves until it is stopped. The process's logger and signals are the server's.
///
/// # Errors
/// It did not start.
pub(crate) fn serve(server: Server, introduction: Introduction) -> Result<Exit, Error> {
    let source = server.config_file().map(|path| path.display().to_string());
    let server = server.logger().signals(whose_signals()).on_burst_over(memory::give_back);
    let mut server = server.take_over();
    if let Some(successor) = successor() {
        server = server.successor(successor);
    }
    if let Ok(socket) = std::env::var("NOTIFY_SOCKET") {
        server = server.notify(socket);
    }
    let handle = server.spawn()?;
    if !handle.warnings().is_empty() {
        tell(report(handle.warnings()));
    }
    let listeners = listeners(&handle, source.as_deref());
    match introduction {
        Introduction::None => tell(listeners),
        Introduction::Shown(text) => {
            // A closed standard output does not keep it from serving.
            let _ = show(listeners + &text);
        }
    }
    Ok(match handle.wait() {
        Drained::Clean => Exit::Done,
        Drained::Forced { connections } => {
            tell(format_args!("switchback: stopped, {connections} connections were dropped"));
            Exit::Unclean
        }
    })
}

/// This very command again, with whatever program is then at its path.
fn successor() -> Option<impl Fn() -> Command + Send + Sync> {
    let mut said = std::env::args_os();
    let name = said.next()?;
    let arguments: Vec<_> = said.collect();
    let program = program(Path::new(&name))?;
    Some(move || {
        let mut command = Command::new(&program);
        // It may look at the name that it is called by.
        command.arg0(&name).args(&arguments);
        command
    })
}

/// Where the program called `name` is: not where the running one was found, whose file may have been replaced since.
fn program(name: &Path) -> Option<PathBuf> {
    if name.components().nth(1).is_some() {
        return std::path::absolute(name).ok();
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(name));
    found.into_iter().find(|path| path.is_file()).or_else(|| std::env::current_exe().ok())
}

/// Called by nginx's name, it ends as nginx does.
fn whose_signals() -> Signals {
    let called = std::env::args_os().next();
    let name = called.as_deref().map(Path::new).and_then(Path::file_name);
    if name.is_some_and(|name| name == "nginx") { Signals::Nginx } else { Signals::Native }
}

fn listeners(handle: &Handle, source: Option<&str>) -> String {
    let status = handle.status();
    let what = source.map(|source| format!(" serves {source}")).unwrap_or_default();
    let plural = if status.workers == 1 { "" } else { "s" };
    let mut text =
        format!("{} {}{what}, {} worker{plural}\n", VERSION.name, VERSION.version, status.workers);
    // Writing to a string cannot fail.
    for listener in &status.listeners {
        let _ = writeln!(text, "  {}", url(&listener.address, listener.tls));
    }
    if let Some(socket) = handle.control_socket() {
        let _ = writeln!(text, "  control socket {}", socket.display());
    }
    text
}

fn url(address: &str, tls: bool) -> String {
    match (address.starts_with("unix:"), tls) {
        (true, false) => address.to_owned(),
        (true, true) => format!("{address} (TLS)"),
        (false, false) => format!("http://{address}"),
        (false, true) => format!("https://{address}"),
    }
}
