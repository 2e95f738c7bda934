//! Pages that ask browsers to tell how wide images will be shown (Client Hints, RFC 8942).

use http::{HeaderName, HeaderValue, header};
use pingora_http::ResponseHeader;
use switchback_variant::ACCEPT_CH;

use super::answer_head::AnswerHead;
use super::context::Context;
use super::fault::Fault;

const NAME: HeaderName = HeaderName::from_static("accept-ch");

/// Whether an answer is a page that is to ask.
pub(crate) fn are_wanted(head: &AnswerHead, context: &Context) -> bool {
    asks(context) && head.line(&header::CONTENT_TYPE).is_some_and(is_page)
}

/// Has it ask, if it is.
pub(crate) fn ask(head: &mut ResponseHeader, context: &Context) -> Result<(), Fault> {
    if !asks(context) || !head.headers.get(header::CONTENT_TYPE).is_some_and(is_page) {
        return Ok(());
    }
    head.append_header(NAME, ACCEPT_CH).map_err(Fault::internal)?;
    Ok(())
}

fn asks(context: &Context) -> bool {
    context.site().is_some_and(|site| site.asks_for_hints) && context.fetch.is_none()
}

fn is_page(line: &HeaderValue) -> bool {
    let essence = line.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"text/html")
}
