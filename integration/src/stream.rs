//! The transports under client and origin as one type.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};

pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    TlsClient(Box<StreamOwned<ClientConnection, TcpStream>>),
    TlsServer(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Stream {
    /// A TLS session as the client. The handshake happens with the first byte, or in [`Self::handshake`].
    pub(crate) fn tls_client(
        tcp: TcpStream,
        name: ServerName<'static>,
        config: Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let session = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(Self::TlsClient(Box::new(StreamOwned::new(session, tcp))))
    }

    pub(crate) fn tls_server(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let session = ServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Self::TlsServer(Box::new(StreamOwned::new(session, tcp))))
    }

    /// Completes the TLS handshake, where there is one.
    pub(crate) fn handshake(&mut self) -> io::Result<()> {
        match self {
            Self::TlsClient(tls) => tls.conn.complete_io(&mut tls.sock).map(|_| ()),
            Self::TlsServer(tls) => tls.conn.complete_io(&mut tls.sock).map(|_| ()),
            Self::Tcp(_) | Self::Unix(_) => Ok(()),
        }
    }

    /// The TCP connection below, if it is one.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(tcp) => Some(tcp),
            Self::TlsClient(tls) => Some(&tls.sock),
            Self::TlsServer(tls) => Some(&tls.sock),
            Self::Unix(_) => None,
        }
    }

    pub(crate) fn alpn(&self) -> Option<Vec<u8>> {
        match self {
            Self::TlsClient(tls) => tls.conn.alpn_protocol().map(<[u8]>::to_vec),
            Self::TlsServer(tls) => tls.conn.alpn_protocol().map(<[u8]>::to_vec),
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }

    pub(crate) fn set_read_timeout(&self, limit: Duration) -> io::Result<()> {
        match (self, self.tcp()) {
            (Self::Unix(unix), _) => unix.set_read_timeout(Some(limit)),
            (_, Some(tcp)) => tcp.set_read_timeout(Some(limit)),
            (_, None) => Ok(()),
        }
    }

    pub(crate) fn set_write_timeout(&self, limit: Duration) -> io::Result<()> {
        match (self, self.tcp()) {
            (Self::Unix(unix), _) => unix.set_write_timeout(Some(limit)),
            (_, Some(tcp)) => tcp.set_write_timeout(Some(limit)),
            (_, None) => Ok(()),
        }
    }

    /// Says that no more bytes follow; TLS says so with close_notify first.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::TlsClient(tls) => tls.conn.send_close_notify(),
            Self::TlsServer(tls) => tls.conn.send_close_notify(),
            Self::Tcp(_) | Self::Unix(_) => {}
        }
        self.flush()?;
        match (&*self, self.tcp()) {
            (Self::Unix(unix), _) => unix.shutdown(Shutdown::Write),
            (_, Some(tcp)) => tcp.shutdown(Shutdown::Write),
            (_, None) => Ok(()),
        }
    }

    /// Makes the end of this connection a reset.
    pub(crate) fn reset_on_drop(&self) -> io::Result<()> {
        let Some(tcp) = self.tcp() else { return Ok(()) };
        socket2::SockRef::from(tcp).set_linger(Some(Duration::ZERO))
    }

    /// A handle that can end the connection from another thread.
    pub(crate) fn closer(&self) -> io::Result<Closer> {
        match (self, self.tcp()) {
            (Self::Unix(unix), _) => Ok(Closer::Unix(unix.try_clone()?)),
            (_, Some(tcp)) => Ok(Closer::Tcp(tcp.try_clone()?)),
            (_, None) => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.read(into),
            Self::Unix(unix) => unix.read(into),
            Self::TlsClient(tls) => tls.read(into),
            Self::TlsServer(tls) => tls.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => tcp.write(bytes),
            Self::Unix(unix) => unix.write(bytes),
            Self::TlsClient(tls) => tls.write(bytes),
            Self::TlsServer(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => tcp.flush(),
            Self::Unix(unix) => unix.flush(),
            Self::TlsClient(tls) => tls.flush(),
            Self::TlsServer(tls) => tls.flush(),
        }
    }
}

/// Ends a connection that another thread reads.
pub(crate) enum Closer {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Closer {
    pub(crate) fn close(&self) {
        // The peer may have closed already: either way it is closed.
        let _closed = match self {
            Self::Tcp(tcp) => tcp.shutdown(Shutdown::Both),
            Self::Unix(unix) => unix.shutdown(Shutdown::Both),
        };
    }
}
