//! The service manager's end of sd_notify(3): how a process says that it is ready.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use crate::patience::Deadline;

/// What a waiter is sent when the process ends instead.
const ENDED: &str = "ENDED";

/// A datagram socket that a process tells its state.
pub(crate) struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
}

/// What was heard first.
pub(crate) enum Heard {
    Said,
    Ended,
    Nothing,
}

impl NotifySocket {
    pub(crate) fn bind(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join("notify.sock");
        Ok(Self { socket: UnixDatagram::bind(&path)?, path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for a line such as `READY=1`.
    pub(crate) fn wait_for(&self, line: &str, deadline: Deadline) -> Heard {
        let mut datagram = [0; 4096];
        while !deadline.has_passed() {
            if self.socket.set_read_timeout(Some(deadline.left())).is_err() {
                return Heard::Nothing;
            }
            let Ok(length) = self.socket.recv(&mut datagram) else { continue };
            let said = String::from_utf8_lossy(&datagram[..length]).into_owned();
            if said == ENDED {
                return Heard::Ended;
            }
            if said.lines().any(|heard| heard == line) {
                return Heard::Said;
            }
        }
        Heard::Nothing
    }

    /// Wakes whoever waits: the process has ended.
    pub(crate) fn ended(path: &Path) {
        let sender = UnixDatagram::unbound();
        // Nobody listens any more when the test is over: then there is nobody to wake.
        let _woken = sender.and_then(|socket| socket.send_to(ENDED.as_bytes(), path));
    }
}
