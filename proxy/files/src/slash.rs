//! Where a directory is that was asked for without its final slash.

use http::HeaderValue;

/// What stays as it is in a reference. Not the backslash, which browsers take for a slash, nor what they drop.
const KEPT: &[u8] = b"-._~!$&'()*+,;=:@/%?";

/// The same path with a slash and the same query; `None` never, but for what no header can carry.
///
/// The reference never begins with two slashes: `//name` would lead to another host.
pub(crate) fn location(url_path: &[u8], query: Option<&[u8]>) -> Option<HeaderValue> {
    let mut reference = Vec::with_capacity(url_path.len() + query.map_or(0, <[u8]>::len) + 3);
    reference.push(b'/');
    let path = url_path.iter().skip_while(|&&byte| byte == b'/');
    path.for_each(|&byte| push(&mut reference, byte));
    if reference.last() != Some(&b'/') {
        reference.push(b'/');
    }
    if let Some(query) = query {
        reference.push(b'?');
        query.iter().for_each(|&byte| push(&mut reference, byte));
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(reference)).ok()
}

fn push(reference: &mut Vec<u8>, byte: u8) {
    if byte.is_ascii_alphanumeric() || KEPT.contains(&byte) {
        reference.push(byte);
    } else {
        push_encoded(reference, byte);
    }
}

/// `byte` as `%XX`.
pub(crate) fn push_encoded(reference: &mut Vec<u8>, byte: u8) {
    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
    reference.extend([b'%', digit(byte >> 4), digit(byte & 0xf)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_stays_on_its_host() {
        for (path, query, expected) in [
            ("/a", None, "/a/"),
            ("/a%20b/c", Some("x=1&y=%2f"), "/a%20b/c/?x=1&y=%2f"),
            ("/a", Some(""), "/a/?"),
            ("", None, "/"),
            ("//evil.example/../a", None, "/evil.example/../a/"),
            ("////evil.example", None, "/evil.example/"),
            ("/\\evil.example/../a", None, "/%5Cevil.example/../a/"),
            ("/\t/evil.example", None, "/%09/evil.example/"),
            ("/a\r\nSet-Cookie: x", Some("\n"), "/a%0D%0ASet-Cookie:%20x/?%0A"),
            ("/ä#", None, "/%C3%A4%23/"),
        ] {
            let location = location(path.as_bytes(), query.map(str::as_bytes)).unwrap();
            assert_eq!(location, expected, "{path:?}");
        }
    }
}
