//! Phase 7: what the upstream is told.

use std::net::IpAddr;

use http::{HeaderValue, Uri, Version, header};
use pingora_http::RequestHeader;
use switchback_conf::plan::ForwardingPlan;

use super::context::Context;
use super::facts::RequestFacts;
use super::fault::{Fault, Kind};
use super::{percent, rules};

/// Makes `head`, a copy of the client's, into what the upstream receives. `client` is the head as received.
pub(crate) fn forward(
    head: &mut RequestHeader,
    client: &RequestHeader,
    context: &Context,
) -> Result<(), Fault> {
    let Some(route) = context.route() else {
        return Err(Fault::ours(Kind::Internal, "no route to forward by"));
    };
    let facts = RequestFacts::new(client, context);
    let changes = rules::changes(&route.request_headers, &facts)?;
    if context.inner {
        // Its body is here already: an upstream that is told to expect one would say 100 a second time.
        head.remove_header(&header::EXPECT);
    }
    rewrite(head, client, context)?;
    forwarded(head, context).map_err(Fault::internal)?;
    rules::apply(head, changes)?;
    name_host(head, context).map_err(Fault::internal)
}

/// A client over HTTP/1.0 may name no host, but over HTTP/1.1, which the upstream speaks, there is one (RFC 9112, 3.2). As with
/// nginx it is the upstream's name.
fn name_host(head: &mut RequestHeader, context: &Context) -> pingora_error::Result<()> {
    if head.headers.contains_key(header::HOST) || head.uri.authority().is_some() {
        return Ok(());
    }
    let upstream = context.upstream();
    let name = upstream.map_or("", |upstream| &upstream.plan.name);
    head.insert_header(header::HOST, name)
}

/// Puts the route's path and query in place of those received.
fn rewrite(
    head: &mut RequestHeader,
    client: &RequestHeader,
    context: &Context,
) -> Result<(), Fault> {
    let Some(template) = context.proxy().and_then(|proxy| proxy.rewrite.as_ref()) else {
        return Ok(());
    };
    let mut target = Vec::new();
    template.render_by(&RequestFacts::new(client, context), &mut target, percent::write_value);
    set_target(head, &target).ok_or_else(|| {
        Fault::client(
            Kind::BadRequest,
            format!("`rewrite` of route `{}` does not give a path here", route_name(context)),
        )
    })
}

/// Makes `head` ask for this path and query, at the same authority. `None` when it is no path.
pub(crate) fn set_target(head: &mut RequestHeader, target: &[u8]) -> Option<()> {
    let target =
        http::uri::PathAndQuery::from_maybe_shared(percent::in_target(target.to_vec())).ok()?;
    let mut parts = head.uri.clone().into_parts();
    parts.path_and_query = Some(target).filter(|target| target.as_str().starts_with('/'));
    parts.path_and_query.as_ref()?;
    head.set_uri(Uri::from_parts(parts).ok()?);
    Some(())
}

fn route_name(context: &Context) -> &str {
    context.route().map_or("", |route| &route.name)
}

/// Tells the upstream of the client, in the fields that the operator wants.
fn forwarded(head: &mut RequestHeader, context: &Context) -> pingora_error::Result<()> {
    let plan = &context.snapshot.forwarding;
    let peer = context.connection.peer.map(|peer| peer.ip().to_canonical());
    if plan.x_forwarded {
        x_forwarded(head, context, peer)?;
    }
    if plan.forwarded {
        let element = forwarded_element(context, peer);
        append_item(head, "Forwarded", &element)?;
    }
    if plan.request_id {
        head.insert_header("X-Request-ID", &*context.request.id)?;
    }
    via(head, plan)
}

fn x_forwarded(
    head: &mut RequestHeader,
    context: &Context,
    peer: Option<IpAddr>,
) -> pingora_error::Result<()> {
    if let Some(peer) = peer {
        append_item(head, "X-Forwarded-For", &peer.to_string())?;
    }
    // What a trusted proxy said of the client's own connection is nearer to the truth than what we see.
    let absent = |head: &RequestHeader, name: &str| !head.headers.contains_key(name);
    if absent(head, "x-forwarded-proto") {
        head.insert_header("X-Forwarded-Proto", context.connection.client_scheme())?;
    }
    if absent(head, "x-forwarded-host") {
        let host = head.headers.get(header::HOST).cloned();
        let host = host.or_else(|| HeaderValue::from_str(head.uri.authority()?.as_str()).ok());
        if let Some(host) = host {
            head.insert_header("X-Forwarded-Host", host)?;
        }
    }
    if let Some(taken) =
        context.connection.destination().filter(|_| absent(head, "x-forwarded-port"))
    {
        head.insert_header("X-Forwarded-Port", taken.port().to_string())?;
    }
    Ok(())
}

/// `for=192.0.2.1;host="a.example";proto=https` (RFC 7239).
fn forwarded_element(context: &Context, peer: Option<IpAddr>) -> String {
    let node = match peer {
        Some(IpAddr::V4(ip)) => format!("for={ip}"),
        Some(IpAddr::V6(ip)) => format!("for=\"[{ip}]\""),
        None => "for=unknown".to_owned(),
    };
    format!("{node};host=\"{}\";proto={}", context.request.host, context.connection.client_scheme())
}

/// Names us as an intermediary (RFC 9110, 7.6.3).
fn via(head: &mut RequestHeader, plan: &ForwardingPlan) -> pingora_error::Result<()> {
    let Some(pseudonym) = &plan.via else { return Ok(()) };
    let protocol = match head.version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2.0",
        _ => "1.1",
    };
    append_item(head, "Via", &format!("{protocol} {pseudonym}"))
}

/// Adds to the list in `name`, in one line: some servers read only the first.
fn append_item(
    head: &mut RequestHeader,
    name: &'static str,
    item: &str,
) -> pingora_error::Result<()> {
    let before: Vec<&[u8]> =
        head.headers.get_all(name).into_iter().map(|value| value.as_bytes()).collect();
    let mut list = before.join(&b", "[..]);
    if !list.is_empty() {
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(item.as_bytes());
    // Made of values that were valid and of our own text.
    let value = HeaderValue::from_bytes(&list).unwrap_or_else(|_| HeaderValue::from_static(""));
    head.insert_header(name, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_stay_in_one_line() {
        let mut head = RequestHeader::build("GET", b"/", None).unwrap();
        head.append_header("via", "1.0 a").unwrap();
        head.append_header("via", "1.1 b").unwrap();
        append_item(&mut head, "Via", "1.1 c").unwrap();
        let lines: Vec<_> = head.headers.get_all("via").into_iter().collect();
        assert_eq!(lines, ["1.0 a, 1.1 b, 1.1 c"]);
    }
}
