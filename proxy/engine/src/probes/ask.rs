//! One probe of one endpoint.

use std::future::poll_fn;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Method, Request, Response, StatusCode, header};
use memchr::memmem;
use pingora_core::connectors::TransportConnector;
use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_core::protocols::{ALPN, Stream};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;
use switchback_conf::plan::{ProbePlan, ProxyVersion, RouteTimeouts, UpstreamProtocol};
use switchback_upstream::Target;

use super::{Subject, grpc};
use crate::adapt;

/// What is read of a body.
const MOST_BODY: usize = 64 * 1024;
/// Heads that announce another.
const MOST_INFORMATIONAL: usize = 10;
/// How probes call themselves.
const AGENT: &str = "switchback-health";

/// Why an endpoint is not well.
pub(super) type Unwell = String;

/// Asks as the plan says. The caller has a deadline.
pub(super) async fn ask(subject: &Subject, connector: &TransportConnector) -> Result<(), Unwell> {
    let peer = peer(subject)?;
    let is_http2 = matches!(subject.plan.probe, ProbePlan::Grpc { .. })
        || subject.protocol == UpstreamProtocol::H2;
    let stream = connector.new_stream(&peer).await.map_err(|error| unwell(&error))?;
    match &subject.plan.probe {
        ProbePlan::Tcp | ProbePlan::Tls => Ok(()),
        ProbePlan::Http { .. } if is_http2 => over_http2(subject, &peer, stream).await,
        ProbePlan::Http { .. } => over_http1(subject, stream).await,
        ProbePlan::Grpc { .. } => over_http2(subject, &peer, stream).await,
    }
}

fn unwell(error: &pingora_error::Error) -> Unwell {
    let context = error.context.as_ref().map_or("", |context| context.as_str());
    format!("{} {context}", error.etype().as_str()).trim_end().to_owned()
}

fn peer(subject: &Subject) -> Result<HttpPeer, Unwell> {
    let mut target = subject.endpoint.target().ok_or("its name could not be resolved")?;
    if let (Target::Tcp(address), Some(port)) = (&mut target, subject.plan.port) {
        address.set_port(port);
    }
    let peer = adapt::peer::dial(&subject.peer, &target, RouteTimeouts::default());
    let mut peer = *peer.map_err(|fault| fault.reason().to_owned())?;
    if subject.plan.probe == ProbePlan::Tcp {
        adapt::peer::without_tls(&mut peer);
    }
    peer.options.alpn = match (&subject.plan.probe, subject.protocol) {
        (ProbePlan::Grpc { .. }, _) | (_, UpstreamProtocol::H2) => ALPN::H2,
        _ => ALPN::H1,
    };
    if let Some(version) = subject.announces {
        // From nobody: these connections are our own.
        let header = match version {
            ProxyVersion::V1 => b"PROXY UNKNOWN\r\n".to_vec(),
            ProxyVersion::V2 => b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(),
        };
        adapt::announce(&mut peer, header, 0);
    }
    Ok(peer)
}

/// What an answer over HTTP must be.
fn judge_status(plan: &ProbePlan, status: StatusCode) -> Result<(), Unwell> {
    match plan {
        ProbePlan::Http { status: wanted, .. } if !wanted.hold(status.as_u16()) => {
            Err(format!("status {}", status.as_u16()))
        }
        ProbePlan::Grpc { .. } if status != StatusCode::OK => {
            Err(format!("status {}", status.as_u16()))
        }
        _ => Ok(()),
    }
}

fn wanted_body(plan: &ProbePlan) -> Option<&str> {
    match plan {
        ProbePlan::Http { body, .. } => body.as_deref(),
        _ => None,
    }
}

fn judge_body(plan: &ProbePlan, body: &[u8]) -> Result<(), Unwell> {
    match wanted_body(plan) {
        Some(wanted) if memmem::find(body, wanted.as_bytes()).is_none() => {
            Err(format!("the body does not hold `{wanted}`"))
        }
        _ => Ok(()),
    }
}

async fn over_http1(subject: &Subject, stream: Stream) -> Result<(), Unwell> {
    let ProbePlan::Http { method, path, host, .. } = &subject.plan.probe else { return Ok(()) };
    let head = RequestHeader::build(method.clone(), path.as_bytes(), None);
    let mut head = head.map_err(|error| unwell(&error))?;
    let fields = [
        (header::HOST, host.as_deref().unwrap_or(&subject.host)),
        (header::USER_AGENT, AGENT),
        (header::ACCEPT, "*/*"),
        (header::CONNECTION, "close"),
    ];
    for (name, value) in fields {
        head.insert_header(name, value).map_err(|error| unwell(&error))?;
    }
    let mut session = HttpSession::new(stream);
    session.write_request_header(Box::new(head)).await.map_err(|error| unwell(&error))?;
    let mut heads = 0;
    let status = loop {
        session.read_response().await.map_err(|error| unwell(&error))?;
        let status = session.get_status().unwrap_or_default();
        heads += 1;
        if !status.is_informational() || heads > MOST_INFORMATIONAL {
            break status;
        }
    };
    judge_status(&subject.plan.probe, status)?;
    let mut body = Vec::new();
    while wanted_body(&subject.plan.probe).is_some() && body.len() < MOST_BODY {
        match session.read_body_bytes().await.map_err(|error| unwell(&error))? {
            Some(bytes) => body.extend_from_slice(&bytes),
            None => break,
        }
    }
    judge_body(&subject.plan.probe, &body)
}

