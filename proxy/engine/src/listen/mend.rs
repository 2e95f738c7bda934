//! Mends what a listener tolerates in a head that strict parsing refused.
//!
//! The mended head is judged strictly again, and it alone goes on: whatever is tolerated here, nobody behind the front door
//! sees anything but a sound head.

use switchback_conf::plan::{Tolerance, Tolerances};

use super::head::has_token;
use crate::http::context::FirstLine;

/// What became of a head.
#[derive(Debug)]
pub(super) enum Mended {
    /// It needs more bytes.
    Partial,
    /// It has a fault that is not tolerated, or none.
    No,
    /// It is whole.
    Whole {
        /// In its sound form, the empty line included.
        head: Vec<u8>,
        /// The first line as received.
        first_line: FirstLine,
        /// Bytes received of it.
        received: usize,
    },
}

/// A header line: its name, and its value without blanks around it.
struct Field<'h> {
    name: &'h [u8],
    value: Vec<u8>,
}

/// Mends the head that `bytes` begin with.
pub(super) fn mend(bytes: &[u8], tolerate: Tolerances) -> Mended {
    let mut rest = bytes;
    let mut first: Option<&[u8]> = None;
    let mut fields: Vec<Field<'_>> = Vec::new();
    let mut is_changed = false;
    loop {
        let Some(end) = memchr::memchr(b'\n', rest) else { return Mended::Partial };
        let (line, behind) = rest.split_at(end);
        rest = behind.get(1..).unwrap_or_default();
        let line = match line.strip_suffix(b"\r") {
            Some(line) => line,
            None if tolerate.has(Tolerance::BareLf) => {
                is_changed = true;
                line
            }
            None => return Mended::No,
        };
        match (first, line) {
            (None, b"") => {}
            (None, _) => first = Some(line),
            (Some(first), b"") => {
                is_changed |= mend_framing(&mut fields, tolerate);
                let received = bytes.len() - rest.len();
                return if is_changed { whole(first, &fields, received) } else { Mended::No };
            }
            (Some(_), _) => match mend_line(line, &mut fields, tolerate) {
                Line::Sound => {}
                Line::Changed => is_changed = true,
                Line::Bad => return Mended::No,
            },
        }
    }
}

fn whole(first: &[u8], fields: &[Field<'_>], received: usize) -> Mended {
    let mut head = [first, b"\r\n"].concat();
    for Field { name, value } in fields {
        [name, &b": "[..], value, b"\r\n"].iter().for_each(|part| head.extend_from_slice(part));
    }
    head.extend_from_slice(b"\r\n");
    let uri = first.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    Mended::Whole { head, first_line: FirstLine { whole: first.into(), uri: uri.into() }, received }
}

/// What there was to do about a line.
enum Line {
    Sound,
    Changed,
    Bad,
}

fn mend_line<'h>(line: &'h [u8], fields: &mut Vec<Field<'h>>, tolerate: Tolerances) -> Line {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        let Some(last) = fields.last_mut().filter(|_| tolerate.has(Tolerance::ObsFold)) else {
            return Line::Bad;
        };
        let (more, _) = mend_value(line, tolerate);
        last.value.push(b' ');
        last.value.extend_from_slice(&more);
        last.value = last.value.trim_ascii().to_vec();
        return Line::Changed;
    }
    let Some(colon) = memchr::memchr(b':', line) else { return Line::Bad };
    let (mut name, behind) = line.split_at(colon);
    let mut is_changed = false;
    if tolerate.has(Tolerance::SpaceBeforeColon) {
        while let [shorter @ .., b' ' | b'\t'] = name {
            name = shorter;
            is_changed = true;
        }
    }
    let (value, is_other) = mend_value(behind.get(1..).unwrap_or_default(), tolerate);
    fields.push(Field { name, value });
    if is_changed || is_other { Line::Changed } else { Line::Sound }
}

