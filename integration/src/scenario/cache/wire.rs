//! As much of HTTP/1.1 as many clients and a quick origin need.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::message::pattern;

/// A client that asks one request after the other, on one connection for as long as that is kept.
pub(super) struct Asker {
    address: SocketAddr,
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Whether the last answer said that it was the last of its connection.
    is_closed: bool,
}

/// An answer that has come whole.
pub(super) struct Got {
    /// Its status.
    pub(super) status: u16,
    /// Its fields, as they came.
    pub(super) head: String,
    /// The length of its body.
    pub(super) length: usize,
    /// The first bytes of its body.
    pub(super) begins: Vec<u8>,
    /// When the first byte of its body was there.
    pub(super) first: Instant,
}

/// How much of a body is looked at.
const LOOKED_AT: usize = 16;

impl Asker {
    pub(super) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { address, stream, buffer: Vec::with_capacity(16 * 1024), is_closed: false })
    }

    /// Sends the request, whose answer [`Self::answer`] waits for.
    pub(super) async fn ask(&mut self, path: &str) -> io::Result<()> {
        if self.is_closed {
            *self = Self::connect(self.address).await?;
        }
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await
    }

    pub(super) async fn get(&mut self, path: &str) -> io::Result<Got> {
        self.ask(path).await?;
        self.answer().await
    }

    /// Waits for the first byte of an answer's body.
    pub(super) async fn begins(&mut self) -> io::Result<()> {
        loop {
            let head = memchr::memmem::find(&self.buffer, b"\r\n\r\n").map(|end| end + 4);
            if head.is_some_and(|head| self.buffer.len() > head) {
                return Ok(());
            }
            self.more().await?;
        }
    }

    /// The answer to a request; its body must have a length or come in chunks.
    pub(super) async fn answer(&mut self) -> io::Result<Got> {
        let end = loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut got = Got {
            status: status.ok_or(io::ErrorKind::InvalidData)?,
            length: 0,
            begins: Vec::new(),
            first: Instant::now(),
            head,
        };
        self.is_closed =
            field(&got.head, "connection").is_some_and(|said| said.eq_ignore_ascii_case("close"));
        match field(&got.head, "content-length").and_then(|length| length.parse().ok()) {
            Some(length) => self.body(&mut got, length, true).await?,
            None if field(&got.head, "transfer-encoding").is_some() => {
                self.chunks(&mut got).await?;
            }
            None => return Err(io::ErrorKind::InvalidData.into()),
        }
        Ok(got)
    }

    async fn chunks(&mut self, got: &mut Got) -> io::Result<()> {
        loop {
            let line = loop {
                if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n") {
                    break end;
                }
                self.more().await?;
            };
            let size = String::from_utf8_lossy(&self.buffer[..line]).into_owned();
            self.buffer.drain(..line + 2);
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
            self.body(got, size, false).await?;
            while self.buffer.len() < 2 {
                self.more().await?;
            }
            self.buffer.drain(..2);
            if size == 0 {
                return Ok(());
            }
        }
    }

    /// Takes so many bytes of the body; what comes after them stays.
    async fn body(&mut self, got: &mut Got, length: usize, all: bool) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            if self.buffer.is_empty() {
                self.more().await?;
            }
            if got.length == 0 {
                got.first = Instant::now();
            }
            let taken = left.min(self.buffer.len());
            let wanted = LOOKED_AT.saturating_sub(got.begins.len()).min(taken);
            got.begins.extend_from_slice(&self.buffer[..wanted]);
            if all && taken == self.buffer.len() {
                self.buffer.clear();
            } else {
                self.buffer.drain(..taken);
            }
            got.length += taken;
            left -= taken;
        }
        Ok(())
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// The first value of a field.
pub(super) fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut values = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
    values.next().map(|(_, value)| value.trim())
}

/// Reads requests from `stream` and gives their targets to `answer`, whose bytes are the whole answer: head, and how much of a
/// body that is the same for all follows.
pub(super) async fn serve(
    mut stream: TcpStream,
    answer: impl Fn(&str) -> (String, usize),
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let body = pattern(1 << 20);
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = memchr::memmem::find(&buffer, b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..end);
        let (head, mut left) = answer(head.split(' ').nth(1).unwrap_or_default());
        let mut out = head.into_bytes();
        let first = left.min(body.len()).min(16 * 1024);
        out.extend_from_slice(&body[..first]);
        stream.write_all(&out).await?;
        left -= first;
        let mut at = first;
        while left > 0 {
            let piece = left.min(body.len() - at);
            stream.write_all(&body[at..at + piece]).await?;
            (left, at) = (left - piece, (at + piece) % body.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::net::TcpListener;

    use super::*;

    /// Answers one connection after the other, each of them twice at most, and says so.
    async fn serve_twice_each(listener: &TcpListener, answered: &Cell<usize>) -> io::Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            let of_this = Cell::new(0);
            serve(stream, |_| {
                answered.set(answered.get() + 1);
                of_this.set(of_this.get() + 1);
                assert!(of_this.get() <= 2, "the last answer has said that it was the last");
                let connection = if of_this.get() < 2 { "keep-alive" } else { "close" };
                (
                    format!(
                        "HTTP/1.1 200 OK\r\nConnection: {connection}\r\nContent-Length: 1\r\n\r\n"
                    ),
                    1,
                )
            })
            .await?;
        }
    }

    #[tokio::test]
    async fn a_connection_whose_last_answer_was_the_last_is_not_asked_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answered = Cell::new(0);
        let asking = async {
            let mut asker = Asker::connect(address).await.unwrap();
            for _ in 0..5 {
                assert_eq!(asker.get("/").await.unwrap().status, 200);
            }
        };
        tokio::select! {
            ended = serve_twice_each(&listener, &answered) => panic!("{ended:?}"),
            () = asking => {}
        }
        assert_eq!(answered.get(), 5);
    }
}
