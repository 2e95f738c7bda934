//! An upstream's answer, encoded or decoded as it passes: every piece is out before the next comes.

use bytes::Bytes;
use http::{HeaderMap, Version, header};
use pingora_http::{RequestHeader, ResponseHeader};

use super::coder::{Coder, Failed};
use super::settle::settle;
use crate::h2::Exchange;
use crate::http::context::Context;
use crate::http::fault::Fault;

/// Changes the head of an upstream's answer, and makes ready for its body.
pub(crate) fn head(
    head: &mut ResponseHeader,
    request: &RequestHeader,
    context: &mut Context,
) -> Result<(), Fault> {
    let Some(mut encoding) = context.encoding.take() else { return Ok(()) };
    if !head.status.is_informational() {
        encoding.coder = settle(head, request, &encoding, context)?;
    }
    // Pingora has looked for a length before.
    if encoding.coder.is_some() && request.version == Version::HTTP_11 {
        head.insert_header(header::TRANSFER_ENCODING, "chunked").map_err(Fault::internal)?;
    }
    context.encoding = Some(encoding);
    Ok(())
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

/// The end of an answer that ends with trailers: what ends its body takes their place. They follow that where they can, over HTTP/2.
pub(crate) fn end(
    trailers: &mut HeaderMap,
    request: &RequestHeader,
    context: &mut Context,
) -> Result<Option<Bytes>, Fault> {
    let mut last = None;
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
