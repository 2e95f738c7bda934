//! The client's end of a connection, whatever it is made of.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// A connection from a client: TCP or Unix, plain or TLS.
#[derive(Debug)]
pub(crate) enum ClientStream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// TLS over either. Boxed: most connections are idle, and an idle one should be small.
    Tls(Box<TlsStream<PlainStream>>),
}

/// What TLS runs over.
#[derive(Debug)]
pub(crate) enum PlainStream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

impl From<PlainStream> for ClientStream {
    fn from(stream: PlainStream) -> Self {
        match stream {
            PlainStream::Tcp(stream) => Self::Tcp(stream),
            PlainStream::Unix(stream) => Self::Unix(stream),
        }
    }
}

impl PlainStream {
    /// The first byte to come, which stays where it is; `None` at the end.
    pub(crate) async fn first_byte(&self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        let mut peek = |socket: BorrowedFd<'_>| {
            rustix::net::recv(socket, &mut byte, RecvFlags::PEEK).map_err(io::Error::from)
        };
        let (received, _) = match self {
            Self::Tcp(stream) => {
                stream.async_io(Interest::READABLE, || peek(stream.as_fd())).await?
            }
            Self::Unix(stream) => {
                stream.async_io(Interest::READABLE, || peek(stream.as_fd())).await?
            }
        };
        Ok((received > 0).then_some(byte[0]))
    }
}

impl ClientStream {
    /// Whether what is written to its socket is what the client reads.
    pub(crate) fn is_bare(&self) -> bool {
        !matches!(self, Self::Tls(_))
    }

    /// Runs `step` on the bare socket, again and again until it does not say that it would have to wait.
    pub(crate) async fn when_writable<T>(
        &self,
        mut step: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        match self {
            Self::Tcp(stream) => stream.async_io(Interest::WRITABLE, || step(stream.as_fd())).await,
            Self::Unix(stream) => {
                stream.async_io(Interest::WRITABLE, || step(stream.as_fd())).await
            }
            Self::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl AsRawFd for ClientStream {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
            Self::Tls(stream) => match stream.get_ref().0 {
                PlainStream::Tcp(stream) => stream.as_raw_fd(),
                PlainStream::Unix(stream) => stream.as_raw_fd(),
            },
        }
    }
}

/// Passes the four operations of a byte stream on to the variant at hand.
macro_rules! delegate_stream {
    ($type:ty { $($variant:ident),+ }) => {
        impl AsyncRead for $type {
            fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() { $(Self::$variant(stream) => Pin::new(stream).poll_read(cx, buf)),+ }
            }
        }

        impl AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                match self.get_mut() { $(Self::$variant(stream) => Pin::new(stream).poll_write(cx, buf)),+ }
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match self.get_mut() { $(Self::$variant(stream) => Pin::new(stream).poll_write_vectored(cx, bufs)),+ }
            }

            fn is_write_vectored(&self) -> bool {
                match self { $(Self::$variant(stream) => stream.is_write_vectored()),+ }
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() { $(Self::$variant(stream) => Pin::new(stream).poll_flush(cx)),+ }
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match self.get_mut() { $(Self::$variant(stream) => Pin::new(stream).poll_shutdown(cx)),+ }
            }
        }
    };
}

delegate_stream!(ClientStream { Tcp, Unix, Tls });
delegate_stream!(PlainStream { Tcp, Unix });
