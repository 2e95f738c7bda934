//! A client's connection: handshake, streams, idleness and drain.

use std::sync::Arc;

use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use pingora_core::protocols::Digest;
use pingora_http::RequestHeader;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::debug;

use super::downstream::{Accepted, Session};
use super::fields::{self, Bounds, Refused};
use super::open::{Open, OpenStreams};

/// Malformed requests after which a connection is closed. Pingora's own limit.
const MAX_MALFORMED: usize = 32;

/// What every window starts with (RFC 9113 section 6.9.2). A smaller one would shrink under a client that has already
/// sent, and `h2` then never opens it again: its receiver looks at the window only when the application gives some back.
const LEAST_WINDOW: u32 = 65_535;

/// Memory that frames of small messages may take beside their bytes, for all streams of a connection: some 16,000 waiting
/// messages, after which `h2` ends the connection. Its own default of 2,000 is little for a call that streams.
const FRAME_BUDGET: usize = 4 * 1024 * 1024;

/// How long a connection may take nothing while it asks for more than may wait for it: at most this, and half of what one
/// stream has, so that those that wait are not reset one after the other to let the next begin.
const CRAMMED: Duration = Duration::from_secs(5);

/// Bytes of one answer that may wait for the client's socket, beside those that wait for its window. `h2` keeps 400 KiB.
const SEND_BUFFER: usize = 32 * 1024;

/// Limits of a client's connection. The defaults are Pingora's where it has one.
#[derive(Clone, Debug)]
pub struct Options {
    /// Streams a client may have open at once. One that was reset counts until nobody works for it any more.
    pub max_streams: u32,
    /// Requests that are begun at once until answers are taken. The others wait: a fifth of a second and their turn, or
    /// until a window moves if as many answers wait for theirs.
    pub first_streams: u32,
    /// Requests after which the client is told to open another connection.
    pub max_requests: u64,
    /// What a request may be.
    pub bounds: Bounds,
    /// Responses not taken in time after which the connection is closed.
    pub max_stalled: usize,
    /// Bytes of a request's decoded header.
    pub max_header_bytes: u32,
    /// Streams reset by the client that may wait to be accepted; one more closes the connection.
    pub max_pending_resets: usize,
    /// Request body bytes a client may send ahead on one stream; at least 65,535.
    pub stream_window: u32,
    /// Request body bytes a client may send ahead on all streams together; at least 65,535.
    pub connection_window: u32,
    /// How long the client may take for its preface.
    pub handshake_timeout: Duration,
    /// How long a connection without streams is kept.
    pub idle_timeout: Duration,
    /// How long streams may go on after a shutdown was announced.
    pub drain_timeout: Duration,
    /// How long a stream may stand still, in either direction, until its session is told otherwise.
    pub stream_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_streams: 100,
            first_streams: 2,
            max_requests: u64::MAX,
            bounds: Bounds::default(),
            max_stalled: 4,
            max_header_bytes: 64 * 1024,
            max_pending_resets: 20,
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            stream_timeout: Duration::from_secs(60),
        }
    }
}

impl Options {
    fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        builder
            .max_concurrent_streams(self.max_streams)
            .enable_connect_protocol()
            .max_header_list_size(self.max_header_bytes)
            .data_frame_budget(FRAME_BUDGET)
            .max_send_buffer_size(SEND_BUFFER)
            .max_pending_accept_reset_streams(self.max_pending_resets)
            .initial_window_size(self.stream_window.max(LEAST_WINDOW))
            .initial_connection_window_size(self.connection_window.max(LEAST_WINDOW));
        builder
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The client closed it, or it drained after a shutdown.
    Clean,
    /// It had no streams for the idle time-out.
    Idle,
    /// The client did not finish the handshake in time, or spoke something else.
    Handshake,
    /// The connection failed.
    Failed,
    /// The client sent too many malformed requests, or more than the codec bears.
    Abusive,
    /// The client did not take what it asked for.
    Stalled,
    /// Streams were still open when the time to drain was over; they were cut off.
    Undrained,
}

/// A request that has come.
#[derive(Debug)]
pub enum Arrival {
    /// To be served.
    Request(Session),
    /// To be turned away: with an answer, or with [`Session::refuse`].
    Refused(Session, Refused),
}

