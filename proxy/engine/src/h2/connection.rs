//! One connection to an origin, shared by streams.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, Builder, SendRequest};
use h2::{Ping, PingPong};
use parking_lot::Mutex;
use pingora_core::protocols::{Digest, Stream, UniqueIDType};
use pingora_core::upstreams::peer::Peer;
use pingora_error::ErrorType::{H2Error, HandshakeError};
use pingora_error::{Error, OrErr, Result};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::debug;

/// Response bytes an origin may send ahead on one stream, unless the peer's options say otherwise. A client that reads
/// slowly pins as much.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// The same for all streams of a connection together.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// Bytes of a response's decoded header.
const MAX_HEADER_BYTES: u32 = 256 * 1024;

/// Memory that frames of small messages may take beside their bytes. When it is used up, `h2` ends the connection with all
/// its streams; its own default would let one client that reads slowly cut off all others of the same origin.
const FRAME_BUDGET: usize = 64 * 1024 * 1024;

/// How long an origin may take to grant a stream that its settings allow, or to answer a ping.
const ANSWER: Duration = Duration::from_secs(5);

/// How long a connection without streams is kept when nobody says.
const IDLE: Duration = Duration::from_secs(60);

/// A connection that its driver, a task of its own, keeps going.
pub(super) struct Connection {
    requests: SendRequest<Bytes>,
    /// Streams at once, whatever the origin allows.
    limit: usize,
    usage: Mutex<Usage>,
    last_stream_closed: Notify,
    digest: Digest,
    id: UniqueIDType,
}

#[derive(Debug)]
struct Usage {
    streams: usize,
    idle_since: Instant,
    idle_timeout: Duration,
    /// Takes no more streams.
    is_retired: bool,
}

/// The right to one stream.
pub(super) struct Lease(Arc<Connection>);

impl Connection {
    /// Greets the origin. The connection lives as long as [`Driver::run`] runs.
    pub(super) async fn open<P: Peer>(stream: Stream, peer: &P) -> Result<(Arc<Self>, Driver)> {
        let options = peer.get_peer_options();
        let limit = options.map_or(1, |options| options.max_h2_streams).max(1);
        let stream_window =
            options.and_then(|options| options.h2_stream_window_size).unwrap_or(STREAM_WINDOW);
        let window = options
            .and_then(|options| options.h2_connection_window_size)
            .unwrap_or(CONNECTION_WINDOW);
        let id = stream.id();
        let digest = Digest {
            ssl_digest: stream.get_ssl_digest(),
            timing_digest: stream.get_timing_digest(),
            proxy_digest: stream.get_proxy_digest(),
            socket_digest: stream.get_socket_digest(),
        };
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_max_send_streams(limit)
            .max_header_list_size(MAX_HEADER_BYTES)
            .data_frame_budget(FRAME_BUDGET)
            .initial_window_size(stream_window)
            .initial_connection_window_size(window);
        let handshake = timeout(ANSWER, builder.handshake(stream)).await;
        let handshake = handshake.or_err(HandshakeError, "no HTTP/2 handshake in time")?;
        let (requests, io) = handshake.or_err(HandshakeError, "during the HTTP/2 handshake")?;
        let usage =
            Usage { streams: 0, idle_since: Instant::now(), idle_timeout: IDLE, is_retired: false };
        let last_stream_closed = Notify::new();
        let this = Arc::new(Self {
            requests,
            limit,
            usage: Mutex::new(usage),
            last_stream_closed,
            digest,
            id,
        });
        let driver = Driver { io, connection: this.clone(), ping_every: peer.h2_ping_interval() };
        Ok((this, driver))
    }

    /// The right to one more stream, if the connection takes one.
    pub(super) fn lease(self: &Arc<Self>) -> Option<Lease> {
        let allowed = self.limit.min(self.requests.current_max_send_streams());
        let mut usage = self.usage.lock();
        if usage.is_retired || usage.streams >= allowed {
            return None;
        }
        usage.streams += 1;
        Some(Lease(self.clone()))
    }

    /// Takes no more streams; those that are open go on.
    pub(super) fn retire(&self) {
        self.usage.lock().is_retired = true;
    }

    pub(super) fn digest(&self) -> &Digest {
        &self.digest
    }

    pub(super) fn id(&self) -> UniqueIDType {
        self.id
    }

    pub(super) fn keep_idle_for(&self, idle_timeout: Option<Duration>) {
        self.usage.lock().idle_timeout = idle_timeout.unwrap_or(IDLE);
    }

    /// Waits until the connection has been without streams for its idle time-out, and retires it.
    async fn idle(&self) {
        loop {
            // Its own statement: the lock must not outlast it.
            let idle = self.usage.lock().retire_if_idle();
            match idle {
                Idle::Enough => return,
                Idle::Until(time) => sleep_until(time).await,
                Idle::Not => self.last_stream_closed.notified().await,
            }
        }
    }
}

/// Whether a connection has been without streams for long enough.
enum Idle {
    Not,
    /// It will have been at this time.
    Until(Instant),
    Enough,
}

impl Usage {
    fn retire_if_idle(&mut self) -> Idle {
        let until = self.idle_since + self.idle_timeout;
        if self.streams > 0 {
            return Idle::Not;
        }
        if until > Instant::now() {
            return Idle::Until(until);
        }
        self.is_retired = true;
        Idle::Enough
    }
}

impl Lease {
    pub(super) fn connection(&self) -> &Connection {
        &self.0
    }

    /// A stream to send a request on. An error says that the connection takes none any more, and it is retired.
    pub(super) async fn stream(&self) -> Result<SendRequest<Bytes>> {
        let ready = timeout(ANSWER, self.0.requests.clone().ready()).await;
        match ready {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(cause)) => {
                self.0.retire();
                Error::e_because(H2Error, "opening a stream", cause)
            }
            Err(_) => {
                self.0.retire();
                Error::e_explain(H2Error, "the origin granted no stream")
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut usage = self.0.usage.lock();
        usage.streams -= 1;
        if usage.streams == 0 {
            usage.idle_since = Instant::now();
            self.0.last_stream_closed.notify_one();
        }
    }
}

/// Moves the bytes of a connection.
pub(super) struct Driver {
    io: client::Connection<Stream, Bytes>,
    connection: Arc<Connection>,
    ping_every: Option<Duration>,
}

impl Driver {
    /// Runs until the connection ends or has been idle for too long.
    pub(super) async fn run(mut self) {
        let ping_pong = self.io.ping_pong();
        let Self { io, connection, ping_every } = self;
        tokio::select! {
            end = io => debug!(id = connection.id, ?end, "connection to an origin ended"),
            () = connection.idle() => debug!(id = connection.id, "connection to an origin idle"),
            () = unanswered_ping(ping_pong, ping_every) => debug!(id = connection.id, "origin answers no ping"),
        }
        connection.retire();
    }
}

/// Returns when the origin leaves a ping unanswered.
async fn unanswered_ping(ping_pong: Option<PingPong>, every: Option<Duration>) {
    let (Some(mut ping_pong), Some(every)) = (ping_pong, every.filter(|every| !every.is_zero()))
    else {
        return std::future::pending().await;
    };
    loop {
        sleep(every).await;
        if !matches!(timeout(ANSWER, ping_pong.ping(Ping::opaque())).await, Ok(Ok(_))) {
            return;
        }
    }
}
