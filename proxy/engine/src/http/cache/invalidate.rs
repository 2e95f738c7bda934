//! What an unsafe method makes of what is stored (RFC 9111, 4.4; RFC 9875, 3).

use std::io;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use http::{HeaderValue, header};
use pingora_http::{RequestHeader, ResponseHeader};
use switchback_cache::policy::{groups, invalidate};
use switchback_cache::{Address, Head, Manner, Scope};

use super::key;
use crate::http::context::Context;
use crate::http::facts;
use crate::snapshot::caches::CacheSettings;

/// Makes invalid what the origin's answer says is no longer so.
pub(crate) async fn by(answer: &ResponseHeader, request: &RequestHeader, context: &Context) {
    let settings = context.place.route.and_then(|route| context.snapshot.cache(route));
    let Some(settings) = settings else { return };
    if !invalidate::invalidates(&request.method, answer.status) {
        return;
    }
    let head = Head { status: answer.status, headers: answer.headers.clone() };
    let raw = request.raw_path();
    // They hold as soon as they are asked for; what is waited for is that they are recorded.
    let mut purges = vec![page(raw, request, settings, context)];
    let authority = request.uri.authority().map(|authority| authority.as_str().as_bytes());
    let authority = authority
        .or_else(|| request.headers.get(header::HOST).map(HeaderValue::as_bytes))
        .and_then(|authority| std::str::from_utf8(authority).ok());
    let (Some(authority), Ok(path_and_query)) = (authority, std::str::from_utf8(raw)) else {
        return;
    };
    let target = invalidate::Target {
        scheme: context.connection.client_scheme(),
        authority,
        path_and_query,
    };
    for also in invalidate::also_invalid(target, &head) {
        page(also.as_bytes(), request, settings, context);
    }
    if settings.groups {
        let named = groups::invalidated_groups(&request.method, &head.headers);
        let origin = key::origin(settings, request, context);
        for group in &named {
            let purge = settings.zone.stored.purge(Scope::Group(origin, group), Manner::Hard);
            purges.push(Some(purge.boxed()));
        }
    }
    for recorded in join_all(purges.into_iter().flatten()).await {
        if let Err(error) = recorded {
            tracing::warn!(%error, "what an unsafe method made invalid could not be recorded");
        }
    }
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