/// Serves a client over `io` until the connection ends.
///
/// `digest` is what every [`Session`] tells of the connection: socket addresses and TLS. `on_request` gets every
/// request; it must not do the work itself but spawn it, since nothing moves on the connection before it returns. When
/// `shutdown` turns true, the client is told to open no more streams and those open are served to their end, for at most
/// the time to drain. Returning, or dropping this future, closes the connection with all its streams.
pub async fn serve<IO, F>(
    io: IO,
    options: &Options,
    digest: Arc<Digest>,
    shutdown: watch::Receiver<bool>,
    on_request: F,
) -> Closed
where
    IO: AsyncRead + AsyncWrite + Unpin + Send,
    F: FnMut(Arrival) + Send,
{
    let handshake = options.builder().handshake::<_, Bytes>(io);
    let Ok(Ok(connection)) = timeout(options.handshake_timeout, handshake).await else {
        return Closed::Handshake;
    };
    let streams = Streams {
        digest,
        options,
        open: Arc::new(OpenStreams::new(options.first_streams)),
        requests: 0,
        malformed: 0,
        on_request,
    };
    accept(connection, options, shutdown, streams).await
}

async fn accept<IO, F>(
    mut connection: Connection<IO, Bytes>,
    options: &Options,
    mut shutdown: watch::Receiver<bool>,
    mut streams: Streams<'_, F>,
) -> Closed
where
    IO: AsyncRead + AsyncWrite + Unpin + Send,
    F: FnMut(Arrival) + Send,
{
    let open = Arc::clone(&streams.open);
    let mut crammed = std::pin::pin!(open.crammed(CRAMMED.min(options.stream_timeout / 2)));
    loop {
        let accepted = tokio::select! {
            biased;
            () = announced(&mut shutdown) => break,
            accepted = connection.accept() => accepted,
            () = streams.open.idle(options.idle_timeout) => return Closed::Idle,
            () = streams.open.stalled(options.max_stalled) => return Closed::Stalled,
            () = crammed.as_mut() => return Closed::Stalled,
        };
        if let Some(closed) = streams.take(accepted) {
            return closed;
        }
        if streams.requests == options.max_requests {
            connection.graceful_shutdown();
        }
    }
    connection.graceful_shutdown();
    let drain = async {
        loop {
            if let Some(closed) = streams.take(connection.accept().await) {
                return closed;
            }
        }
    };
    timeout(options.drain_timeout, drain).await.unwrap_or(Closed::Undrained)
}

/// Waits for `shutdown` to turn true. A sender that is gone announces nothing any more.
async fn announced(shutdown: &mut watch::Receiver<bool>) {
    if shutdown.wait_for(|announced| *announced).await.is_err() {
        std::future::pending().await
    }
}

/// What the streams of a connection have in common.
struct Streams<'o, F> {
    digest: Arc<Digest>,
    options: &'o Options,
    open: Arc<OpenStreams>,
    requests: u64,
    malformed: usize,
    on_request: F,
}

/// What `h2` hands out per stream.
type Incoming = Option<Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>>;

impl<F: FnMut(Arrival) + Send> Streams<'_, F> {
    /// Serves one request. Says how the connection has ended, if it has.
    fn take(&mut self, incoming: Incoming) -> Option<Closed> {
        match incoming {
            None => Some(Closed::Clean),
            Some(Err(cause)) => {
                debug!(%cause, "HTTP/2 connection failed");
                let is_too_much =
                    cause.is_library() && cause.reason() == Some(Reason::ENHANCE_YOUR_CALM);
                Some(if is_too_much { Closed::Abusive } else { Closed::Failed })
            }
            Some(Ok((request, response))) => self.begin(request, response),
        }
    }

    fn begin(
        &mut self,
        request: Request<RecvStream>,
        mut response: SendResponse<Bytes>,
    ) -> Option<Closed> {
        self.requests += 1;
        let (parts, body) = request.into_parts();
        let mut request = RequestHeader::from(parts);
        let fields = request.headers.len();
        if !self.open.has_room(fields, self.options.max_streams) {
            response.send_reset(Reason::REFUSED_STREAM);
            return None;
        }
        let admitted = fields::admit(&mut request, &self.options.bounds);
        let (digest, timeout) = (self.digest.clone(), self.options.stream_timeout);
        let open = Open::new(&self.open, fields);
        let session = Session::new(Accepted { request, body, response, digest, timeout, open });
        match admitted {
            Ok(()) => (self.on_request)(Arrival::Request(session)),
            Err(refused) => {
                (self.on_request)(Arrival::Refused(session, refused));
                self.malformed += 1;
            }
        }
        (self.malformed >= MAX_MALFORMED).then_some(Closed::Abusive)
    }
}
