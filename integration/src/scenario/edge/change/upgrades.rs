//! Upgrades of the binary, some of which must fail.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use crate::command::switchback_binary;
use crate::config::{CONFIG_FILE, Config};
use crate::guard::must_not_outlive;
use crate::proxy::Proxy;

/// What the predecessor finds where its binary was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Successor {
    /// One that takes over.
    Good,
    /// Nothing.
    Missing,
    /// One that ends at once.
    Exits,
    /// One that is given a configuration with a mistake.
    Misconfigured,
    /// A file that no kernel runs.
    NoProgram,
    /// One that says nothing.
    Hangs,
}

impl Successor {
    /// Those that must be refused, in the order in which they are tried.
    pub(super) const BAD: [Self; 5] =
        [Self::Missing, Self::Exits, Self::Misconfigured, Self::NoProgram, Self::Hangs];
}

/// The processes that came after the first, ended when dropped: they are nobody's children.
pub(super) struct Line {
    binary: PathBuf,
    pids: Vec<u32>,
}

impl Line {
    /// Of a proxy that was started from this copy of the binary.
    pub(super) fn of(proxy: &Proxy, binary: PathBuf) -> Self {
        Self { binary, pids: vec![proxy.pid()] }
    }

    /// Tries an upgrade; the outcome must be the one that belongs to it. `config` is what is in force.
    pub(super) fn upgrade(
        &mut self,
        proxy: &Proxy,
        successor: Successor,
        config: &Config,
    ) -> Result<(), String> {
        self.prepare(proxy, successor);
        let before = pid(proxy);
        let finished = proxy.run(&["upgrade", "-c", CONFIG_FILE]);
        let after = pid(proxy);
        must_not_outlive(after);
        self.pids.push(after);
        self.restore();
        proxy.write(config);
        let (code, changed) = match successor {
            Successor::Good => (0, true),
            _ => (1, false),
        };
        if finished.code == Some(code) && (before != after) == changed {
            return Ok(());
        }
        let said = finished.stderr.trim();
        Err(format!(
            "{successor:?}: exit code {:?}, process {before} then {after}: {said}",
            finished.code
        ))
    }

    fn prepare(&self, proxy: &Proxy, successor: Successor) {
        match successor {
            Successor::Good => {}
            Successor::Missing => fs::remove_file(&self.binary).expect("a file of our own"),
            Successor::Exits => self.replace(b"#!/bin/sh\nexit 1\n"),
            Successor::Hangs => self.replace(b"#!/bin/sh\nexec sleep 60\n"),
            Successor::NoProgram => self.replace(b"\0no program\n"),
            Successor::Misconfigured => {
                fs::write(proxy.config_file(), "listeners = 3\n").expect("a folder of our own");
            }
        }
    }

    /// A new file by renaming: the one that runs cannot be written to.
    fn replace(&self, content: &[u8]) {
        let new = self.binary.with_extension("new");
        fs::write(&new, content).expect("a folder of our own");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("a file of our own");
        fs::rename(&new, &self.binary).expect("a folder of our own");
    }

    /// The binary at its place again. Away with what is there first: a name for the same file cannot be replaced by another.
    fn restore(&self) {
        match fs::remove_file(&self.binary) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                panic!("a file of our own: {error}")
            }
            _ => place_binary(&self.binary),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        for &pid in &self.pids {
            let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            // By then the number may be another process's; ours ran from this folder, even if the file has gone since.
            if program.parent() == self.binary.parent() {
                let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
                let _killed = pid.map(|pid| kill_process(pid, Signal::KILL));
            }
        }
    }
}

/// The process that serves, as it says itself.
fn pid(proxy: &Proxy) -> u32 {
    proxy.status()["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default()
}

/// A copy of the binary at `path`; a second name for it where the file system can.
pub(super) fn place_binary(path: &Path) {
    let binary = switchback_binary();
    if fs::hard_link(&binary, path).is_err() {
        fs::copy(&binary, path).expect("room for a program");
    }
}
