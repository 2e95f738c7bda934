//! A client of HTTP/2 that a plain test can call.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsConnector;

use super::{listed, to_map};
use crate::certs::credulous_client_config;
use crate::client::Trust;
use crate::patience::Deadline;
use crate::wire::Headers;

/// A request over HTTP/2.
#[derive(Clone, Debug)]
pub struct H2Request {
    method: String,
    authority: String,
    path: String,
    headers: Vec<(String, String)>,
    frames: Vec<Vec<u8>>,
    trailers: Vec<(String, String)>,
    protocol: Option<String>,
}

impl H2Request {
    /// For the authority `localhost`.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        let (method, path, authority) =
            (method.to_owned(), path.to_owned(), "localhost".to_owned());
        Self {
            method,
            authority,
            path,
            headers: Vec::new(),
            frames: Vec::new(),
            trailers: Vec::new(),
            protocol: None,
        }
    }

    /// An extended CONNECT for this protocol (RFC 8441).
    #[must_use]
    pub fn connect(path: &str, protocol: &str) -> Self {
        Self { protocol: Some(protocol.to_owned()), ..Self::new("CONNECT", path) }
    }

    /// For another authority.
    #[must_use]
    pub fn authority(mut self, authority: &str) -> Self {
        authority.clone_into(&mut self.authority);
        self
    }

    /// With one more field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With one more DATA frame.
    #[must_use]
    pub fn frame(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.frames.push(bytes.into());
        self
    }

    /// With one more field after the body.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// An answer over HTTP/2, read whole.
#[derive(Clone, Debug)]
pub struct H2Response {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub headers: Headers,
    /// Its body.
    pub body: Vec<u8>,
    /// The fields after its body.
    pub trailers: Headers,
}

impl H2Response {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The status is this one.
    ///
    /// # Panics
    /// When it is another.
    #[track_caller]
    pub fn expect_status(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "unexpected status: {:?} {}", self.headers, self.text());
        self
    }
}

/// One connection over HTTP/2.
pub struct H2Client {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
    scheme: &'static str,
}

impl H2Client {
    /// In plain text, with prior knowledge.
    ///
    /// # Panics
    /// When nobody answers.
    #[must_use]
    #[track_caller]
    pub fn cleartext(address: SocketAddr) -> Self {
        let runtime = runtime();
        let sender = within(&runtime, async {
            let stream = TcpStream::connect(address).await.expect("somebody listens");
            start(stream).await
        });
        Self { runtime, sender, scheme: "http" }
    }

    /// Over TLS, where ALPN must settle on `h2`.
    ///
    /// # Panics
    /// When it does not, or the handshake fails.
    #[must_use]
    #[track_caller]
    pub fn tls(address: SocketAddr, name: &str, trust: &Trust<'_>) -> Self {
        let runtime = runtime();
        let config = match trust {
            Trust::Authority(authority) => authority.client_config(&[b"h2", b"http/1.1"]),
            Trust::Anyone => credulous_client_config(&[b"h2", b"http/1.1"]),
        };
        let name = ServerName::try_from(name.to_owned()).expect("a test writes valid names");
        let sender = within(&runtime, async {
            let stream = TcpStream::connect(address).await.expect("somebody listens");
            let connector = TlsConnector::from(Arc::clone(&config));
            let stream = connector.connect(name, stream).await.expect("the handshake succeeds");
            assert_eq!(
                stream.get_ref().1.alpn_protocol(),
                Some(&b"h2"[..]),
                "ALPN settled on something else"
            );
            start(stream).await
        });
        Self { runtime, sender, scheme: "https" }
    }

    /// Sends a request and reads the answer.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn ask(&mut self, request: &H2Request) -> H2Response {
        match self.try_ask(request) {
            Ok(response) => response,
            Err(error) => panic!("no whole answer: {error}"),
        }
    }

    /// Sends a request and reads the answer, or says what went wrong.
    ///
    /// # Errors
    /// What HTTP/2 said.
    pub fn try_ask(&mut self, request: &H2Request) -> Result<H2Response, h2::Error> {
        let sender = self.sender.clone();
        let head = self.head(request);
        within(&self.runtime, exchange(sender, head, request.clone()))
    }

    /// Sends all of these at once, each on a stream of its own, and reads all answers.
    ///
    /// # Panics
    /// When one is missing.
    #[track_caller]
    pub fn ask_all(&mut self, requests: &[H2Request]) -> Vec<H2Response> {
        let asked: Vec<_> = requests
            .iter()
            .map(|request| {
                self.runtime.spawn(exchange(
                    self.sender.clone(),
                    self.head(request),
                    request.clone(),
                ))
            })
            .collect();
        within(&self.runtime, async {
            let mut answers = Vec::new();
            for answer in asked {
                answers.push(answer.await.expect("no panic").expect("a whole answer"));
            }
            answers
        })
    }

    /// Sends a request's head and keeps its stream open both ways.
    ///
    /// # Panics
    /// When the stream cannot be opened.
    #[track_caller]
    pub fn open(&mut self, request: &H2Request) -> H2Stream<'_> {
        let (sender, head) = (self.sender.clone(), self.head(request));
        let opened = within(&self.runtime, async {
            let mut sender = sender.ready().await?;
            sender.send_request(head, false)
        });
        let (answer, sending) = opened.expect("a stream can be opened");
        H2Stream { runtime: &self.runtime, sending, answer: Some(answer), receiving: None }
    }

    fn head(&self, request: &H2Request) -> http::Request<()> {
        let uri = format!("{}://{}{}", self.scheme, request.authority, request.path);
        let mut head = http::Request::builder()
            .method(request.method.as_str())
            .uri(uri)
            .body(())
            .expect("a valid head");
        *head.headers_mut() = to_map(&request.headers);
        if let Some(protocol) = &request.protocol {
            head.extensions_mut().insert(h2::ext::Protocol::from(protocol.as_str()));
        }
        head
    }
}

