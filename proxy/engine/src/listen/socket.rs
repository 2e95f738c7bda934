//! Listening sockets. Every worker has its own on each TCP address; the kernel spreads the connections (SO_REUSEPORT).

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use switchback_conf::Location;
use switchback_conf::plan::{ListenAddress, ListenerPlan, SocketPlan};

use super::{in_use, option, options, owner};
use crate::snapshot::Listener;

/// A socket that connections are accepted from. It closes with the last who holds it.
#[derive(Debug)]
pub(crate) struct Listening {
    socket: Socket,
    /// The listener it is for, as of the last reload.
    serves: Arc<ArcSwap<Listener>>,
    /// Those who accept from it.
    acceptors: AtomicUsize,
    /// Whether it is to take nothing when they are gone.
    is_closing: AtomicBool,
}

impl Listening {
    /// One more is to accept from it.
    pub(crate) fn claim(&self) {
        self.acceptors.fetch_add(1, Ordering::AcqRel);
    }

    /// One less accepts from it, but for what is queued. The last of a Unix socket that closes turns away who comes from now
    /// on: until then nothing would tell a client that it is too late. Whoever waited for a socket that is shut would spin.
    pub(crate) fn disclaim(&self) {
        let is_last = self.acceptors.fetch_sub(1, Ordering::AcqRel) == 1;
        if is_last && self.is_closing.load(Ordering::Acquire) {
            // It was connected to by nobody, and so it stays.
            let _ = self.socket.shutdown(std::net::Shutdown::Both);
        }
    }

    /// The listener it is for.
    pub(crate) fn listener(&self) -> Arc<Listener> {
        self.serves.load_full()
    }

    /// Which socket it is, in this system.
    pub(crate) fn inode(&self) -> Option<u64> {
        rustix::fs::fstat(&self.socket).ok().map(|stat| stat.st_ino)
    }
}

impl AsRawFd for Listening {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What sockets are bound to: those of one place are one group to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// TCP.
    Tcp {
        /// The address, with the port that the kernel chose where none was said.
        address: SocketAddr,
        /// Whether IPv4 clients are taken at an IPv6 address.
        dual_stack: bool,
        /// The interface they come in by.
        device: Option<Box<str>>,
    },
    /// A Unix socket, by its file.
    Unix(PathBuf),
}

impl Place {
    /// What `plan` asks for.
    pub(crate) fn wanted(plan: &ListenerPlan) -> Self {
        match &plan.address {
            ListenAddress::Tcp { address, dual_stack } => Self::Tcp {
                address: *address,
                dual_stack: *dual_stack,
                device: plan.socket.device.as_ref().map(|device| device.value.clone()),
            },
            ListenAddress::Unix { path } => Self::Unix(path.clone()),
        }
    }

    /// Whether what is bound here serves who wants to be `wanted`: the same, or any port.
    pub(crate) fn serves(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (
                Self::Tcp { address, dual_stack, device },
                Self::Tcp { address: asked, dual_stack: asked_dual, device: asked_device },
            ) => {
                let is_port = asked.port() == 0 || asked.port() == address.port();
                let is_same = (dual_stack, device) == (asked_dual, asked_device);
                is_port && is_same && address.ip() == asked.ip()
            }
            (Self::Unix(path), Self::Unix(asked)) => path == asked,
            _ => false,
        }
    }

    /// For people.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Tcp { address, .. } => address.to_string(),
            Self::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// Whether each worker has a socket of its own here.
    pub(crate) fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp { .. })
    }
}

/// Why there is no socket as it was asked for.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The option that the kernel refused, and where it was written; `None` is the address itself.
    pub(crate) option: Option<(&'static str, Location)>,
    /// What the kernel said.
    pub(crate) error: io::Error,
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self { option: None, error }
    }
}

/// The sockets of one place, in the order in which they began to listen, which the kernel counts by.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// One for each worker on TCP, and behind them those of workers that are leaving; one for all on Unix.
    pub(crate) listening: Vec<Arc<Listening>>,
    /// What they are bound to.
    pub(crate) place: Place,
    serves: Arc<ArcSwap<Listener>>,
}

