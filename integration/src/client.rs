//! A client that sends any bytes in any pieces, and reads answers strictly.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, NamedGroup};
use socket2::{Domain, Socket, Type};

use crate::certs::{Authority, credulous_client_config};
use crate::message::{Request, Response};
use crate::patience::{Deadline, eventually};
use crate::stream::Stream;
use crate::wire::{Incoming, WireError};

/// Whom a TLS client believes.
pub enum Trust<'a> {
    /// Certificates of this authority, for the name asked for.
    Authority(&'a Authority),
    /// Whatever it is shown.
    Anyone,
}

/// One connection to a proxy.
///
/// Methods panic with a sentence; those that begin with `try_` return what went wrong.
pub struct Client {
    incoming: Incoming<Stream>,
}

impl Client {
    /// Over TCP, each write a segment of its own.
    ///
    /// # Panics
    /// When nobody answers.
    #[must_use]
    #[track_caller]
    pub fn tcp(address: SocketAddr) -> Self {
        Self::over(Stream::Tcp(connect(address)))
    }

    /// Over TCP, to who may refuse it.
    ///
    /// # Errors
    /// The connection is refused, or reset as soon as it stands.
    pub fn try_tcp(address: SocketAddr) -> std::io::Result<Self> {
        try_connect(address).map(|stream| Self::over(Stream::Tcp(stream)))
    }

