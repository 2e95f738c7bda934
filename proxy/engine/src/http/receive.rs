//! Phase 1: who asks, for which host, and for which path.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;
use pingora_http::RequestHeader;
use switchback_conf::plan::Tolerance;
use switchback_route::NormalPath;

use super::context::Context;
use super::fault::{Fault, Kind};
use super::host;

/// Fills [`Context::request`], the path excepted, and takes out of the head what an untrusted client may not say.
pub(crate) fn receive(head: &mut RequestHeader, context: &mut Context) -> Result<(), Fault> {
    // A dual-stack socket shows IPv4 clients as ::ffff:a.b.c.d; logs and rules say a.b.c.d.
    let peer = context.connection.peer.map(|peer| peer.ip().to_canonical());
    let snapshot = Arc::clone(&context.snapshot);
    let trusted = is_trusted(peer, &snapshot.forwarding.trusted_proxies);
    let id = request_id(head, trusted).unwrap_or_else(|| context.resident.request_ids.next());
    super::name_request(&id);
    // From here on a request can be refused: the page and the log tell which, and whose.
    context.request.id = id;
    context.request.client = if trusted {
        forwarded_client(&head.headers, peer, &snapshot.forwarding.trusted_proxies)
    } else {
        peer
    };
    let passes_underscores =
        context.connection.listener.plan.limits.tolerate.has(Tolerance::Underscores);
    if !trusted {
        drop_forwarded(head, snapshot.forwarding.via.is_none(), passes_underscores);
    } else {
        drop_aliases(head, passes_underscores);
    }
    context.request.host = host(head)?;
    Ok(())
}

/// The normalised path; what becomes of `%2f` is the site's affair, so the site is known by now.
pub(crate) fn normal_path(head: &RequestHeader, context: &mut Context) -> Result<(), Fault> {
    let slash = context.site().map(|site| site.encoded_slash).unwrap_or_default();
    let raw = head.raw_path();
    let path = path_of(raw);
    let path = std::str::from_utf8(path)
        .map_err(|_| Fault::client(Kind::BadRequest, "request target is not ASCII"))?;
    let normal = NormalPath::parse(path, slash)
        .map_err(|error| Fault::client(Kind::BadRequest, error.to_string()))?;
    context.request.path = normal.into_owned();
    Ok(())
}

/// The path of a request target; `*` is the root.
fn path_of(target: &[u8]) -> &[u8] {
    let target = target
        .get(..memchr::memchr2(b'?', b'#', target).unwrap_or(target.len()))
        .unwrap_or_default();
    if target == b"*" { b"/" } else { target }
}

/// The host asked for: over HTTP/2 the target's authority before `Host`, which is all there is over HTTP/1; in lower case.
fn host(head: &RequestHeader) -> Result<Box<str>, Fault> {
    let named = match head.uri.authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => match head.headers.get(header::HOST) {
            Some(host) => host.as_bytes(),
            None => return Ok("".into()),
        },
    };
    let name = host::name(named);
    let name = name.ok_or_else(|| Fault::client(Kind::BadRequest, "invalid host"))?;
    Ok(name.to_ascii_lowercase().into())
}

fn is_trusted(peer: Option<IpAddr>, proxies: &[IpNet]) -> bool {
    peer.is_some_and(|peer| contains(proxies, peer))
}

fn contains(nets: &[IpNet], ip: IpAddr) -> bool {
    // A dual-stack socket shows IPv4 clients as ::ffff:a.b.c.d; operators write a.b.c.d.
    let ip = ip.to_canonical();
    nets.iter().any(|net| net.contains(&ip))
}

/// The last address in `X-Forwarded-For` that is not itself a trusted proxy.
fn forwarded_client(
    headers: &HeaderMap,
    peer: Option<IpAddr>,
    proxies: &[IpNet],
) -> Option<IpAddr> {
    let lines: Vec<&[u8]> =
        headers.get_all("x-forwarded-for").into_iter().map(|line| line.as_bytes()).collect();
    let mut client = peer;
    for item in lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b',')) {
        let Some(address) = address(item.trim_ascii()) else { break };
        client = Some(address);
        if !contains(proxies, address) {
            break;
        }
    }
    client
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let ip: Option<IpAddr> = text.parse().ok();
    ip.or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}

/// What a trusted proxy calls the request.
fn request_id(head: &RequestHeader, trusted: bool) -> Option<Arc<str>> {
    fit_id(head.headers.get("x-request-id").filter(|_| trusted)?)
}

