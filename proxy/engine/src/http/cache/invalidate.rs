//! What an unsafe method makes of what is stored (RFC 9111, 4.4; RFC 9875, 3).

use std::io;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use http::{HeaderValue, header};
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_cache::policy::{groups, invalidate};
use switchback_cache::{Address, Head, Manner, Scope};

use super::as_get::Keeping;
use super::key;
use crate::http::context::Context;
use crate::http::facts;
use crate::snapshot::caches::CacheSettings;

/// Makes invalid what the origin's answer says is no longer so. Gives back `kept`, which is to be stored as the answer to a GET, if
/// it is still to be.
pub(crate) async fn by(
    answer: &ResponseHeader,
    request: &RequestHeader,
    kept: Option<Box<Keeping>>,
    context: &Context,
) -> Option<Box<Keeping>> {
    let settings = context.snapshot.cache(context.place.route?)?;
    if !invalidate::invalidates(&request.method, answer.status) {
        return None;
    }
    let before = settings.zone.stored.generation();
    let kept = kept.filter(|kept| kept.holds());
    // They hold as soon as they are asked for; what is waited for is that they are recorded.
    let purges = purges(answer, request, settings, context);
    let now = settings.zone.stored.generation();
    // Of another purge that comes between these, nothing tells whether it bears on what is kept.
    let is_alone = now == before + purges.len() as u64;
    for recorded in join_all(purges).await {
        if let Err(error) = recorded {
            tracing::warn!(%error, "what an unsafe method made invalid could not be recorded");
        }
    }
    kept.filter(|_| is_alone).map(|kept| kept.asked_for_at(now))
}

fn purges<'s>(
    answer: &ResponseHeader,
    request: &RequestHeader,
    settings: &'s CacheSettings,
    context: &Context,
) -> Vec<BoxFuture<'s, io::Result<()>>> {
    let head = Head { status: answer.status, headers: answer.headers.clone() };
    let mut purges: Vec<_> =
        page(request.raw_path(), request, settings, context).into_iter().collect();
    if let Some(target) = target(request, context) {
        let others = invalidate::also_invalid(target, &head);
        let others = others.iter().map(|other| page(other.as_bytes(), request, settings, context));
        purges.extend(others.flatten());
    }
    if settings.groups {
        let origin = key::origin(settings, request, context);
        for group in &groups::invalidated_groups(&request.method, &head.headers) {
            let purge = settings.zone.stored.purge(Scope::Group(origin, group), Manner::Hard);
            purges.push(purge.boxed());
        }
    }
    purges
}

/// The URI of a request, as the client meant it; none where it cannot be read.
pub(super) fn target<'r>(
    request: &'r RequestHeader,
    context: &Context,
) -> Option<invalidate::Target<'r>> {
    let authority = request.uri.authority().map(|authority| authority.as_str().as_bytes());
    let authority =
        authority.or_else(|| request.headers.get(header::HOST).map(HeaderValue::as_bytes))?;
    Some(invalidate::Target {
        scheme: context.connection.client_scheme(),
        authority: std::str::from_utf8(authority).ok()?,
        path_and_query: std::str::from_utf8(request.raw_path()).ok()?,
    })
}

fn page<'s>(
    target: &[u8],
    request: &RequestHeader,
    settings: &'s CacheSettings,
    context: &Context,
) -> Option<BoxFuture<'s, io::Result<()>>> {
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let path = std::str::from_utf8(path).ok().and_then(|path| {
        let slash = context.site().map(|site| site.encoded_slash).unwrap_or_default();
        switchback_route::NormalPath::parse(path, slash).ok()
    });
    let path = path?;
    let encoded = path.to_encoded();
    let query = facts::query(target).unwrap_or_default();
    let origin = key::origin(settings, request, context);
    let address = Address { path: encoded.as_bytes(), query, ..origin };
    Some(key::with_address(settings, address, |address| {
        settings.zone.stored.purge(Scope::Page(address), Manner::Hard).boxed()
    }))
}
