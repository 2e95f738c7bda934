//! Clients and origins that keep their connections, thousands of requests in a second on one thread.

use std::io::{ErrorKind, Result};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A message with a body of known length.
pub(super) struct Message {
    /// Up to the empty line.
    pub(super) head: String,
    pub(super) body: String,
}

impl Message {
    /// What its first line says at this place, from 0 on.
    pub(super) fn word(&self, place: usize) -> &str {
        let line = self.head.lines().next().unwrap_or_default();
        line.split(' ').nth(place).unwrap_or_default()
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields
            .clone()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    pub(super) fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or(0)
    }
}

/// A connection, and what was read of it beyond the last message.
pub(super) struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, read: Vec::with_capacity(1024) }
    }

    pub(super) async fn open(address: SocketAddr) -> Result<Self> {
        TcpStream::connect(address).await.map(Self::new)
    }

    pub(super) async fn send(&mut self, text: &str) -> Result<()> {
        self.stream.write_all(text.as_bytes()).await
    }

    /// The next message; `None` where the other side has closed between two.
    pub(super) async fn next(&mut self) -> Result<Option<Message>> {
        let end = loop {
            match self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(end) => break end,
                None if self.more().await? => {}
                None if self.read.is_empty() => return Ok(None),
                None => return Err(ErrorKind::UnexpectedEof.into()),
            }
        };
        let head = String::from_utf8_lossy(self.read.get(..end).unwrap_or_default());
        let mut message = Message { head: head.into_owned(), body: String::new() };
        let length = message.field("content-length").and_then(|text| text.parse().ok());
        let all = end + 4 + length.unwrap_or(0);
        while self.read.len() < all {
            if !self.more().await? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let body = self.read.get(end + 4..all).unwrap_or_default();
        message.body = String::from_utf8_lossy(body).into_owned();
        self.read.drain(..all);
        Ok(Some(message))
    }

    /// Whether there was more.
    async fn more(&mut self) -> Result<bool> {
        self.stream.read_buf(&mut self.read).await.map(|count| count > 0)
    }
}
