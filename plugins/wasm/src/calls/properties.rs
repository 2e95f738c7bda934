//! Properties, by the names that Envoy gives them, and by those of the SDK below `switchback`.

use std::borrow::Cow;

use switchback_plugin::{Exchange, Fact, Map};

use crate::call::{self, Answered, Call, Out, Span};
use crate::host::Host;
use crate::status::{Failed, Status};

/// What a module may set itself, for each context.
const MAX_PROPERTIES: usize = 64;
const MAX_VALUE: usize = 64 << 10;
const MAX_PATH: u32 = 4096;

/// Before the name of a variable.
const VARIABLE: &[u8] = b"switchback\0variable\0";

pub(super) fn read(call: &mut Call<'_>, path: Span, out: Out) -> Answered {
    call.give(out, |memory, host, into| {
        if path.1 > MAX_PATH {
            return Err(Status::NotFound);
        }
        let path = call::bytes(memory, path)?;
        let own = host
            .context()
            .and_then(|context| context.properties.iter().find(|(name, _)| name == trimmed(path)));
        if let Some((_, value)) = own {
            into.extend_from_slice(value);
            return Ok(());
        }
        let parts = parts(path).ok_or(Status::NotFound)?;
        let value = property(host, &parts).ok_or(Status::NotFound)?;
        into.extend_from_slice(&value);
        Ok(())
    })
}

pub(super) fn write(call: &mut Call<'_>, path: Span, value: Span) -> Answered {
    let (memory, host) = call.split();
    let path = call::bytes(memory, path)?;
    let value = call::bytes(memory, value)?;
    if path.len() > MAX_PATH as usize || value.len() > MAX_VALUE {
        return Err(Status::BadArgument.into());
    }
    if let Some(name) = path.strip_prefix(VARIABLE) {
        let name = std::str::from_utf8(name).map_err(|_| Status::BadArgument)?;
        let exchange = host.exchange().ok_or(Status::BadArgument)?;
        let done = exchange.set_variable(name, value).map_err(Failed::from);
        return Ok(host.noted(done)?);
    }
    parts(path).ok_or(Status::BadArgument)?;
    let properties = &mut host.context().ok_or(Status::NotFound)?.properties;
    let is_full = properties.len() >= MAX_PROPERTIES;
    match properties.iter_mut().find(|(name, _)| name == trimmed(path)) {
        Some((_, before)) => value.clone_into(before),
        None if is_full => return Err(Status::InternalFailure.into()),
        None => properties.push((trimmed(path).to_owned(), value.to_owned())),
    }
    Ok(())
}

/// A zero between parts, and some put one behind the last.
fn trimmed(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"\0").unwrap_or(path)
}

fn parts(path: &[u8]) -> Option<Vec<&str>> {
    let path = std::str::from_utf8(trimmed(path)).ok()?;
    let parts: Vec<&str> = path.split('\0').collect();
    // Some write all of it with points.
    match parts[..] {
        [one] if one.contains('.') => Some(one.splitn(3, '.').collect()),
        _ => Some(parts),
    }
}

/// The value of a property, as it is written: text as it is, numbers in eight bytes.
fn property<'h>(host: &'h mut Host, path: &[&str]) -> Option<Cow<'h, [u8]>> {
    match path {
        ["plugin_name"] => return Some(Cow::Owned(host.plan.name.clone().into_bytes())),
        ["plugin_root_id"] => {
            return Some(Cow::Owned(host.plan.settings.root_id.clone().into_bytes()));
        }
        ["plugin_vm_id"] => return Some(Cow::Owned(host.plan.owner.clone().into_bytes())),
        _ => {}
    }
    let exchange = host.exchange()?;
    match path {
        ["request", rest @ ..] => of_request(exchange, rest),
        ["response", rest @ ..] => of_response(exchange, rest),
        ["source" | "destination" | "connection", ..] => of_connection(exchange, path),
        ["upstream", "address"] => exchange.fact(Fact::Endpoint),
        ["upstream", "port"] => port(&exchange.fact(Fact::Endpoint)?),
        ["cluster_name"] | ["xds", "cluster_name"] => exchange.fact(Fact::Upstream),
        ["route_name"] | ["xds", "route_name"] => exchange.fact(Fact::Route),
        ["virtual_host_name"] | ["xds", "virtual_host_name"] => exchange.fact(Fact::Site),
        ["switchback", "variable", name] => exchange.variable(name),
        ["switchback", "fact", number] => exchange.fact(fact(number.parse().ok()?)?),
        _ => None,
    }
}

