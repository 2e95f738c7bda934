//! What the machine itself says of names: `/etc/hosts` and `/etc/resolv.conf`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Larger files are cut.
const MOST: usize = 1024 * 1024;
/// Where name servers listen.
const PORT: u16 = 53;

/// What its files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct System {
    hosts: String,
    /// Name servers, in order.
    pub(super) servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
}

impl System {
    /// As it is now. Blocks.
    pub(super) fn read() -> Self {
        let text = |path: &str| {
            let bytes = std::fs::read(Path::new(path)).unwrap_or_default();
            String::from_utf8_lossy(bytes.get(..MOST).unwrap_or(&bytes)).into_owned()
        };
        Self::parse(text("/etc/hosts"), &text("/etc/resolv.conf"))
    }

    fn parse(hosts: String, resolv_conf: &str) -> Self {
        let mut system = Self { hosts, ndots: 1, ..Self::default() };
        for line in resolv_conf.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let server = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    system.servers.extend(server.map(|server| SocketAddr::new(server, PORT)));
                }
                Some("search" | "domain") => {
                    system.search =
                        words.map(|word| word.trim_end_matches('.').to_owned()).collect();
                }
                Some("options") => {
                    let ndots = words.find_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    system.ndots = ndots.unwrap_or(system.ndots);
                }
                _ => {}
            }
        }
        system
    }

    /// The addresses that need no name server.
    pub(super) fn addresses(&self, host: &str) -> Vec<IpAddr> {
        let host = host.trim_end_matches('.');
        let mut found = Vec::new();
        for line in self.hosts.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
                continue;
            };
            if words.any(|name| name.eq_ignore_ascii_case(host)) && !found.contains(&address) {
                found.push(address);
            }
        }
        if found.is_empty() && (host == "localhost" || host.ends_with(".localhost")) {
            // Never a name server's to say (RFC 6761, 6.3).
            found = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        found
    }

    /// The names to ask for, in order.
    pub(super) fn candidates(&self, host: &str) -> Vec<String> {
        if host.ends_with('.') {
            return vec![host.trim_end_matches('.').to_owned()];
        }
        let searched = self.search.iter().filter(|suffix| !suffix.is_empty());
        let mut candidates: Vec<String> =
            searched.map(|suffix| format!("{host}.{suffix}")).collect();
        let is_whole = host.bytes().filter(|byte| *byte == b'.').count() >= self.ndots;
        candidates.insert(if is_whole { 0 } else { candidates.len() }, host.to_owned());
        candidates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system() -> System {
        let hosts =
            "127.0.0.1 localhost\n10.0.0.7\tapp App.Example # ours\n::7 app\nnonsense app\n";
        let conf = "# by hand\nnameserver 10.0.0.2\nnameserver ::1\nnameserver x\n\
            search a.example b.example.\noptions rotate ndots:2\n";
        System::parse(hosts.to_owned(), conf)
    }

    #[test]
    fn hosts_are_found_by_any_of_their_names() {
        let texts = |host| system().addresses(host).iter().map(ToString::to_string).collect();
        let found: [Vec<String>; 4] = ["app", "APP.example.", "nobody", "x.localhost"].map(texts);
        assert_eq!(found[0], ["10.0.0.7", "::7"]);
        assert_eq!(found[1], ["10.0.0.7"]);
        assert!(found[2].is_empty());
        assert_eq!(found[3], ["127.0.0.1", "::1"]);
    }

    #[test]
    fn servers_and_suffixes_are_read() {
        assert_eq!(system().servers.len(), 2);
        assert_eq!(system().candidates("app"), ["app.a.example", "app.b.example", "app"]);
        assert_eq!(system().candidates("a.b.c"), ["a.b.c", "a.b.c.a.example", "a.b.c.b.example"]);
        assert_eq!(system().candidates("app."), ["app"]);
    }
}