impl Sockets {
    /// Binds what `plan` wants, for so many workers, without listening yet. Other listening sockets of this process than `own`,
    /// by inode, are in the way as anybody's.
    pub(crate) fn bind(
        listener: &Arc<Listener>,
        workers: usize,
        own: &HashSet<u64>,
    ) -> Result<Self, Refusal> {
        let plan = &listener.plan;
        let serves = Arc::new(ArcSwap::new(Arc::clone(listener)));
        let mut sockets = Self { listening: Vec::new(), place: Place::wanted(plan), serves };
        match &sockets.place {
            Place::Unix(path) => {
                let socket = bind_unix(path, &plan.socket)?;
                let listening = sockets.listening(socket);
                sockets.listening.push(listening);
            }
            Place::Tcp { .. } => {
                sockets.probe(&plan.socket, own)?;
                sockets.listening = sockets.bind_more(&plan.socket, workers)?;
            }
        }
        Ok(sockets)
    }

    /// Takes over what others have bound and listen on for `listener`, in the order in which they do.
    pub(crate) fn adopt(
        listener: &Arc<Listener>,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Self, Refusal> {
        let plan = &listener.plan;
        let serves = Arc::new(ArcSwap::new(Arc::clone(listener)));
        let mut sockets = Self { listening: Vec::new(), place: Place::wanted(plan), serves };
        for socket in descriptors.into_iter().map(Socket::from) {
            socket.set_nonblocking(true)?;
            if let Place::Tcp { address, .. } = &mut sockets.place {
                socket.set_tcp_nodelay(true)?;
                *address = socket.local_addr()?.as_socket().unwrap_or(*address);
                options::apply(&socket, &plan.socket, None)?;
            }
            let listening = sockets.listening(socket);
            // On a socket that listens already, this sets the length of its queue.
            listen(&listening, &plan.socket)?;
            sockets.listening.push(listening);
        }
        if let Place::Unix(path) = &sockets.place {
            admit(path, &plan.socket, None)?;
        }
        Ok(sockets)
    }

    /// Binds as many as there are fewer than workers, and listens. One that cannot be bound beside those that are there, which a
    /// service manager may not have bound to be shared, is another descriptor of the first.
    pub(crate) fn complete(&mut self, plan: &SocketPlan, workers: usize) -> Result<(), Refusal> {
        let missing = workers.saturating_sub(self.listening.len());
        if missing == 0 || !self.place.is_tcp() {
            return Ok(());
        }
        match self.bind_more(plan, missing) {
            Ok(more) => {
                more.iter().try_for_each(|more| listen(more, plan))?;
                self.listening.extend(more);
            }
            Err(_) => {
                let Some(first) = self.listening.first() else { return Ok(()) };
                let doubles = (0..missing).map(|_| first.socket.try_clone());
                let doubles = doubles.collect::<io::Result<Vec<_>>>()?;
                let doubles: Vec<_> =
                    doubles.into_iter().map(|socket| self.listening(socket)).collect();
                self.listening.extend(doubles);
            }
        }
        Ok(())
    }

    /// Binds so many more of a TCP place, without listening yet.
    pub(crate) fn bind_more(
        &mut self,
        plan: &SocketPlan,
        count: usize,
    ) -> Result<Vec<Arc<Listening>>, Refusal> {
        let mut more = Vec::with_capacity(count);
        let Place::Tcp { address, dual_stack, .. } = &mut self.place else { return Ok(more) };
        let mut bound = Vec::with_capacity(count);
        for _ in 0..count {
            let socket = tcp(*address, *dual_stack, plan, true)?;
            // Port 0 was chosen by the kernel for the first; the others share it.
            *address = socket.local_addr()?.as_socket().unwrap_or(*address);
            bound.push(socket);
        }
        more.extend(bound.into_iter().map(|socket| self.listening(socket)));
        Ok(more)
    }

    /// Has the sockets that are added next, and those that are there, serve this listener.
    pub(crate) fn serve(&self, listener: &Arc<Listener>) {
        self.serves.store(Arc::clone(listener));
    }

    /// The listener that they serve.
    pub(crate) fn listener(&self) -> Arc<Listener> {
        self.serves.load_full()
    }

    /// Has new connections go to the first so many of a TCP place alone, or to all.
    pub(crate) fn steer(&self, first: Option<usize>) -> io::Result<()> {
        let Some(socket) = self.listening.first() else { return Ok(()) };
        match first {
            Some(count) => option::steer_to_first(socket, u32::try_from(count).unwrap_or(u32::MAX)),
            None => option::steer_to_all(socket),
        }
    }

    /// Has nothing new come in.
    pub(crate) fn mute(&self) -> io::Result<()> {
        if self.place.is_tcp() && self.listening.len() > 1 {
            // As long as one of them is not muted the kernel may choose any for a SYN, and has no way to answer by one that is:
            // the client would send it again a second later. So it chooses the first, which is muted last.
            let _ = self.steer(Some(1));
        }
        self.listening.iter().rev().try_for_each(|listening| match self.place {
            Place::Unix(_) => {
                listening.is_closing.store(true, Ordering::Release);
                Ok(())
            }
            // Who is bound to an interface and has no rights cannot change that.
            Place::Tcp { .. } => option::mute(listening).or_else(|_| option::drop_new(listening)),
        })
    }

    fn listening(&self, socket: Socket) -> Arc<Listening> {
        Arc::new(Listening {
            socket,
            serves: Arc::clone(&self.serves),
            acceptors: AtomicUsize::new(0),
            is_closing: AtomicBool::new(false),
        })
    }

    /// With SO_REUSEPORT a second process would share the address in silence: a bind without it finds out.
    fn probe(&self, plan: &SocketPlan, own: &HashSet<u64>) -> Result<(), Refusal> {
        let Place::Tcp { address, dual_stack, .. } = &self.place else { return Ok(()) };
        if plan.share.value {
            return Ok(());
        }
        match tcp(*address, *dual_stack, plan, false) {
            // What is in the way may be our own, which is about to leave.
            Err(refusal) if refusal.error.kind() == io::ErrorKind::AddrInUse => {
                if own.is_empty() || in_use::by_others(*address, *dual_stack, own) {
                    return Err(refusal);
                }
                Ok(())
            }
            probed => probed.map(drop),
        }
    }
}

/// Begins to listen, or changes how many connections may wait.
pub(crate) fn listen(socket: &Listening, plan: &SocketPlan) -> Result<(), Refusal> {
    let backlog = i32::try_from(plan.backlog.value).unwrap_or(i32::MAX);
    socket.socket.listen(backlog).map_err(Refusal::from)
}

/// Sets what differs from `before`.
pub(crate) fn apply(
    socket: &Listening,
    plan: &SocketPlan,
    before: &SocketPlan,
) -> Result<(), Refusal> {
    if socket.socket.domain().is_ok_and(|domain| domain == Domain::UNIX) {
        if let Some(path) = socket.socket.local_addr()?.as_pathname() {
            admit(path, plan, Some(before))?;
        }
    } else {
        options::apply(&socket.socket, plan, Some(before))?;
    }
    if plan.backlog == before.backlog { Ok(()) } else { listen(socket, plan) }
}

fn tcp(
    address: SocketAddr,
    dual_stack: bool,
    plan: &SocketPlan,
    is_shared: bool,
) -> Result<Socket, Refusal> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!dual_stack)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    // Inherited by accepted sockets: no call for each connection.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    options::apply(&socket, plan, None)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn bind_unix(path: &Path, plan: &SocketPlan) -> Result<Socket, Refusal> {
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    if let Err(refusal) = admit(path, plan, None) {
        // It was made here and nobody has seen it.
        let _ = std::fs::remove_file(path);
        return Err(refusal);
    }
    Ok(socket)
}

