//! Bound sockets. Every worker has its own on each TCP address; the kernel spreads the connections (SO_REUSEPORT).

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use socket2::{Domain, Protocol, Socket, Type};
use switchback_conf::plan::ListenAddress;

/// What a worker accepts from.
#[derive(Debug)]
pub(crate) enum Bound {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A Unix socket, shared by all workers.
    Unix(std::os::unix::net::UnixListener),
}

/// An address bound once for each worker.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// One for each worker.
    pub(crate) bound: Vec<Bound>,
    /// The address as bound, for people.
    pub(crate) shown: String,
}

/// Connections that may wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
pub(crate) const BACKLOG: i32 = 65_535;

/// Binds `address` for `workers` workers.
pub(crate) fn bind(address: &ListenAddress, workers: usize) -> io::Result<Sockets> {
    match address {
        ListenAddress::Tcp { address, dual_stack } => bind_tcp(*address, *dual_stack, workers),
        ListenAddress::Unix { path, mode } => bind_unix(path, *mode, workers),
    }
}

fn bind_tcp(address: SocketAddr, dual_stack: bool, workers: usize) -> io::Result<Sockets> {
    // With SO_REUSEPORT a second process would share the address in silence: the first bind goes without, to find out.
    drop(tcp(address, dual_stack, false)?);
    let first = tcp(address, dual_stack, true)?;
    // Port 0 was chosen by the kernel for the first; the others share it.
    let address = first.local_addr()?.as_socket().unwrap_or(address);
    let mut bound = vec![Bound::Tcp(first.into())];
    for _ in 1..workers {
        bound.push(Bound::Tcp(tcp(address, dual_stack, true)?.into()));
    }
    Ok(Sockets { bound, shown: address.to_string() })
}

/// Another socket on the address of `first`, which was bound to be shared.
pub(crate) fn one_more(
    first: &std::net::TcpListener,
    dual_stack: bool,
) -> io::Result<std::net::TcpListener> {
    tcp(first.local_addr()?, dual_stack, true).map(Into::into)
}

fn tcp(address: SocketAddr, dual_stack: bool, listening: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!dual_stack)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(listening)?;
    // Inherited by accepted sockets: no call for each connection.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    if listening {
        socket.listen(BACKLOG)?;
    }
    Ok(socket)
}

fn bind_unix(path: &Path, mode: u32, workers: usize) -> io::Result<Sockets> {
    remove_stale(path)?;
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    listener.set_nonblocking(true)?;
    let shared = (1..workers)
        .map(|_| listener.try_clone().map(Bound::Unix))
        .collect::<io::Result<Vec<_>>>()?;
    let bound = std::iter::once(Bound::Unix(listener)).chain(shared).collect();
    Ok(Sockets { bound, shown: format!("unix:{}", path.display()) })
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
    use super::*;

    fn loopback() -> ListenAddress {
        ListenAddress::Tcp { address: ([127, 0, 0, 1], 0).into(), dual_stack: false }
    }

    #[test]
    fn every_worker_gets_a_socket_on_the_same_port() {
        let sockets = bind(&loopback(), 3).unwrap();
        let ports: Vec<u16> = sockets
            .bound
            .iter()
            .map(|bound| match bound {
                Bound::Tcp(listener) => listener.local_addr().unwrap().port(),
                Bound::Unix(_) => 0,
            })
            .collect();
        assert_eq!(ports.len(), 3);
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
        assert!(sockets.shown.ends_with(&ports[0].to_string()));
    }

    #[test]
    fn an_address_in_use_is_refused_even_to_reuse_port() {
        let taken = bind(&loopback(), 1).unwrap();
        let address =
            ListenAddress::Tcp { address: taken.shown.parse().unwrap(), dual_stack: false };
        assert_eq!(bind(&address, 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_stale_unix_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        let address = ListenAddress::Unix { path: path.clone(), mode: 0o640 };
        let live = bind(&address, 2).unwrap();
        assert_eq!(live.bound.len(), 2);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(bind(&address, 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(live);
        bind(&address, 1).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        assert_eq!(bind(&address, 1).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }
}