/// An id of a request, if it is fit for logs.
pub(super) fn fit_id(id: &HeaderValue) -> Option<Arc<str>> {
    let id = id.to_str().ok()?;
    let fit = !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic());
    fit.then(|| id.into())
}

/// A field that tells of the client's way to us.
fn is_forwarded(name: &str) -> bool {
    const ALONE: [&str; 4] = ["forwarded", "via", "x-request-id", "x-real-ip"];
    // Nearly every name of every request ends here.
    if !name.starts_with(['x', 'f', 'v']) {
        return false;
    }
    let dashed = name.replace('_', "-");
    dashed.starts_with("x-forwarded-")
        || dashed == "x-forwarded"
        || ALONE.contains(&dashed.as_str())
}

/// Takes out everything that an untrusted client says of its way to us, spelled with dashes or underscores. `Via` stays
/// where we leave it alone: without it a loop of proxies goes unnoticed.
fn drop_forwarded(head: &mut RequestHeader, keeps_via: bool, passes_underscores: bool) {
    remove_where(head, |name| {
        is_alias(name, passes_underscores) || is_forwarded(name) && !(keeps_via && name == "via")
    });
}

/// Takes out what is spelled with underscores.
fn drop_aliases(head: &mut RequestHeader, passes_underscores: bool) {
    remove_where(head, |name| is_alias(name, passes_underscores));
}

/// A name with underscores, which many servers read as if it had dashes; where they are passed on, one that would tell of
/// the client's way to us.
fn is_alias(name: &str, passes_underscores: bool) -> bool {
    name.contains('_') && (!passes_underscores || is_forwarded(name))
}

fn remove_where(head: &mut RequestHeader, unwanted: impl Fn(&str) -> bool) {
    let names: Vec<HeaderName> =
        head.headers.keys().filter(|name| unwanted(name.as_str())).cloned().collect();
    for name in names {
        head.remove_header(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::{host as host_of, *};

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_path_ends_before_the_query() {
        for (target, path) in
            [("/a?b", "/a"), ("/a#b", "/a"), ("*", "/"), ("/x://y", "/x://y"), ("/?", "/")]
        {
            assert_eq!(path_of(target.as_bytes()), path.as_bytes(), "{target}");
        }
    }

    #[test]
    fn the_host_of_the_target_wins_and_strange_hosts_are_refused() {
        let head = |target: &str, host: &str| {
            let mut head = RequestHeader::build("GET", b"/", None).unwrap();
            head.set_uri(target.parse().unwrap());
            head.insert_header("host", host).unwrap();
            head
        };
        assert_eq!(&*host_of(&head("/", "Shop.Example.:8080")).unwrap(), "shop.example");
        assert_eq!(&*host_of(&head("http://B/", "a")).unwrap(), "b");
        assert!(host_of(&head("/", "user@a")).is_err());
        let nameless = RequestHeader::build("GET", b"/", None).unwrap();
        assert_eq!(&*host_of(&nameless).unwrap(), "");
    }

    #[test]
    fn the_client_is_the_last_address_that_no_trusted_proxy_has() {
        let proxies = nets(&["10.0.0.0/8"]);
        let client = |line: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", line.parse().unwrap());
            forwarded_client(&headers, Some("10.0.0.1".parse().unwrap()), &proxies)
                .unwrap()
                .to_string()
        };
        assert_eq!(client("1.1.1.1, 2.2.2.2, 10.0.0.9"), "2.2.2.2");
        assert_eq!(client("1.1.1.1, junk, 10.0.0.9"), "10.0.0.9");
        assert_eq!(client("[2001:db8::1]:80"), "2001:db8::1");
        assert_eq!(client("10.0.0.7"), "10.0.0.7");
    }

    #[test]
    fn dual_stack_peers_are_compared_as_ipv4() {
        assert!(is_trusted(Some("::ffff:10.1.1.1".parse().unwrap()), &nets(&["10.0.0.0/8"])));
        assert!(!is_trusted(None, &nets(&["0.0.0.0/0"])));
    }

    #[test]
    fn whole_families_of_forwarded_fields_are_known_with_their_aliases() {
        for name in [
            "x-forwarded-for",
            "x_forwarded_for",
            "x-forwarded_proto",
            "forwarded",
            "via",
            "x_request_id",
            "x-real-ip",
        ] {
            assert!(is_forwarded(name), "{name}");
        }
        for name in ["x-forward", "user-agent", "x_custom", "viable"] {
            assert!(!is_forwarded(name), "{name}");
        }
    }
}
