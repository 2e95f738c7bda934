//! The forms in which values of requests, which anybody may choose, stand in a log.
//!
//! All append to `out` and fit [`Template::render_with`](crate::Template::render_with).

/// As the inside of a JSON string.
///
/// Bytes that are not UTF-8 become U+FFFD, because JSON is UTF-8 throughout; one for each invalid sequence.
pub fn json(value: &[u8], out: &mut Vec<u8>) {
    for chunk in value.utf8_chunks() {
        json_text(chunk.valid().as_bytes(), out);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn json_text(text: &[u8], out: &mut Vec<u8>) {
    copy_except(
        text,
        out,
        |byte| matches!(byte, 0..=0x1f | b'"' | b'\\'),
        |byte, out| match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&hex(byte));
            }
        },
    );
}

/// As it is: for whoever knows that nothing in it can break a line.
pub fn none(value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(value);
}

/// As in nginx's access log by default: `\xXX` for `"`, `\` and every byte outside printable ASCII.
pub fn log(value: &[u8], out: &mut Vec<u8>) {
    copy_except(
        value,
        out,
        |byte| matches!(byte, 0..=0x1f | b'"' | b'\\' | 0x7f..),
        |byte, out| {
            out.extend_from_slice(b"\\x");
            out.extend_from_slice(&hex(byte));
        },
    );
}

/// Copies runs of plain bytes at once, and gives each special one to `escape`.
fn copy_except(
    mut value: &[u8],
    out: &mut Vec<u8>,
    is_special: impl Fn(u8) -> bool,
    escape: impl Fn(u8, &mut Vec<u8>),
) {
    while let Some(plain) = value.iter().position(|byte| is_special(*byte)) {
        let (run, rest) = value.split_at(plain);
        out.extend_from_slice(run);
        let Some((special, rest)) = rest.split_first() else { return };
        escape(*special, out);
        value = rest;
    }
    out.extend_from_slice(value);
}

fn hex(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 0xf]
        .map(|nibble| if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 })
}

#[cfg(test)]
mod tests {
    use super::{json, log};

    fn escaped(escape: impl Fn(&[u8], &mut Vec<u8>), value: &[u8]) -> String {
        let mut out = b"> ".to_vec();
        escape(value, &mut out);
        String::from_utf8(out).unwrap().strip_prefix("> ").unwrap().to_owned()
    }

    #[test]
    fn a_log_keeps_printable_ascii() {
        let printable: Vec<u8> =
            (b' '..=b'~').filter(|byte| !matches!(byte, b'"' | b'\\')).collect();
        assert_eq!(escaped(log, &printable).as_bytes(), printable);
    }

    #[test]
    fn a_log_writes_everything_else_in_upper_case_hexadecimal() {
        assert_eq!(escaped(log, b"a\"b\\c"), r"a\x22b\x5Cc");
        assert_eq!(escaped(log, b"\x00\x09\x1f"), r"\x00\x09\x1F");
        assert_eq!(escaped(log, b"\x7f\x80\xff"), r"\x7F\x80\xFF");
        assert_eq!(escaped(log, "é".as_bytes()), r"\xC3\xA9");
        assert_eq!(escaped(log, b"\xa9\x9a"), r"\xA9\x9A");
    }

    #[test]
    fn json_escapes_quotes_backslashes_and_control_characters_only() {
        assert_eq!(escaped(json, br#"a"b\c"#), r#"a\"b\\c"#);
        assert_eq!(escaped(json, b"\n\r\t\x08\x0c\x00\x1f"), r"\n\r\t\b\f\u0000\u001F");
        assert_eq!(escaped(json, b" /~\x7f"), " /~\x7f");
        assert_eq!(escaped(json, "é→".as_bytes()), "é→");
    }

    #[test]
    fn json_replaces_what_is_not_utf8() {
        assert_eq!(escaped(json, b"a\xffb\xc3"), "a\u{fffd}b\u{fffd}");
        assert_eq!(escaped(json, b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }

    #[test]
    fn nothing_stays_nothing() {
        assert_eq!(escaped(log, b""), "");
        assert_eq!(escaped(json, b""), "");
    }
}
