//! Copies of requests, sent to another service beside the way. Their answers are read and forgotten.

use std::time::Duration;

use bytes::Bytes;
use http::header;
use pingora_error::Result as Passed;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use switchback_conf::plan::UpstreamId;

use super::Filtering;
use super::ask::Taking;
use super::steering::Steering;
use crate::http::cache::fetch::beside;
use crate::http::context::Context;

/// The largest body that a copy has where nobody says anything. Where there is more, nothing is copied.
const USUAL_BODY: u64 = 64 * 1024;
/// How long a copy may take; then it is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether there are copies to be sent.
pub(super) fn are_due(context: &Context) -> bool {
    context.steering.as_ref().is_some_and(|steering| !steering.mirrors.is_empty())
}

/// Takes the body in that copies are to have, if there are any and it is not too large.
pub(super) async fn take_body(
    session: &mut Session,
    taking: &mut Taking,
    context: &mut Context,
) -> Passed<()> {
    let with_mirrors = context.steering.as_ref().filter(|steering| !steering.mirrors.is_empty());
    let Some(steering) = with_mirrors else { return Ok(()) };
    let most = steering.mirror_body.unwrap_or(USUAL_BODY);
    taking.read(session, most).await?;
    let is_small = taking.whole().is_some_and(|body| body.len() as u64 <= most);
    if !is_small && let Some(steering) = &mut context.steering {
        let skipped = std::mem::take(&mut steering.mirrors);
        skipped.iter().for_each(|_| context.resident.metrics.skipped_mirrors.add());
        let request = &*context.request.id;
        tracing::debug!(request, most, "not mirrored: its body is too large");
    }
    Ok(())
}

/// Sends the copies that plugins have asked for.
pub(super) fn begin(head: &RequestHeader, context: &mut Context) {
    let Some(steering) = &mut context.steering else { return };
    let mirrors: Vec<UpstreamId> = std::mem::take(&mut steering.mirrors);
    let Some(fetcher) = context.fetcher.clone() else { return };
    for upstream in mirrors {
        let content = context.content.as_deref().cloned().unwrap_or_default();
        let mut copy = beside(context);
        copy.steering = Some(Box::new(Steering::to(upstream)));
        copy.filtering = Filtering::off();
        let mut head = head.clone();
        head.remove_header(&header::EXPECT);
        head.remove_header(&header::TRANSFER_ENCODING);
        framed(&mut head, &content);
        fetcher.ask_beside(&head, content, Box::new(copy), PATIENCE);
    }
}

/// Its body is at hand by now.
fn framed(head: &mut RequestHeader, content: &Bytes) {
    if content.is_empty() && !head.headers.contains_key(header::CONTENT_LENGTH) {
        return;
    }
    // What is made of numbers is a valid value.
    let _ = head.insert_header(header::CONTENT_LENGTH, content.len());
}
