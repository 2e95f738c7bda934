//! The client's end of a connection, whatever it is made of.

use std::future::{pending, poll_fn};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::connection::Connection;
use super::pace::{Pace, Way};
use super::seats::Seat;
use super::secured::Secured;

/// A connection from a client, with its row in the worker's table of deadlines.
#[derive(Debug)]
pub(crate) struct ClientStream {
    io: Io,
    /// How fast the client has to be.
    pace: Pace,
    /// What wakes whoever waits for it too long.
    pub(crate) seat: Seat,
}

/// TCP or Unix, plain or TLS.
#[derive(Debug)]
enum Io {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// TLS over either. Boxed: most connections are idle, and an idle one should be small.
    Tls(Box<Secured>),
}

/// What TLS runs over.
#[derive(Debug)]
pub(crate) enum PlainStream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

impl ClientStream {
    /// In plain text.
    pub(crate) fn plain(stream: PlainStream, seat: Seat) -> Self {
        let io = match stream {
            PlainStream::Tcp(stream) => Io::Tcp(stream),
            PlainStream::Unix(stream) => Io::Unix(stream),
        };
        Self { io, pace: Pace::default(), seat }
    }

    /// With TLS whose handshake is done.
    pub(crate) fn secured(stream: Box<Secured>, seat: Seat) -> Self {
        Self { io: Io::Tls(stream), pace: Pace::default(), seat }
    }

    /// Waits until the client is seen to be gone: that it has closed its end, or reset. One that has sent more is not seen to be.
    pub(crate) async fn gone(&mut self) {
        let peek = |socket: BorrowedFd<'_>| {
            let received = rustix::net::recv(socket, &mut [0], RecvFlags::PEEK);
            received.map(|(received, _)| received).map_err(io::Error::from)
        };
        let received = match &mut self.io {
            Io::Tcp(stream) => stream.async_io(Interest::READABLE, || peek(stream.as_fd())).await,
            Io::Unix(stream) => stream.async_io(Interest::READABLE, || peek(stream.as_fd())).await,
            Io::Tls(stream) => return poll_fn(|cx| stream.poll_gone(cx)).await,
        };
        if received.is_ok_and(|received| received > 0) {
            pending::<()>().await;
        }
    }

    /// Expects the client to be no slower than its listener says, until told to forget it: while bodies come and answers go.
    pub(crate) fn expect(&mut self, connection: Arc<Connection>) {
        self.pace.expect(connection);
    }

    /// Expects nothing of the client any more.
    pub(crate) fn forget(&mut self) {
        self.pace.forget();
    }

    /// Reads more of a body that the client owes.
    pub(crate) fn poll_read_body(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buf.filled().len();
        let io = Pin::new(&mut self.io);
        let polled = match self.pace.lane(&self.seat, cx) {
            Some(lane) => io.poll_read(&mut Context::from_waker(&lane), buf),
            None => io.poll_read(cx, buf),
        };
        let polled = polled.map_ok(|()| buf.filled().len() - filled);
        self.paced(Way::Receive, cx, polled).map_ok(|_| ())
    }

    /// `polled`, or that the client has let us wait for too long.
    fn paced(
        &mut self,
        way: Way,
        cx: &Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match &polled {
            Poll::Pending => {
                let client = (&self.seat, self.io.as_raw_fd());
                if let Err(slow) = self.pace.waiting(way, client, cx) {
                    if way == Way::Send {
                        self.reset_at_close();
                    }
                    return Poll::Ready(Err(slow));
                }
            }
            Poll::Ready(Ok(moved)) => self.pace.moved(way, *moved, &self.seat),
            Poll::Ready(Err(_)) => {}
        }
        polled
    }

    /// Has the kernel forget what it still holds for the client: else it would go on trickling that out, with megabytes of
    /// memory, long after this process has closed.
    pub(crate) fn reset_at_close(&self) {
        // A socket that refuses closes as others do.
        let _ = rustix::net::sockopt::set_socket_linger(self.io.as_fd(), Some(Duration::ZERO));
    }

    /// Whether what is written to its socket is what the client reads.
    pub(crate) fn is_bare(&self) -> bool {
        !matches!(self.io, Io::Tls(_))
    }

    /// Runs `step` on the bare socket, again and again until it does not say that it would have to wait. It returns how many
    /// bytes went out.
    pub(crate) async fn when_writable(
        &mut self,
        mut step: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        poll_fn(|cx| {
            let polled = self.io.poll_step(cx, &mut step);
            self.paced(Way::Send, cx, polled)
        })
        .await
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

impl Io {
    fn poll_step(
        &self,
        cx: &mut Context<'_>,
        step: &mut impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let done = match self {
                Self::Tcp(stream) => {
                    ready!(stream.poll_write_ready(cx))?;
                    stream.try_io(Interest::WRITABLE, || step(stream.as_fd()))
                }
                Self::Unix(stream) => {
                    ready!(stream.poll_write_ready(cx))?;
                    stream.try_io(Interest::WRITABLE, || step(stream.as_fd()))
                }
                Self::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
            };
            match done {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsRawFd for ClientStream {
    fn as_raw_fd(&self) -> RawFd {
        self.io.as_raw_fd()
    }
}

impl AsFd for Io {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.socket().as_fd(),
        }
    }
}

impl AsFd for PlainStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl AsRawFd for Io {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
            Self::Tls(stream) => stream.socket().as_raw_fd(),
        }
    }
}

impl AsRawFd for PlainStream {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Tcp(stream) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        let polled = Pin::new(&mut stream.io).poll_write(cx, bytes);
        stream.paced(Way::Send, cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        let polled = Pin::new(&mut stream.io).poll_write_vectored(cx, slices);
        stream.paced(Way::Send, cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        // Over TLS, what was written before may still have to leave.
        let polled = Pin::new(&mut stream.io).poll_flush(cx).map_ok(|()| 0);
        stream.paced(Way::Send, cx, polled).map_ok(|_| ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
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

delegate_stream!(Io { Tcp, Unix, Tls });
delegate_stream!(PlainStream { Tcp, Unix });
