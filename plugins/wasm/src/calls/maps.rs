//! Fields: headers and trailers, with method, path and status among them as proxy-wasm has it.

use switchback_plugin::{Exchange, Fact, HttpResponse, Map, Part, Refused};

use crate::call::{self, Answered, Call, Out, Span};
use crate::host::Host;
use crate::pairs::{self, Encoder, Pair};
use crate::status::{Failed, MapKind, Status};

/// What the proxy says itself, whatever a module wants: a module that removes them because it changes the body does right by others.
const PROXYS_OWN: [&str; 5] =
    ["connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"];

pub(super) fn size(call: &mut Call<'_>, map: u32, size: u32) -> Answered {
    let kind = MapKind::of(map)?;
    call.check(size)?;
    let length = encoded(call.host(), kind)?.size();
    call.write_number(size, u32::try_from(length).unwrap_or(u32::MAX))?;
    Ok(())
}

pub(super) fn pairs(call: &mut Call<'_>, map: u32, out: Out) -> Answered {
    let kind = MapKind::of(map)?;
    call.give(out, |_, host, into| {
        encoded(host, kind)?.write(into);
        Ok(())
    })
}

pub(super) fn value(call: &mut Call<'_>, map: u32, name: Span, out: Out) -> Answered {
    let kind = MapKind::of(map)?;
    call.give(out, |memory, host, into| {
        let name = call::name(memory, name)?;
        match kind {
            MapKind::Of(map) => {
                let exchange = host.exchange().ok_or(Status::NotFound)?;
                read(exchange, map, name, into)
            }
            MapKind::CallHeaders => {
                let response = host.response.as_ref().ok_or(Status::NotFound)?;
                if name == ":status" {
                    into.extend_from_slice(response.status.as_str().as_bytes());
                    return Ok(());
                }
                let value = response.headers.get(name).ok_or(Status::NotFound)?;
                into.extend_from_slice(value.as_bytes());
                Ok(())
            }
            MapKind::CallTrailers => Err(Status::NotFound),
        }
    })
}

pub(super) fn add(call: &mut Call<'_>, map: u32, name: Span, value: Span) -> Answered {
    change(call, map, name, |exchange, map, name, memory| {
        let value = call::bytes(memory, value)?;
        match pseudo(map, name) {
            Some(_) => write(exchange, map, name, value),
            None => Ok(exchange.append_field(map, name.into(), value)?),
        }
    })
}

pub(super) fn replace(call: &mut Call<'_>, map: u32, name: Span, value: Span) -> Answered {
    change(call, map, name, |exchange, map, name, memory| {
        write(exchange, map, name, call::bytes(memory, value)?)
    })
}

pub(super) fn remove(call: &mut Call<'_>, map: u32, name: Span) -> Answered {
    change(call, map, name, |exchange, map, name, _| match pseudo(map, name) {
        Some(_) => Err(Refused::Invalid.into()),
        None => Ok(exchange.remove_field(map, name.into())?),
    })
}

pub(super) fn set(call: &mut Call<'_>, map: u32, list: Span) -> Answered {
    let MapKind::Of(map) = MapKind::of(map)? else { return Err(Status::BadArgument.into()) };
    let (memory, host) = call.split();
    let list = call::bytes(memory, list)?;
    let pairs = pairs::decode(list).map_err(|_| Status::ParseFailure)?;
    let exchange = host.exchange().ok_or(Status::BadArgument)?;
    let mut before = Vec::new();
    exchange.fields(map, &mut |name, _| before.push(name.to_owned()));
    before.sort_unstable();
    before.dedup();
    for name in before.iter().filter(|name| *name != "host") {
        unless_ours(name, exchange.remove_field(map, name.into()).map_err(Failed::from))?;
    }
    for pair in pairs {
        put(exchange, map, pair)?;
    }
    Ok(())
}

fn put(exchange: &mut dyn Exchange, map: Map, (name, value): Pair<'_>) -> Result<(), Status> {
    let name = std::str::from_utf8(name).map_err(|_| Status::BadArgument)?;
    let done = match pseudo(map, name) {
        // As it was: routes need not be looked for again.
        Some(fact) if exchange.fact(fact).as_deref() == Some(value) => Ok(()),
        Some(_) => write(exchange, map, name, value),
        None => exchange.append_field(map, name.into(), value).map_err(Failed::from),
    };
    unless_ours(name, done)
}

fn change(
    call: &mut Call<'_>,
    map: u32,
    name: Span,
    change: impl FnOnce(&mut dyn Exchange, Map, &str, &[u8]) -> Result<(), Failed>,
) -> Answered {
    let MapKind::Of(map) = MapKind::of(map)? else { return Err(Status::BadArgument.into()) };
    let (memory, host) = call.split();
    let name = call::name(memory, name)?;
    let exchange = host.exchange().ok_or(Status::BadArgument)?;
    let changed = change(exchange, map, name, memory);
    if host.plan.is_ours {
        return Ok(host.noted(changed)?);
    }
    Ok(unless_ours(name, changed)?)
}

