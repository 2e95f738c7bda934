//! An origin that parses strictly and tells what it parsed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::ledger::{Ledger, Parsed};
use crate::grammar::{Message, fingerprint, message};

/// The header in which the proxy says which request this is.
pub(super) const MARK: &str = "X-Conn";

/// Serves in a thread of its own until it is dropped.
pub(super) struct Origin {
    path: PathBuf,
    is_over: Arc<AtomicBool>,
}

impl Origin {
    /// Serves at `path`, and writes everything into `ledger`.
    pub(super) fn start(path: &Path, secret: String, ledger: Arc<Mutex<Ledger>>) -> Self {
        let origin = Self { path: path.to_owned(), is_over: Arc::default() };
        start(path, secret, ledger, Arc::clone(&origin.is_over));
        origin
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // One more connection wakes the thread.
        let _woken = std::os::unix::net::UnixStream::connect(&self.path);
    }
}

fn start(path: &Path, secret: String, ledger: Arc<Mutex<Ledger>>, is_over: Arc<AtomicBool>) {
    let listener = std::os::unix::net::UnixListener::bind(path).expect("a path of our own");
    listener.set_nonblocking(true).expect("a socket can be made not to block");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async move {
            let listener = UnixListener::from_std(listener).expect("a socket that does not block");
            let secret: Arc<str> = secret.into();
            while let Ok((stream, _)) = listener.accept().await {
                if is_over.load(Ordering::Acquire) {
                    return;
                }
                tokio::spawn(serve(stream, Arc::clone(&secret), Arc::clone(&ledger)));
            }
        });
    });
}

async fn serve(mut stream: UnixStream, secret: Arc<str>, ledger: Arc<Mutex<Ledger>>) {
    let mut received: Vec<u8> = Vec::with_capacity(4096);
    loop {
        loop {
            match message(&received) {
                Ok(None) => break,
                Ok(Some(found)) => {
                    received.drain(..found.length);
                    let is_head = found.method == "HEAD";
                    ledger.lock().parse(parsed(found, &secret));
                    let answer: &[u8] = if is_head {
                        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
                    } else {
                        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                    };
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                }
                Err(unsound) => return ledger.lock().unsound(unsound.0, &received),
            }
        }
        match stream.read_buf(&mut received).await {
            Ok(read) if read > 0 => {}
            _ => return,
        }
    }
}

fn parsed(found: Message, secret: &str) -> Parsed {
    let marks: Vec<&[u8]> = found.all(MARK).collect();
    let key = if let [mark] = marks[..] { key(mark, secret) } else { None };
    let (body, length) = (fingerprint(&found.body), found.body.len() as u64);
    let Message { method, target, framing, .. } = found;
    Parsed { key, method, target, framing, body, length }
}

fn key(mark: &[u8], secret: &str) -> Option<(u64, u64)> {
    let mark = std::str::from_utf8(mark).ok()?.strip_prefix(secret)?.trim_start();
    let (connection, request) = mark.split_once(' ')?;
    Some((connection.parse().ok()?, request.parse().ok()?))
}
