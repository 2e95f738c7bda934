//! Lines for a syslog (RFC 3164), marked as nginx marks them: `<190>Nov 22 01:02:03 host tag: line`.

use std::io;
use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::time::SystemTime;

use switchback_conf::plan::{Facility, SyslogAddress, SyslogPlan, SyslogSeverity};

use crate::clock;

/// What stands before each line of one log.
#[derive(Clone, Debug)]
pub struct Mark {
    facility: Facility,
    tag: Box<str>,
}

impl Mark {
    /// The mark of `plan`.
    #[must_use]
    pub fn new(plan: &SyslogPlan) -> Self {
        Self { facility: plan.facility, tag: plan.tag.clone() }
    }

    /// Appends what stands before a line of this severity.
    pub fn begin(&self, severity: SyslogSeverity, moment: SystemTime, line: &mut Vec<u8>) {
        header(self, severity, (&clock::syslog(moment), clock::hostname()), line);
    }
}

/// `<190>Nov 22 01:02:03 host tag: `
fn header(mark: &Mark, severity: SyslogSeverity, (time, host): (&str, &[u8]), line: &mut Vec<u8>) {
    let priority = mark.facility as u8 * 8 + severity as u8;
    // Writing to a Vec cannot fail.
    let _ = write!(line, "<{priority}>{time} ");
    line.extend_from_slice(host);
    let _ = write!(line, " {}: ", mark.tag);
}

/// A connected socket that never waits.
#[derive(Debug)]
pub(super) enum Datagrams {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Datagrams {
    /// Looks up a name, which may take a while.
    pub(super) fn open(address: &SyslogAddress) -> io::Result<Self> {
        match address {
            SyslogAddress::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_nonblocking(true)?;
                Ok(Self::Unix(socket))
            }
            SyslogAddress::Udp { host, port } => {
                let found = (&**host, *port).to_socket_addrs()?.next();
                let to = found.ok_or_else(|| io::Error::other("the name has no address"))?;
                let from: SocketAddr = match to {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(from)?;
                socket.connect(to)?;
                socket.set_nonblocking(true)?;
                Ok(Self::Udp(socket))
            }
        }
    }

    pub(super) fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.send(datagram),
            Self::Unix(socket) => socket.send(datagram),
        }
    }
}

impl AsFd for Datagrams {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Udp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_that_of_nginx() {
        let mark = Mark { facility: Facility::Local7, tag: "switchback".into() };
        let mut line = Vec::new();
        header(&mark, SyslogSeverity::Info, ("Nov  2 01:02:03", b"box"), &mut line);
        assert_eq!(line, b"<190>Nov  2 01:02:03 box switchback: ");
        let mark = Mark { facility: Facility::Kern, tag: "a".into() };
        line.clear();
        header(&mark, SyslogSeverity::Emerg, ("", b""), &mut line);
        assert_eq!(line, b"<0>  a: ");
    }
}
