//! Serves a configuration file from inside another program: Enter reads the file again, the end of the input stops.
//!
//! `cargo run -p switchback --example embed -- conf/examples/static-answers.toml`

use std::path::Path;

use switchback::{Drained, Handle, Server, StopMode};

/// Every listener is bound when this returns; threads of its own serve them.
pub(crate) fn start(file: &Path) -> Result<Handle, switchback::Error> {
    let handle = Server::from_file(file).spawn()?;
    for listener in handle.status().listeners {
        eprintln!("listening on {}", listener.address);
    }
    Ok(handle)
}

/// A file with mistakes is refused whole, and what served before goes on.
pub(crate) fn reload(handle: &Handle) -> bool {
    let verdict = handle.reload();
    for found in &verdict.diagnostics {
        eprintln!("{}: {}", found.at, found.message);
    }
    verdict.accepted
}

/// Lets running requests come to their end.
pub(crate) fn stop(handle: Handle) -> Drained {
    handle.stop(StopMode::Graceful);
    handle.wait()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args_os().nth(1).ok_or("name a configuration file")?;
    let handle = start(Path::new(&file))?;
    for line in std::io::stdin().lines() {
        line?;
        eprintln!("{}", if reload(&handle) { "reloaded" } else { "refused" });
    }
    eprintln!("{:?}", stop(handle));
    Ok(())
}
