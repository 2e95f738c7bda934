//! Connections that are opened, asked once and then kept, by processes of their own: each has only so many descriptors, and
//! each source address only so many ports.

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;

use super::show_edge_binary;
use crate::certs::credulous_client_config;
use crate::client::Client;
use crate::guard::must_not_outlive;
use crate::message::get;

/// What they ask for.
pub(super) const PAGE: &str = "/app/page";

/// A running process that holds connections, ended when dropped.
pub(super) struct Holder {
    child: Child,
    orders: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    source: Ipv4Addr,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// Connections that are open and were answered.
    pub(super) answered: usize,
    /// Those that were not.
    pub(super) failed: usize,
    /// Bytes of the head of the last answer.
    pub(super) head: usize,
    /// The port of one of them.
    pub(super) port: u16,
}

impl Holder {
    /// The holder with this number, which connects to `address` from an address of its own.
    pub(super) fn start(number: u8, address: SocketAddr, tls: bool) -> Self {
        let source = Ipv4Addr::new(127, 0, 1, number + 1);
        let mut command = Command::new(show_edge_binary());
        command.arg("--hold").args([address.to_string(), source.to_string()]);
        command.arg(if tls { "tls" } else { "plain" });
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a process of clients");
        must_not_outlive(child.id());
        let orders = child.stdin.take().expect("it was asked for");
        let lines = BufReader::new(child.stdout.take().expect("it was asked for")).lines();
        Self { child, orders, lines, source }
    }

    /// Has it open connections until it holds so many, and ask once on each new one. [`Self::done`] tells.
    pub(super) fn open(&mut self, connections: usize) {
        writeln!(self.orders, "open {connections}").expect("the holder listens");
    }

    /// Has it ask once more on each, whether what it got has changed if that can be asked.
    pub(super) fn ask(&mut self) {
        writeln!(self.orders, "ask").expect("the holder listens");
    }

    /// Waits until the last order is done.
    pub(super) fn done(&mut self) -> Held {
        let line = self.lines.next().and_then(Result::ok).expect("the holder answers");
        let mut numbers = line.split(' ').map(|number| number.parse().unwrap_or(usize::MAX));
        let mut next = || numbers.next().unwrap_or(usize::MAX);
        let (answered, failed, head) = (next(), next(), next());
        Held { answered, failed, head, port: u16::try_from(next()).unwrap_or_default() }
    }

    /// Where its connections come from.
    pub(super) fn source(&self, port: u16) -> SocketAddr {
        (self.source, port).into()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

/// What `show-edge --hold ADDRESS SOURCE plain|tls` does: obeys until standard input ends.
///
/// # Panics
/// When it is told what it does not understand.
pub fn hold(arguments: &[String]) {
    let [address, source, protocol] = arguments else { panic!("--hold ADDRESS SOURCE PROTOCOL") };
    let mut load = Load {
        address: address.parse().expect("an address and a port"),
        source: source.parse().expect("an address"),
        config: (protocol == "tls").then(whole_handshakes),
        clients: Vec::new(),
        etag: None,
    };
    for order in std::io::stdin().lock().lines().map_while(Result::ok) {
        let held = match order.split_once(' ') {
            Some(("open", count)) => load.open(count.parse().expect("a number")),
            _ => load.ask(),
        };
        let Held { answered, failed, head, port } = held;
        // Whoever stopped listening stops the orders, too.
        let _said = writeln!(std::io::stdout(), "{answered} {failed} {head} {port}");
    }
}

/// None of these clients was here before.
fn whole_handshakes() -> Arc<ClientConfig> {
    let mut config = ClientConfig::clone(&credulous_client_config(&[b"http/1.1"]));
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

struct Load {
    address: SocketAddr,
    source: IpAddr,
    config: Option<Arc<ClientConfig>>,
    clients: Vec<Client>,
    etag: Option<String>,
}

impl Load {
    fn open(&mut self, count: usize) -> Held {
        let mut failed = 0;
        while self.clients.len() + failed < count {
            match self.open_one() {
                Some(client) => self.clients.push(client),
                None => failed += 1,
            }
        }
        let port = self.clients.first().map_or(0, |client| client.local_address().port());
        Held { answered: self.clients.len(), failed, head: 0, port }
    }

    fn open_one(&mut self) -> Option<Client> {
        let mut client =
            Client::try_from_source(self.address, self.source, self.config.clone()).ok()?;
        let answer = client.try_ask(&get(PAGE)).ok()?;
        self.etag = answer.headers.all("etag").first().map(ToString::to_string);
        (answer.status == 200).then_some(client)
    }

    fn ask(&mut self) -> Held {
        let (asked, wanted) = match &self.etag {
            Some(etag) => (get(PAGE).header("If-None-Match", etag), 304),
            None => (get(PAGE), 200),
        };
        let mut held = Held::default();
        for client in &mut self.clients {
            match client.try_ask(&asked) {
                Ok(answer) if answer.status == wanted => {
                    held.answered += 1;
                    held.head = answer.raw_head.len();
                }
                // Each process has a file of its own, and one may be a second younger than another.
                Ok(answer) if answer.status == 200 => held.answered += 1,
                _ => held.failed += 1,
            }
        }
        held
    }
}
