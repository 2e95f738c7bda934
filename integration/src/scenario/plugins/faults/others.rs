//! Those whom a fault is not about: connections that ask without pause, and must be answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use crate::client::Client;
use crate::message::get;
use crate::patience::{Deadline, eventually};

/// What they have seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) answered: u64,
    pub(super) wrong: Vec<String>,
}

/// A connection for each path, each its next request when the last was answered.
pub(super) struct Others {
    is_over: Arc<AtomicBool>,
    answered: Vec<Arc<AtomicU64>>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Others {
    pub(super) fn start(address: SocketAddr, paths: &[String]) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let answered: Vec<Arc<AtomicU64>> = paths.iter().map(|_| Arc::default()).collect();
        let start = |(path, answered): (&String, &Arc<AtomicU64>)| {
            let (path, answered) = (path.clone(), Arc::clone(answered));
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || ask(address, &path, &answered, &is_over))
        };
        let threads = paths.iter().zip(&answered).map(start).collect();
        Self { is_over, answered, threads }
    }

    /// Waits until each of them has been answered twice more: once at least, it has asked after this was called.
    #[track_caller]
    pub(super) fn all_are_answered(&self) {
        let counts = || self.answered.iter().map(|count| count.load(Ordering::Relaxed));
        let before: Vec<u64> = counts().collect();
        eventually("all others are answered", Deadline::soon(), || {
            counts().zip(&before).all(|(now, then)| now >= then + 2).then_some(())
        });
    }

    pub(super) fn stop(self) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        let mut seen = Seen::default();
        for thread in self.threads {
            let wrong = thread.join();
            seen.wrong.extend(wrong.unwrap_or_else(|_| vec!["a client panicked".to_owned()]));
        }
        seen.answered = self.answered.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        seen
    }
}

/// Asks for other pages below `path` until it is over. Returns what was wrong.
fn ask(address: SocketAddr, path: &str, answered: &AtomicU64, is_over: &AtomicBool) -> Vec<String> {
    /// After so many, no more is to be learnt.
    const MOST_WRONG: usize = 100;
    let mut wrong = Vec::new();
    let mut client = None;
    for number in 0_u64.. {
        if is_over.load(Ordering::Relaxed) || wrong.len() >= MOST_WRONG {
            break;
        }
        let target = format!("{path}/{number}");
        let mut connected = client.take().unwrap_or_else(|| Client::tcp(address));
        match connected.try_ask(&get(&target)) {
            Ok(answer) if answer.status == 200 && is_about(&answer.text(), &target) => {
                answered.fetch_add(1, Ordering::Relaxed);
                client = answer.headers.get("connection").is_none().then_some(connected);
            }
            Ok(answer) => wrong.push(format!("{target}: {answer}")),
            Err(error) => wrong.push(format!("{target}: {error:?}")),
        }
    }
    wrong
}

/// Whether the origin was asked for `target`; one of the plugins turns bodies around.
fn is_about(body: &str, target: &str) -> bool {
    let turned: String = body.chars().rev().collect();
    let quoted = format!("\"{target}\"");
    body.contains(&quoted) || turned.contains(&quoted)
}