fn of_request<'e>(exchange: &'e dyn Exchange, path: &[&str]) -> Option<Cow<'e, [u8]>> {
    match path {
        ["path"] => exchange.fact(Fact::Target),
        ["url_path"] => match exchange.fact(Fact::Target)? {
            Cow::Borrowed(target) => target.split(|byte| *byte == b'?').next().map(Cow::Borrowed),
            Cow::Owned(target) => {
                target.split(|byte| *byte == b'?').next().map(|path| Cow::Owned(path.to_owned()))
            }
        },
        ["host"] => {
            exchange.field(Map::RequestHeaders, "host".into()).or_else(|| exchange.fact(Fact::Host))
        }
        ["scheme"] => exchange.fact(Fact::Scheme),
        ["method"] => exchange.fact(Fact::Method),
        ["query"] => exchange.fact(Fact::Query),
        ["id"] => exchange.fact(Fact::RequestId),
        ["protocol"] => exchange.fact(Fact::Protocol),
        ["referer"] => exchange.field(Map::RequestHeaders, "referer".into()),
        ["useragent"] => exchange.field(Map::RequestHeaders, "user-agent".into()),
        ["headers", name] => exchange.field(Map::RequestHeaders, (*name).into()),
        ["time"] => {
            let elapsed = digits(&exchange.fact(Fact::Elapsed)?)?;
            Some(number(exchange.now().saturating_sub(elapsed)))
        }
        ["duration"] => Some(number(digits(&exchange.fact(Fact::Elapsed)?)?)),
        ["size"] => {
            let length = exchange.field(Map::RequestHeaders, "content-length".into());
            Some(number(length.and_then(|length| digits(&length)).unwrap_or(0)))
        }
        _ => None,
    }
}

fn of_response<'e>(exchange: &'e dyn Exchange, path: &[&str]) -> Option<Cow<'e, [u8]>> {
    match path {
        ["code"] => Some(number(digits(&exchange.fact(Fact::Status)?)?)),
        ["size"] => Some(number(digits(&exchange.fact(Fact::BytesSent)?)?)),
        ["headers", name] => exchange.field(Map::ResponseHeaders, (*name).into()),
        ["trailers", name] => exchange.field(Map::ResponseTrailers, (*name).into()),
        _ => None,
    }
}

/// By the variables that nginx has for them.
fn of_connection<'e>(exchange: &'e dyn Exchange, path: &[&str]) -> Option<Cow<'e, [u8]>> {
    match path {
        ["source", "address"] => {
            let address = exchange.fact(Fact::ClientAddress)?;
            Some(with_port(&address, exchange.variable("remote_port").as_deref()))
        }
        ["source", "port"] => Some(number(digits(&exchange.variable("remote_port")?)?)),
        ["destination", "address"] => {
            let address = exchange.variable("server_addr")?;
            Some(with_port(&address, exchange.variable("server_port").as_deref()))
        }
        ["destination", "port"] => Some(number(digits(&exchange.variable("server_port")?)?)),
        ["connection", "id"] => Some(number(digits(&exchange.variable("connection")?)?)),
        ["connection", "mtls"] => {
            let verified = exchange.variable("ssl_client_verify");
            Some(Cow::Owned(vec![u8::from(verified.as_deref() == Some(b"SUCCESS"))]))
        }
        ["connection", "tls_version"] => exchange.variable("ssl_protocol"),
        ["connection", "requested_server_name"] => exchange.variable("ssl_server_name"),
        ["connection", "subject_peer_certificate"] => exchange.variable("ssl_client_s_dn"),
        _ => None,
    }
}

fn with_port(address: &[u8], port: Option<&[u8]>) -> Cow<'static, [u8]> {
    let Some(port) = port.filter(|port| !port.is_empty()) else {
        return Cow::Owned(address.to_owned());
    };
    let is_six = address.contains(&b':');
    let (open, close): (&[u8], &[u8]) = if is_six { (b"[", b"]:") } else { (b"", b":") };
    Cow::Owned([open, address, close, port].concat())
}

fn port(address: &[u8]) -> Option<Cow<'static, [u8]>> {
    let port = address.rsplit(|byte| *byte == b':').next()?;
    Some(number(digits(port)?))
}

fn number(number: u64) -> Cow<'static, [u8]> {
    Cow::Owned(number.to_le_bytes().to_vec())
}

fn digits(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The fact of that number, as in the C interface.
fn fact(number: u32) -> Option<Fact> {
    const ALL: [Fact; 21] = [
        Fact::Method,
        Fact::Scheme,
        Fact::Host,
        Fact::Path,
        Fact::Query,
        Fact::Target,
        Fact::Protocol,
        Fact::ClientAddress,
        Fact::RequestId,
        Fact::Site,
        Fact::Route,
        Fact::Upstream,
        Fact::Shard,
        Fact::Endpoint,
        Fact::Attempt,
        Fact::Status,
        Fact::CacheStatus,
        Fact::BytesSent,
        Fact::Elapsed,
        Fact::Aborted,
        Fact::Plugin,
    ];
    ALL.into_iter().find(|fact| *fact as u32 == number)
}
