//! Load without pause from a process of its own: kept and fresh connections, plain and TLS, HTTP/1.1 and HTTP/2, uploads,
//! WebSockets and slow downloads, each answer checked to the last byte.
//!
//! The process is `show-edge --traffic`. It is told what to do line by line on standard input and says on standard output
//! what it has seen; it also is the origin behind the proxy, so that one process less competes for the processors.

mod backend;
mod child;
mod clients;
mod http1;
mod http2;
mod state;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};

use super::show_edge_binary;
use crate::guard::must_not_outlive;
use crate::patience::Deadline;

pub use child::traffic;

/// What the traffic has come to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests whose answer was right.
    pub answered: u64,
    /// The others: refused, reset, cut short, 5xx, a wrong body, or a kept connection closed under a request.
    pub failed: u64,
    /// What was wrong with the first of them.
    pub failures: Vec<String>,
    /// How many requests of each kind of client were answered; known at the end.
    pub kinds: Vec<(String, u64)>,
    settled: bool,
    ended: bool,
}

/// A running process of clients, ended when dropped.
pub struct Traffic {
    child: Child,
    orders: ChildStdin,
    origin: SocketAddr,
    board: Arc<(Mutex<Tally>, Condvar)>,
}

impl Traffic {
    /// Starts the process and its origin; no request is sent yet.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        let mut command = Command::new(show_edge_binary());
        command.arg("--traffic").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a process of clients");
        must_not_outlive(child.id());
        let orders = child.stdin.take().expect("it was asked for");
        let mut lines = BufReader::new(child.stdout.take().expect("it was asked for")).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        let origin = first.strip_prefix("origin ").and_then(|address| address.parse().ok());
        let origin = origin.unwrap_or_else(|| panic!("no origin but {first:?}"));
        let board = Arc::new((Mutex::new(Tally::default()), Condvar::new()));
        let seen = Arc::clone(&board);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                seen.0.lock().note(&line);
                seen.1.notify_all();
            }
            seen.0.lock().ended = true;
            seen.1.notify_all();
        });
        Self { child, orders, origin, board }
    }

    /// The origin for everything below `/app/`.
    #[must_use]
    pub fn origin(&self) -> SocketAddr {
        self.origin
    }

    /// Begins to ask: one listener in plain text, one with TLS and HTTP/2.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn begin(&mut self, plain: SocketAddr, tls: SocketAddr) {
        self.order(&format!("start {plain} {tls}"));
    }

    /// Sends a few clients to another listener.
    ///
    /// # Panics
    /// When the process does not obey.
    #[track_caller]
    pub fn send_guests(&mut self, to: SocketAddr) {
        self.order_guests(&to.to_string());
    }

    /// They open no more connections there once this returns, but go on asking on those that are open.
    ///
    /// # Panics
    /// When the process does not obey.
    #[track_caller]
    pub fn let_guests_stay(&mut self) {
        self.order_guests("stay");
    }

    /// They have left once this returns.
    ///
    /// # Panics
    /// When the process does not obey.
    #[track_caller]
    pub fn send_guests_home(&mut self) {
        self.order_guests("home");
    }

    #[track_caller]
    fn order_guests(&mut self, to: &str) {
        self.board.0.lock().settled = false;
        self.order(&format!("guests {to}"));
        self.wait_until("the guests have settled", Deadline::soon(), |tally| tally.settled);
    }

    /// Waits until so many requests were answered or failed.
    ///
    /// # Panics
    /// When that takes too long.
    #[track_caller]
    pub fn wait_for(&self, requests: u64, deadline: Deadline) {
        self.wait_until("requests", deadline, |tally| tally.answered + tally.failed >= requests);
    }

    /// What was seen up to now.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.board.0.lock().clone()
    }

    /// Lets every client finish what it is at, and says what was seen.
    ///
    /// # Panics
    /// When the process does not end.
    #[must_use]
    #[track_caller]
    pub fn stop(mut self) -> Tally {
        self.order("stop");
        self.wait_until("the clients finish", Deadline::soon(), |tally| tally.ended);
        self.tally()
    }

    fn order(&mut self, line: &str) {
        writeln!(self.orders, "{line}").expect("the clients listen");
    }

    #[track_caller]
    fn wait_until(&self, what: &str, deadline: Deadline, enough: impl Fn(&Tally) -> bool) {
        let (board, changed) = &*self.board;
        let mut tally = board.lock();
        while !enough(&tally) {
            assert!(!tally.ended, "the clients have ended: {what}; {tally:?}");
            let late = changed.wait_until(&mut tally, deadline.instant()).timed_out();
            assert!(!late || enough(&tally), "waited in vain: {what}; {tally:?}");
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Tally {
    fn note(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "seen" => {
                let mut numbers = rest.split(' ').filter_map(|number| number.parse().ok());
                self.answered = numbers.next().unwrap_or(self.answered);
                self.failed = numbers.next().unwrap_or(self.failed);
            }
            "failed" => self.failures.push(rest.to_owned()),
            "settled" => self.settled = true,
            "kind" => {
                let (count, name) = rest.split_once(' ').unwrap_or(("0", rest));
                self.kinds.push((name.to_owned(), count.parse().unwrap_or(0)));
            }
            other => self.failures.push(format!("the clients say {other:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn lines_of_the_process_add_up() {
        let mut tally = Tally::default();
        for line in ["seen 10 1", "failed kept: reset", "seen 20 1", "kind 7 HTTP/2 over TLS"] {
            tally.note(line);
        }
        assert_eq!((tally.answered, tally.failed), (20, 1));
        assert_eq!(tally.failures, ["kept: reset"]);
        assert_eq!(tally.kinds, [("HTTP/2 over TLS".to_owned(), 7)]);
    }
}
