//! Where the proxy gets streams to origins.

use std::time::Duration;

use async_trait::async_trait;
use pingora_core::connectors::http::custom::{self, Connection as Reply};
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::protocols::tls::CustomALPN;
use pingora_core::protocols::{ALPN, Stream};
use pingora_core::upstreams::peer::{HttpPeer, Peer};
use pingora_error::ErrorType::{ConnectTimedout, H2Error};
use pingora_error::{Error, OrErr, Result};
use tokio::time::timeout;

use super::connection::{Connection, Lease};
use super::pool::{Opened, Pool, Turn};
use super::upstream::Session;

/// How long connecting may take when the peer does not say.
const CONNECT: Duration = Duration::from_secs(10);

/// How many retired connections a request may run into before it is given up.
const TRIES: usize = 3;

/// Streams per connection when the peer leaves Pingora's default of one.
const STREAMS: usize = 100;

/// Sets the pools of HTTP/2 origins apart from others at the same address.
const GROUP: u64 = 0x6832_6832_6832_6832;

/// What an origin is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// HTTP/2 alone: by ALPN over TLS, by prior knowledge in the clear.
    Http2,
    /// HTTP/2, or HTTP/1.1 if the origin prefers that; HTTP/1.1 in the clear.
    Http2OrHttp1,
}

impl Offer {
    /// The protocol name that leads Pingora's connector to ours. It never goes over the wire: Pingora refuses `h2` as
    /// the name of a foreign protocol, so [`Connector`] puts the true names in its place.
    fn marker(self) -> &'static str {
        match self {
            Self::Http2 => "switchback/h2",
            Self::Http2OrHttp1 => "switchback/h2,http/1.1",
        }
    }

    fn names(self) -> ALPN {
        match self {
            Self::Http2 => ALPN::H2,
            Self::Http2OrHttp1 => ALPN::H2H1,
        }
    }

    fn of(peer: &impl Peer) -> Self {
        let is = |offer: Self| match peer.get_alpn() {
            Some(ALPN::Custom(name)) => name.protocol() == offer.marker().as_bytes(),
            _ => false,
        };
        if is(Self::Http2OrHttp1) { Self::Http2OrHttp1 } else { Self::Http2 }
    }
}

/// Sends requests for `peer` through [`Connector`]. Call it once per peer, after its `group_key` has been set, which it
/// changes: Pingora would else take HTTP/1 connections to the same address for it.
pub fn speak(peer: &mut HttpPeer, offer: Offer) {
    peer.options.alpn = ALPN::Custom(CustomALPN::new(offer.marker().into()));
    peer.group_key ^= GROUP;
    if peer.options.max_h2_streams <= 1 {
        peer.options.max_h2_streams = STREAMS;
    }
}

/// Connects to origins over HTTP/2 and shares the connections among requests.
///
/// A connection takes as many streams as the peer's `max_h2_streams` and the origin allow; it is left after GOAWAY, an
/// error, a time-out on one of its streams, an unanswered ping, or the peer's idle time-out. Requests that come while a
/// connection is being opened wait for it instead of opening their own.
pub struct Connector {
    transport: TransportConnector,
    pool: Pool,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector without connections.
    #[must_use]
    pub fn new(options: Option<ConnectorOptions>) -> Self {
        Self { transport: TransportConnector::new(options), pool: Pool::default() }
    }

    async fn connect<P: Peer + Send + Sync + 'static>(&self, peer: &P) -> Result<Stream> {
        let mut dialled = peer.clone();
        if let Some(options) = dialled.get_mut_peer_options() {
            options.alpn = Offer::of(peer).names();
        }
        let limit = peer.total_connection_timeout().unwrap_or(CONNECT);
        let connected = timeout(limit, self.transport.new_stream(&dialled)).await;
        connected.or_err(ConnectTimedout, "connecting to an HTTP/2 origin")?
    }

    /// Opens a connection and, if it speaks HTTP/2, keeps it for others.
    async fn open<P: Peer + Send + Sync + 'static>(&self, peer: &P) -> Result<Reply<Session>> {
        let stream = self.connect(peer).await?;
        let is_http2 = match stream.selected_alpn_proto() {
            Some(name) => name == ALPN::H2,
            None => !peer.tls() && Offer::of(peer) == Offer::Http2,
        };
        if !is_http2 {
            return match Offer::of(peer) {
                Offer::Http2OrHttp1 => Ok(Reply::Stream(stream)),
                Offer::Http2 => Error::e_explain(H2Error, "the origin does not speak HTTP/2"),
            };
        }
        let (connection, driver) = Connection::open(stream, peer).await?;
        let lease = connection
            .lease()
            .ok_or_else(|| Error::explain(H2Error, "the origin allows no stream"))?;
        self.pool.keep(peer.reuse_hash(), &connection, driver);
        Ok(Reply::Session(session(lease, peer).await?))
    }

    /// A stream on a connection that stands, or on one that is opened for it; and whether it stood.
    async fn take_or_open<P: Peer + Send + Sync + 'static>(
        &self,
        peer: &P,
    ) -> Result<(Reply<Session>, bool)> {
        let origin = self.pool.origin(peer.reuse_hash());
        for _ in 0..TRIES {
            match origin.turn().await {
                Turn::Share(lease) => {
                    if let Ok(session) = session(lease, peer).await {
                        return Ok((Reply::Session(session), true));
                    }
                }
                Turn::Open(attempt) => {
                    let reply = self.open(peer).await;
                    let opened = match &reply {
                        Ok(Reply::Session(_)) => Opened::Http2,
                        Ok(Reply::Stream(_)) => Opened::Http1,
                        Err(error) => Opened::Failed(error.etype().clone()),
                    };
                    origin.opened(attempt, opened);
                    return reply.map(|reply| (reply, false));
                }
                Turn::Fail(error) => return Err(error),
            }
        }
        Error::e_explain(H2Error, "the origin keeps closing its connections")
    }
}

async fn session<P: Peer>(lease: Lease, peer: &P) -> Result<Session> {
    let stream = lease.stream().await?;
    Ok(Session::new(lease, stream, peer.tls()))
}

#[async_trait]
impl custom::Connector for Connector {
    type Session = Session;

    async fn get_http_session<P: Peer + Send + Sync + 'static>(
        &self,
        peer: &P,
    ) -> Result<(Reply<Session>, bool)> {
        let reply = self.take_or_open(peer).await;
        if reply.is_err() {
            // Origins that are one client's alone come and go, and would pile up where none of them can be reached.
            self.pool.forget_unused(peer.reuse_hash());
        }
        reply
    }

    async fn reused_http_session<P: Peer + Send + Sync + 'static>(
        &self,
        peer: &P,
    ) -> Option<Session> {
        let lease = self.pool.lease(peer.reuse_hash())?;
        session(lease, peer).await.ok()
    }

    async fn release_http_session<P: Peer + Send + Sync + 'static>(
        &self,
        session: Session,
        _peer: &P,
        idle_timeout: Option<Duration>,
    ) {
        session.connection().keep_idle_for(idle_timeout);
    }
}

#[cfg(test)]
mod tests {
    use pingora_core::connectors::http::custom::Connector as _;

    use super::*;

    #[tokio::test]
    async fn an_origin_that_cannot_be_reached_leaves_nothing_behind() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let connector = Connector::new(None);
        for client in 1..4 {
            let mut peer = HttpPeer::new(closed, false, String::new());
            peer.group_key = client;
            speak(&mut peer, Offer::Http2);
            assert!(connector.get_http_session(&peer).await.is_err());
        }
        assert_eq!(connector.pool.count(), 0);
    }
}
