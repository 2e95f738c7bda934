//! One HTTP/1.1 connection, as cheap as it can be while every byte of an answer is looked at.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::state::Failure;

/// How long an answer may take in all.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// An answer, in the buffer of its connection.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    /// Whether it said that the connection ends with it.
    pub(super) closes: bool,
    pub(super) body: &'a [u8],
}

pub(super) struct Connection {
    stream: Box<dyn Duplex>,
    buffer: Vec<u8>,
}

struct Head {
    status: u16,
    closes: bool,
    length: usize,
}

impl Connection {
    pub(super) async fn plain(address: SocketAddr) -> Result<Self, Failure> {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await;
        let stream = stream.map_err(|_| "no connection".to_owned())?.map_err(text("connecting"))?;
        stream.set_nodelay(true).map_err(text("connecting"))?;
        Ok(Self { stream: Box::new(stream), buffer: Vec::with_capacity(4096) })
    }

    pub(super) async fn tls(
        address: SocketAddr,
        config: &Arc<ClientConfig>,
    ) -> Result<Self, Failure> {
        let stream = secure(address, config).await?;
        Ok(Self { stream: Box::new(stream), buffer: Vec::with_capacity(4096) })
    }

    /// Sends a request and reads its answer, which must be framed by its length.
    pub(super) async fn ask(&mut self, request: &[u8]) -> Result<Answer<'_>, Failure> {
        let answered = timeout(PATIENCE, self.exchange(request)).await;
        let (start, head) = answered.map_err(|_| "no whole answer in time".to_owned())??;
        let body = self.buffer.get(start..).unwrap_or_default();
        Ok(Answer { status: head.status, closes: head.closes, body })
    }

    /// Sends bytes and reads as many.
    pub(super) async fn echo(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let echoed = timeout(PATIENCE, async {
            self.send(bytes).await?;
            self.read_until(bytes.len()).await
        });
        echoed.await.map_err(|_| "no echo in time".to_owned())??;
        if self.buffer == bytes { Ok(()) } else { Err(format!("other bytes: {}", self.shown())) }
    }

    /// Asks for another protocol and reads the head that agrees.
    pub(super) async fn upgrade(&mut self, request: &[u8]) -> Result<(), Failure> {
        let agreed = timeout(PATIENCE, async {
            self.send(request).await?;
            self.head().await
        });
        let start = agreed.await.map_err(|_| "no upgrade in time".to_owned())??;
        let agreed = self.buffer.starts_with(b"HTTP/1.1 101 ") && start == self.buffer.len();
        if agreed { Ok(()) } else { Err(format!("no upgrade: {}", self.shown())) }
    }

    /// The other side has nothing more to say.
    pub(super) async fn ended(&mut self) -> Result<(), Failure> {
        let mut more = [0; 64];
        match timeout(PATIENCE, self.stream.read(&mut more)).await {
            Ok(Ok(0)) => Ok(()),
            Ok(Ok(_)) => Err("bytes after the answer".to_owned()),
            // An end without close_notify: the answer was whole by its length.
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(()),
            Ok(Err(error)) => Err(format!("at the end: {error}")),
            Err(_) => Err("the connection stays open".to_owned()),
        }
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<(usize, Head), Failure> {
        self.send(request).await?;
        let start = self.head().await?;
        let head = self.judge(start)?;
        self.read_until(start + head.length).await?;
        if self.buffer.len() > start + head.length {
            return Err(format!("bytes after the answer: {}", self.shown()));
        }
        Ok((start, head))
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.buffer.clear();
        self.stream.write_all(bytes).await.map_err(text("while sending"))?;
        self.stream.flush().await.map_err(text("while sending"))
    }

    /// Where the body begins.
    async fn head(&mut self) -> Result<usize, Failure> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                return Ok(end + 4);
            }
            self.fill().await?;
        }
    }

    async fn read_until(&mut self, length: usize) -> Result<(), Failure> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Ok(())
    }

    async fn fill(&mut self) -> Result<(), Failure> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) if self.buffer.is_empty() => Err("closed under the request".to_owned()),
            Ok(0) => Err(format!("cut short after {} bytes", self.buffer.len())),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("after {} bytes: {error}", self.buffer.len())),
        }
    }

    fn judge(&self, start: usize) -> Result<Head, Failure> {
        let malformed = || format!("no answer: {}", self.shown());
        let head = self.buffer.get(..start).and_then(|head| std::str::from_utf8(head).ok());
        let mut lines = head.ok_or_else(malformed)?.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3));
        let status = status.and_then(|status| status.parse().ok()).ok_or_else(malformed)?;
        let (mut closes, mut length) = (false, None);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok();
            } else if name.eq_ignore_ascii_case("connection") {
                closes = value.trim().eq_ignore_ascii_case("close");
            }
        }
        Ok(Head { status, closes, length: length.ok_or_else(malformed)? })
    }

    fn shown(&self) -> String {
        let start = self.buffer.get(..200).unwrap_or(&self.buffer);
        format!("{:?}", String::from_utf8_lossy(start))
    }
}

/// A TLS session for `localhost`, whatever the certificate.
pub(super) async fn secure(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Failure> {
    let name = ServerName::try_from("localhost").map_err(|error| error.to_string())?;
    let connected = timeout(PATIENCE, async {
        let stream = TcpStream::connect(address).await.map_err(text("connecting"))?;
        stream.set_nodelay(true).map_err(text("connecting"))?;
        let connector = TlsConnector::from(Arc::clone(config));
        connector.connect(name, stream).await.map_err(text("in the handshake"))
    });
    connected.await.map_err(|_| "no handshake in time".to_owned())?
}

fn text(at: &str) -> impl Fn(std::io::Error) -> Failure {
    move |error| format!("{at}: {error}")
}
