//! Percent-encoding (RFC 3986, 2.1) of what was rendered from variables.

/// `text` with every byte encoded that may not stand in a URI. `%` stays, because captures keep theirs.
pub(super) fn in_uri(text: Vec<u8>) -> Vec<u8> {
    encoded(text, may_stand)
}

/// The same for a request target, which has no fragment.
pub(super) fn in_target(text: Vec<u8>) -> Vec<u8> {
    encoded(text, |byte| may_stand(byte) && byte != b'#')
}

/// All visible ASCII but a few.
fn may_stand(byte: u8) -> bool {
    let is_delimiter =
        matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}');
    byte.is_ascii_graphic() && !is_delimiter
}

fn encoded(text: Vec<u8>, stays: impl Fn(u8) -> bool) -> Vec<u8> {
    if text.iter().all(|byte| stays(*byte)) {
        return text;
    }
    const HEX: [u8; 16] = *b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
    let mut out = Vec::with_capacity(text.len() + 16);
    for byte in text {
        if stays(byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_variables_bring_cannot_leave_a_uri() {
        let text = b"https://h/a b\r\nX: \xc3\xa9%20|?x#y".to_vec();
        assert_eq!(in_uri(text), b"https://h/a%20b%0D%0AX:%20%C3%A9%20%7C?x#y");
        assert_eq!(in_target(b"/a#b".to_vec()), b"/a%23b");
        assert_eq!(in_target(b"/a%23b?c=d&e".to_vec()), b"/a%23b?c=d&e");
    }
}
