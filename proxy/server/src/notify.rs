//! What a service manager is told: sd_notify(3), without libsystemd.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::time::{ClockId, clock_gettime};
use tracing::{debug, warn};

/// Tells a service manager how far the process is. Never blocks; what cannot be delivered is dropped.
pub(crate) struct Notifier {
    socket: Option<UnixDatagram>,
    /// Whether another process speaks now.
    is_silent: AtomicBool,
}

impl Notifier {
    /// Towards the socket of that name (`/path`, or `@name` in the abstract namespace); silent without one.
    pub(crate) fn new(name: Option<&str>) -> Self {
        let Some(name) = name.filter(|name| !name.is_empty()) else { return Self::to(None) };
        match connect(name) {
            Ok(socket) => Self::to(Some(socket)),
            Err(error) => {
                warn!(%error, socket = name, "the service manager cannot be told anything");
                Self::to(None)
            }
        }
    }

    fn to(socket: Option<UnixDatagram>) -> Self {
        Self { socket, is_silent: AtomicBool::new(false) }
    }

    /// Another process serves: that one is watched from now on, and it alone speaks.
    pub(crate) fn succeeded_by(&self, pid: u32) {
        self.tell(&format!("MAINPID={pid}\n"));
        self.is_silent.store(true, Ordering::Release);
    }

    /// Serving, every listener bound.
    pub(crate) fn ready(&self, generation: u64) {
        self.tell(&format!("READY=1\nSTATUS=serving, generation {generation}\n"));
    }

    /// Reading the configuration again; [`ready`](Self::ready) follows, whatever comes of it.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}\n"));
    }

    /// Draining.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1\n");
    }

    fn tell(&self, state: &str) {
        let Some(socket) = &self.socket else { return };
        if self.is_silent.load(Ordering::Acquire) {
            return;
        }
        if let Err(error) = socket.send(state.as_bytes()) {
            debug!(%error, "the service manager does not listen");
        }
    }
}

fn connect(name: &str) -> io::Result<UnixDatagram> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut datagram = [0; 256];
        let length = socket.recv(&mut datagram).unwrap();
        String::from_utf8(datagram[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_manager_on_a_path_is_told_of_every_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(path.to_str());

        notifier.ready(1);
        assert!(received(&manager).starts_with("READY=1\n"));
        notifier.reloading();
        let reloading = received(&manager);
        let (_, microseconds) = reloading.trim().rsplit_once("MONOTONIC_USEC=").unwrap();
        assert!(reloading.starts_with("RELOADING=1\n") && microseconds.parse::<u64>().unwrap() > 0);
        notifier.stopping();
        assert_eq!(received(&manager), "STOPPING=1\n");
        notifier.succeeded_by(7);
        assert_eq!(received(&manager), "MAINPID=7\n");
        notifier.stopping();
        manager.set_nonblocking(true).unwrap();
        assert!(manager.recv(&mut [0; 16]).is_err(), "the other one speaks now");
    }

    #[test]
    fn a_manager_in_the_abstract_namespace_is_told_too() {
        let name = format!("switchback-notify-test-{}", std::process::id());
        let manager =
            UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Notifier::new(Some(&format!("@{name}"))).ready(7);
        assert_eq!(received(&manager), "READY=1\nSTATUS=serving, generation 7\n");
    }

    #[test]
    fn a_manager_that_does_not_read_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let _deaf = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(path.to_str());
        (0..10_000).for_each(|generation| notifier.ready(generation));
    }

    #[test]
    fn no_manager_or_a_missing_one_is_silence() {
        Notifier::new(None).ready(1);
        Notifier::new(Some("")).ready(1);
        Notifier::new(Some("/nowhere/at/all")).stopping();
    }
}
