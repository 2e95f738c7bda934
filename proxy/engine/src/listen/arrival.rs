//! What comes before the first byte of HTTP: a PROXY header, a TLS handshake.
//!
//! They run in a task of their own, which ends by spawning the connection's: what a handshake needs is large, and an idle
//! connection is small.

use std::sync::Arc;

use super::connection::{Connection, Ends, TlsFacts};
use super::front_door;
use super::stream::{ClientStream, PlainStream};
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
        if self.listener.tls.is_none() {
            return self.in_plain();
        }
        tokio::spawn(self.handshakes());
    }

    /// Nothing has to be waited for.
    fn in_plain(self) {
        let Self { open, listener, stream, ends, number } = self;
        let ready = Ready { stream: ClientStream::from(stream), tls: None, is_h2: false };
        spawn(open, listener, ends, number, ready);
    }

    /// Shakes hands in the order in which the bytes come: PROXY header, then TLS.
    async fn handshakes(self) {
        let Self { open, listener, stream, ends, number } = self;
        // Large, and short-lived.
        match Box::pin(tls_handshake(&listener, stream)).await {
            Ok(ready) => spawn(open, listener, ends, number, ready),
            Err(reason) => {
                open.worker().shared.resident.metrics.failed_handshakes.add();
                tracing::debug!(peer = ?ends.peer, "TLS handshake failed: {reason}");
            }
        }
    }
}

async fn tls_handshake(listener: &Listener, stream: PlainStream) -> Result<Ready, String> {
    let Some(config) = listener.tls.clone() else {
        return Ok(Ready { stream: ClientStream::from(stream), tls: None, is_h2: false });
    };
    let handshake = tokio_rustls::TlsAcceptor::from(config).accept(stream);
    match tokio::time::timeout(listener.plan.timeouts.handshake, handshake).await {
        Ok(Ok(stream)) => {
            let session = stream.get_ref().1;
            let tls = Some(super::tls::facts(session));
            let is_h2 = session.alpn_protocol() == Some(b"h2");
            Ok(Ready { stream: ClientStream::Tls(Box::new(stream)), tls, is_h2 })
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("deadline passed".to_owned()),
    }
}

/// Starts the task of a connection that is ready for HTTP.
fn spawn(open: Open, listener: Arc<Listener>, ends: Ends, number: u64, ready: Ready) {
    let connection = Arc::new(Connection::new(listener, ends, ready.tls, number));
    front_door::spawn(open, ready.stream, connection, ready.is_h2);
}