/// The fact that a name with a colon stands for.
fn pseudo(map: Map, name: &str) -> Option<Fact> {
    if !name.starts_with(':') {
        return None;
    }
    match (map, name) {
        (Map::RequestHeaders, ":method") => Some(Fact::Method),
        (Map::RequestHeaders, ":path") => Some(Fact::Target),
        (Map::RequestHeaders, ":authority") => Some(Fact::Host),
        (Map::RequestHeaders, ":scheme") => Some(Fact::Scheme),
        (Map::ResponseHeaders, ":status") => Some(Fact::Status),
        _ => None,
    }
}

fn read(exchange: &dyn Exchange, map: Map, name: &str, into: &mut Vec<u8>) -> Result<(), Status> {
    let value = match pseudo(map, name) {
        // With its port, as it was sent.
        Some(Fact::Host) => {
            exchange.field(map, "host".into()).or_else(|| exchange.fact(Fact::Host))
        }
        Some(fact) => exchange.fact(fact),
        None => exchange.field(map, name.into()),
    };
    into.extend_from_slice(&value.ok_or(Status::NotFound)?);
    Ok(())
}

fn write(exchange: &mut dyn Exchange, map: Map, name: &str, value: &[u8]) -> Result<(), Failed> {
    let Some(fact) = pseudo(map, name) else {
        return Ok(exchange.set_field(map, name.into(), value)?);
    };
    let value = std::str::from_utf8(value).map_err(|_| Status::BadArgument)?;
    match fact {
        Fact::Method => exchange.set_part(Part::Method, value)?,
        Fact::Host => exchange.set_part(Part::Host, value)?,
        Fact::Target => {
            let (path, query) = value.split_once('?').unwrap_or((value, ""));
            exchange.set_part(Part::Path, path)?;
            exchange.set_part(Part::Query, query)?;
        }
        Fact::Status => {
            exchange.set_status(value.parse().map_err(|_| Status::BadArgument)?)?;
        }
        // The scheme is how the client came here: nobody changes that.
        _ => return Err(Refused::Invalid.into()),
    }
    Ok(())
}

/// What the proxy refuses because it says it itself is as good as done.
fn unless_ours(name: &str, changed: Result<(), Failed>) -> Result<(), Status> {
    let is_ours = || PROXYS_OWN.iter().any(|own| own.eq_ignore_ascii_case(name));
    match changed {
        Err(Failed::Refused(Refused::Invalid)) if is_ours() => Ok(()),
        changed => changed.map_err(Status::from),
    }
}

fn encoded(host: &mut Host, kind: MapKind) -> Result<Encoder, Status> {
    let mut encoder = Encoder::default();
    match kind {
        MapKind::Of(map) => {
            let is_ours = host.plan.is_ours;
            match host.exchange() {
                // Our own SDK has other words for method, path and status.
                Some(exchange) if is_ours => exchange.fields(map, &mut |name, value| {
                    encoder.push(name.as_bytes(), value);
                }),
                Some(exchange) => all(exchange, map, &mut encoder),
                None => {}
            }
        }
        MapKind::CallHeaders => {
            if let Some(response) = &host.response {
                of_response(response, &mut encoder);
            }
        }
        MapKind::CallTrailers => {}
    }
    if encoder.size() > pairs::MAX_BYTES {
        return Err(Status::InternalFailure);
    }
    Ok(encoder)
}

fn all(exchange: &dyn Exchange, map: Map, encoder: &mut Encoder) {
    let pseudo: &[&str] = match map {
        Map::RequestHeaders => &[":authority", ":path", ":method", ":scheme"],
        Map::ResponseHeaders => &[":status"],
        Map::RequestTrailers | Map::ResponseTrailers => &[],
    };
    let mut value = Vec::new();
    for name in pseudo {
        value.clear();
        if read(exchange, map, name, &mut value).is_ok() {
            encoder.push(name.as_bytes(), &value);
        }
    }
    exchange.fields(map, &mut |name, value| {
        if map != Map::RequestHeaders || name != "host" {
            encoder.push(name.as_bytes(), value);
        }
    });
}

/// The fields of the response to a call of the plugin's own.
pub(crate) fn of_response(response: &HttpResponse, encoder: &mut Encoder) {
    encoder.push(b":status", response.status.as_str().as_bytes());
    for (name, value) in &response.headers {
        encoder.push(name.as_str().as_bytes(), value.as_bytes());
    }
}

/// How many fields of the request or the response there are, as a module is told, and what two of them say of a body: all in one pass,
/// which each head of each request takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Survey {
    pub(crate) count: u32,
    /// Whether there is a `content-length`, and whether it is not `0`.
    pub(crate) has_length: Option<bool>,
    pub(crate) is_encoded: bool,
}

impl Survey {
    pub(crate) fn of(exchange: &dyn Exchange, map: Map) -> Self {
        let count = match map {
            Map::RequestHeaders => 4,
            Map::ResponseHeaders => 1,
            Map::RequestTrailers | Map::ResponseTrailers => 0,
        };
        let mut survey = Self { count, ..Self::default() };
        exchange.fields(map, &mut |name, value| {
            survey.count = survey.count.saturating_add(1);
            // By length first: few names have one of these.
            match name.len() {
                14 if name.eq_ignore_ascii_case("content-length") => {
                    survey.has_length.get_or_insert(value != b"0");
                }
                17 => survey.is_encoded |= name.eq_ignore_ascii_case("transfer-encoding"),
                _ => {}
            }
        });
        survey
    }
}
