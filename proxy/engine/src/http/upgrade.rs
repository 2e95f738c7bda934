//! WebSockets over HTTP/1.1 (RFC 6455) and HTTP/2 (RFC 8441), tunnelled by ourselves: Pingora cuts a quiet tunnel after its
//! read time-out, can lose a fast `101` (its issue 946), and knows no extended CONNECT.
//!
//! The upstream speaks HTTP/1.1 either way; what the client speaks is [`Client`]'s affair. The request goes through the same phases as any other; bytes of the client pass only after the upstream has agreed.

mod client;
mod framing;

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Buf, BytesMut};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use pingora_core::connectors::TransportConnector;
use pingora_core::protocols::Stream;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_conf::plan::{UpstreamProtocol, UpstreamTimeouts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::answer_head::Lines;
use super::context::{Context, Sent};
use super::fault::{Fault, Kind};
use super::{
    access, answer, concurrency, fail, filter, finish, forward, outcome, receive, reply, route,
    select, shard, spill,
};
use crate::listen::head::has_token;

pub(crate) use client::Client;
use framing::Frame;

/// A client's request to change protocols.
pub(crate) struct Handshake {
    /// The head, as received.
    pub(crate) head: RequestHeader,
    /// What the client sent after it, too early.
    pub(crate) ahead: BytesMut,
    /// The client.
    pub(crate) client: Client,
}

/// The largest head of an answer that is read here.
const MOST_HEAD: usize = 64 * 1024;

/// Makes a request for a WebSocket over HTTP/2 into the one that HTTP/1.1 would have had.
pub(crate) fn as_get(head: &mut RequestHeader, context: &Context) -> Result<(), Fault> {
    head.set_method(Method::GET);
    if let Some(authority) = head.uri.authority().map(|authority| authority.as_str().to_owned()) {
        head.insert_header(header::HOST, authority).map_err(Fault::internal)?;
    }
    // Sixteen bytes that nobody else chose.
    let nonce = context.resident.request_ids.next();
    let key = BASE64_STANDARD.encode(nonce.as_bytes().get(..16).unwrap_or_default());
    head.insert_header(header::SEC_WEBSOCKET_KEY, key).map_err(Fault::internal)
}

/// Receives and routes a request for a tunnel.
pub(crate) fn admit(head: &mut RequestHeader, context: &mut Context) -> Result<(), Fault> {
    receive::receive(head, context)
        .and_then(|()| route::route(head, context))
        .and_then(|()| access::judge(head, context))
        .and_then(|()| concurrency::enter(head, context))
}

/// Whether the request in `context` can be tunnelled; others go the usual way.
pub(crate) fn is_tunnel(context: &Context) -> bool {
    let upstream = context.upstream();
    upstream.is_some_and(|upstream| upstream.plan.protocol == UpstreamProtocol::Http1)
}

/// Asks the upstream, and tunnels if it agrees; otherwise its answer, or an error page, is the last on the connection.
pub(crate) async fn run(
    mut handshake: Handshake,
    context: &mut Context,
    connector: &TransportConnector,
) {
    if let Err(fault) = exchange(&mut handshake, context, connector).await {
        outcome::broke_by(&fault, context);
        refuse(&mut handshake, fault, context).await;
    }
    outcome::end(context);
    finish::record(&handshake.head, &Lines::None, context);
}

async fn exchange(
    handshake: &mut Handshake,
    context: &mut Context,
    connector: &TransportConnector,
) -> Result<(), Fault> {
    filter_request(handshake, context).await?;
    let (mut upstream, timeouts) = connect(&handshake.head, context, connector).await?;
    let request = request(handshake, context).await?;
    within(timeouts.write, upstream.write_all(&request)).await?;
    within(timeouts.write, upstream.flush()).await?;
    let mut received = BytesMut::new();
    let mut answer = read_head(&mut upstream, &mut received, timeouts).await?;
    if answer.head.status == StatusCode::SWITCHING_PROTOCOLS {
        reply::switched(&mut answer.head, &handshake.head, context)?;
        filter::tunnel_response(&mut answer.head, &handshake.head, context).await?;
        send_head(handshake, &mut answer, context).await?;
        tunnel(handshake, upstream, received, context).await;
        return Ok(());
    }
    let frame = Frame::of(&answer.head)?;
    reply::proxied(&mut answer.head, &handshake.head, context)?;
    filter::tunnel_response(&mut answer.head, &handshake.head, context).await?;
    send_head(handshake, &mut answer, context).await?;
    relay_body(handshake, &mut upstream, received, (frame, timeouts), context).await
}

/// Asks the plugins that a request for a tunnel meets.
async fn filter_request(handshake: &mut Handshake, context: &mut Context) -> Result<(), Fault> {
    if !filter::are_due(context) {
        return Ok(());
    }
    if let Some(answer) = filter::ask(&mut handshake.head, context).await? {
        context.filtering.answer_with(answer);
        return Err(Fault::client(Kind::Forbidden, "a plugin has answered"));
    }
    if !is_tunnel(context) {
        let reason = "a plugin leads a request for a tunnel to where there is none";
        return Err(Fault::client(Kind::Refused(StatusCode::NOT_IMPLEMENTED), reason));
    }
    Ok(())
}

/// Dials endpoints until one answers or the tries are used up.
async fn connect(
    head: &RequestHeader,
    context: &mut Context,
    connector: &TransportConnector,
) -> Result<(Stream, UpstreamTimeouts), Fault> {
    loop {
        let peer: Box<HttpPeer> = spill::select_uncounted(head, context).await?;
        let timeouts = timeouts(context)?;
        match connector.new_stream(&*peer).await {
            Ok(stream) => {
                context.asked.lock().current(|tried| tried.connected = Some(tried.began.elapsed()));
                return Ok((stream, timeouts));
            }
            Err(mut error) => {
                error.as_up();
                context.resident.metrics.upstream_connect_failures.add();
                if !select::after_connect(&error, context) {
                    let fault = context.fault.take().unwrap_or_else(|| fail::judge(&error));
                    return Err(shard::judge(fault, context));
                }
                tracing::warn!(request = &*context.request.id, endpoint = %peer, "no answer, trying next: {error}");
            }
        }
    }
}

/// Those of the upstream that has the request now: it may have gone to another one.
fn timeouts(context: &Context) -> Result<UpstreamTimeouts, Fault> {
    let own = context.upstream_timeouts();
    let upstream = context.upstream();
    let timeouts = upstream.map(|upstream| own.over(upstream.plan.timeouts));
    timeouts.ok_or_else(|| Fault::ours(Kind::Internal, "no upstream to tunnel to"))
}

/// The request as the upstream receives it.
async fn request(handshake: &Handshake, context: &mut Context) -> Result<Vec<u8>, Fault> {
    let mut head = handshake.head.clone();
    remove_hop_by_hop(&mut head);
    forward::forward(&mut head, &handshake.head, context)?;
    filter::tunnel_request(&mut head, context).await?;
    head.insert_header(header::CONNECTION, "upgrade").map_err(Fault::internal)?;
    head.insert_header(header::UPGRADE, "websocket").map_err(Fault::internal)?;
    let mut bytes = Vec::with_capacity(512);
    bytes.extend_from_slice(head.method.as_str().as_bytes());
    bytes.push(b' ');
    bytes.extend_from_slice(head.raw_path());
    bytes.extend_from_slice(b" HTTP/1.1\r\n");
    head.header_to_h1_wire(&mut bytes);
    bytes.extend_from_slice(b"\r\n");
    Ok(bytes)
}

/// Takes out what concerns the client's connection alone (RFC 9110, 7.6.1).
fn remove_hop_by_hop(head: &mut RequestHeader) {
    let lines: Vec<HeaderValue> =
        head.headers.get_all(header::CONNECTION).into_iter().cloned().collect();
    let names: Vec<HeaderName> = head.headers.keys().cloned().collect();
    for name in names {
        let nominated =
            lines.iter().any(|line| has_token(line.as_bytes(), name.as_str().as_bytes()));
        // A client may not have Host or the proxy's own fields taken out by nominating them.
        let protected = name == header::HOST
            || name.as_str().starts_with("x-forwarded")
            || name == header::FORWARDED;
        if nominated && !protected {
            head.remove_header(&name);
        }
    }
    for name in [
        "connection",
        "upgrade",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
    ] {
        head.remove_header(name);
    }
}

/// The head of an answer, and how its body is framed.
struct Reply {
    head: ResponseHeader,
}

async fn read_head(
    upstream: &mut Stream,
    received: &mut BytesMut,
    timeouts: UpstreamTimeouts,
) -> Result<Reply, Fault> {
    loop {
        if let Some(head) = parse_head(received)? {
            // Interim answers say nothing about the tunnel.
            if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
                continue;
            }
            return Ok(Reply { head });
        }
        if received.len() > MOST_HEAD {
            return Err(Fault::upstream(Kind::BadAnswer, "head of the answer larger than 64 KiB"));
        }
        if within(timeouts.read, upstream.read_buf(received)).await? == 0 {
            return Err(Fault::upstream(
                Kind::BadAnswer,
                "connection closed before the head of the answer",
            ));
        }
    }
}

