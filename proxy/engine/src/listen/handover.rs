//! Listening sockets that outlive a process: what a predecessor or a service manager has bound is adopted, not bound again.
//!
//! Descriptors of one socket in two processes are one queue: whoever accepts first serves. So nothing that waits is lost when
//! one of them stops accepting.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use socket2::Socket;
use switchback_conf::plan::ListenAddress;

use super::socket::{self, Bound, Sockets};

/// A listening socket on its way from one process to another.
#[derive(Debug)]
pub struct ListeningSocket {
    /// The address that a configuration gave it. Where port 0 was asked for, it says 0.
    pub name: String,
    /// The socket.
    pub descriptor: OwnedFd,
}

/// Listening sockets that may be wanted.
#[derive(Debug, Default)]
pub struct Inheritance {
    sockets: Vec<ListeningSocket>,
    /// The predecessor goes on with what is not wanted.
    predecessor: bool,
}

impl Inheritance {
    /// What a service manager has bound for this process alone.
    #[must_use]
    pub fn passed(sockets: Vec<ListeningSocket>) -> Self {
        Self { sockets, predecessor: false }
    }

    /// What a predecessor accepts from until this process does.
    #[must_use]
    pub fn handed_over(sockets: Vec<ListeningSocket>) -> Self {
        Self { sockets, predecessor: true }
    }

    pub(crate) fn is_from_predecessor(&self) -> bool {
        self.predecessor
    }

    /// The sockets of this address, as many as there are.
    pub(crate) fn claim(&mut self, address: &ListenAddress) -> Vec<OwnedFd> {
        let name = name(address);
        let wanted = self.sockets.extract_if(.., |socket| socket.name == name);
        wanted.map(|socket| socket.descriptor).collect()
    }

    /// The addresses that nobody has claimed.
    pub(crate) fn into_names(self) -> Vec<String> {
        let mut names: Vec<_> = self.sockets.into_iter().map(|socket| socket.name).collect();
        names.dedup();
        names
    }
}

/// What a listen address is called from one process to the next: `127.0.0.1:80`, `[::]:80 and IPv4`, `unix:/path`.
pub(crate) fn name(address: &ListenAddress) -> String {
    match address {
        ListenAddress::Tcp { address, dual_stack: false } => address.to_string(),
        ListenAddress::Tcp { address, dual_stack: true } => format!("{address} and IPv4"),
        ListenAddress::Unix { path, .. } => format!("unix:{}", path.display()),
    }
}

/// A socket that somebody else has bound and listens on, under the name of its address.
///
/// # Errors
/// It is no listening stream socket of TCP or of a Unix path.
pub fn listening_socket(descriptor: OwnedFd) -> io::Result<ListeningSocket> {
    let socket = Socket::from(descriptor);
    if !socket.is_listener()? {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "nobody listens on that socket"));
    }
    let address = bound_address(&socket)?;
    Ok(ListeningSocket { name: name(&address), descriptor: socket.into() })
}

fn bound_address(socket: &Socket) -> io::Result<ListenAddress> {
    let bound = socket.local_addr()?;
    if let Some(address) = bound.as_socket() {
        let dual_stack = address.is_ipv6() && !socket.only_v6()?;
        return Ok(ListenAddress::Tcp { address, dual_stack });
    }
    let path = bound.as_pathname().map(PathBuf::from).ok_or(io::ErrorKind::Unsupported)?;
    Ok(ListenAddress::Unix { path, mode: 0 })
}

/// Takes sockets over for `address`. There may be more or fewer than workers.
pub(crate) fn adopt(address: &ListenAddress, descriptors: Vec<OwnedFd>) -> io::Result<Sockets> {
    let mut bound = Vec::with_capacity(descriptors.len());
    let mut shown = name(address);
    for descriptor in descriptors {
        let socket = Socket::from(descriptor);
        socket.set_nonblocking(true)?;
        bound.push(match address {
            ListenAddress::Tcp { .. } => {
                socket.set_tcp_nodelay(true)?;
                if let Some(address) = socket.local_addr()?.as_socket() {
                    shown = address.to_string();
                }
                Bound::Tcp(socket.into())
            }
            ListenAddress::Unix { .. } => Bound::Unix(socket.into()),
        });
        // On a socket that listens already, this sets the length of its queue.
        if let Some(last) = bound.last() {
            listen_again(last)?;
        }
    }
    if let ListenAddress::Unix { path, mode } = address {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(*mode))?;
    }
    Ok(Sockets { bound, shown })
}

