//! A browser that shows a page for as long as somebody looks.

use std::net::SocketAddr;

use tempfile::TempDir;

use crate::notify::NotifySocket;
use crate::peer::Tool;
use crate::proxy::Child;

/// It ends when dropped, and what it has kept goes with it.
pub(super) struct Chromium {
    _child: Child,
    _profile: TempDir,
}

impl Chromium {
    /// Opens `target` over TLS or not; `None` where it is not installed.
    pub(super) fn open(scheme: &str, address: SocketAddr, target: &str) -> Option<Self> {
        let mut command = Tool::Chromium.quiet_command()?;
        let profile = TempDir::new().expect("a temporary folder");
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
        command.args(["--no-first-run", "--ignore-certificate-errors"]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        // Without a port to be steered by, it would print the page and end.
        command.args(["--remote-debugging-port=0", &format!("{scheme}://{address}{target}")]);
        let ended = NotifySocket::bind(profile.path()).expect("a socket in an empty folder");
        let child = Child::spawn(command, ended.path().to_owned()).ended_gently();
        Some(Self { _child: child, _profile: profile })
    }
}
