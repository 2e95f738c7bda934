//! Requests of plugins: to a service of the configuration, by its balancing, its shards and its TLS. Plugins have no part in them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Method, header};
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::ALPN;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType};
use pingora_http::RequestHeader;
use switchback_conf::plan::{EndpointAddress, ProxyVersion, RouteTimeouts, UpstreamProtocol};
use switchback_plugin::{HttpRequest, HttpResponse, OperationError, Outcome};
use switchback_upstream::{Ask, Attempt, Choice, Outcome as Came};

use crate::adapt;
use crate::http::outcome::{chance, tell_of};
use crate::snapshot::resident::Resident;
use crate::snapshot::shards::{Group, Part};
use crate::snapshot::{Snapshot, Upstream};

/// Connections to services, of one thread.
#[derive(Default)]
pub(crate) struct Client(Lazy);

/// Made when it is used first: most threads need none, and each takes a table of its own.
type Lazy = std::sync::OnceLock<Connector>;

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// How long a request may take where nobody says anything.
const USUAL: Duration = Duration::from_secs(30);
/// Heads that announce another.
const MOST_INTERIM: usize = 10;

/// Why one try came to nothing.
enum Failure {
    /// Nothing was sent: another endpoint may be asked.
    Unsent,
    /// It broke on a connection that had served others before.
    Stale,
    /// It broke.
    Broken(OperationError),
}

/// Sends `request`, and reads all of its answer.
pub(super) async fn ask(
    client: Arc<Client>,
    snapshot: Arc<Snapshot>,
    resident: Arc<Resident>,
    request: Box<HttpRequest>,
) -> Result<Outcome, OperationError> {
    let limit = request.timeout.unwrap_or(USUAL);
    // How patient a plugin is says nothing of an endpoint: what its upstream's own time-outs say is told.
    let asking = tokio::time::timeout(limit, tries(&client, &snapshot, &resident, &request));
    let response = asking.await.map_err(|_| OperationError::Timeout)??;
    Ok(Outcome::Http(Box::new(response)))
}

async fn tries(
    client: &Client,
    snapshot: &Snapshot,
    resident: &Resident,
    request: &HttpRequest,
) -> Result<HttpResponse, OperationError> {
    let mut upstreams = snapshot.upstreams.iter();
    let upstream = upstreams.find(|own| *own.plan.name == *request.upstream);
    let upstream = upstream.ok_or(OperationError::Refused)?;
    let part = part(upstream, request).ok_or(OperationError::Failed)?;
    let is_safe = request.method.is_safe();
    let group = part.group(part.has_replicas() && !is_safe);
    let may_repeat = request.method.is_idempotent();
    let mut attempt = Attempt::default();
    loop {
        let ask = Ask { is_safe, ..Ask::at(Instant::now(), chance()) };
        let choice = group.pool.choose(&mut attempt, &ask);
        let choice = choice.map_err(|_| OperationError::Failed)?;
        let at = Try { upstream, group, choice: &choice, resident };
        match once(client, &at, request).await {
            Ok(response) => return Ok(response),
            Err(Failure::Unsent) => {}
            Err(Failure::Stale) if may_repeat => attempt.take_back(),
            Err(Failure::Stale) => return Err(OperationError::Failed),
            Err(Failure::Broken(error)) => return Err(error),
        }
    }
}

/// A try at an endpoint. What comes of it is told as that of any other request: who fails for plugins fails for all.
struct Try<'t> {
    upstream: &'t Upstream,
    group: &'t Group,
    choice: &'t Choice,
    resident: &'t Resident,
}

impl Try<'_> {
    fn tell(&self, outcome: Came) {
        let Self { upstream, group, choice, resident } = self;
        let told = (outcome, Instant::now());
        tell_of(told, (&group.pool, &choice.in_flight), &upstream.plan.name, resident);
    }
}

/// Who has the request: the shard of its key, where there are some.
fn part(upstream: &Upstream, request: &HttpRequest) -> Option<Arc<Part>> {
    let Some(sharding) = upstream.sharding.as_deref() else { return Some(upstream.part.load()) };
    let said = request.shard_key.as_deref()?;
    let mut key = Vec::with_capacity(said.len());
    sharding.form.append(said, &mut key);
    let placed = sharding.epoch.load().place(&key, request.method.is_safe())?;
    Some(placed.shard.part.load())
}

async fn once(
    client: &Client,
    at: &Try<'_>,
    request: &HttpRequest,
) -> Result<HttpResponse, Failure> {
    let template = at.group.peers.get(at.choice.endpoint).ok_or(Failure::Unsent)?;
    let peer = peer(template, at.choice, at.upstream).ok_or(Failure::Unsent)?;
    let head = head(request, at.upstream, template, at.choice)
        .ok_or(Failure::Broken(OperationError::Refused))?;
    let connector = client.0.get_or_init(|| Connector::new(None));
    let connected = connector.get_http_session(&*peer).await;
    let (mut session, is_reused) = connected.map_err(|error| {
        at.tell(not_connected(&error));
        Failure::Unsent
    })?;
    session.set_read_timeout(peer.options.read_timeout);
    session.set_write_timeout(peer.options.write_timeout);
    let mut is_answered = false;
    match exchange(&mut session, at, head, request, &mut is_answered).await {
        Ok(response) => {
            connector.release_http_session(session, &*peer, peer.options.idle_timeout).await;
            Ok(response)
        }
        Err(Broke::By(error)) => {
            at.tell(broke(&error, is_answered, is_reused));
            if is_reused && !is_answered {
                return Err(Failure::Stale);
            }
            Err(Failure::Broken(reason(&error)))
        }
        Err(Broke::TooLarge) => Err(Failure::Broken(OperationError::TooLarge)),
    }
}

