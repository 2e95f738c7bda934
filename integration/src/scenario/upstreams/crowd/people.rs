//! Clients that come when they come, each with a request of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// What one of them got.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    /// When it came, from the beginning.
    pub(super) came: Duration,
    /// Until it had its answer.
    pub(super) took: Duration,
    /// 0 is none.
    pub(super) status: u16,
}

/// The longest that one waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// Has so many come in a second, at random, until `end`; every fifth asks with a POST. Whoever came is waited for.
pub(super) async fn come(
    address: SocketAddr,
    began: Instant,
    end: Duration,
    rate: impl Fn(Duration) -> f64,
    mut changes: impl FnMut(Duration),
) -> Vec<Answered> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = Duration::ZERO;
    let mut number = 0_u64;
    while next < end {
        tokio::time::sleep_until((began + next).into()).await;
        changes(next);
        let (came, tell) = (next, tell.clone());
        let method = if number.is_multiple_of(5) { "POST" } else { "GET" };
        let head = format!(
            "{method} /{number} HTTP/1.1\r\nHost: app\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        tokio::spawn(async move {
            let status = tokio::time::timeout(PATIENCE, ask(address, &head)).await;
            let status = status.ok().and_then(Result::ok).unwrap_or(0);
            // By when it should have come: a crowd does not wait for its turn to ask.
            let took = began.elapsed().saturating_sub(came);
            // The receiver is there until all have told.
            let _ = tell.send(Answered { came, took, status });
        });
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let chance = (seed >> 11) as f64 / (1_u64 << 53) as f64;
        next += Duration::from_secs_f64(-(1.0 - chance).ln() / rate(next));
        number += 1;
    }
    drop(tell);
    let mut answers = Vec::new();
    while let Some(answer) = told.recv().await {
        answers.push(answer);
    }
    answers
}

async fn ask(address: SocketAddr, head: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::with_capacity(512);
    stream.read_to_end(&mut answer).await?;
    let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
    Ok(status.and_then(|digits| digits.parse().ok()).unwrap_or(0))
}
