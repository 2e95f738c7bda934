//! The origin of the traffic: as little as it needs.

use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::message::pattern;

/// How long a slow download lasts: so many pieces of a thousand bytes, with this pause before each.
pub(super) const PIECES: usize = 40;
const PIECE: usize = 1000;
const PAUSE: Duration = Duration::from_millis(40);

/// Serves every connection until the process ends.
pub(super) async fn serve(listener: TcpListener) {
    let download = Rc::new(pattern(PIECES * PIECE));
    while let Ok((stream, _)) = listener.accept().await {
        let download = Rc::clone(&download);
        // Whoever is cut off sees it on the other side of the proxy, and counts it there.
        spawn_local(async move {
            let _ended = Exchange { stream, buffer: Vec::new(), download }.run().await;
        });
    }
}

struct Exchange {
    stream: TcpStream,
    buffer: Vec<u8>,
    download: Rc<Vec<u8>>,
}

impl Exchange {
    async fn run(mut self) -> std::io::Result<()> {
        self.stream.set_nodelay(true)?;
        loop {
            let Some(head) = self.head().await? else { return Ok(()) };
            let text = String::from_utf8_lossy(&head).into_owned();
            let target = text.split(' ').nth(1).unwrap_or_default().to_owned();
            match target.as_str() {
                "/app/socket" => return self.tunnel().await,
                "/app/download" => self.download().await?,
                _ => {
                    let body = self.body(length(&text)).await?;
                    let body = if body.is_empty() { target.into_bytes() } else { body };
                    self.answer(&body).await?;
                }
            }
        }
    }

    async fn head(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                return Ok(Some(self.buffer.drain(..end + 4).collect()));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn body(&mut self, length: usize) -> std::io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    async fn answer(&mut self, body: &[u8]) -> std::io::Result<()> {
        let mut bytes =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        self.stream.write_all(&bytes).await
    }

    async fn download(&mut self) -> std::io::Result<()> {
        let download = Rc::clone(&self.download);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", download.len());
        self.stream.write_all(head.as_bytes()).await?;
        for piece in download.chunks(PIECE) {
            sleep(PAUSE).await;
            self.stream.write_all(piece).await?;
        }
        Ok(())
    }

    async fn tunnel(mut self) -> std::io::Result<()> {
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                      Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        self.stream.write_all(agreed.as_bytes()).await?;
        loop {
            self.stream.write_all(&self.buffer).await?;
            self.buffer.clear();
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(());
            }
        }
    }
}

fn length(head: &str) -> usize {
    let fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next().and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}