/// The value without blanks around it, and whether a byte within it had to be replaced.
fn mend_value(value: &[u8], tolerate: Tolerances) -> (Vec<u8>, bool) {
    let is_mended = |byte: u8| match byte {
        b'\t' => false,
        b'\r' => tolerate.has(Tolerance::BareCr),
        0..=0x1f | 0x7f => tolerate.has(Tolerance::ControlBytes),
        _ => false,
    };
    let mended: Vec<u8> =
        value.iter().map(|byte| if is_mended(*byte) { b' ' } else { *byte }).collect();
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = mended.iter().take_while(|byte| blank(byte)).count();
    let end = mended.len() - mended.iter().rev().take_while(|byte| blank(byte)).count();
    let inner = mended.get(start..end).unwrap_or_default().to_vec();
    (inner, value.iter().any(|byte| is_mended(*byte)))
}

/// Mends the headers that decide where the request ends and whose it is.
fn mend_framing(fields: &mut Vec<Field<'_>>, tolerate: Tolerances) -> bool {
    let mut is_changed = false;
    if tolerate.has(Tolerance::RepeatedHost) {
        is_changed |= settle(fields, b"host", |values| {
            let first = *values.first()?;
            values.iter().all(|value| value.eq_ignore_ascii_case(first)).then(|| first.to_vec())
        });
    }
    if tolerate.has(Tolerance::OddLength) {
        is_changed |= settle(fields, b"content-length", one_length);
    }
    if tolerate.has(Tolerance::OddCoding) {
        is_changed |= settle(fields, b"transfer-encoding", one_coding);
    }
    if tolerate.has(Tolerance::LengthAndChunked) && has(fields, b"transfer-encoding") {
        let before = fields.len();
        fields.retain(|field| !field.name.eq_ignore_ascii_case(b"content-length"));
        if fields.len() < before {
            is_changed = true;
            // The one in front may have gone by the length (RFC 9112, 6.3): nothing that follows is to be trusted.
            fields.retain(|field| {
                let is_connection = field.name.eq_ignore_ascii_case(b"connection");
                !(is_connection && has_token(&field.value, b"keep-alive"))
            });
            fields.insert(0, Field { name: b"Connection", value: b"close".to_vec() });
        }
    }
    is_changed
}

