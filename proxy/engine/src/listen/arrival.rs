//! What comes before the first byte of HTTP: a PROXY header, a TLS handshake.
//!
//! They run in a task of their own, which ends by spawning the connection's: what a handshake needs is large, and an idle
//! connection is small.

use std::sync::Arc;

use super::connection::{Connection, Ends, TlsFacts};
use super::proxy_protocol::{self, Introduced};
use super::reserve::reset;
use super::stream::{ClientStream, PlainStream};
use super::tls;
use super::visit;
use super::worker::Open;
use crate::snapshot::Listener;

/// A connection that was accepted and has said nothing yet.
pub(crate) struct Arrival {
    /// Its place in the count.
    pub(crate) open: Open,
    /// What took it, as of the snapshot at accept.
    pub(crate) listener: Arc<Listener>,
    /// Its socket.
    pub(crate) stream: PlainStream,
    /// Its two ends.
    pub(crate) ends: Ends,
    /// Its serial number.
    pub(crate) number: u64,
}

/// What the handshakes came to.
struct Ready {
    stream: ClientStream,
    /// `None` in plain text.
    tls: Option<TlsFacts>,
    is_h2: bool,
}

impl Arrival {
    /// Goes on to HTTP, in a task of its own, once all handshakes are done.
    pub(crate) fn begin(self) {
        if self.listener.tls.is_none() && self.listener.plan.proxy_protocol.is_none() {
            return self.in_plain();
        }
        tokio::spawn(self.handshakes());
    }

    /// Nothing has to be waited for.
    fn in_plain(self) {
        let Self { open, listener, stream, ends, number } = self;
        let stream = ClientStream::plain(stream, open.worker().seats.take());
        let ready = Ready { stream, tls: None, is_h2: false };
        spawn(open, listener, Introduced { ends, proxied: None }, number, ready);
    }

    /// Shakes hands in the order in which the bytes come: PROXY header, then TLS.
    async fn handshakes(self) {
        let Self { mut open, listener, stream, ends, number } = self;
        let Some(introduced) = introduction(&open, &listener, &stream, ends).await else { return };
        // Here, and not before, limits per client can be held against the client itself.
        if let Some(client) =
            introduced.ends.peer.filter(|_| listener.plan.proxy_protocol.is_some())
            && let Err(refused) = open.of_client(client.ip())
        {
            open.worker().shared.resident.metrics.refused_connection(refused);
            return reset(stream);
        }
        // Large, and short-lived.
        if let Some(ready) = Box::pin(tls_handshake(&open, &listener, stream, ends)).await {
            spawn(open, listener, introduced, number, ready);
        }
    }
}

/// The client's own address, where a proxy in front has to say it; `None` when the connection is to be closed.
async fn introduction(
    open: &Open,
    listener: &Listener,
    stream: &PlainStream,
    ends: Ends,
) -> Option<Introduced> {
    let Some(settings) = &listener.plan.proxy_protocol else {
        return Some(Introduced { ends, proxied: None });
    };
    match Box::pin(proxy_protocol::introduce(settings, stream, ends)).await {
        Ok(introduced) => Some(introduced),
        Err(refusal) => {
            open.worker().shared.resident.metrics.refused_proxy_headers.add(refusal);
            tracing::debug!(peer = ?ends.peer, "closed for its PROXY header: {}", refusal.name());
            None
        }
    }
}

/// `None` when it has failed.
async fn tls_handshake(
    open: &Open,
    listener: &Arc<Listener>,
    stream: PlainStream,
    ends: Ends,
) -> Option<Ready> {
    let seat = open.worker().seats.take();
    let Some(tls) = &listener.tls else {
        return Some(Ready { stream: ClientStream::plain(stream, seat), tls: None, is_h2: false });
    };
    let metrics = &open.worker().shared.resident.metrics;
    match tls::accept(open.worker(), (listener, tls), stream).await {
        Ok((stream, facts)) => {
            let is_h2 = facts.is_h2;
            let stream = ClientStream::secured(Box::new(stream), seat);
            Some(Ready { stream, tls: Some(facts), is_h2 })
        }
        Err(tls::Failure::PlainHttp(stream)) => {
            metrics.failed_handshake(tls::Reason::PlainHttp);
            tls::answer_plain_http(ClientStream::plain(stream, seat), ends).await;
            None
        }
        Err(tls::Failure::Failed(reason, error)) => {
            metrics.failed_handshake(reason);
            tracing::debug!(peer = ?ends.peer, ?reason, "TLS handshake failed: {error}");
            None
        }
    }
}

/// Starts the task of a connection that is ready for HTTP.
fn spawn(open: Open, listener: Arc<Listener>, introduced: Introduced, number: u64, ready: Ready) {
    let Introduced { ends, proxied } = introduced;
    let connection = Connection::new(listener, ends, ready.tls, number).proxied(proxied);
    visit::spawn(open, ready.stream, Arc::new(connection), ready.is_h2);
}
