//! Clients that stop at every byte of a request and of a TLS handshake: by a reset, by an end, or by sending nothing more.
//!
//! Whatever a connection held must be given back: descriptors to the last one, connections and requests in flight, memory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::certs::credulous_client_config_of;
use crate::config::{Config, config};
use crate::origin::Origin;
use crate::patience::{Deadline, eventually};
use crate::proc_stats::ProcessStats;
use crate::proxy::Proxy;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Positions {
    /// Connections that were stopped.
    pub connections: usize,
    /// Bytes of each thing that was sent.
    pub lengths: Vec<(&'static str, usize)>,
    /// Connections that the proxy did not end in time.
    pub unended: usize,
    /// What was not given back.
    pub leaks: Vec<String>,
    /// Resident memory in KiB after the first round and after the last.
    pub resident: (u64, u64),
}

/// How a client stops.
#[derive(Clone, Copy, Debug)]
enum Ending {
    Reset,
    End,
    Stall,
}

/// What a client sends.
#[derive(Clone)]
enum Script {
    Plain(&'static [u8]),
    Handshake(Arc<ClientConfig>),
}

const GET: &[u8] = b"GET /get?a=b HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n";
const POST: &[u8] =
    b"POST /post HTTP/1.1\r\nHost: a.example\r\nContent-Length: 20\r\n\r\na body of 20 bytes, .";
const CHUNKS: &[u8] =
    b"POST /chunks HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: v\r\n\r\n";

/// Connections at a time.
const AT_A_TIME: usize = 1000;
/// The proxy's time-outs are one second; it lingers for two more.
const PATIENCE: Duration = Duration::from_secs(20);
/// As often as this in a row, the number of descriptors is the same.
const STEADY: usize = 20;
/// What an allocator may keep of one round more than of the one before.
const SLACK_KIB: u64 = 8 * 1024;

/// Stops at every `stride`-th byte, in each way, `rounds` times over: the first round is the base line of memory.
///
/// # Panics
/// When the proxy does not start or does not answer.
#[must_use]
#[track_caller]
pub fn positions(stride: usize, rounds: usize) -> Positions {
    let origin = Origin::start();
    let proxy = Proxy::start(&configuration(&origin));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let scripts = [
        ("request", "web", Script::Plain(GET)),
        ("request with a body", "web", Script::Plain(POST)),
        ("request with chunks", "web", Script::Plain(CHUNKS)),
        ("TLS 1.2 handshake", "tls", Script::Handshake(credulous_client_config_of(&TLS12))),
        ("TLS 1.3 handshake", "tls", Script::Handshake(credulous_client_config_of(&TLS13))),
    ];
    let mut found = Positions::default();
    // Whole once: whatever is made for the first request stays.
    for (name, listener, script) in &scripts {
        let address = proxy.address(listener);
        let (sent, _) = runtime.block_on(stop(address, script.clone(), usize::MAX, Ending::End));
        found.lengths.push((name, sent));
    }
    // Files of TLS are looked at once a second, by a thread that stays while there is something to look at.
    eventually("files are looked at", Deadline::soon(), || {
        (threads_called(&proxy, "control") == 2).then_some(())
    });
    let before = idle(&proxy, &origin);
    let mut resident = Vec::new();
    for _ in 0..rounds {
        for ending in [Ending::Reset, Ending::End, Ending::Stall] {
            let mut stops = Vec::new();
            for ((_, listener, script), (_, length)) in scripts.iter().zip(&found.lengths) {
                let address = proxy.address(listener);
                let positions = (0..=*length).step_by(stride);
                stops.extend(positions.map(|position| (address, script, position)));
            }
            let (connections, unended) = runtime.block_on(all(&stops, ending));
            found.connections += connections;
            found.unended += unended;
            found.compare(before, &proxy, &origin, ending);
        }
        resident.push(proxy.stats().resident_kib);
    }
    if let [first, .., last] = resident[..] {
        found.resident = (first, last);
        if last > first + SLACK_KIB {
            found.leaks.push(format!("{first} KiB after a round, {last} KiB after {rounds}"));
        }
    }
    found
}

impl Positions {
    fn compare(&mut self, before: ProcessStats, proxy: &Proxy, origin: &Origin, what: Ending) {
        let after = idle(proxy, origin);
        if (after.descriptors, after.threads) != (before.descriptors, before.threads) {
            self.leaks.push(format!("{what:?}: {before:?} before, {after:?} after"));
        }
        for gauge in ["switchback_open_connections", "switchback_requests_in_flight"] {
            let left = metric(proxy, gauge);
            if left != Some(0) {
                self.leaks.push(format!("{what:?}: {gauge} is {left:?}"));
            }
        }
    }
}

/// What the proxy holds when nothing is under way; connections to the origin, which are kept for use again, aside.
fn idle(proxy: &Proxy, origin: &Origin) -> ProcessStats {
    eventually("nothing is under way", Deadline::soon(), || {
        let is_idle = |gauge| metric(proxy, gauge) == Some(0);
        (is_idle("switchback_open_connections") && is_idle("switchback_requests_in_flight"))
            .then_some(())
    });
    // The origin may be a moment behind with what it has accepted or seen the end of.
    let (mut last, mut alike) = (None, 0);
    eventually("the number of descriptors is steady", Deadline::soon(), || {
        let mut stats = proxy.stats();
        stats.descriptors = stats.descriptors.saturating_sub(origin.open_connections());
        alike = if last == Some(stats.descriptors) { alike + 1 } else { 0 };
        last = Some(stats.descriptors);
        (alike == STEADY).then_some(stats)
    })
}

fn threads_called(proxy: &Proxy, name: &str) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", proxy.pid())).expect("the proxy runs");
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|found| found.trim_end() == name).count()
}