fn has(fields: &[Field<'_>], name: &[u8]) -> bool {
    fields.iter().any(|field| field.name.eq_ignore_ascii_case(name))
}

/// Puts what `decide` makes of all values of `name` in the place of the first; `None` leaves them alone.
fn settle(
    fields: &mut Vec<Field<'_>>,
    name: &[u8],
    decide: impl Fn(&[&[u8]]) -> Option<Vec<u8>>,
) -> bool {
    let is_named = |field: &Field<'_>| field.name.eq_ignore_ascii_case(name);
    let values: Vec<&[u8]> =
        fields.iter().filter(|field| is_named(field)).map(|field| &*field.value).collect();
    let Some(decided) = decide(&values) else { return false };
    if values.len() == 1 && values.first() == Some(&&*decided) {
        return false;
    }
    let mut decided = Some(decided);
    fields.retain_mut(|field| {
        if !is_named(field) {
            return true;
        }
        let Some(value) = decided.take() else { return false };
        field.value = value;
        true
    });
    true
}

/// The length on which all agree.
fn one_length(values: &[&[u8]]) -> Option<Vec<u8>> {
    let items = values.iter().flat_map(|value| value.split(|byte| *byte == b','));
    let mut lengths = items.map(|item| {
        let item = item.trim_ascii();
        let digits = item.strip_prefix(b"+").unwrap_or(item);
        let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
        // One digit stays, whatever it is.
        digits.get(zeros.min(digits.len().saturating_sub(1))..).unwrap_or_default()
    });
    let first = lengths.next()?;
    lengths.all(|length| length == first).then(|| first.to_vec())
}

/// `chunked`, if nothing else is said.
fn one_coding(values: &[&[u8]]) -> Option<Vec<u8>> {
    let items = values.iter().flat_map(|value| value.split(|byte| *byte == b','));
    let mut said = items
        .map(<[u8]>::trim_ascii)
        .filter(|item| !item.is_empty() && !item.eq_ignore_ascii_case(b"identity"))
        .peekable();
    said.peek()?;
    said.all(|item| item.eq_ignore_ascii_case(b"chunked")).then(|| b"chunked".to_vec())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mended(head: &str, tolerate: &[Tolerance]) -> Option<String> {
        let head = head.replace('|', "\r\n");
        match mend(head.as_bytes(), tolerate.iter().copied().collect()) {
            Mended::Whole { head: mended, received, .. } => {
                assert_eq!(received, head.len());
                let text = String::from_utf8(mended).unwrap();
                Some(text.replace("\r\n", "|"))
            }
            Mended::No => None,
            Mended::Partial => Some("partial".into()),
        }
    }

    #[test]
    fn each_fault_is_mended_where_it_is_tolerated_and_only_there() {
        use Tolerance as T;
        let all: Vec<Tolerance> = T::ALL.map(|(tolerance, _)| tolerance).to_vec();
        for (tolerance, head, wanted) in [
            (T::BareLf, "G / H\nA: b\n|", "G / H|A: b||"),
            (T::BareCr, "G / H|A: b\rc||", "G / H|A: b c||"),
            (T::ControlBytes, "G / H|A: \x01b\0c||", "G / H|A: b c||"),
            (T::ObsFold, "G / H|A: b|\t c| d||", "G / H|A: b c d||"),
            (T::SpaceBeforeColon, "G / H|A \t: b||", "G / H|A: b||"),
            (
                T::LengthAndChunked,
                "P / H|Content-Length: 5|connection: Keep-Alive|transfer-encoding: chunked||",
                "P / H|Connection: close|transfer-encoding: chunked||",
            ),
            (
                T::OddLength,
                "P / H|Content-Length: +5, 005|content-length: 5||",
                "P / H|Content-Length: 5||",
            ),
            (
                T::OddCoding,
                "P / H|Transfer-Encoding: identity,,chunked||",
                "P / H|Transfer-Encoding: chunked||",
            ),
            (T::RepeatedHost, "P / H|Host: a|X: y|hOST: A||", "P / H|Host: a|X: y||"),
        ] {
            assert_eq!(mended(head, &[tolerance]).as_deref(), Some(wanted), "{tolerance:?}");
            let others: Vec<_> = all.iter().copied().filter(|other| *other != tolerance).collect();
            let with_others = mended(head, &others);
            assert_ne!(with_others.as_deref(), Some(wanted), "{tolerance:?}");
        }
    }

    #[test]
    fn what_disagrees_is_never_mended() {
        let all: Vec<Tolerance> = Tolerance::ALL.map(|(tolerance, _)| tolerance).to_vec();
        for head in [
            "P / H|Content-Length: 5|Content-Length: 6||",
            "P / H|Content-Length: 5, 6||",
            "P / H|Content-Length: -5||",
            "P / H|Transfer-Encoding: gzip, chunked||",
            "P / H|Transfer-Encoding: identity||",
            "P / H|Host: a|Host: b||",
            "P / H| A: b||",
            "P / H|A||",
            "P / H|A: b||",
        ] {
            assert_eq!(mended(head, &all), None, "{head}");
        }
        assert_eq!(mended("P / H|A: b|", &all).as_deref(), Some("partial"));
    }

    proptest! {
        #[test]
        fn mended_bytes_are_sound_lines(bytes in "[GP] / H\r?\n([A-C:\r\n\t \0x5,]{0,3}(Host: ?a|Content-Length: 5)?\r?\n){0,6}\n?") {
            let all = Tolerance::ALL.iter().map(|(tolerance, _)| *tolerance).collect();
            if let Mended::Whole { head, received, .. } = mend(bytes.as_bytes(), all) {
                prop_assert!(received <= bytes.len());
                let inner = head.strip_suffix(b"\r\n\r\n").unwrap();
                for line in inner.split(|byte| *byte == b'\n').skip(1) {
                    prop_assert!(!line.starts_with(b" ") && !line.starts_with(b"\t"), "{:?}", line);
                    prop_assert!(!line.is_empty() && line != b"\r");
                }
            }
        }
    }
}
