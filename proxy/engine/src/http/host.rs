//! The names by which clients call a host.

/// The host in `named`, an authority or the value of `Host`: without port and final dot. `None` is no host, or one that two
/// servers could read differently.
pub(crate) fn name(named: &[u8]) -> Option<&str> {
    let is_fit = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'[' | b']' | b'%')
    };
    if !named.iter().all(is_fit) {
        return None;
    }
    let name = without_port(named)?;
    let name = name.strip_suffix(b".").unwrap_or(name);
    let has_gap = name.is_empty() || name.windows(2).any(|pair| pair == b"..") || name == b".";
    // All of it is ASCII by now.
    std::str::from_utf8(name).ok().filter(|name| !has_gap && !name.ends_with('.'))
}

/// `host` of `host:port`; `None` when the port is not a number or a bracket is not closed.
fn without_port(host: &[u8]) -> Option<&[u8]> {
    let end = if host.starts_with(b"[") {
        memchr::memchr(b']', host)? + 1
    } else {
        memchr::memchr(b':', host).unwrap_or(host.len())
    };
    let (name, port) = host.split_at_checked(end)?;
    let port_is_valid = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    port_is_valid.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_port_and_final_dot_and_keep_their_brackets() {
        for (named, host) in [
            ("a.example", "a.example"),
            ("a.example:80", "a.example"),
            ("a.example.:80", "a.example"),
            ("a.example.", "a.example"),
            ("A_b-c.Example", "A_b-c.Example"),
            ("a:", "a"),
            (".a", ".a"),
            ("[::1]:80", "[::1]"),
        ] {
            assert_eq!(name(named.as_bytes()), Some(host), "{named}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for named in ["", ":80", ".", "..", "a..", "..x", "a..b", "a b", "user@a", "a/b", "a,b"] {
            assert_eq!(name(named.as_bytes()), None, "{named}");
        }
        for named in ["a:b", "a:123456", "[::1", "[::1]x", "a:1:2", "\u{e9}", "a\\b", "a?b"] {
            assert_eq!(name(named.as_bytes()), None, "{named}");
        }
    }
}