/// A stream that is open both ways.
pub struct H2Stream<'a> {
    runtime: &'a Runtime,
    sending: SendStream<Bytes>,
    answer: Option<ResponseFuture>,
    receiving: Option<RecvStream>,
}

impl H2Stream<'_> {
    /// Sends one DATA frame.
    ///
    /// # Panics
    /// When the stream is closed.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.sending.send_data(Bytes::copy_from_slice(bytes), false).expect("an open stream");
    }

    /// Ends the request, with an empty DATA frame.
    ///
    /// # Panics
    /// When the stream is closed.
    #[track_caller]
    pub fn end(&mut self) {
        self.sending.send_data(Bytes::new(), true).expect("an open stream");
    }

    /// Ends the request with these fields.
    ///
    /// # Panics
    /// When the stream is closed.
    #[track_caller]
    pub fn finish(&mut self, trailers: &[(&str, &str)]) {
        let trailers: Vec<_> =
            trailers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.sending.send_trailers(to_map(&trailers)).expect("an open stream");
    }

    /// Keeps the connection going until this is so: the client only works while it is asked for something.
    ///
    /// # Panics
    /// When it does not become so.
    #[track_caller]
    pub fn drive_until(&self, is_so: impl Fn() -> bool) {
        within(self.runtime, async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }

    /// Waits for the head of the answer and returns its status.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn status(&mut self) -> u16 {
        let answer = self.answer.take().expect("the head is read once");
        let answer = within(self.runtime, answer).expect("an answer");
        let status = answer.status().as_u16();
        self.receiving = Some(answer.into_body());
        status
    }

    /// The next bytes of the answer's body; none at its end.
    ///
    /// # Panics
    /// When the stream is reset, or before [`status`](Self::status).
    #[track_caller]
    pub fn receive(&mut self) -> Vec<u8> {
        let body = self.receiving.as_mut().expect("the head is read first");
        let Some(data) = within(self.runtime, body.data()) else { return Vec::new() };
        let data = data.expect("no reset");
        body.flow_control().release_capacity(data.len()).expect("an open stream");
        data.to_vec()
    }

    /// The fields after the answer's body.
    ///
    /// # Panics
    /// When the stream is reset, or before [`status`](Self::status).
    #[track_caller]
    pub fn trailers(&mut self) -> Headers {
        let body = self.receiving.as_mut().expect("the head is read first");
        let trailers = within(self.runtime, body.trailers()).expect("no reset");
        trailers.map(|trailers| listed(&trailers)).unwrap_or_default()
    }
}

async fn start<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
) -> SendRequest<Bytes> {
    let (sender, connection) = h2::client::handshake(stream).await.expect("the peer speaks HTTP/2");
    // How a connection ends shows in its streams.
    tokio::spawn(async move { drop(connection.await) });
    sender
}

async fn exchange(
    sender: SendRequest<Bytes>,
    head: http::Request<()>,
    request: H2Request,
) -> Result<H2Response, h2::Error> {
    let mut sender = sender.ready().await?;
    let ends = request.frames.is_empty() && request.trailers.is_empty();
    let (answer, mut sending) = sender.send_request(head, ends)?;
    let upload = tokio::spawn(async move {
        let last = request.frames.len();
        for (index, frame) in request.frames.into_iter().enumerate() {
            let ends = index + 1 == last && request.trailers.is_empty();
            sending.send_data(frame.into(), ends)?;
        }
        if !request.trailers.is_empty() {
            sending.send_trailers(to_map(&request.trailers))?;
        }
        Ok::<_, h2::Error>(())
    });
    let (parts, mut body) = answer.await?.into_parts();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        bytes.extend_from_slice(&data);
    }
    let trailers = body.trailers().await?.map(|trailers| listed(&trailers)).unwrap_or_default();
    // A peer may answer without taking the whole body.
    let _uploaded = upload.await;
    Ok(H2Response {
        status: parts.status.as_u16(),
        headers: listed(&parts.headers),
        body: bytes,
        trailers,
    })
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
}

#[track_caller]
fn within<T>(runtime: &Runtime, future: impl Future<Output = T>) -> T {
    let limited = async { tokio::time::timeout(Deadline::soon().left(), future).await };
    match runtime.block_on(limited) {
        Ok(value) => value,
        Err(_elapsed) => panic!("nothing came in time"),
    }
}
