//! What the kernel keeps and carries for connections of this machine.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

/// What the kernel has in use at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kernel {
    /// Bytes of the objects that make up sockets of both ends.
    sockets: f64,
    /// Bytes of what only the end that polls has.
    polled: f64,
    /// Bytes in the buffers of both ends.
    buffers: f64,
    /// Whether the kernel lets us see its objects.
    seen: bool,
}

/// Both ends of a connection have one of each.
const OF_BOTH_ENDS: [&str; 4] = ["TCP", "sock_inode_cache", "filp", "lsm_file_cache"];

impl Kernel {
    /// Now.
    pub(super) fn now() -> Self {
        let slabs = fs::read_to_string("/proc/slabinfo").unwrap_or_default();
        let of = |name: &str| slab(&slabs, name).map_or(0.0, |(count, size)| count * size);
        let sockets: f64 = OF_BOTH_ENDS.iter().map(|name| of(name)).sum();
        // Each socket has an entry of the dentry cache as well; that cache is too busy otherwise to be counted.
        let entry = slab(&slabs, "dentry").map_or(0.0, |(_, size)| size);
        let entries = slab(&slabs, "TCP").map_or(0.0, |(count, _)| count * entry);
        Self {
            sockets: sockets + entries,
            polled: of("eventpoll_epi") + of("eventpoll_pwq"),
            buffers: buffer_pages().unwrap_or(0.0) * 4096.0,
            seen: !slabs.is_empty(),
        }
    }

    /// Memory for the proxy's end of each of `connections` that were opened since `before`, if it can be seen.
    pub(super) fn memory_since(&self, before: &Self, connections: usize) -> Option<f64> {
        let both = self.sockets - before.sockets + self.buffers - before.buffers;
        let all = both / 2.0 + self.polled - before.polled;
        self.seen.then_some(all / connections as f64)
    }
}

/// How many objects of this cache are in use, and how large each is.
fn slab(slabs: &str, name: &str) -> Option<(f64, f64)> {
    let mut fields =
        slabs.lines().map(str::split_whitespace).find(|line| line.clone().next() == Some(name))?;
    let (in_use, size) = (fields.nth(1)?, fields.nth(1)?);
    Some((in_use.parse().ok()?, size.parse().ok()?))
}

/// Pages in the buffers of TCP sockets.
fn buffer_pages() -> Option<f64> {
    let stats = fs::read_to_string("/proc/net/sockstat").ok()?;
    let line = stats.lines().find(|line| line.starts_with("TCP:"))?;
    line.rsplit_once("mem ")?.1.trim().parse().ok()
}

/// What one connection has carried, both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Carried {
    /// Bytes of TLS and HTTP.
    pub(super) bytes: f64,
    /// Packets, those that only acknowledge included.
    pub(super) packets: f64,
}

impl Carried {
    /// Up to now by the connection from this address, as `ss` tells it.
    pub(super) fn by(client: SocketAddr) -> Self {
        let output = Command::new("ss").args(["-Htin", &format!("src {client}")]).output();
        Self::parse(&String::from_utf8_lossy(
            &output.map(|output| output.stdout).unwrap_or_default(),
        ))
    }

    fn parse(printed: &str) -> Self {
        let number = |name: &str| -> f64 {
            let mut words = printed.split_whitespace();
            let word = words.find_map(|word| word.strip_prefix(name)?.strip_prefix(':'));
            word.and_then(|word| word.parse().ok()).unwrap_or(0.0)
        };
        Self {
            bytes: number("bytes_sent") + number("bytes_received"),
            packets: number("segs_out") + number("segs_in"),
        }
    }

    /// Beyond what it had carried before.
    pub(super) fn since(self, before: Self) -> Self {
        Self { bytes: self.bytes - before.bytes, packets: self.packets - before.packets }
    }
}

#[cfg(test)]
mod tests {
    use super::{Carried, slab};

    #[test]
    fn a_cache_is_found_by_its_whole_name() {
        let slabs = "slabinfo - version: 2.1\n\
                     TCPv6                 26     26   2496   13    8 : tunables\n\
                     TCP                 7380   7462   2368   13    8 : tunables\n";
        assert_eq!(slab(slabs, "TCP"), Some((7380.0, 2368.0)));
        assert_eq!(slab(slabs, "filp"), None);
    }

    #[test]
    fn both_directions_are_carried() {
        let printed = "ESTAB 0 0 127.0.1.1:40001 127.0.0.1:80\n\t cubic rto:201 bytes_sent:80 \
                       bytes_acked:81 bytes_received:1190 segs_out:5 segs_in:3 data_segs_out:1";
        assert_eq!(Carried::parse(printed), Carried { bytes: 1270.0, packets: 8.0 });
        assert_eq!(Carried::parse(""), Carried::default());
    }
}
