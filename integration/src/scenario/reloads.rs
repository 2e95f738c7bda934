//! Reloads under load, each of which changes routes, with a WebSocket and a slow download that outlast them all.

use std::time::Duration;

use crate::client::Client;
use crate::gate::Gate;
use crate::load::{Load, generation};
use crate::message::{get, pattern};
use crate::origin::{Answer, Origin, Step};
use crate::patience::Deadline;
use crate::proc_stats::ProcessStats;
use crate::proxy::Proxy;

/// What reloads under load came to.
#[derive(Clone, Debug)]
pub struct Reloads {
    /// Answers that were right.
    pub answered: u64,
    /// What was wrong with the others.
    pub failures: Vec<String>,
    /// Reloads that every connection was seen to be answered by.
    pub acted: usize,
    /// Whether the WebSocket echoed after each of them.
    pub websocket_lived: bool,
    /// Whether the download begun before them was whole at their end.
    pub download_whole: bool,
    /// Before the first reload and after the last.
    pub memory: (ProcessStats, ProcessStats),
}

/// How many bytes of the slow download pass between two reloads.
const PIECE: usize = 1000;

/// Reloads `count` times while `requests` requests are answered.
///
/// # Panics
/// When the proxy does not start, refuses a reload or stops answering.
#[must_use]
#[track_caller]
pub fn reloads(count: usize, requests: u64) -> Reloads {
    let gate = Gate::new();
    let origin = Origin::start()
        .serve("/app/download", slow_download(&gate, count))
        .serve("/app/socket", Answer::Tunnel);
    let proxy = Proxy::start(&generation(1, &origin));
    let mut download = proxy.client();
    download.send(get("/app/download").to_bytes()).response_head().expect_status(200);
    let mut socket = open_websocket(&proxy, "/app/socket");
    let load = Load::start(proxy.address("web"), 4);
    let share = requests.div_ceil(count as u64 + 1);
    load.wait_until("the load begins", Deadline::soon(), |seen| seen.answered >= share);
    let before = proxy.stats();
    let mut played = Reloads {
        answered: 0,
        failures: Vec::new(),
        acted: 0,
        websocket_lived: true,
        download_whole: false,
        memory: (before, before),
    };
    for number in 2..count as u64 + 2 {
        proxy.reload(&generation(number, &origin)).expect_accepted();
        load.confirm(number);
        played.acted += usize::from(acts(&proxy, number));
        let patience = Deadline::after(Duration::from_secs(120));
        load.wait_until("every connection sees the reload", patience, |seen| {
            seen.answered >= share * number
                && seen.generations.iter().all(|&newest| newest == number)
        });
        gate.pass();
        played.websocket_lived &= echoes(&mut socket, number);
    }
    let seen = load.stop();
    (played.answered, played.failures) = (seen.answered, seen.failures);
    played.download_whole = download.read_exactly(PIECE * count) == pattern(PIECE * count);
    played.memory.1 = proxy.stats();
    played
}

/// A WebSocket through the proxy, upgraded.
///
/// # Panics
/// When the upgrade is refused.
#[must_use]
#[track_caller]
pub fn open_websocket(proxy: &Proxy, target: &str) -> Client {
    let mut client = proxy.client();
    let request = get(target)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    client.send(request.to_bytes()).response_head().expect_status(101);
    client
}

fn slow_download(gate: &Gate, pieces: usize) -> Answer {
    let bytes = pattern(PIECE * pieces);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
    let mut steps = vec![Step::ReadBody, Step::send(head)];
    for piece in bytes.chunks(PIECE) {
        steps.extend([Step::Wait(gate.clone()), Step::send(piece)]);
    }
    Answer::Script(steps)
}

/// Whether this generation's own path is there and its predecessor's is gone.
fn acts(proxy: &Proxy, number: u64) -> bool {
    let mut client = proxy.client();
    let new = client.ask(&get(&format!("/only-in-{number}")));
    let old = client.ask(&get(&format!("/only-in-{}", number - 1)));
    new.status == 200 && old.status == 404
}

fn echoes(socket: &mut Client, number: u64) -> bool {
    let message = format!("message {number}");
    if socket.try_send(&message).is_err() {
        return false;
    }
    socket.read_exactly(message.len()) == message.as_bytes()
}
