//! What an origin remembers.

use std::collections::HashMap;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::patience::Deadline;
use crate::stream::Closer;
use crate::wire::Headers;

/// A request that an origin received whole.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its method.
    pub method: String,
    /// Its target as it came.
    pub target: String,
    /// Its fields in order.
    pub headers: Headers,
    /// Its body with the framing taken off.
    pub body: Vec<u8>,
    /// What followed a chunked body.
    pub trailers: Headers,
    /// Its head as it came.
    pub raw_head: Vec<u8>,
    /// On which connection: the first is 0.
    pub connection: usize,
}

impl Received {
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

#[derive(Default)]
pub(crate) struct Events {
    requests: Vec<Received>,
    heads: usize,
    connections: usize,
    open: HashMap<usize, Closer>,
    answers: Vec<Instant>,
}

impl Events {
    pub(crate) fn count(&self, path: &str) -> usize {
        self.requests.iter().filter(|request| path == "*" || request.path() == path).count()
    }

    pub(crate) fn heads(&self) -> usize {
        self.heads
    }

    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }
}

#[derive(Default)]
pub(crate) struct Ledger {
    events: Mutex<Events>,
    changed: Condvar,
}

impl Ledger {
    fn note<T>(&self, change: impl FnOnce(&mut Events) -> T) -> T {
        let result = change(&mut self.events.lock());
        self.changed.notify_all();
        result
    }

    pub(crate) fn opened(&self, closer: Closer) -> usize {
        self.note(|events| {
            let connection = events.connections;
            events.connections += 1;
            events.open.insert(connection, closer);
            connection
        })
    }

    pub(crate) fn closed(&self, connection: usize) {
        self.note(|events| events.open.remove(&connection));
    }

    pub(crate) fn head(&self) {
        self.note(|events| events.heads += 1);
    }

    pub(crate) fn request(&self, request: Received) {
        self.note(|events| events.requests.push(request));
    }

    pub(crate) fn answering(&self) {
        self.note(|events| events.answers.push(Instant::now()));
    }

    pub(crate) fn close_all(&self) {
        self.note(|events| events.open.values().for_each(Closer::close));
    }

    pub(crate) fn requests(&self, path: &str) -> Vec<Received> {
        let events = self.events.lock();
        events
            .requests
            .iter()
            .filter(|request| path == "*" || request.path() == path)
            .cloned()
            .collect()
    }

    /// Those that came whole after the first `count`.
    pub(crate) fn requests_after(&self, count: usize) -> Vec<Received> {
        self.events.lock().requests.get(count..).unwrap_or_default().to_vec()
    }

    /// How many came whole.
    pub(crate) fn count(&self) -> usize {
        self.events.lock().requests.len()
    }

    pub(crate) fn heads(&self) -> usize {
        self.events.lock().heads
    }

    pub(crate) fn connections(&self) -> usize {
        self.events.lock().connections
    }

    pub(crate) fn open_connections(&self) -> usize {
        self.events.lock().open.len()
    }

    pub(crate) fn answer_times(&self) -> Vec<Instant> {
        self.events.lock().answers.clone()
    }

    pub(crate) fn wait(&self, deadline: Deadline, holds: impl Fn(&Events) -> bool) -> bool {
        let mut events = self.events.lock();
        while !holds(&events) {
            if self.changed.wait_until(&mut events, deadline.instant()).timed_out() {
                return holds(&events);
            }
        }
        true
    }
}
