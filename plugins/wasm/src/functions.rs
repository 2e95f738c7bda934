//! The functions of a module for the hooks of a request, and what they are told of what follows a head.

use switchback_plugin::{Exchange, Fact, Hook, Map};
use wasmtime::Store;

use crate::calls::maps::Survey;
use crate::exports::Exports;
use crate::host::Host;

/// Calls the function of a hook: the action that it gives back, which is not 0 where the module has the request wait.
pub(crate) fn call(
    store: &mut Store<Host>,
    exports: &Exports,
    context: u32,
    hook: Hook,
) -> wasmtime::Result<u32> {
    match hook {
        Hook::Request | Hook::Response => head(store, exports, context, hook),
        Hook::RequestBody => {
            let (body, trailers) = (&exports.on_request_body, &exports.on_request_trailers);
            piece(store, context, Map::RequestTrailers, (body.as_ref(), trailers.as_ref()))
        }
        Hook::ResponseBody => {
            let (body, trailers) = (&exports.on_response_body, &exports.on_response_trailers);
            piece(store, context, Map::ResponseTrailers, (body.as_ref(), trailers.as_ref()))
        }
        // A request's end has three functions, and a tick is nobody's request.
        Hook::Route
        | Hook::Upstream
        | Hook::UpstreamRequest
        | Hook::UpstreamResponse
        | Hook::Log
        | Hook::Tick => Ok(0),
    }
}

fn head(
    store: &mut Store<Host>,
    exports: &Exports,
    context: u32,
    hook: Hook,
) -> wasmtime::Result<u32> {
    let (function, map) = match hook {
        Hook::Request => (&exports.on_request_headers, Map::RequestHeaders),
        _ => (&exports.on_response_headers, Map::ResponseHeaders),
    };
    let Some(function) = function else { return Ok(0) };
    let Some(exchange) = store.data_mut().exchange() else { return Ok(0) };
    let survey = Survey::of(exchange, map);
    let is_end = match hook {
        Hook::Request => !has_body(exchange, survey),
        _ => is_without_body(exchange, survey),
    };
    function.call(store, (context, survey.count, is_end))
}

type Piece = wasmtime::TypedFunc<(u32, u32, u32), u32>;
type Trailers = wasmtime::TypedFunc<(u32, u32), u32>;

/// A piece of a body, and the trailers behind the last one.
fn piece(
    store: &mut Store<Host>,
    context: u32,
    map: Map,
    (body, trailers): (Option<&Piece>, Option<&Trailers>),
) -> wasmtime::Result<u32> {
    let Some(exchange) = store.data_mut().exchange() else { return Ok(0) };
    let length = u32::try_from(exchange.piece().len()).unwrap_or(u32::MAX);
    let is_last = exchange.is_last_piece();
    let count = if is_last { Survey::of(exchange, map).count } else { 0 };
    let trailers = trailers.filter(|_| count > 0);
    let mut action = 0;
    if let Some(body) = body {
        let is_end = is_last && trailers.is_none();
        action = body.call(&mut *store, (context, length, u32::from(is_end)))?;
    }
    match trailers {
        Some(trailers) => trailers.call(store, (context, count)),
        None => Ok(action),
    }
}

/// Whether more than the head of a request is to come.
pub(crate) fn expects_body(exchange: &dyn Exchange) -> bool {
    has_body(exchange, Survey::of(exchange, Map::RequestHeaders))
}

fn has_body(exchange: &dyn Exchange, survey: Survey) -> bool {
    match survey.has_length {
        Some(has_length) => has_length,
        None if survey.is_encoded => true,
        // From HTTP/2 on, a body needs no field that tells of it.
        None => {
            let protocol = exchange.fact(Fact::Protocol).unwrap_or_default();
            let without = [&b"GET"[..], b"HEAD", b"OPTIONS", b"TRACE", b"DELETE", b"CONNECT"];
            !protocol.starts_with(b"HTTP/1.")
                && !without.contains(&&*exchange.fact(Fact::Method).unwrap_or_default())
        }
    }
}

/// Whether a response has nothing but its head.
fn is_without_body(exchange: &dyn Exchange, survey: Survey) -> bool {
    survey.has_length == Some(false)
        || matches!(&*exchange.fact(Fact::Status).unwrap_or_default(), b"204" | b"304")
        || exchange.fact(Fact::Method).as_deref() == Some(b"HEAD")
}
