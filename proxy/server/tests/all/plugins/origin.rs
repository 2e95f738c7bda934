//! An origin that tells what it was sent.

use parking_lot::Mutex;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Listens on a port of its own until the process ends.
pub(super) struct Origin {
    pub(super) address: String,
    requests: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (requests, seen) =
            (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<String>>>::default());
        let origin = Self { address, requests: Arc::clone(&requests), seen: Arc::clone(&seen) };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (requests, seen) = (Arc::clone(&requests), Arc::clone(&seen));
                thread::spawn(move || drop(serve(stream, &requests, &seen)));
            }
        });
        origin
    }

    /// How many requests it has had.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// All of them, head and body.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().clone()
    }

    /// Waits until it has had so many.
    pub(super) fn wait_for(&self, count: usize) -> Vec<String> {
        loop {
            let seen = self.seen();
            if seen.len() >= count {
                return seen;
            }
            thread::yield_now();
        }
    }
}

/// Answers each request with what it was: its head in lower case, and its body.
fn serve(
    stream: TcpStream,
    requests: &AtomicUsize,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let fields = head.to_ascii_lowercase();
        let body = if fields.contains("transfer-encoding: chunked") {
            chunks(&mut reader)?
        } else {
            let length =
                fields.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            reader.read_exact(&mut body)?;
            body
        };
        let body = String::from_utf8_lossy(&body).into_owned();
        requests.fetch_add(1, Ordering::SeqCst);
        let text = format!("{}\n{body}", head.trim_end().replace("\r\n", "\n"));
        seen.lock().push(text.clone());
        let path = head.split(' ').nth(1).unwrap_or_default();
        if path.starts_with("/die") {
            return Ok(());
        }
        let status = if path.starts_with("/bad") { "503 Service Unavailable" } else { "200 OK" };
        let kept = if path.starts_with("/kept") { "Cache-Control: max-age=60\r\n" } else { "" };
        let length = text.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n{kept}Content-Length: {length}\r\n\r\n{text}"
        )?;
    }
}

fn chunks(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).unwrap_or(0);
        let mut piece = vec![0; length + 2];
        reader.read_exact(&mut piece)?;
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&piece[..length]);
    }
}