/// How an exchange broke.
enum Broke {
    By(Box<Error>),
    /// There is more than the plugin wants.
    TooLarge,
}

impl From<Box<Error>> for Broke {
    fn from(error: Box<Error>) -> Self {
        Self::By(error)
    }
}

fn reason(error: &Error) -> OperationError {
    match error.etype() {
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => OperationError::Timeout,
        _ => OperationError::Failed,
    }
}

fn not_connected(error: &Error) -> Came {
    match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Came::ConnectTimedOut,
        _ => Came::ConnectFailed,
    }
}

fn broke(error: &Error, is_answered: bool, is_reused: bool) -> Came {
    match error.etype() {
        _ if is_answered => Came::Cut,
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Came::TimedOut,
        // The endpoint may have closed it for want of use.
        _ if is_reused => Came::Stale,
        _ => Came::Reset,
    }
}

async fn exchange(
    session: &mut HttpSession,
    at: &Try<'_>,
    head: RequestHeader,
    request: &HttpRequest,
    is_answered: &mut bool,
) -> Result<HttpResponse, Broke> {
    session.write_request_header(Box::new(head)).await?;
    if !request.body.is_empty() {
        session.write_request_body(Bytes::clone(&request.body), true).await?;
    }
    session.finish_request_body().await?;
    let sent = Instant::now();
    let mut response = answer_head(session).await?;
    *is_answered = true;
    at.tell(Came::Answered { status: response.status.as_u16(), first_byte: sent.elapsed() });
    let mut body = BytesMut::new();
    while let Some(piece) = session.read_response_body().await? {
        if body.len() + piece.len() > request.body_limit {
            return Err(Broke::TooLarge);
        }
        body.extend_from_slice(&piece);
    }
    response.body = body.freeze();
    Ok(response)
}

/// The head of an answer, behind those that announce it.
async fn answer_head(session: &mut HttpSession) -> Result<HttpResponse, Box<Error>> {
    for _ in 0..=MOST_INTERIM {
        session.read_response_header().await?;
        let Some(head) = session.response_header() else { break };
        if !head.status.is_informational() {
            let (status, headers) = (head.status, head.headers.clone());
            return Ok(HttpResponse { status, headers, body: Bytes::new() });
        }
    }
    Err(Error::new(ErrorType::InvalidHTTPHeader))
}

fn peer(template: &HttpPeer, choice: &Choice, upstream: &Upstream) -> Option<Box<HttpPeer>> {
    let dialled = adapt::peer::dial(template, &choice.target, RouteTimeouts::default());
    let mut peer = dialled.ok()?;
    // The engine's own HTTP/2 is for what passes.
    let is_http2 = upstream.plan.protocol == UpstreamProtocol::H2;
    peer.options.alpn = if is_http2 { ALPN::H2 } else { ALPN::H1 };
    if let Some(send) = &upstream.plan.send_proxy {
        // From nobody: these requests are our own.
        let header = match send.version {
            ProxyVersion::V1 => b"PROXY UNKNOWN\r\n".to_vec(),
            ProxyVersion::V2 => b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(),
        };
        adapt::announce(&mut peer, header, 0);
    }
    Some(peer)
}

/// What the proxy says of a request by itself.
const OURS: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

fn head(
    request: &HttpRequest,
    upstream: &Upstream,
    template: &HttpPeer,
    choice: &Choice,
) -> Option<RequestHeader> {
    if !request.target.starts_with('/') {
        return None;
    }
    let target = request.target.as_bytes();
    let mut head = RequestHeader::build(request.method.clone(), target, Some(8)).ok()?;
    for (name, value) in &request.headers {
        if !OURS.contains(name) {
            head.append_header(name.clone(), value.clone()).ok()?;
        }
    }
    if !head.headers.contains_key(header::HOST) {
        head.insert_header(header::HOST, host(upstream, template, choice)?).ok()?;
    }
    let has_body = matches!(request.method, Method::POST | Method::PUT | Method::PATCH);
    if has_body || !request.body.is_empty() {
        head.insert_header(header::CONTENT_LENGTH, request.body.len()).ok()?;
    }
    Some(head)
}

/// What the service is called: as its certificate or its endpoint says, else its address.
fn host(upstream: &Upstream, template: &HttpPeer, choice: &Choice) -> Option<HeaderValue> {
    if upstream.plan.tls.is_some() {
        return HeaderValue::from_str(&template.sni).ok();
    }
    let named = upstream.plan.endpoints.iter().find_map(|endpoint| match &endpoint.address {
        EndpointAddress::Name { host, port } => Some(format!("{host}:{port}")),
        _ => None,
    });
    let name = named.unwrap_or_else(|| match choice.target.to_string() {
        unix if unix.starts_with("unix:") => "localhost".to_owned(),
        address => address,
    });
    HeaderValue::from_str(&name).ok()
}
