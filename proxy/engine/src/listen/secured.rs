//! TLS to a client, over rustls' unbuffered interface: between requests it holds keys and no buffers, about half of what the
//! buffered one needs. Records are decrypted and encrypted in room that the worker's thread has for all its connections.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use rustls::server::{Acceptor, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, InsufficientSizeError};
use rustls::{CommonState, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::PlainStream;

/// A client's stream whose TLS handshake is done.
pub(crate) struct Secured {
    socket: PlainStream,
    session: UnbufferedServerConnection,
    /// Received, and not yet a whole record.
    incoming: BytesMut,
    /// Decrypted, and not yet read.
    plain: BytesMut,
    /// Encrypted, and not yet sent.
    outgoing: BytesMut,
    /// The client will send no more.
    has_ended: bool,
    /// The client was told that we send no more.
    is_closing: bool,
}

/// The name that a client asked for in its first message.
type ServerName = Option<Box<str>>;

/// The longest record with its head (RFC 8446, 5.2), and the longest that is encrypted at a time.
const RECORD: usize = 5 + 16 * 1024 + 256;
const TURN: usize = 64 * 1024;
/// A handshake message spread over records may be this long, and is kept until it is whole.
const MOST_INCOMING: usize = 80 * 1024;

thread_local! {
    static ROOM: RefCell<Room> = RefCell::new(Room {
        incoming: vec![0; MOST_INCOMING + 2 * RECORD],
        outgoing: vec![0; TURN + 1024],
        gathered: Vec::new(),
    });
}

/// Where records are while one connection is at work. Nothing in it outlasts that.
struct Room {
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    gathered: Vec<u8>,
}

impl Secured {
    /// Shakes hands. Also returns the name that the client asked for, which the session itself does not tell.
    ///
    /// # Errors
    /// The socket's, or what is wrong with the client's messages; it was told then, as far as it listens.
    pub(crate) async fn accept(
        config: Arc<ServerConfig>,
        socket: PlainStream,
    ) -> io::Result<(Self, ServerName)> {
        let session = UnbufferedServerConnection::new(config).map_err(io::Error::other)?;
        let mut stream = Self {
            socket,
            session,
            incoming: BytesMut::new(),
            plain: BytesMut::new(),
            outgoing: BytesMut::new(),
            has_ended: false,
            is_closing: false,
        };
        let mut hello = Hello::Awaited(Box::default());
        std::future::poll_fn(|cx| stream.shake_hands(cx, &mut hello)).await?;
        Ok((stream, hello.name()))
    }

    /// What was agreed on.
    pub(crate) fn session(&self) -> &CommonState {
        &self.session
    }

    /// What it runs over.
    pub(crate) fn socket(&self) -> &PlainStream {
        &self.socket
    }

    /// Ready when the client is seen to be gone: that it has said that it sends no more, or that its messages cannot be read. What
    /// it sends meanwhile is kept, and after that nothing more is read: so it is not seen to be gone.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.plain.is_empty() {
            let is_gone = self.has_ended
                || ready!(self.receive(cx, &mut ReadBuf::new(&mut []), |_| {})).is_err();
            if is_gone {
                return Poll::Ready(());
            }
            // An answer to a change of keys: if it does not leave now, it does with what is written next.
            let (Poll::Ready(Ok(()) | Err(_)) | Poll::Pending) = self.send(cx);
        }
        Poll::Pending
    }

    fn shake_hands(&mut self, cx: &mut Context<'_>, hello: &mut Hello) -> Poll<io::Result<()>> {
        loop {
            ready!(self.send(cx))?;
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            let received =
                ready!(self.receive(cx, &mut ReadBuf::new(&mut []), |bytes| hello.read(bytes)));
            if let Err(error) = received {
                // The alert says why. If it does not leave at once, the client does without.
                let _ = self.send(cx);
                return Poll::Ready(Err(error));
            }
            if self.has_ended {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Reads once from the socket and decrypts what is whole: into `buf`, and what it cannot hold into `plain`.
    fn receive(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        mut seen: impl FnMut(&[u8]),
    ) -> Poll<io::Result<()>> {
        ROOM.with_borrow_mut(|room| {
            let kept = self.incoming.len();
            let (old, new) = room.incoming.split_at_mut(kept.min(MOST_INCOMING));
            if old.len() < kept {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            let mut read = ReadBuf::new(new);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut read))?;
            let read = read.filled().len();
            seen(new.get(..read).unwrap_or_default());
            self.has_ended |= read == 0;
            old.copy_from_slice(&self.incoming);
            let bytes = room.incoming.get_mut(..kept + read).unwrap_or_default();
            let used = self.process(bytes, buf)?;
            self.incoming = BytesMut::from(bytes.get(used..).unwrap_or_default());
            Poll::Ready(Ok(()))
        })
    }

    /// Processes the records in `bytes`, and returns how many of these it has done with.
    fn process(&mut self, bytes: &mut [u8], buf: &mut ReadBuf<'_>) -> io::Result<usize> {
        let mut used = 0;
        loop {
            let status =
                self.session.process_tls_records(bytes.get_mut(used..).unwrap_or_default());
            let mut discard = status.discard;
            let is_done = match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(invalid)?;
                        discard += record.discard;
                        let fits = record.payload.len().min(buf.remaining());
                        let (now, later) = record.payload.split_at(fits);
                        buf.put_slice(now);
                        self.plain.extend_from_slice(later);
                    }
                    false
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(&mut self.outgoing, |room| data.encode(room))?;
                    false
                }
                // It is in `outgoing`, which leaves before anything else.
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.has_ended = true;
                    false
                }
                Ok(ConnectionState::Closed) => {
                    self.has_ended = true;
                    true
                }
                Ok(_) => true,
                Err(error) => {
                    self.queue_alert();
                    return Err(invalid(error));
                }
            };
            used += discard;
            if is_done {
                return Ok(used);
            }
        }
    }

    /// What rustls has to say about an error comes out of it afterwards.
    fn queue_alert(&mut self) {
        while let Ok(ConnectionState::EncodeTlsData(mut data)) =
            self.session.process_tls_records(&mut []).state
        {
            if encode(&mut self.outgoing, |room| data.encode(room)).is_err() {
                return;
            }
        }
    }

    /// Sends what is encrypted.
    fn send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let sent = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.outgoing))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.outgoing.advance(sent);
        }
        if self.outgoing.capacity() > 0 {
            self.outgoing = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Encrypts and sends as much of `bytes` as goes at a time; what the socket does not take is kept, and counts as written.
    fn write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        room: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let turn = bytes.get(..TURN).unwrap_or(bytes);
        let length = self.encrypt(turn, room)?;
        let records = room.get(..length).unwrap_or_default();
        // Others may have come before them: an answer to a change of keys.
        let sent = if self.outgoing.is_empty() {
            match Pin::new(&mut self.socket).poll_write(cx, records) {
                Poll::Ready(sent) => sent?,
                Poll::Pending => 0,
            }
        } else {
            0
        };
        self.outgoing.extend_from_slice(records.get(sent..).unwrap_or_default());
        Poll::Ready(Ok(turn.len()))
    }

    fn encrypt(&mut self, bytes: &[u8], room: &mut [u8]) -> io::Result<usize> {
        self.when_open(|state, _| match state {
            ConnectionState::WriteTraffic(mut traffic) => {
                traffic.encrypt(bytes, room).map_err(invalid)
            }
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        })
    }

    /// Runs `step` once rustls has nothing else to send first.
    fn when_open<T>(
        &mut self,
        step: impl FnOnce(
            ConnectionState<'_, '_, rustls::server::ServerConnectionData>,
            &mut BytesMut,
        ) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match self.session.process_tls_records(&mut []).state.map_err(invalid)? {
                ConnectionState::EncodeTlsData(mut data) => {
                    encode(&mut self.outgoing, |room| data.encode(room))?;
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.has_ended = true,
                state => return step(state, &mut self.outgoing),
            }
        }
    }

    fn queue_close(&mut self) -> io::Result<()> {
        self.is_closing = true;
        self.when_open(|state, outgoing| {
            let ConnectionState::WriteTraffic(mut traffic) = state else { return Ok(()) };
            let mut room = [0; 128];
            let length = traffic.queue_close_notify(&mut room).map_err(invalid)?;
            outgoing.extend_from_slice(room.get(..length).unwrap_or_default());
            Ok(())
        })
    }
}