fn metric(proxy: &Proxy, name: &str) -> Option<u64> {
    let text = proxy.control("GET", "/metrics", None).text();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// Stops at all these bytes. Returns how many connections there were, and how many the proxy did not end.
async fn all(stops: &[(SocketAddr, &Script, usize)], ending: Ending) -> (usize, usize) {
    let (mut connections, mut unended) = (0, 0);
    for part in stops.chunks(AT_A_TIME) {
        let mut tasks = JoinSet::new();
        for (address, script, position) in part {
            tasks.spawn(stop(*address, Script::clone(script), *position, ending));
        }
        while let Some(stopped) = tasks.join_next().await {
            let (_, is_ended) = stopped.expect("a client does not panic");
            connections += 1;
            unended += usize::from(!is_ended);
        }
    }
    (connections, unended)
}

/// Sends up to so many bytes and stops. Returns how many there were, and whether the proxy ended the connection.
async fn stop(
    address: SocketAddr,
    script: Script,
    position: usize,
    ending: Ending,
) -> (usize, bool) {
    let mut stream = TcpStream::connect(address).await.expect("the proxy listens");
    let sent = match script {
        Script::Plain(bytes) => {
            let part = bytes.get(..position).unwrap_or(bytes);
            stream.write_all(part).await.expect("the proxy reads");
            part.len()
        }
        Script::Handshake(config) => shake(&mut stream, config, position).await,
    };
    match ending {
        Ending::Reset => {
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
            return (sent, true);
        }
        Ending::End => drop(stream.shutdown().await),
        Ending::Stall => {}
    }
    let rest = async {
        let mut scratch = [0; 4096];
        while stream.read(&mut scratch).await.is_ok_and(|read| read > 0) {}
    };
    (sent, tokio::time::timeout(PATIENCE, rest).await.is_ok())
}

/// Shakes hands up to so many bytes of the client's.
async fn shake(stream: &mut TcpStream, config: Arc<ClientConfig>, position: usize) -> usize {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut tls = ClientConnection::new(config, name).expect("a sound configuration");
    let mut sent = 0;
    loop {
        let mut flight = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut flight).expect("a vector takes bytes");
        }
        let part = flight.len().min(position - sent);
        stream.write_all(&flight[..part]).await.expect("the proxy reads");
        sent += part;
        if sent == position || part < flight.len() || !tls.is_handshaking() {
            return sent;
        }
        let mut received = [0; 4096];
        let read = stream.read(&mut received).await.expect("the proxy answers");
        assert!(read > 0, "the proxy ended a sound handshake");
        tls.read_tls(&mut &received[..read]).expect("a buffer can be read");
        tls.process_new_packets().expect("a sound answer");
    }
}

fn configuration(origin: &Origin) -> Config {
    let short = "timeouts = { handshake = \"1s\", header = \"1s\", keepalive = \"1s\", body = \"1s\", write = \"1s\" }";
    config()
        .web(short)
        .listener(format!(
            "name = \"tls\"\naddress = \"127.0.0.2:0\"\ntls = {{ self_signed = [\"localhost\"] }}\n{short}"
        ))
        .site("")
        .proxy_to(origin)
}
