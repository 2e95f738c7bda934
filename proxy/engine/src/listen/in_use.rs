//! Whether somebody else listens at an address that this process listens at already.
//!
//! With SO_REUSEPORT the kernel would let two processes of one user share an address in silence.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Whether a socket that is none of `own`, by inode, listens where one at `address` would.
pub(crate) fn by_others(address: SocketAddr, dual_stack: bool, own: &HashSet<u64>) -> bool {
    ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().any(|table| {
        // Without /proc nothing can be told; whoever shares the address then has to be of the same user.
        let Ok(table) = File::open(table) else { return false };
        let lines = BufReader::new(table).lines().skip(1).map_while(Result::ok);
        // Listening sockets come first, whatever else there is.
        lines
            .map_while(|line| listening(&line))
            .any(|(other, inode)| !own.contains(&inode) && overlaps(address, dual_stack, other))
    })
}

/// Address and inode of a listening socket.
fn listening(line: &str) -> Option<(SocketAddr, u64)> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace();
    let address = socket_address(fields.nth(1)?)?;
    let is_listening = fields.nth(1)? == LISTEN;
    let inode = fields.nth(5)?.parse().ok()?;
    is_listening.then_some((address, inode))
}

fn socket_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // Words of the address as they lie in memory, read as numbers of this machine.
    let word = |at: usize| u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok();
    let ip = if ip.len() == 8 {
        IpAddr::from(word(0)?.to_ne_bytes())
    } else {
        let mut bytes = [0; 16];
        for (at, bytes) in bytes.chunks_exact_mut(4).enumerate() {
            bytes.copy_from_slice(&word(at)?.to_ne_bytes());
        }
        IpAddr::from(bytes)
    };
    Some(SocketAddr::new(ip, port))
}

/// Whether some address is both `ours` and `theirs`. Theirs may take both families if it is `[::]`.
fn overlaps(ours: SocketAddr, dual_stack: bool, theirs: SocketAddr) -> bool {
    let any = |ip: IpAddr| ip.is_unspecified();
    let is_shared = match (ours.ip(), theirs.ip()) {
        (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
            ours == theirs || ours == Ipv4Addr::UNSPECIFIED || theirs == Ipv4Addr::UNSPECIFIED
        }
        (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
            ours == theirs || any(ours.into()) || any(theirs.into())
        }
        (IpAddr::V4(_), IpAddr::V6(theirs)) => theirs == Ipv6Addr::UNSPECIFIED,
        (IpAddr::V6(ours), IpAddr::V4(_)) => dual_stack && ours == Ipv6Addr::UNSPECIFIED,
    };
    is_shared && ours.port() == theirs.port()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn inode(socket: impl AsFd) -> u64 {
        rustix::fs::fstat(socket).unwrap().st_ino
    }

    #[test]
    fn another_listener_is_seen_and_an_own_one_is_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let own = HashSet::from([inode(&listener)]);
        assert!(by_others(address, false, &HashSet::new()));
        assert!(!by_others(address, false, &own));
        let everywhere = (Ipv6Addr::UNSPECIFIED, address.port()).into();
        assert!(by_others(everywhere, true, &HashSet::new()));
        assert!(!by_others(everywhere, false, &HashSet::new()));
    }

    #[test]
    fn lines_of_the_kernel_are_read() {
        let line = "   1: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0";
        assert_eq!(listening(line), Some(("[::1]:8080".parse().unwrap(), 4711)));
        assert_eq!(listening(&line.replace(" 0A ", " 01 ")), None);
        let line = "   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1";
        assert_eq!(listening(line), Some(("127.0.0.1:80".parse().unwrap(), 12)));
    }

    #[test]
    fn addresses_overlap_where_a_client_could_mean_both() {
        let overlap = |ours: &str, dual, theirs: &str| {
            overlaps(ours.parse().unwrap(), dual, theirs.parse().unwrap())
        };
        assert!(overlap("0.0.0.0:80", false, "10.0.0.1:80"));
        assert!(overlap("10.0.0.1:80", false, "0.0.0.0:80"));
        assert!(overlap("10.0.0.1:80", false, "[::]:80"));
        assert!(overlap("[::]:80", true, "10.0.0.1:80"));
        assert!(!overlap("[::]:80", false, "10.0.0.1:80"));
        assert!(!overlap("[::1]:80", true, "10.0.0.1:80"));
        assert!(!overlap("10.0.0.1:80", false, "10.0.0.2:80"));
        assert!(!overlap("10.0.0.1:80", false, "10.0.0.1:81"));
    }
}
