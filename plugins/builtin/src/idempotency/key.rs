//! Keys, what requests are told apart by, and what is said of them that are refused.

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use switchback_plugin::Answer;

/// The longest key.
const LONGEST: usize = 255;

/// The key of a header: a string of structured fields (RFC 9651, section 3.3.3), or the same without quotes.
///
/// # Errors
///
/// It is neither, empty, or too long; what to do.
pub(super) fn read(value: Option<&[u8]>) -> Result<Option<Vec<u8>>, &'static str> {
    let Some(value) = value else { return Ok(None) };
    let value = value.trim_ascii();
    let key = match value {
        [b'"', quoted @ .., b'"'] => {
            unquoted(quoted).ok_or("its quotes or backslashes are wrong")?
        }
        [b'"', ..] => return Err("its quotes are not closed"),
        bare => bare.to_vec(),
    };
    if !key.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return Err("it has other characters than those of ASCII");
    }
    match key.len() {
        0 => Err("it is empty"),
        1..=LONGEST => Ok(Some(key)),
        _ => Err("it is longer than 255 characters"),
    }
}

fn unquoted(quoted: &[u8]) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return None,
            b'\\' => key.push(*bytes.next().filter(|byte| matches!(byte, b'"' | b'\\'))?),
            byte => key.push(*byte),
        }
    }
    Some(key)
}

/// Where the key of a scope is kept: clients write both, and must not be able to aim at another's.
pub(super) fn store_key(scope: &[u8], key: &[u8]) -> Bytes {
    Bytes::copy_from_slice(&digest(&[scope, key]))
}

/// What tells requests with the same key apart.
pub(super) fn fingerprint(method: &str, target: &[u8], body: &[u8]) -> [u8; 32] {
    digest(&[method.as_bytes(), target, body])
}

/// Of parts with their lengths, so that `a`, `bc` is not `ab`, `c`.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    for (into, byte) in digest.iter_mut().zip(context.finish().as_ref()) {
        *into = *byte;
    }
    digest
}

/// An answer as RFC 9457 has it.
pub(super) fn problem(status: u16, title: &str, detail: &str) -> Answer {
    let body = serde_json::json!({ "status": status, "title": title, "detail": detail });
    let answer = Answer::new(status)
        .with_header("content-type", "application/problem+json")
        .with_body(body.to_string());
    if status == 409 { answer.with_header("retry-after", "1") } else { answer }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_read_with_quotes_and_without() {
        let key = |text: &str| read(Some(text.as_bytes()));
        assert_eq!(key("\"a-1\""), Ok(Some(b"a-1".to_vec())));
        assert_eq!(key(" a-1 "), Ok(Some(b"a-1".to_vec())));
        assert_eq!(key(r#""a\"\\b""#), Ok(Some(br#"a"\b"#.to_vec())));
        assert_eq!(read(None), Ok(None));
        let long = "x".repeat(256);
        for text in ["", "\"\"", "\"", "\"a", r#""a\b""#, r#""a\"#, "\"a\"b\"", "ä", "a\tb", &long]
        {
            assert!(key(text).is_err(), "{text}");
        }
    }

    #[test]
    fn parts_of_a_key_do_not_run_into_each_other() {
        assert_ne!(store_key(b"a", b"bc"), store_key(b"ab", b"c"));
        assert_ne!(fingerprint("POST", b"/a", b""), fingerprint("POST", b"/", b"a"));
    }

    proptest! {
        #[test]
        fn no_header_is_too_strange(value: Vec<u8>) {
            let _ = read(Some(&value));
        }
    }
}