    /// Over a Unix socket.
    ///
    /// # Panics
    /// When nobody answers.
    #[must_use]
    #[track_caller]
    pub fn unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path);
        Self::over(Stream::Unix(
            stream.unwrap_or_else(|error| panic!("cannot connect to {}: {error}", path.display())),
        ))
    }

    /// Over TLS with `http/1.1` by ALPN.
    ///
    /// # Panics
    /// When the handshake fails.
    #[must_use]
    #[track_caller]
    pub fn tls(address: SocketAddr, name: &str, trust: &Trust<'_>) -> Self {
        match Self::try_tls(address, name, trust) {
            Ok(client) => client,
            Err(error) => panic!("the handshake with {name} at {address} failed: {error}"),
        }
    }

    /// Over TLS behind these bytes, each piece a segment of its own but the last, which leaves in one segment with the first of
    /// the handshake.
    ///
    /// # Panics
    /// When the handshake fails.
    #[must_use]
    #[track_caller]
    pub fn tls_behind(address: SocketAddr, pieces: &[&[u8]], name: &str) -> Self {
        let mut client = Self::tcp(address);
        let (last, first) = pieces.split_last().expect("at least one piece");
        for piece in first {
            client.send(piece).wait_until_read();
        }
        let Stream::Tcp(tcp) = client.incoming.stream else { panic!("it was TCP") };
        let held = rustix::net::send(&tcp, last, rustix::net::SendFlags::MORE);
        assert_eq!(held.ok(), Some(last.len()), "a socket takes a few bytes");
        match Self::tls_over(tcp, name, &Trust::Anyone) {
            Ok(client) => client,
            Err(error) => panic!("the handshake with {name} at {address} failed: {error}"),
        }
    }

    /// Over TLS, or why the handshake failed.
    ///
    /// # Errors
    /// What TLS or the transport said.
    pub fn try_tls(address: SocketAddr, name: &str, trust: &Trust<'_>) -> std::io::Result<Self> {
        Self::tls_over(connect(address), name, trust)
    }

    fn tls_over(tcp: TcpStream, name: &str, trust: &Trust<'_>) -> std::io::Result<Self> {
        let alpn: &[&[u8]] = &[b"http/1.1"];
        let config = match trust {
            Trust::Authority(authority) => authority.client_config(alpn),
            Trust::Anyone => credulous_client_config(alpn),
        };
        let name = ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
        let mut stream = Stream::tls_client(tcp, name, config)?;
        stream.set_read_timeout(Deadline::soon().left())?;
        stream.handshake()?;
        Ok(Self::over(stream))
    }

    /// Over TLS with these groups for the key exchange, of those that rustls has: the first with a share, in this order.
    ///
    /// # Errors
    /// What TLS or the transport said.
    pub fn try_tls_with_groups(
        address: SocketAddr,
        name: &str,
        (authority, groups): (&Authority, &[NamedGroup]),
    ) -> std::io::Result<Self> {
        let all = rustls::crypto::aws_lc_rs::ALL_KX_GROUPS;
        let group = |name: &NamedGroup| all.iter().find(|group| group.name() == *name).copied();
        let config = authority.client_config_with_groups(groups.iter().filter_map(group).collect());
        let name = ServerName::try_from(name.to_owned()).map_err(std::io::Error::other)?;
        let mut stream = Stream::tls_client(connect(address), name, config)?;
        stream.set_read_timeout(Deadline::soon().left())?;
        stream.handshake()?;
        Ok(Self::over(stream))
    }

    /// From this address of this machine, over TLS with this configuration if there is one.
    pub(crate) fn try_from_source(
        address: SocketAddr,
        source: IpAddr,
        config: Option<Arc<ClientConfig>>,
    ) -> std::io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect_timeout(&address.into(), Deadline::soon().left())?;
        socket.set_tcp_nodelay(true)?;
        let Some(config) = config else { return Ok(Self::over(Stream::Tcp(socket.into()))) };
        let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
        let mut stream = Stream::tls_client(socket.into(), name, config)?;
        stream.set_read_timeout(Deadline::soon().left())?;
        stream.handshake()?;
        Ok(Self::over(stream))
    }

    fn over(stream: Stream) -> Self {
        let client = Self { incoming: Incoming::new(stream) };
        client.set_patience(Deadline::soon().left());
        client
    }

    /// How long a read or write may take from now on.
    ///
    /// # Panics
    /// When the socket is gone.
    pub fn set_patience(&self, limit: Duration) {
        let stream = &self.incoming.stream;
        stream
            .set_read_timeout(limit)
            .and_then(|()| stream.set_write_timeout(limit))
            .expect("a socket takes time-outs");
    }

    /// Which protocol TLS settled on.
    #[must_use]
    pub fn alpn(&self) -> Option<String> {
        self.incoming.stream.alpn().map(|name| String::from_utf8_lossy(&name).into_owned())
    }

    /// Where this connection comes from.
    ///
    /// # Panics
    /// On a Unix socket.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.incoming
            .stream
            .tcp()
            .expect("a TCP connection")
            .local_addr()
            .expect("a connected socket")
    }

    /// Sends these bytes.
    ///
    /// # Panics
    /// When the peer does not take them.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        if let Err(error) = self.try_send(bytes) {
            panic!("cannot send: {error}");
        }
        self
    }

    /// Sends these bytes, or says why it could not.
    ///
    /// # Errors
    /// What the transport said.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.incoming.stream.write_all(bytes.as_ref())?;
        self.incoming.stream.flush()
    }

    /// Sends these bytes in two segments; the second leaves when the peer has read the first.
    ///
    /// # Panics
    /// When the peer does not take them.
    #[track_caller]
    pub fn send_cut(&mut self, bytes: &[u8], at: usize) -> &mut Self {
        let (first, second) = bytes.split_at(at);
        self.send(first).wait_until_read().send(second)
    }

    /// Sends each byte as a segment of its own; each leaves when the peer has read the one before.
    ///
    /// # Panics
    /// When the peer does not take them.
    #[track_caller]
    pub fn send_bytewise(&mut self, bytes: &[u8]) -> &mut Self {
        for byte in bytes {
            self.send([*byte]).wait_until_read();
        }
        self
    }

    /// Returns when the peer, on this machine, has taken all that was sent out of its receive buffer, as the kernel says.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn wait_until_read(&mut self) -> &mut Self {
        let tcp = self.incoming.stream.tcp().expect("a TCP connection");
        let (local, peer) =
            (tcp.local_addr().expect("connected"), tcp.peer_addr().expect("connected"));
        eventually("the peer reads what was sent", Deadline::soon(), || {
            (unread(peer, local) == 0).then_some(())
        });
        self
    }

    /// Sends a request and reads the answer.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn ask(&mut self, request: &Request) -> Response {
        self.send(request.to_bytes()).response_to(request.method())
    }

    /// Sends a request and reads the answer, or says what went wrong.
    ///
    /// # Errors
    /// What kept the answer from being whole.
    pub fn try_ask(&mut self, request: &Request) -> Result<Response, WireError> {
        self.try_send(request.to_bytes())?;
        self.try_response_to(request.method())
    }

    /// The next answer, to anything but a HEAD request.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// The next answer, to a request with this method.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Response {
        match self.try_response_to(method) {
            Ok(response) => response,
            Err(error) => panic!("no whole answer to {method}: {}", describe(&error)),
        }
    }

    /// The next answer, or what kept it from being whole.
    ///
    /// # Errors
    /// Where the message ended too early, was malformed or did not come.
    pub fn try_response_to(&mut self, method: &str) -> Result<Response, WireError> {
        let mut response = Response::from_head(self.incoming.head()?)?;
        let framing = response.framing(method)?;
        (response.body, response.trailers) = self.incoming.body(framing)?;
        Ok(response)
    }

    /// The next answer's head alone; its body is still to be read.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn response_head(&mut self) -> Response {
        match self.incoming.head().and_then(Response::from_head) {
            Ok(response) => response,
            Err(error) => panic!("no answer: {}", describe(&error)),
        }
    }

    /// Exactly this many bytes.
    ///
    /// # Panics
    /// When fewer come.
    #[track_caller]
    pub fn read_exactly(&mut self, length: usize) -> Vec<u8> {
        match self.incoming.exactly(length) {
            Ok(bytes) => bytes,
            Err(error) => panic!("wanted {length} bytes: {}", describe(&error)),
        }
    }

    /// At least one byte, or none at the end.
    ///
    /// # Errors
    /// What kept them.
    pub fn try_read(&mut self) -> Result<Vec<u8>, WireError> {
        self.incoming.some()
    }

    /// The proxy closes this connection without another byte.
    ///
    /// # Panics
    /// When it says more, or keeps it open.
    #[track_caller]
    pub fn expect_close(&mut self) {
        match self.incoming.some() {
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => {
                panic!("more bytes instead of a close: {:?}", String::from_utf8_lossy(&bytes))
            }
            Err(WireError::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            Err(error) => panic!("no close: {}", describe(&error)),
        }
    }

    /// Whether the proxy has closed this connection and said nothing before; does not wait.
    ///
    /// # Panics
    /// On a Unix socket.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let tcp = self.incoming.stream.tcp().expect("a TCP connection");
        tcp.set_nonblocking(true).expect("a socket that is open here");
        let seen = tcp.peek(&mut [0]);
        tcp.set_nonblocking(false).expect("a socket that is open here");
        match seen {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }

    /// Says that nothing more follows, and goes on reading.
    ///
    /// # Panics
    /// When the connection is gone.
    #[track_caller]
    pub fn finish_sending(&mut self) -> &mut Self {
        self.incoming.stream.finish().expect("a connection that is open");
        self
    }

    /// Says that nothing more follows, or why it could not.
    ///
    /// # Errors
    /// What the transport said.
    pub fn try_finish_sending(&mut self) -> std::io::Result<()> {
        self.incoming.stream.finish()
    }

    /// Ends the connection with a reset.
    ///
    /// # Panics
    /// When the connection is gone.
    pub fn reset(self) {
        self.incoming.stream.reset_on_drop().expect("a connection that is open");
    }
}

