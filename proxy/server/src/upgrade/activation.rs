//! Sockets that a service manager has bound: sd_listen_fds(3), without libsystemd.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{FdFlags, fcntl_setfd};
use switchback_engine::{ListeningSocket, listening_socket};
use tracing::warn;

/// The first descriptor that is passed.
const FIRST: RawFd = 3;
/// More than any unit has.
const MOST: RawFd = 4096;
const VARIABLES: [&str; 3] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// Whether they were taken: they have one owner in the whole process.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The listening sockets that were passed to this process, once.
pub(super) fn passed() -> Vec<ListeningSocket> {
    let said = |name: &str| std::env::var(name).ok()?.parse::<RawFd>().ok();
    let is_for_us =
        said("LISTEN_PID").and_then(|pid| u32::try_from(pid).ok()) == Some(std::process::id());
    let count = said("LISTEN_FDS").unwrap_or(0).clamp(0, MOST);
    if !is_for_us || count == 0 || TAKEN.swap(true, Ordering::AcqRel) {
        return Vec::new();
    }
    (FIRST..FIRST + count).filter_map(|number| match take(number) {
        Ok(socket) => Some(socket),
        Err(error) => {
            warn!(descriptor = number, %error, "the service manager passes what is no listening socket");
            None
        }
    }).collect()
}

/// Has a child not believe that sockets were passed to it.
pub(super) fn forget(command: &mut Command) {
    for variable in VARIABLES {
        command.env_remove(variable);
    }
}

fn take(number: RawFd) -> io::Result<ListeningSocket> {
    if Path::new("/proc/self/fd").join(number.to_string()).symlink_metadata().is_err() {
        return Err(io::ErrorKind::NotFound.into());
    }
    #[expect(
        unsafe_code,
        reason = "a descriptor that is known by its number alone has no safe owner"
    )]
    // SAFETY: it is open, and by sd_listen_fds(3) the process that `LISTEN_PID` names is its only owner; `TAKEN` has this run
    // once.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
    listening_socket(descriptor)
}