/// Over HTTP/2, gRPC or not.
async fn over_http2(subject: &Subject, peer: &HttpPeer, stream: Stream) -> Result<(), Unwell> {
    let is_agreed = match stream.selected_alpn_proto() {
        Some(name) => name == ALPN::H2,
        None => peer.sni.is_empty(),
    };
    if !is_agreed {
        return Err("it does not speak HTTP/2".to_owned());
    }
    let handshake = h2::client::Builder::new()
        .max_header_list_size(16 * 1024)
        .max_concurrent_reset_streams(4)
        .enable_push(false)
        .handshake(stream);
    let (sender, connection) = handshake.await.map_err(|error| error.to_string())?;
    tokio::select! {
        biased;
        answer = exchange(subject, peer, sender) => answer,
        ended = connection => Err(ended.err().map_or_else(
            || "the connection was closed".to_owned(),
            |error| error.to_string(),
        )),
    }
}

async fn exchange(
    subject: &Subject,
    peer: &HttpPeer,
    sender: SendRequest<Bytes>,
) -> Result<(), Unwell> {
    let wrong = |error: h2::Error| error.to_string();
    let (request, content) = request(subject, peer)?;
    let mut sender = sender.ready().await.map_err(wrong)?;
    let (answer, mut sending) = sender.send_request(request, content.is_none()).map_err(wrong)?;
    if let Some(content) = content {
        sending.send_data(content, true).map_err(wrong)?;
    }
    let answer = answer.await.map_err(wrong)?;
    judge_status(&subject.plan.probe, answer.status())?;
    let is_grpc = matches!(subject.plan.probe, ProbePlan::Grpc { .. });
    if is_grpc {
        grpc::judge_status(answer.headers())?;
    }
    let body = if is_grpc || wanted_body(&subject.plan.probe).is_some() {
        read(answer, is_grpc).await?
    } else {
        Vec::new()
    };
    match is_grpc {
        true => grpc::judge(&body),
        false => judge_body(&subject.plan.probe, &body),
    }
}

/// The body, and of gRPC the trailers, too.
async fn read(answer: Response<h2::RecvStream>, is_grpc: bool) -> Result<Vec<u8>, Unwell> {
    let mut stream = answer.into_body();
    let mut body = Vec::new();
    while body.len() < MOST_BODY {
        let Some(piece) = poll_fn(|context| stream.poll_data(context)).await else { break };
        let piece = piece.map_err(|error| error.to_string())?;
        // It cannot fail: these bytes were received.
        let _ = stream.flow_control().release_capacity(piece.len());
        body.extend_from_slice(&piece);
    }
    if is_grpc && stream.is_end_stream() {
        return Ok(body);
    }
    if is_grpc && let Some(trailers) = stream.trailers().await.map_err(|error| error.to_string())? {
        grpc::judge_status(&trailers)?;
    }
    Ok(body)
}

fn request(subject: &Subject, peer: &HttpPeer) -> Result<(Request<()>, Option<Bytes>), Unwell> {
    let scheme = if peer.sni.is_empty() { "http" } else { "https" };
    let uri = |path: &str, host: &Option<Box<str>>| {
        format!("{scheme}://{}{path}", host.as_deref().unwrap_or(&subject.host))
    };
    let request = Request::builder().header(header::USER_AGENT, AGENT);
    let (request, content) = match &subject.plan.probe {
        ProbePlan::Grpc { service, host } => {
            let request = request
                .method(Method::POST)
                .uri(uri(grpc::PATH, host))
                .header(header::CONTENT_TYPE, "application/grpc")
                .header(header::TE, "trailers");
            (request, Some(grpc::question(service)))
        }
        ProbePlan::Http { method, path, host, .. } => {
            let request = request.method(method.clone()).uri(uri(path, host));
            (request.header(header::ACCEPT, "*/*"), None)
        }
        ProbePlan::Tcp | ProbePlan::Tls => (request, None),
    };
    let request = request.version(http::Version::HTTP_2).body(());
    Ok((request.map_err(|error| error.to_string())?, content))
}