#[track_caller]
fn connect(address: SocketAddr) -> TcpStream {
    match try_connect(address) {
        Ok(stream) => stream,
        Err(error) => panic!("cannot connect to {address}: {error}"),
    }
}

fn try_connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Deadline::soon().left())?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Bytes in the receive buffer of the socket `local` that is connected to `peer`, from `/proc/net/tcp`.
fn unread(local: SocketAddr, peer: SocketAddr) -> u64 {
    let table = if local.is_ipv4() { "/proc/net/tcp" } else { "/proc/net/tcp6" };
    let sockets = fs::read_to_string(table).unwrap_or_default();
    let (local, peer) = (format!(":{:04X}", local.port()), format!(":{:04X}", peer.port()));
    let row =
        sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find(|fields| {
            fields.len() > 4 && fields[1].ends_with(&local) && fields[2].ends_with(&peer)
        });
    let queued =
        row.and_then(|fields| fields[4].split_once(':').map(|(_, receive)| receive.to_owned()));
    queued.and_then(|hex| u64::from_str_radix(&hex, 16).ok()).unwrap_or(0)
}

fn describe(error: &WireError) -> String {
    match error {
        WireError::Truncated(bytes) => {
            let start = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
            format!("the connection ended after {} bytes: {start:?}", bytes.len())
        }
        other => format!("{other:?}"),
    }
}