fn parse_head(received: &mut BytesMut) -> Result<Option<ResponseHeader>, Fault> {
    let bad = |reason: String| Fault::upstream(Kind::BadAnswer, reason);
    let mut fields = [const { std::mem::MaybeUninit::uninit() }; 256];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let parsed = config.parse_response_with_uninit_headers(&mut response, received, &mut fields);
    let length = match parsed.map_err(|error| bad(error.to_string()))? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(length) => length,
    };
    let mut head = ResponseHeader::build(response.code.unwrap_or(0), Some(response.headers.len()))
        .map_err(|error| bad(error.to_string()))?;
    for field in response.headers.iter() {
        let value = HeaderValue::from_bytes(field.value).map_err(|error| bad(error.to_string()))?;
        head.append_header(field.name.to_owned(), value).map_err(|error| bad(error.to_string()))?;
    }
    received.advance(length);
    Ok(Some(head))
}

/// Sends the head of the upstream's answer to the client.
async fn send_head(
    handshake: &mut Handshake,
    answer: &mut Reply,
    context: &mut Context,
) -> Result<(), Fault> {
    let head = handshake.client.fit(&mut answer.head).map_err(Fault::internal)?;
    context.sent = Sent { status: Some(head.status), body: 0, head: finish::head_length(head) };
    let patience = context.connection.listener.plan.timeouts.write;
    handshake.client.send_head(head, patience).await
}

