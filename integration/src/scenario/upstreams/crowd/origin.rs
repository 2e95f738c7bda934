//! An origin that works at so many requests at once, each for a time: what it can do is said, not measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// What it does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// Works at it.
    Works,
    /// Answers 503, or resets the connection.
    Fails,
}

/// A handle on it; it goes away with its runtime.
pub(super) struct Simulated {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    tokens: Semaphore,
    service: Duration,
    mood: AtomicU8,
    failed: AtomicUsize,
    number: AtomicUsize,
    /// Targets of POST requests.
    posts: Mutex<Vec<String>>,
}

impl Simulated {
    pub(super) async fn start(at_once: usize, service: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = listener.local_addr().expect("a bound socket");
        let state = Arc::new(State {
            tokens: Semaphore::new(at_once),
            service,
            mood: AtomicU8::new(Mood::Works as u8),
            failed: AtomicUsize::new(0),
            number: AtomicUsize::new(0),
            posts: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn is_now(&self, mood: Mood) {
        self.state.mood.store(mood as u8, Ordering::Relaxed);
    }

    /// Requests that it failed.
    pub(super) fn failed(&self) -> usize {
        self.state.failed.load(Ordering::Relaxed)
    }

    /// Targets of the POST requests that it had.
    pub(super) fn posts(&self) -> Vec<String> {
        self.state.posts.lock().clone()
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const BROKEN: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// Requests without bodies, one after the other.
async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let mut read = Vec::with_capacity(1024);
    loop {
        read.clear();
        while !read.ends_with(b"\r\n\r\n") {
            match stream.read_buf(&mut read).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        let line = read.split(|byte| *byte == b'\r').next().unwrap_or_default();
        if let Some(target) = line.strip_prefix(b"POST ") {
            state.posts.lock().push(String::from_utf8_lossy(target).into_owned());
        }
        let number = state.number.fetch_add(1, Ordering::Relaxed);
        let answer = if state.mood.load(Ordering::Relaxed) == Mood::Fails as u8 {
            state.failed.fetch_add(1, Ordering::Relaxed);
            if number.is_multiple_of(2) {
                // Closed without an answer.
                return;
            }
            BROKEN
        } else {
            let _token = state.tokens.acquire().await;
            // From half the time to as much more, and not in step with others.
            let part = (number * 37 % 101) as f64 / 100.0;
            tokio::time::sleep(state.service.mul_f64(0.5 + part)).await;
            OK
        };
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}