impl fmt::Debug for Secured {
    /// Without its keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// Appends to `outgoing` what `step` encodes.
fn encode(
    outgoing: &mut BytesMut,
    mut step: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> io::Result<()> {
    let start = outgoing.len();
    let mut room = 0;
    loop {
        outgoing.resize(start + room, 0);
        match step(outgoing.get_mut(start..).unwrap_or_default()) {
            Ok(length) => {
                outgoing.truncate(start + length);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size }))
                if required_size > room =>
            {
                room = required_size;
            }
            Err(error) => return Err(invalid(error)),
        }
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The client's first message.
enum Hello {
    Awaited(Box<Acceptor>),
    Read(ServerName),
}

impl Hello {
    fn read(&mut self, mut bytes: &[u8]) {
        let Self::Awaited(acceptor) = self else { return };
        while !bytes.is_empty() {
            if !acceptor.read_tls(&mut bytes).is_ok_and(|read| read > 0) {
                break;
            }
        }
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => {
                *self = Self::Read(accepted.client_hello().server_name().map(Into::into))
            }
            // The session finds out by itself, and tells.
            Err(_) => *self = Self::Read(None),
        }
    }

    fn name(self) -> ServerName {
        match self {
            Self::Awaited(_) => None,
            Self::Read(name) => name,
        }
    }
}

impl AsyncRead for Secured {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        let filled = buf.filled().len();
        while stream.plain.is_empty() && !stream.has_ended && buf.filled().len() == filled {
            ready!(stream.receive(cx, buf, |_| {}))?;
            // An answer to a change of keys: if it does not leave now, it does with what is written next.
            let _ = stream.send(cx)?;
        }
        if !stream.plain.is_empty() {
            let take = stream.plain.len().min(buf.remaining());
            buf.put_slice(stream.plain.get(..take).unwrap_or_default());
            stream.plain.advance(take);
            if stream.plain.is_empty() {
                stream.plain = BytesMut::new();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Secured {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        ready!(stream.send(cx))?;
        ROOM.with_borrow_mut(|room| stream.write(cx, bytes, &mut room.outgoing))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        ready!(stream.send(cx))?;
        ROOM.with_borrow_mut(|room| {
            room.gathered.clear();
            for slice in slices {
                let left = TURN - room.gathered.len();
                room.gathered.extend_from_slice(slice.get(..left).unwrap_or(slice));
            }
            stream.write(cx, &room.gathered, &mut room.outgoing)
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().send(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if !stream.is_closing {
            stream.queue_close()?;
        }
        ready!(stream.send(cx))?;
        Pin::new(&mut stream.socket).poll_shutdown(cx)
    }
}