/// Says who may connect.
fn admit(path: &Path, plan: &SocketPlan, before: Option<&SocketPlan>) -> Result<(), Refusal> {
    if before.is_none_or(|before| before.mode != plan.mode) {
        let mode = std::fs::Permissions::from_mode(plan.mode.value);
        std::fs::set_permissions(path, mode)
            .map_err(|error| Refusal { option: Some(("mode", plan.mode.at.clone())), error })?;
    }
    let is_new = before.is_none_or(|before| before.owner != plan.owner);
    let Some(owner) = plan.owner.as_ref().filter(|_| is_new) else { return Ok(()) };
    owner::give(path, &owner.value)
        .map_err(|error| Refusal { option: Some(("owner", owner.at.clone())), error })
}

/// Takes away the socket of a process that is gone; one that still answers is in use.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(found) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "there is a file of that name which is not a socket",
        ));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process listens on it")),
        Err(_) => std::fs::remove_file(path),
    }
}

#[cfg(test)]
mod tests {
    use switchback_conf::read_text;

    use super::*;

    fn listener(toml: &str) -> Arc<Listener> {
        let text = format!(
            "[[listeners]]\n{toml}\n[[sites]]\n[[sites.routes]]\nrespond = {{ body = \"x\" }}"
        );
        let config = read_text("t.toml", &text, &std::collections::BTreeMap::new());
        let plan = switchback_conf::plan(&config.value.expect(&text)).value.unwrap();
        Listener::bare(plan.listeners[0].clone())
    }

