//! A load of keep-alive connections whose every answer is checked, and that knows which configuration gave it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// What a load asks for, and how its answers are judged.
#[derive(Clone, Copy, Debug)]
pub struct Questions {
    /// The target of a request, by its connection and its number there.
    pub target: fn(usize, u64) -> String,
    /// The generation that gave this answer, if it is the right one for the target.
    pub judge: fn(&Response, &str) -> Option<u64>,
}

/// Those that [`generation`] has answers for.
const ROUTES: Questions = Questions { target, judge };

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
    confirmed: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts this many connections, for what [`generation`] answers.
    #[must_use]
    pub fn start(address: SocketAddr, connections: usize) -> Self {
        Self::asking(address, connections, ROUTES)
    }

    /// Starts this many connections that ask these questions.
    #[must_use]
    pub fn asking(address: SocketAddr, connections: usize, questions: Questions) -> Self {
        let confirmed = Arc::<AtomicU64>::default();
        let seen = Seen { generations: vec![0; connections], ..Seen::default() };
        let board = Arc::new((Mutex::new(seen), Condvar::new()));
        let start = |connection| {
            let (board, confirmed) = (Arc::clone(&board), Arc::clone(&confirmed));
            thread::spawn(move || {
                Worker { address, connection, questions, board, confirmed }.run();
            })
        };
        let threads = (0..connections).map(start).collect();
        Self { board, confirmed, threads }
    }

    /// This generation is in force: requests that begin from now on may not be answered by an older one.
    pub fn confirm(&self, generation: u64) {
        self.confirmed.store(generation, Ordering::Release);
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
    questions: Questions,
    board: Arc<(Mutex<Seen>, Condvar)>,
    confirmed: Arc<AtomicU64>,
}

impl Worker {
    fn run(&self) {
        let mut client = None;
        let mut newest = 0;
        for number in 0_u64.. {
            let connected = client.take().unwrap_or_else(|| Client::tcp(self.address));
            let oldest = self.confirmed.load(Ordering::Acquire).max(newest);
            let outcome = self.ask(connected, number, oldest);
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

    /// Asks once; the connection if it may be used again, and the generation that answered.
    fn ask(
        &self,
        mut client: Client,
        number: u64,
        oldest: u64,
    ) -> Result<(Option<Client>, u64), String> {
        let target = (self.questions.target)(self.connection, number);
        let asked: Request = get(&target);
        let response = client.try_ask(&asked).map_err(|error| format!("{target}: {error:?}"))?;
        let generation = (self.questions.judge)(&response, &target);
        let generation = generation.ok_or_else(|| format!("{target}: {response}"))?;
        if generation < oldest {
            return Err(format!("{target}: generation {generation} after {oldest}"));
        }
        let all = response.headers.all("connection");
        let closes = all.iter().any(|value| value.eq_ignore_ascii_case("close"));
        Ok(((!closes).then_some(client), generation))
    }
}

fn target(connection: usize, number: u64) -> String {
    match number.is_multiple_of(2) {
        true => "/fixed".to_owned(),
        false => format!("/app/{connection}/{number}"),
    }
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
