//! Listening sockets that outlive a process: what a predecessor or a service manager has bound is adopted, not bound again.
//!
//! Descriptors of one socket in two processes are one queue: whoever accepts first serves. So nothing that waits is lost when
//! one of them stops accepting.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use socket2::Socket;
use switchback_conf::plan::ListenAddress;

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
    Ok(ListenAddress::Unix { path })
}

/// A descriptor of the same socket, for another process.
pub(crate) fn export(address: &ListenAddress, socket: impl AsFd) -> io::Result<ListeningSocket> {
    let descriptor = socket.as_fd().try_clone_to_owned()?;
    Ok(ListeningSocket { name: name(address), descriptor })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_claimed_by_the_address_that_was_asked_for() {
        let bound = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let asked = |ip: [u8; 4]| ListenAddress::Tcp { address: (ip, 0).into(), dual_stack: false };
        let address = asked([127, 0, 0, 1]);
        let sockets = (0..3).map(|_| export(&address, &bound).unwrap()).collect();
        let mut inheritance = Inheritance::passed(sockets);
        assert!(inheritance.claim(&asked([127, 0, 0, 2])).is_empty());
        assert_eq!(inheritance.claim(&address).len(), 3);
        assert!(inheritance.into_names().is_empty());
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
    fn sockets_have_the_name_of_what_they_are_bound_to() {
        let bound = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = bound.local_addr().unwrap().to_string();
        assert_eq!(listening_socket(bound.into()).unwrap().name, address);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        let bound = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let name = listening_socket(bound.into()).unwrap().name;
        assert_eq!(name, format!("unix:{}", path.display()));
    }
}
