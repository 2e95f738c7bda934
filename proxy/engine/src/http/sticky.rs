//! Requests that stay with one endpoint, or in one shard: who asked for it, and what the client is told.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use http::header;
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_upstream::Endpoint;
use switchback_value::Template;

use super::context::Context;
use super::facts::{RequestFacts, cookie};
use super::fault::Fault;
use super::shard;
use crate::snapshot::Upstream;
use crate::snapshot::shards::{Epoch, Group, Shard};
use crate::snapshot::sticky::{Cookie, Said, Sessions, Sticky};

/// Whom a request asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stuck<'h> {
    /// The endpoint, by its position among those that are chosen from.
    pub(super) endpoint: Option<usize>,
    said: Option<Said<'h>>,
}

/// The shard that the request is to stay in, if it says one: before its key says another, or where it has none.
pub(super) fn shard<'e>(
    (upstream, epoch): (&Upstream, &'e Epoch),
    before_key: bool,
    head: &RequestHeader,
    context: &Context,
) -> Option<&'e Arc<Shard>> {
    let Some(Sticky::Cookie(cookie)) = upstream.sticky() else { return None };
    if cookie.is_before_key != before_key {
        return None;
    }
    epoch.named(said(cookie, head, context)?.shard()?)
}

/// The endpoint that the request is to stay with, if it says one.
pub(super) fn asked_for<'h>(
    upstream: &Upstream,
    group: &Group,
    head: &'h RequestHeader,
    context: &Context,
) -> Stuck<'h> {
    let Some(sticky) = upstream.sticky() else { return Stuck::default() };
    let stays = group.stays.as_ref();
    match sticky {
        Sticky::Cookie(cookie) => {
            let said = said(cookie, head, context);
            let endpoint = said.and_then(|said| stays?.endpoint(said.endpoint()));
            Stuck { endpoint, said }
        }
        Sticky::Route(template) => {
            let mut value = Vec::new();
            template.render(&RequestFacts::new(head, context), &mut value);
            let endpoint = stays.and_then(|stays| stays.endpoint(&value));
            Stuck { endpoint, said: None }
        }
        Sticky::Learned(sessions) => {
            let known = known(sessions, head, context).map(|(_, endpoint)| endpoint);
            let is_it = |known: &Arc<Endpoint>| {
                group.pool.endpoints().iter().position(|own| Arc::ptr_eq(own, known))
            };
            Stuck { endpoint: known.as_ref().and_then(is_it), said: None }
        }
    }
}

/// What the cookie of a request says, if it has one that is to be believed.
fn said<'h>(cookie_of: &Cookie, head: &'h RequestHeader, context: &Context) -> Option<Said<'h>> {
    cookie_of.read(cookie(&head.headers, &cookie_of.name)?, seconds(context.wall))
}

/// What the client is to be told of the endpoint that was chosen for its request, unless it knows.
pub(super) fn news(
    (upstream, group): (&Upstream, &Group),
    endpoint: usize,
    stuck: &Stuck<'_>,
    context: &Context,
) -> Option<Box<str>> {
    let by_cookie = matches!(upstream.sticky(), Some(Sticky::Cookie(_)));
    if !by_cookie || !shard::settles(context) {
        return None;
    }
    let of_shard = || shard::placed(context)?.shard.tokens.first();
    let of_endpoint = || group.stays.as_ref()?.token(endpoint);
    let token = [of_shard().map(|token| &**token), of_endpoint()].into_iter().flatten();
    let token: String = token.collect();
    let will_do = stuck.said.is_some_and(|said| said.will_do(&token));
    (!will_do).then(|| token.into())
}

/// Tells the client where it stays from now on, unless it knows.
pub(super) fn tell(head: &mut ResponseHeader, context: &Context) -> Result<(), Fault> {
    let Some(token) = &context.stays_with else { return Ok(()) };
    let upstream = context.upstream();
    let sticky = upstream.and_then(Upstream::sticky);
    let Some(Sticky::Cookie(cookie)) = sticky else { return Ok(()) };
    let Cookie { name, attributes, secure, .. } = &**cookie;
    let is_secure = secure.unwrap_or_else(|| context.connection.client_scheme() == "https");
    let end = if is_secure { "; Secure" } else { "" };
    let value = cookie.write(token, seconds(context.wall));
    let line = format!("{name}={value}{attributes}{end}");
    head.append_header(header::SET_COOKIE, line).map_err(Fault::internal).map(drop)
}

/// Learns which endpoint has a session: the one that begins it, or goes on with it.
pub(super) fn learn(head: &ResponseHeader, request: &RequestHeader, context: &Context) {
    let Some(trying) = &context.trying else { return };
    let upstream = context.upstream();
    let sticky = upstream.and_then(Upstream::sticky);
    let Some(Sticky::Learned(sessions)) = sticky else { return };
    // That is no answer of a service.
    if matches!(head.status.as_u16(), 502..=504) {
        return;
    }
    let (endpoint, at) = (trying.in_flight.endpoint(), (sessions.memory, Instant::now()));
    let facts = RequestFacts::new(request, context).with_upstream(Some(&head.headers));
    if let Some(begun) = first(&sessions.from, &facts) {
        sessions.learned.learn(&begun, endpoint, at);
    } else if let Some((session, other)) = known(sessions, request, context)
        && !Arc::ptr_eq(&other, endpoint)
    {
        sessions.learned.learn(&session, endpoint, at);
    }
}

/// The session of a request, and who has it.
fn known(
    sessions: &Sessions,
    head: &RequestHeader,
    context: &Context,
) -> Option<(Vec<u8>, Arc<Endpoint>)> {
    let session = first(&sessions.by, &RequestFacts::new(head, context))?;
    let endpoint = sessions.learned.find(&session, sessions.memory, Instant::now())?;
    Some((session, endpoint))
}

/// The first of these that comes to anything.
fn first(templates: &[Template], facts: &RequestFacts<'_>) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    let mut has_value = |template: &Template| {
        template.render(facts, &mut value);
        !value.is_empty()
    };
    templates.iter().any(&mut has_value).then_some(value)
}

fn seconds(wall: SystemTime) -> u64 {
    wall.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
