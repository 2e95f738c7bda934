//! A client, a proxy and an origin on loopback.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::server::{self, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::custom::server::Session as _;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::{HttpProxy, ProxyHttp, Session};
use switchback_engine::h2::{
    self as ours, Arrival, Closed, Connector, Offer, Options, http_proxy, serve, speak,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Fails the test when `future` takes too long.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("took too long")
}

pub(crate) fn field(name: &'static str, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))])
}

/// Reads a body to its end, giving its window back.
pub(crate) async fn read_all(body: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut all = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        all.extend_from_slice(&data);
    }
    Ok(all)
}

/// Writes `data` as windows open, without ending the stream.
pub(crate) async fn write_all(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
) -> Result<(), h2::Error> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let Some(room) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else {
            // Closed: the next write says why.
            return stream.send_data(data, false);
        };
        stream.send_data(data.split_to(room?.min(data.len())), false)?;
    }
    Ok(())
}

pub(crate) fn ok() -> Response<()> {
    Response::new(())
}

pub(crate) type Served = Pin<Box<dyn Future<Output = ()> + Send>>;
pub(crate) type Answer =
    Arc<dyn Fn(Request<RecvStream>, SendResponse<Bytes>) -> Served + Send + Sync>;

/// An HTTP/2 origin in the clear.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Origin {
    pub(crate) async fn start<F, S>(answer: F) -> Self
    where
        F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        Self::start_with(server::Builder::new(), answer).await
    }

    pub(crate) async fn start_with<F, S>(builder: server::Builder, answer: F) -> Self
    where
        F: Fn(Request<RecvStream>, SendResponse<Bytes>) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = accepted.clone();
        let answer: Answer = Arc::new(move |request, response| Box::pin(answer(request, response)));
        tokio::spawn(async move {
            loop {
                let (io, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer_connection(builder.clone(), io, answer.clone()));
            }
        });
        Self { address, accepted }
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

pub(crate) async fn answer_connection<IO>(builder: server::Builder, io: IO, answer: Answer)
where
    IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let Ok(mut connection) = builder.handshake::<_, Bytes>(io).await else { return };
    while let Some(Ok((request, response))) = connection.accept().await {
        if request.uri().path() == "/last" {
            connection.graceful_shutdown();
        }
        tokio::spawn(answer(request, response));
    }
}

/// An HTTP/1.1 origin that answers every connection's first request with `bytes` and hangs up.
pub(crate) async fn http1_origin(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut io, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(io.read_u8().await.unwrap());
            }
            io.write_all(bytes).await.unwrap();
        }
    });
    address
}

/// What the proxy does with every request.
pub(crate) struct Forward {
    pub(crate) origin: SocketAddr,
    pub(crate) offer: Option<Offer>,
    pub(crate) is_tls: bool,
    pub(crate) stall: Duration,
}

#[async_trait]
impl ProxyHttp for Forward {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> Result<Box<HttpPeer>> {
        let mut peer = HttpPeer::new(self.origin, self.is_tls, "localhost".into());
        if let Some(offer) = self.offer {
            speak(&mut peer, offer);
        }
        peer.options.verify_cert = false;
        peer.options.verify_hostname = false;
        peer.options.read_timeout = Some(self.stall);
        peer.options.write_timeout = Some(self.stall);
        Ok(Box::new(peer))
    }
}

pub(crate) type Proxy = Arc<HttpProxy<Forward, Connector>>;

pub(crate) fn proxy(forward: Forward) -> Proxy {
    let conf = Arc::new(ServerConf::default());
    Arc::new(http_proxy(&conf, forward, Connector::new(None)))
}

/// A proxy whose origin speaks HTTP/2 in the clear.
pub(crate) fn proxy_to(origin: &Origin) -> Proxy {
    let stall = Duration::from_secs(10);
    proxy(Forward { origin: origin.address, offer: Some(Offer::Http2), is_tls: false, stall })
}

/// A proxy to an HTTP/1.1 origin.
pub(crate) fn proxy_to_http1(origin: SocketAddr) -> Proxy {
    proxy(Forward { origin, offer: None, is_tls: false, stall: Duration::from_secs(10) })
}

/// A client's connection to a proxy.
pub(crate) struct Client {
    pub(crate) requests: SendRequest<Bytes>,
    pub(crate) shutdown: watch::Sender<bool>,
    pub(crate) served: JoinHandle<Closed>,
}

impl Client {
    pub(crate) async fn connect(proxy: &Proxy) -> Self {
        Self::connect_with(proxy, client::Builder::new(), Options::default()).await
    }

    pub(crate) async fn connect_with(
        proxy: &Proxy,
        builder: client::Builder,
        options: Options,
    ) -> Self {
        let (io, shutdown, served) = serve_duplex(proxy, options);
        let (requests, connection) = builder.handshake(io).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { requests, shutdown, served }
    }

    pub(crate) async fn send(
        &self,
        request: Request<()>,
        end: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        self.requests.clone().ready().await.unwrap().send_request(request, end).unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Response<RecvStream>, h2::Error> {
        self.send(get(path), true).await.0.await
    }
}

/// One end of a connection whose other end the proxy serves.
pub(crate) fn serve_duplex(
    proxy: &Proxy,
    options: Options,
) -> (DuplexStream, watch::Sender<bool>, JoinHandle<Closed>) {
    let (ours, theirs) = duplex(64 * 1024);
    let (shutdown, announced) = watch::channel(false);
    let proxy = proxy.clone();
    let served = tokio::spawn(async move {
        let shutdown = announced.clone();
        serve(theirs, &options, Arc::new(Digest::default()), announced, move |arrival| {
            let session = match arrival {
                Arrival::Request(session) => session,
                Arrival::Refused(session, _) => return refuse(session),
            };
            let (proxy, shutdown) = (proxy.clone(), shutdown.clone());
            tokio::spawn(async move {
                proxy
                    .process_new_http(ServerSession::new_custom(Box::new(session)), &shutdown)
                    .await;
            });
        })
        .await
    });
    (ours, shutdown, served)
}

/// Without a page.
fn refuse(mut session: ours::Session) {
    tokio::spawn(async move {
        let head = ResponseHeader::build(400, None).unwrap();
        let _ = session.write_response_header(Box::new(head), true).await;
    });
}

pub(crate) fn get(path: &str) -> Request<()> {
    Request::get(format!("https://site.example{path}")).body(()).unwrap()
}

pub(crate) fn post(path: &str) -> Request<()> {
    Request::post(format!("https://site.example{path}")).body(()).unwrap()
}
