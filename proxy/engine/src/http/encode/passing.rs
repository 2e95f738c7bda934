//! An upstream's answer, coded as it passes. What is encoded goes through Pingora's filter: every piece is out before the next
//! comes. What is decoded is drawn by whoever writes it to the client ([`Drawn`]).

use bytes::Bytes;
use http::{HeaderMap, Method, Version, header};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::coder::{Coder, Failed};
use super::drawn::Drawn;
use super::settle::settle;
use crate::h2::Exchange;
use crate::http::context::Context;
use crate::http::fault::Fault;
use crate::listen::lent::Lent;
use crate::listen::outlet::Outlet;

/// Changes the head of an upstream's answer, and makes ready for its body.
pub(crate) fn head(
    head: &mut ResponseHeader,
    request: &RequestHeader,
    context: &mut Context,
) -> Result<(), Fault> {
    let Some(mut encoding) = context.encoding.take() else { return Ok(()) };
    let coder = match head.status.is_informational() {
        true => None,
        false => settle(head, request, &encoding, context)?,
    };
    let is_drawn = request.method != Method::HEAD && coder.as_ref().is_some_and(Coder::decodes);
    // Pingora has looked for a length before. Whoever draws has to be told of the end in any case.
    if coder.is_some() && (request.version == Version::HTTP_11 || is_drawn) {
        head.insert_header(header::TRANSFER_ENCODING, "chunked").map_err(Fault::internal)?;
    }
    match coder {
        Some(coder) if is_drawn => Drawn::hand(coder, head),
        coder => encoding.coder = coder,
    }
    context.encoding = Some(encoding);
    Ok(())
}

/// Where the client's stream has to be told of an answer whose body is drawn: over HTTP/1. Over HTTP/2 the head alone tells.
pub(crate) fn outlet(session: &mut Session, context: &Context) -> Option<Outlet> {
    context.encoding.as_ref()?;
    let patience = context.connection.listener.plan.timeouts.write;
    let outlet = lent(session)?.outlet(session.req_header().version, patience).clone();
    // It minds the time from now on.
    session.set_write_timeout(None);
    Some(outlet)
}

/// Has the client's stream draw the body behind this head, if that is to be drawn.
pub(crate) fn tell(head: &ResponseHeader, session: &mut Session, context: &Context) {
    if Drawn::is_wanted(head)
        && let Some(outlet) = outlet(session, context)
    {
        outlet.tell(head);
    }
}

/// Another answer is sent than the client's stream was told of.
pub(crate) fn take_back(session: &Session) {
    if let Some(outlet) = lent(session).and_then(Lent::told) {
        outlet.take_back();
    }
}

/// Bytes of a body that the client was sent, where it was drawn over HTTP/1.
pub(crate) fn sent(session: &Session) -> Option<u64> {
    lent(session)?.recoded()
}

fn lent(session: &Session) -> Option<&Lent> {
    session.downstream_session.stream()?.as_any().downcast_ref()
}

/// Puts what comes of a piece of an upstream's answer into its place.
pub(crate) fn body(
    body: &mut Option<Bytes>,
    end: bool,
    context: &mut Context,
) -> Result<(), Fault> {
    let Some(coder) = context.encoding.as_mut().and_then(|encoding| encoding.coder.as_mut()) else {
        return Ok(());
    };
    let mut out = Vec::new();
    let passed = pass(coder, body.take(), end, &mut out);
    if let Err(error) = &passed {
        error.note(context);
    }
    if end && let Some(encoding) = &mut context.encoding {
        encoding.coder = None;
    }
    *body = (!out.is_empty()).then(|| out.into());
    passed.map_err(Failed::into_fault)
}

/// The end of an answer that ends with trailers, after what is `last`: what ends its body takes their place. They follow that where they can, over HTTP/2.
pub(crate) fn end(
    trailers: &mut HeaderMap,
    mut last: Option<Bytes>,
    request: &RequestHeader,
    context: &mut Context,
) -> Result<Option<Bytes>, Fault> {
    body(&mut last, true, context)?;
    if last.is_some()
        && let Some(exchange) = Exchange::of(request)
    {
        exchange.keep_response_trailers(std::mem::take(trailers));
    }
    Ok(last)
}

fn pass(
    coder: &mut Coder,
    piece: Option<Bytes>,
    end: bool,
    out: &mut Vec<u8>,
) -> Result<(), Failed> {
    if let Some(piece) = piece {
        coder.piece(&piece, out)?;
    }
    if end { coder.finish(out) } else { coder.flush(out) }
}
