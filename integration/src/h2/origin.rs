//! An origin that speaks HTTP/2 and echoes while it is asked.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::{listed, to_map};
use crate::certs::Identity;
use crate::wire::Headers;

/// A request that came whole over HTTP/2.
#[derive(Clone, Debug)]
pub struct H2Received {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// Its authority, where it had one.
    pub authority: Option<String>,
    /// Its fields.
    pub headers: Headers,
    /// Its body.
    pub body: Vec<u8>,
    /// The fields after its body.
    pub trailers: Headers,
}

/// What an origin knows.
#[derive(Clone, Debug, Default)]
struct Ledger {
    requests: Arc<Mutex<Vec<H2Received>>>,
    /// Streams that were given up while it was silent.
    given_up: Arc<AtomicUsize>,
    is_silent: bool,
}

/// An origin that answers 200 at once and sends every DATA frame back as it comes.
///
/// To `te: trailers` it adds `grpc-status: 0` at the end, and `x-checksum` as it was received in the request's trailers.
/// `grpc.health.v1.Health/Check` is answered by name of the service: `paused` is not serving, `unknown` is not known, all else
/// is serving. `/trailers-only` gets `grpc-status: 12` and no body; `/refused` gets REFUSED_STREAM the first time.
pub struct H2Origin {
    address: SocketAddr,
    ledger: Ledger,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl H2Origin {
    /// In plain text, with prior knowledge.
    #[must_use]
    pub fn start() -> Self {
        Self::run(None, Ledger::default())
    }

    /// In plain text; it takes requests in and answers none of them.
    #[must_use]
    pub fn start_silent() -> Self {
        Self::run(None, Ledger { is_silent: true, ..Ledger::default() })
    }

    /// Over TLS, with ALPN `h2`.
    #[must_use]
    pub fn start_tls(identity: &Identity) -> Self {
        Self::run(Some(TlsAcceptor::from(identity.server_config(&[b"h2"]))), Ledger::default())
    }

    fn run(tls: Option<TlsAcceptor>, ledger: Ledger) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("a bound socket");
        listener.set_nonblocking(true).expect("a socket");
        let kept = ledger.clone();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime =
                Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, tls, kept) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, ledger, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests that came whole, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<H2Received> {
        self.ledger.requests.lock().clone()
    }

    /// How many requests were given up while it was silent.
    #[must_use]
    pub fn given_up(&self) -> usize {
        self.ledger.given_up.load(Ordering::Acquire)
    }
}

impl Drop for H2Origin {
    fn drop(&mut self) {
        // Its thread may have ended by itself.
        let _told = self.stop.take().map(|stop| stop.send(()));
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, ledger: Ledger) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, ledger) = (tls.clone(), ledger.clone());
        tokio::spawn(async move {
            match tls {
                None => serve(stream, ledger).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, ledger).await;
                    }
                }
            }
        });
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, ledger: Ledger) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let mut refused = false;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        if request.uri().path() == "/refused" && !refused {
            refused = true;
            respond.send_reset(Reason::REFUSED_STREAM);
            continue;
        }
        if ledger.is_silent {
            let given_up = Arc::clone(&ledger.given_up);
            tokio::spawn(async move {
                let reset = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
                given_up.fetch_add(usize::from(reset.is_ok()), Ordering::Release);
            });
            continue;
        }
        // A stream that fails shows at the other end.
        tokio::spawn(answer(request, respond, ledger.clone()));
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    ledger: Ledger,
) -> Result<(), h2::Error> {
    let (parts, mut body) = request.into_parts();
    if parts.uri.path() == "/grpc.health.v1.Health/Check" {
        return say_health(parts, body, respond, &ledger).await;
    }
    let trailers_only = parts.uri.path() == "/trailers-only";
    let head = Response::builder().status(200).header("content-type", "application/grpc");
    let head = if trailers_only { head.header("grpc-status", "12") } else { head };
    let mut sending = respond.send_response(head.body(()).expect("a valid head"), trailers_only)?;
    let mut received = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        received.extend_from_slice(&data);
        if !trailers_only {
            sending.send_data(data, false)?;
        }
    }
    let trailers = body.trailers().await?.map(|trailers| listed(&trailers)).unwrap_or_default();
    let wants_trailers = parts.headers.get("te").is_some_and(|te| te == "trailers");
    ledger.requests.lock().push(H2Received {
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        authority: parts.uri.authority().map(ToString::to_string),
        headers: listed(&parts.headers),
        body: received,
        trailers: trailers.clone(),
    });
    if trailers_only { Ok(()) } else { end(&mut sending, wants_trailers, &trailers) }
}

async fn say_health(
    parts: http::request::Parts,
    mut body: RecvStream,
    mut respond: SendResponse<Bytes>,
    ledger: &Ledger,
) -> Result<(), h2::Error> {
    let mut asked = Vec::new();
    while let Some(data) = body.data().await {
        asked.extend_from_slice(&data?);
    }
    let is_about = |name: &str| asked.ends_with(name.as_bytes());
    let is_unknown = is_about("unknown");
    let head = Response::builder().status(200).header("content-type", "application/grpc");
    let head = if is_unknown { head.header("grpc-status", "5") } else { head };
    let mut sending = respond.send_response(head.body(()).expect("a valid head"), is_unknown)?;
    if !is_unknown {
        let status = if is_about("paused") { 2 } else { 1 };
        sending.send_data(Bytes::from(vec![0, 0, 0, 0, 2, 8, status]), false)?;
        sending.send_trailers(to_map(&[("grpc-status".to_owned(), "0".to_owned())]))?;
    }
    ledger.requests.lock().push(H2Received {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        authority: parts.uri.authority().map(ToString::to_string),
        headers: listed(&parts.headers),
        body: asked,
        trailers: Headers::default(),
    });
    Ok(())
}

fn end(
    sending: &mut SendStream<Bytes>,
    wants_trailers: bool,
    received: &Headers,
) -> Result<(), h2::Error> {
    if !wants_trailers {
        return sending.send_data(Bytes::new(), true);
    }
    let mut trailers = vec![("grpc-status".to_owned(), "0".to_owned())];
    if let Some(checksum) = received.get("x-checksum") {
        trailers.push(("x-checksum".to_owned(), checksum.to_owned()));
    }
    sending.send_trailers(to_map(&trailers))
}
