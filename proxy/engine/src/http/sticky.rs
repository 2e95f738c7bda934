//! Requests that stay with one endpoint: who asked for it, and what the client is told.

use http::header;
use pingora_http::{RequestHeader, ResponseHeader};

use super::context::Context;
use super::facts::{RequestFacts, cookie};
use super::fault::Fault;
use super::shard::Chosen;
use crate::snapshot::sticky::{By, Sticky};

/// The endpoint that the request is to stay with, if it says one.
pub(super) fn asked_for(
    sticky: Option<&Sticky>,
    head: &RequestHeader,
    context: &Context,
) -> Option<usize> {
    let sticky = sticky?;
    match &sticky.by {
        By::Cookie { name, .. } => sticky.endpoint(cookie(&head.headers, name)?),
        By::Route(template) => {
            let mut value = Vec::new();
            template.render(&RequestFacts::new(head, context), &mut value);
            sticky.endpoint(&value)
        }
    }
}

/// Tells the client which endpoint it has from now on, unless it knows.
pub(super) fn tell(head: &mut ResponseHeader, context: &Context) -> Result<(), Fault> {
    let Some(endpoint) = context.stays_with else { return Ok(()) };
    let sticky = context.chosen.as_ref().and_then(Chosen::sticky);
    let Some(By::Cookie { lines, secure, .. }) = sticky.map(|sticky| &sticky.by) else {
        return Ok(());
    };
    let is_secure = secure.unwrap_or_else(|| context.connection.client_scheme() == "https");
    let line = lines.get(endpoint).and_then(|lines| lines.get(usize::from(is_secure)));
    let Some(line) = line else { return Ok(()) };
    head.append_header(header::SET_COOKIE, line.clone()).map_err(Fault::internal).map(drop)
}