fn listen_again(bound: &Bound) -> io::Result<()> {
    rustix::net::listen(bound, socket::BACKLOG).map_err(io::Error::from)
}

/// Makes sure that every worker has a socket to accept from. Only when accepting begins: what the kernel queues on a new socket
/// would be lost if it did not come to that.
pub(crate) fn complete(address: &ListenAddress, sockets: &mut Sockets, workers: usize) {
    while sockets.bound.len() < workers {
        let Some(first) = sockets.bound.first() else { return };
        let more = match (address, first) {
            (ListenAddress::Tcp { dual_stack, .. }, Bound::Tcp(first)) => {
                socket::one_more(first, *dual_stack).or_else(|_| first.try_clone()).map(Bound::Tcp)
            }
            (_, first) => duplicate(first),
        };
        match more {
            Ok(more) => sockets.bound.push(more),
            Err(error) => {
                tracing::warn!(%error, address = sockets.shown, "a worker has nothing to accept from");
                return;
            }
        }
    }
}

fn duplicate(bound: &Bound) -> io::Result<Bound> {
    match bound {
        Bound::Tcp(listener) => listener.try_clone().map(Bound::Tcp),
        Bound::Unix(listener) => listener.try_clone().map(Bound::Unix),
    }
}

/// A descriptor of the same socket, for another process.
pub(crate) fn export(address: &ListenAddress, socket: impl AsFd) -> io::Result<ListeningSocket> {
    let descriptor = socket.as_fd().try_clone_to_owned()?;
    Ok(ListeningSocket { name: name(address), descriptor })
}

impl AsFd for Bound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::socket::bind;

    fn loopback() -> ListenAddress {
        ListenAddress::Tcp { address: ([127, 0, 0, 1], 0).into(), dual_stack: false }
    }

    fn exported(address: &ListenAddress, sockets: &Sockets) -> Inheritance {
        let sockets = sockets.bound.iter().map(|bound| export(address, bound).unwrap());
        Inheritance::passed(sockets.collect())
    }

    #[test]
    fn sockets_are_claimed_by_the_address_that_was_asked_for() {
        let address = loopback();
        let bound = bind(&address, 3).unwrap();
        let mut inheritance = exported(&address, &bound);
        let other = ListenAddress::Tcp { address: ([127, 0, 0, 2], 0).into(), dual_stack: false };
        assert!(inheritance.claim(&other).is_empty());
        let adopted = adopt(&address, inheritance.claim(&address)).unwrap();
        assert_eq!((adopted.bound.len(), &adopted.shown), (3, &bound.shown));
        assert!(inheritance.into_names().is_empty());
    }

    #[test]
    fn fewer_sockets_than_workers_are_made_up_for_on_the_same_port() {
        let address = loopback();
        let bound = bind(&address, 1).unwrap();
        let mut adopted = adopt(&address, exported(&address, &bound).claim(&address)).unwrap();
        complete(&address, &mut adopted, 4);
        assert_eq!(adopted.bound.len(), 4);
        for more in &adopted.bound {
            let Bound::Tcp(listener) = more else { panic!("not TCP") };
            assert_eq!(listener.local_addr().unwrap().to_string(), bound.shown);
        }
    }

    #[test]
    fn a_socket_that_cannot_be_doubled_is_shared() {
        let alone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address =
            ListenAddress::Tcp { address: alone.local_addr().unwrap(), dual_stack: false };
        let socket = listening_socket(alone.into()).unwrap();
        let mut inheritance = Inheritance::passed(vec![socket]);
        let mut adopted = adopt(&address, inheritance.claim(&address)).unwrap();
        complete(&address, &mut adopted, 2);
        assert_eq!(adopted.bound.len(), 2);
    }

    #[test]
    fn what_nobody_listens_on_is_no_listening_socket() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(listening_socket(one.into()).is_err());
        let datagram = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(listening_socket(datagram.into()).is_err());
        assert!(listening_socket(std::fs::File::open("/dev/null").unwrap().into()).is_err());
    }

    #[test]
    fn a_unix_socket_is_known_by_its_path_whatever_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        let socket =
            listening_socket(std::os::unix::net::UnixListener::bind(&path).unwrap().into())
                .unwrap();
        let address = ListenAddress::Unix { path: path.clone(), mode: 0o640 };
        let adopted = adopt(&address, Inheritance::passed(vec![socket]).claim(&address)).unwrap();
        assert_eq!(adopted.shown, format!("unix:{}", path.display()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }
}
