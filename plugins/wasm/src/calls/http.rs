//! Requests of the plugin's own.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use switchback_plugin::{HttpRequest, Operation, Refused};

use crate::call::{self, Answered, Call, Out, Span};
use crate::host::MAX_CALLS;
use crate::pairs::{self, Pair};
use crate::status::Status;

/// The longest response that is taken.
const BODY_LIMIT: usize = 1 << 20;

/// What a module asks for.
pub(super) struct Asked {
    pub(super) upstream: Span,
    pub(super) headers: Span,
    pub(super) body: Span,
    pub(super) trailers: Span,
    /// In milliseconds.
    pub(super) timeout: u32,
}

pub(super) fn call(call: &mut Call<'_>, asked: &Asked, id: u32) -> Answered {
    call.check(id)?;
    let (memory, host) = call.split();
    let upstream = call::name(memory, asked.upstream)?;
    let headers = call::bytes(memory, asked.headers)?;
    let headers = pairs::decode(headers).map_err(|_| Status::ParseFailure)?;
    let trailers = call::bytes(memory, asked.trailers)?;
    pairs::decode(trailers).map_err(|_| Status::ParseFailure)?;
    let mut request = request(upstream, &headers)?;
    request.body = Bytes::copy_from_slice(call::bytes(memory, asked.body)?);
    if asked.timeout > 0 {
        request.timeout = Some(Duration::from_millis(u64::from(asked.timeout)));
    }

    let is_full = host.context().is_none_or(|context| context.calls.len() >= MAX_CALLS);
    // While an instance is made there is no exchange: the first tick is the time for it.
    let exchange = host.exchange().filter(|_| !is_full).ok_or(Status::InternalFailure)?;
    let begun =
        exchange.begin(Operation::Http(Box::new(request))).map_err(|refused| match refused {
            Refused::Unknown | Refused::Invalid => Status::BadArgument,
            _ => Status::InternalFailure,
        })?;
    host.last_call = host.last_call.checked_add(1).unwrap_or(1);
    let token = host.last_call;
    if let Some(context) = host.context() {
        context.calls.push((token, begun));
    }
    call.write_number(id, token)?;
    Ok(())
}

fn request(upstream: &str, headers: &[Pair<'_>]) -> Result<HttpRequest, Status> {
    let mut request = HttpRequest { body_limit: BODY_LIMIT, ..HttpRequest::get(upstream, "") };
    let mut method = None;
    let mut authority = None;
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        match *name {
            b":method" => method = Method::from_bytes(value).ok(),
            b":path" => {
                String::from_utf8_lossy(value).into_owned().clone_into(&mut request.target);
            }
            b":authority" => authority = HeaderValue::from_bytes(value).ok(),
            [b':', ..] => {}
            name => {
                let name = HeaderName::from_bytes(name).map_err(|_| Status::BadArgument)?;
                let value = HeaderValue::from_bytes(value).map_err(|_| Status::BadArgument)?;
                map.try_append(name, value).map_err(|_| Status::BadArgument)?;
            }
        }
    }
    let (Some(method), Some(authority)) = (method, authority) else {
        return Err(Status::BadArgument);
    };
    if !request.target.starts_with('/') && request.target != "*" {
        return Err(Status::BadArgument);
    }
    request.method = method;
    map.insert(http::header::HOST, authority);
    request.headers = map;
    Ok(request)
}

/// The status of the response that the module is told of.
pub(super) fn status(call: &mut Call<'_>, code: u32, out: Out) -> Answered {
    call.check(code)?;
    let status = call.host().response.as_ref().map(|response| response.status);
    let status = status.ok_or(Status::NotFound)?;
    call.write_number(code, u32::from(status.as_u16()))?;
    call.give(out, |_, _, into| {
        into.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes());
        Ok(())
    })
}
