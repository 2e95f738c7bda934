//! What is known of a client's connection, whatever requests it carries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::NamedGroup;

use super::proxy_protocol::Proxied;
use super::tls::ClientCertificate;
use crate::snapshot::Listener;

/// One accepted connection. Its settings are those of the snapshot at accept.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The listener that took it.
    pub(crate) listener: Arc<Listener>,
    /// The client's address, as a PROXY header has it if there was one; `None` on a Unix socket.
    pub(crate) peer: Option<SocketAddr>,
    /// The address that took it; `None` on a Unix socket.
    pub(crate) local: Option<SocketAddr>,
    /// What was agreed on in the TLS handshake. Boxed: a plain connection has nothing of it.
    pub(crate) tls: Option<Box<TlsFacts>>,
    /// What a PROXY header said of it.
    pub(crate) proxied: Option<Box<Proxied>>,
    /// Serial number in this process.
    pub(crate) number: u64,
    requests: AtomicU64,
}

/// What was agreed on in a TLS handshake.
#[derive(Debug)]
pub(crate) struct TlsFacts {
    /// `TLSv1.3`.
    pub(crate) protocol: &'static str,
    /// The cipher suite's name.
    pub(crate) cipher: &'static str,
    /// The name that the client asked for.
    pub(crate) server_name: Option<Box<str>>,
    /// The group of the key exchange, where there was one.
    pub(crate) group: Option<NamedGroup>,
    /// Whether a session was resumed.
    pub(crate) is_resumed: bool,
    /// Whether the client was told which protocol it is.
    pub(crate) has_alpn: bool,
    /// Whether that is HTTP/2.
    pub(crate) is_h2: bool,
    /// The certificate that the client has shown.
    pub(crate) client: Option<Box<ClientCertificate>>,
}

impl Connection {
    /// A connection that has carried nothing yet.
    pub(crate) fn new(
        listener: Arc<Listener>,
        ends: Ends,
        tls: Option<TlsFacts>,
        number: u64,
    ) -> Self {
        Self {
            listener,
            peer: ends.peer,
            local: ends.local,
            tls: tls.map(Box::new),
            proxied: None,
            number,
            requests: AtomicU64::new(0),
        }
    }

    /// With what a PROXY header said of it.
    pub(crate) fn proxied(self, proxied: Option<Box<Proxied>>) -> Self {
        Self { proxied, ..self }
    }

    /// Who opened the connection, whoever the client is; `None` on a Unix socket.
    pub(crate) fn real_peer(&self) -> Option<SocketAddr> {
        self.proxied.as_ref().map_or(self.peer, |proxied| proxied.peer)
    }

    /// What the client connected to, here or at a proxy that said so; `None` on a Unix socket.
    pub(crate) fn destination(&self) -> Option<SocketAddr> {
        let said = self.proxied.as_ref().and_then(|proxied| proxied.ends);
        said.map(|(_, destination)| destination).or(self.local)
    }

    /// What the client speaks: `https` where TLS ends here, or at a proxy that said so.
    pub(crate) fn client_scheme(&self) -> &'static str {
        let ssl = self.proxied.as_ref().and_then(|proxied| proxied.tlvs().ssl());
        if ssl.is_some_and(|ssl| ssl.is_tls()) { "https" } else { self.scheme() }
    }

    /// Counts one more request, and says how many there were with it.
    pub(crate) fn count_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Requests carried so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Whether it may carry another request.
    pub(crate) fn may_go_on(&self) -> bool {
        self.requests() < u64::from(self.listener.plan.limits.keepalive_requests)
    }

    /// `https` over TLS, else `http`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// The two ends of a connection; `None` on a Unix socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    /// The client's.
    pub(crate) peer: Option<SocketAddr>,
    /// Ours.
    pub(crate) local: Option<SocketAddr>,
}
