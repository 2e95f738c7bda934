//! Phase 11: the access log and the counters.

use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::answer_head::Lines;
use super::context::{Context, Sent};
use super::facts::RequestFacts;
use super::fault::Kind;
use super::{encode, filter};
use super::{outcome, shard};

/// Closes the books on a request that went through Pingora.
pub(crate) fn finish(session: &Session, context: &mut Context) {
    outcome::end(context);
    context.asked.lock().current(|tried| {
        tried.ended.get_or_insert_with(|| tried.began.elapsed());
    });
    shard::settle(context);
    if context.inner {
        return;
    }
    let written = session.response_written();
    context.body_received = session.body_bytes_read() as u64;
    context.sent = Sent {
        status: written.map(|head| head.status),
        body: encode::passing::sent(session).unwrap_or(session.body_bytes_sent() as u64),
        head: written.map_or(0, head_length),
    };
    let lines = written.map_or(Lines::None, |head| Lines::Map(&head.headers));
    record(session.req_header(), &lines, context);
}

/// Writes the log lines and counts. A client that went away before an answer is logged as 499, as nginx does.
pub(crate) fn record(request: &RequestHeader, sent: &Lines<'_>, context: &mut Context) {
    if context.fault.as_ref().is_some_and(|fault| fault.kind() == Kind::ClientClosed)
        || context.sent.status.is_none()
    {
        context.sent.status.get_or_insert(Kind::ClientClosed.status());
    }
    let status = context.sent.status.map_or(0, |status| status.as_u16());
    context.resident.metrics.answered(status);
    if let Some(outcome) = context.cache.as_ref().and_then(|facts| facts.outcome)
        && let Some(settings) = context.place.route.and_then(|route| context.snapshot.cache(route))
    {
        settings.zone.counters.request(outcome);
    }
    context.memos.maps.forget_passing();
    filter::log(request, sent, context);
    let facts = RequestFacts::new(request, context).with_sent(sent);
    for log in &context.snapshot.access_logs {
        log.write(&facts);
    }
}

/// Bytes of a head as HTTP/1.1 writes it; HTTP/2 compresses, but logs compare better with one measure.
pub(crate) fn head_length(head: &ResponseHeader) -> u64 {
    let reason = head.get_reason_phrase().map_or(0, str::len);
    let fields: usize =
        head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    ("HTTP/1.1 200 \r\n\r\n".len() + reason + fields) as u64
}