/// A head as HTTP/1.1 writes it.
pub(crate) fn wire(head: &ResponseHeader) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    let reason = head.get_reason_phrase().unwrap_or("");
    for part in ["HTTP/1.1 ", head.status.as_str(), " ", reason, "\r\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
    head.header_to_h1_wire(&mut bytes);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Both directions until both have ended. No time-out: a quiet WebSocket is a healthy one; a drain ends it.
async fn tunnel(
    handshake: &mut Handshake,
    mut upstream: Stream,
    received: BytesMut,
    context: &mut Context,
) {
    context.resident.metrics.tunnels.add();
    let ahead = std::mem::take(&mut handshake.ahead).freeze();
    let copied = handshake.client.tunnel(&mut upstream, ahead, received.freeze()).await;
    // How it ended, by a reset or in order, makes no difference to anybody any more.
    if let Some((up, down)) = copied {
        (context.body_received, context.sent.body) = (up, down);
    }
    context.asked.lock().current(|tried| tried.ended = Some(tried.began.elapsed()));
}

/// The body of an answer that did not agree.
async fn relay_body(
    handshake: &mut Handshake,
    upstream: &mut Stream,
    mut received: BytesMut,
    (mut frame, timeouts): (Frame, UpstreamTimeouts),
    context: &mut Context,
) -> Result<(), Fault> {
    let patience = context.connection.listener.plan.timeouts.write;
    loop {
        let piece = frame.take(&mut received)?;
        let is_over = frame.is_over();
        context.sent.body += handshake.client.send_body(piece, is_over, patience).await?;
        if is_over {
            return Ok(());
        }
        if within(timeouts.read, upstream.read_buf(&mut received)).await? == 0 {
            return match frame {
                Frame::UntilClose => {
                    handshake.client.send_body(BytesMut::new(), true, patience).await.map(drop)
                }
                _ => Err(Fault::upstream(
                    Kind::BadAnswer,
                    "connection closed before the end of the answer",
                )),
            };
        }
    }
}

/// The error page, if nothing was sent yet.
pub(crate) async fn refuse(handshake: &mut Handshake, fault: Fault, context: &mut Context) {
    let answered = context.filtering.take_answer();
    if answered.is_none() {
        fail::log(&fault, context);
    }
    let silent = context.sent.status.is_some() || fault.kind() == Kind::ClientClosed;
    let is_answer = answered.is_some();
    let page = answered.map_or_else(|| answer::fault(&fault, context), answer::Answer::into_page);
    if let Some(mut page) = page.ok().filter(|_| !silent) {
        // A header rule, or a plugin, that fails here leaves the page as it was.
        let _ = reply::own(&mut page.head, &handshake.head, context);
        let seen = filter::own_response(&mut page.head, &handshake.head, context).await;
        if let Ok(Some(Ok(instead))) = seen.map(|seen| seen.map(answer::Answer::into_page)) {
            page = instead;
        }
        context.sent = Sent {
            status: Some(page.head.status),
            body: page.body.len() as u64,
            head: finish::head_length(&page.head),
        };
        let patience = context.connection.listener.plan.timeouts.write;
        // Whoever does not take it does not want it.
        let _ = handshake.client.send_page(page, patience).await;
    }
    if !is_answer {
        context.fault = Some(fault);
    }
}

/// Waits for the upstream, no longer than `patience`.
async fn within<T>(
    patience: Duration,
    step: impl Future<Output = std::io::Result<T>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(patience, step).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Fault::upstream(Kind::BadAnswer, error.to_string())),
        Err(_) => Err(Fault::upstream(Kind::UpstreamTimeout, "the upstream takes too long")),
    }
}
