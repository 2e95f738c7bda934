//! The target of a request, as plugins change it.

use http::{HeaderValue, Method, Uri, header};
use pingora_http::RequestHeader;
use switchback_plugin::{Part, Refused};
use switchback_route::NormalPath;

use super::{Request, View, keep_received};
use crate::http::{facts, forward, host};

pub(super) fn set(view: &mut View<'_>, part: Part, value: &str) -> Result<(), Refused> {
    if matches!(view.request, Request::Fixed(_)) {
        return Err(Refused::NotNow);
    }
    if matches!(view.request, Request::Ours(_)) {
        if view.hook != switchback_plugin::Hook::Request {
            return Err(Refused::NotNow);
        }
        keep_received(view);
    }
    let slash = view.context.site().map(|site| site.encoded_slash).unwrap_or_default();
    let (head, is_ours) = match &mut view.request {
        Request::Ours(head) => (&mut **head, true),
        Request::Copy(head) => (&mut **head, false),
        Request::Fixed(_) => return Err(Refused::NotNow),
    };
    match part {
        Part::Method => {
            let method = Method::from_bytes(value.as_bytes()).map_err(|_| Refused::Invalid)?;
            if method == Method::CONNECT {
                return Err(Refused::Invalid);
            }
            head.set_method(method);
        }
        Part::Path => {
            if !value.starts_with('/') || value.contains(['?', '#']) {
                return Err(Refused::Invalid);
            }
            let path = NormalPath::parse(value, slash).map_err(|_| Refused::Invalid)?;
            let path = path.to_encoded();
            let query = facts::query(head.raw_path()).map(<[u8]>::to_vec);
            target(head, path.as_bytes(), query.as_deref())?;
        }
        Part::Query => {
            let raw = head.raw_path();
            let end = memchr::memchr(b'?', raw).unwrap_or(raw.len());
            let path = raw.get(..end).unwrap_or_default().to_vec();
            let query = Some(value.as_bytes()).filter(|query| !query.is_empty());
            target(head, &path, query)?;
        }
        Part::Host => named(head, value)?,
    }
    if !is_ours {
        return Ok(());
    }
    if part == Part::Host {
        let name = host::name(value.as_bytes()).unwrap_or_default();
        view.context.request.host = name.to_ascii_lowercase().into();
        view.context.filtering.changes_fields();
        view.changed.host = true;
    } else {
        view.changed.target = true;
    }
    Ok(())
}

fn target(head: &mut RequestHeader, path: &[u8], query: Option<&[u8]>) -> Result<(), Refused> {
    let mut target = path.to_vec();
    if let Some(query) = query {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    forward::set_target(head, &target).ok_or(Refused::Invalid)
}

/// The host, where the request says it: over HTTP/2 in its target, else in `Host`.
fn named(head: &mut RequestHeader, name: &str) -> Result<(), Refused> {
    host::name(name.as_bytes()).ok_or(Refused::Invalid)?;
    let value = HeaderValue::from_str(name).map_err(|_| Refused::Invalid)?;
    let mut parts = head.uri.clone().into_parts();
    if parts.authority.is_some() {
        parts.authority = Some(name.parse().map_err(|_| Refused::Invalid)?);
        head.set_uri(Uri::from_parts(parts).map_err(|_| Refused::Invalid)?);
        if !head.headers.contains_key(header::HOST) {
            return Ok(());
        }
    }
    head.insert_header(header::HOST, value).map_err(|_| Refused::Invalid)
}