    fn bind(toml: &str, workers: usize) -> Result<Sockets, Refusal> {
        let listener = listener(toml);
        let sockets = Sockets::bind(&listener, workers, &HashSet::new())?;
        for socket in &sockets.listening {
            listen(socket, &listener.plan.socket)?;
        }
        Ok(sockets)
    }

    fn kind(refused: Result<Sockets, Refusal>) -> io::ErrorKind {
        refused.unwrap_err().error.kind()
    }

    const LOOPBACK: &str = "address = \"127.0.0.1:0\"";

    #[test]
    fn every_worker_gets_a_socket_on_the_same_port() {
        let sockets = bind(LOOPBACK, 3).unwrap();
        let port = |listening: &Arc<Listening>| {
            listening.socket.local_addr().unwrap().as_socket().unwrap().port()
        };
        let ports: Vec<u16> = sockets.listening.iter().map(port).collect();
        assert_eq!(ports.len(), 3);
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
        assert!(sockets.place.shown().ends_with(&ports[0].to_string()));
    }

    #[test]
    fn an_address_in_use_is_refused_even_to_reuse_port_unless_it_is_our_own() {
        let taken = bind(LOOPBACK, 1).unwrap();
        let address = format!("address = \"{}\"", taken.place.shown());
        assert_eq!(kind(bind(&address, 1)), io::ErrorKind::AddrInUse);
        let own = taken.listening.iter().filter_map(|listening| listening.inode()).collect();
        assert!(Sockets::bind(&listener(&address), 1, &own).is_ok());
        let foreign = HashSet::from([1]);
        assert_eq!(kind(Sockets::bind(&listener(&address), 1, &foreign)), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn an_address_is_shared_where_both_say_so() {
        let taken = bind(LOOPBACK, 1).unwrap();
        let address = format!("address = \"{}\"", taken.place.shown());
        let sharing = format!("{address}\nsocket = {{ share = true }}");
        assert!(bind(&sharing, 2).is_ok());
        assert_eq!(kind(bind(&address, 1)), io::ErrorKind::AddrInUse);
        drop(taken);
        let _first = bind(&sharing, 1).unwrap();
        assert_eq!(kind(bind(&address, 1)), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_stale_unix_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        let address = format!("address = \"unix:{}\"\nmode = \"0640\"", path.display());
        let live = bind(&address, 2).unwrap();
        assert_eq!(live.listening.len(), 1);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(kind(bind(&address, 1)), io::ErrorKind::AddrInUse);
        drop(live);
        bind(&address, 1).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        assert_eq!(kind(bind(&address, 1)), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_place_serves_the_same_address_and_any_port() {
        let place = |toml: &str| Place::wanted(&listener(toml).plan);
        let bound = place("address = \"127.0.0.1:8080\"");
        assert!(bound.serves(&place("address = \"127.0.0.1:8080\"")));
        assert!(bound.serves(&place(LOOPBACK)));
        assert!(!bound.serves(&place("address = \"127.0.0.1:8081\"")));
        assert!(!bound.serves(&place("address = \"0.0.0.0:8080\"")));
        assert!(
            !bound.serves(&place("address = \"127.0.0.1:8080\"\nsocket = { device = \"lo\" }"))
        );
        assert!(!place("address = \":80\"").serves(&place("address = \"[::]:80\"")));
    }
}
