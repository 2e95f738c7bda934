//! A load of keep-alive connections whose every answer is checked, and that knows which configuration gave it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};

use crate::client::Client;
use crate::config::{Config, site};
use crate::message::{Request, Response, get};
use crate::origin::Origin;
use crate::patience::Deadline;

/// The configuration that [`Load`] understands: each generation answers with its number, from a fixed answer and from an
/// origin, and has one path of its own.
#[must_use]
pub fn generation(number: u64, origin: &Origin) -> Config {
    site()
        .respond("/fixed", &format!("generation {number}"))
        .respond(&format!("/only-in-{number}"), "here")
        .route(
            "/app/*",
            format_args!(
                "proxy = \"app\"\nresponse_headers = {{ set = {{ x-generation = \"{number}\" }} }}"
            ),
        )
        .upstream("app", &[origin], "")
}

/// What a load has seen so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Answers that were as they should be.
    pub answered: u64,
    /// The newest generation each connection has been answered by.
    pub generations: Vec<u64>,
    /// What was wrong with every other answer.
    pub failures: Vec<String>,
    stopped: bool,
}

/// Connections that ask without pause, each its next request when the last was answered.
pub struct Load {
    board: Arc<(Mutex<Seen>, Condvar)>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts this many connections.
    #[must_use]
    pub fn start(address: SocketAddr, connections: usize) -> Self {
        let seen = Seen { generations: vec![0; connections], ..Seen::default() };
        let board = Arc::new((Mutex::new(seen), Condvar::new()));
        let start = |connection| {
            let board = Arc::clone(&board);
            thread::spawn(move || Worker { address, connection, board }.run())
        };
        let threads = (0..connections).map(start).collect();
        Self { board, threads }
    }

    /// Waits until what has been seen is enough.
    ///
    /// # Panics
    /// When it does not come to that before the deadline.
    #[track_caller]
    pub fn wait_until(&self, what: &str, deadline: Deadline, enough: impl Fn(&Seen) -> bool) {
        let (seen, changed) = &*self.board;
        let mut seen = seen.lock();
        while !enough(&seen) {
            let late = changed.wait_until(&mut seen, deadline.instant()).timed_out();
            let first = seen.failures.first();
            assert!(
                !late,
                "waited in vain: {what}; {} answered, first failure {first:?}",
                seen.answered
            );
        }
    }

    /// Stops and says what was seen.
    #[must_use]
    pub fn stop(self) -> Seen {
        let (seen, _) = &*self.board;
        seen.lock().stopped = true;
        for thread in self.threads {
            if thread.join().is_err() {
                seen.lock().failures.push("a client panicked".to_owned());
            }
        }
        seen.lock().clone()
    }
}

struct Worker {
    address: SocketAddr,
    connection: usize,
    board: Arc<(Mutex<Seen>, Condvar)>,
}

impl Worker {
    fn run(&self) {
        let mut client = None;
        let mut newest = 0;
        for number in 0_u64.. {
            let connected = client.take().unwrap_or_else(|| Client::tcp(self.address));
            let outcome = ask(connected, self.connection, number, newest);
            let (seen, changed) = &*self.board;
            let mut seen = seen.lock();
            match outcome {
                Ok((kept, generation)) => {
                    client = kept;
                    newest = generation;
                    seen.answered += 1;
                    seen.generations[self.connection] = generation;
                }
                Err(failure) => seen.failures.push(failure),
            }
            if seen.answered % 64 == 0 || seen.generations.iter().all(|&other| other == newest) {
                changed.notify_all();
            }
            if seen.stopped {
                return;
            }
        }
    }
}

/// Asks once; the connection if it may be used again, and the generation that answered.
fn ask(
    mut client: Client,
    connection: usize,
    number: u64,
    newest: u64,
) -> Result<(Option<Client>, u64), String> {
    let target = if number.is_multiple_of(2) {
        "/fixed".to_owned()
    } else {
        format!("/app/{connection}/{number}")
    };
    let request: Request = get(&target);
    let response = client.try_ask(&request).map_err(|error| format!("{target}: {error:?}"))?;
    let generation = judge(&response, &target).ok_or_else(|| format!("{target}: {response}"))?;
    if generation < newest {
        return Err(format!("{target}: generation {generation} after {newest}"));
    }
    let closes =
        response.headers.all("connection").iter().any(|value| value.eq_ignore_ascii_case("close"));
    Ok(((!closes).then_some(client), generation))
}

/// The generation that gave this answer, if it is the right one for `target`.
fn judge(response: &Response, target: &str) -> Option<u64> {
    if response.status != 200 {
        return None;
    }
    if target == "/fixed" {
        return response.text().strip_prefix("generation ")?.parse().ok();
    }
    let echoed: serde_json::Value = serde_json::from_slice(&response.body).ok()?;
    if echoed["target"] != target {
        return None;
    }
    response.headers.all("x-generation").first()?.parse().ok()
}
