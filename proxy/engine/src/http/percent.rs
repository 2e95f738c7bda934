//! Percent-encoding (RFC 3986, 2.1) of what was rendered from variables.

use switchback_value::{Known, Variable};

/// `text` with every byte encoded that may not stand in a URI. `%` stays, because captures keep theirs.
pub(super) fn in_uri(text: Vec<u8>) -> Vec<u8> {
    encoded(text, may_stand)
}

/// The same for a request target, which has no fragment.
pub(crate) fn in_target(text: Vec<u8>) -> Vec<u8> {
    encoded(text, |byte| may_stand(byte) && byte != b'#')
}

/// Writes a value into an address. What was decoded, the path and what is captured of it, is encoded again, so that a `?`
/// in it does not begin a query; a `%` in it stays, because the normal path keeps it encoded.
pub(crate) fn write_value(variable: &Variable, value: &[u8], out: &mut Vec<u8>) {
    if is_of_path(variable) {
        let stays = |byte: &u8| may_stand(*byte) && !matches!(byte, b'?' | b'#');
        value.iter().for_each(|byte| push(*byte, stays(byte), out));
    } else {
        out.extend_from_slice(value);
    }
}

/// Writes a value into the path of a file: what the normal path keeps encoded is decoded for the file system. An encoded
/// slash is part of no name; it becomes a zero byte, which no path may hold.
pub(super) fn write_file_name(variable: &Variable, value: &[u8], out: &mut Vec<u8>) {
    if !is_of_path(variable) || memchr::memchr(b'%', value).is_none() {
        return out.extend_from_slice(value);
    }
    let mut rest = value;
    while let Some((byte, after)) = rest.split_first() {
        let decoded =
            (*byte == b'%').then(|| Some(digit(after.first()?)? * 16 + digit(after.get(1)?)?));
        match decoded.flatten() {
            Some(decoded) => {
                out.push(if decoded == b'/' { 0 } else { decoded });
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*byte);
                rest = after;
            }
        }
    }
}

fn digit(byte: &u8) -> Option<u8> {
    char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn is_of_path(variable: &Variable) -> bool {
    matches!(variable, Variable::Capture(_) | Variable::Known(Known::Uri))
}

/// Whether a URI may have this byte: all visible ASCII but a few.
pub(crate) fn may_stand(byte: u8) -> bool {
    let is_delimiter =
        matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}');
    byte.is_ascii_graphic() && !is_delimiter
}

fn encoded(text: Vec<u8>, stays: impl Fn(u8) -> bool) -> Vec<u8> {
    if text.iter().all(|byte| stays(*byte)) {
        return text;
    }
    let mut out = Vec::with_capacity(text.len() + 16);
    text.into_iter().for_each(|byte| push(byte, stays(byte), &mut out));
    out
}

fn push(byte: u8, stays: bool, out: &mut Vec<u8>) {
    const HEX: [u8; 16] = *b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
    if stays {
        out.push(byte);
    } else {
        out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(
        write: fn(&Variable, &[u8], &mut Vec<u8>),
        variable: &Variable,
        value: &str,
    ) -> String {
        let mut out = Vec::new();
        write(variable, value.as_bytes(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn what_is_captured_of_a_path_begins_no_query() {
        let capture = Variable::Capture(0);
        assert_eq!(written(write_value, &capture, "a?b#c d%25/e&f"), "a%3Fb%23c%20d%25/e&f");
        assert_eq!(written(write_value, &Variable::Known(Known::Uri), "/a?b"), "/a%3Fb");
        assert_eq!(written(write_value, &Variable::Known(Known::Args), "a=b?c"), "a=b?c");
    }

    #[test]
    fn names_of_files_are_decoded_to_the_end() {
        let capture = Variable::Capture(0);
        assert_eq!(written(write_file_name, &capture, "100%25.txt"), "100%.txt");
        assert_eq!(written(write_file_name, &capture, "a%2Fb"), "a\0b");
        assert_eq!(written(write_file_name, &capture, "a%2"), "a%2");
        assert_eq!(written(write_file_name, &Variable::Known(Known::Host), "a%25"), "a%25");
    }

    #[test]
    fn what_variables_bring_cannot_leave_a_uri() {
        let text = b"https://h/a b\r\nX: \xc3\xa9%20|?x#y".to_vec();
        assert_eq!(in_uri(text), b"https://h/a%20b%0D%0AX:%20%C3%A9%20%7C?x#y");
        assert_eq!(in_target(b"/a#b".to_vec()), b"/a%23b");
        assert_eq!(in_target(b"/a%23b?c=d&e".to_vec()), b"/a%23b?c=d&e");
    }
}
