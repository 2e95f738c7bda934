//! What a client may fetch while it waits: the links of a stored response that make a 103 (RFC 8297).

use http::{HeaderMap, HeaderValue, header};

/// How many links one 103 has at most.
const MOST_LINKS: usize = 16;
/// How many bytes they have together, at most.
const MOST_BYTES: usize = 4 * 1024;

/// The links of `headers` whose relation is `preload` or `preconnect`, each as a line of its own, in their order.
#[must_use]
pub fn early_hints(headers: &HeaderMap) -> Vec<HeaderValue> {
    let lines = headers.get_all(header::LINK).iter().map(HeaderValue::as_bytes);
    let mut left = MOST_BYTES;
    let links = lines.flat_map(|line| Elements { rest: line, separator: b',' });
    let hints = links.filter(|link| is_hint(link)).take_while(|link| {
        let fits = link.len() <= left;
        left = left.saturating_sub(link.len());
        fits
    });
    hints.take(MOST_LINKS).filter_map(|link| HeaderValue::from_bytes(link).ok()).collect()
}

/// Whether a link (RFC 8288, 3) is one to act on before its page is there: only the first `rel` counts.
fn is_hint(link: &[u8]) -> bool {
    let mut parts = Elements { rest: link, separator: b';' };
    let is_target = |part: &[u8]| part.starts_with(b"<") && part.ends_with(b">");
    if !parts.next().is_some_and(is_target) {
        return false;
    }
    let relation = parts.find_map(|parameter| {
        let equals = parameter.iter().position(|&byte| byte == b'=')?;
        let (name, value) = parameter.split_at_checked(equals)?;
        let value = value.get(1..)?.trim_ascii();
        name.trim_ascii().eq_ignore_ascii_case(b"rel").then_some(value)
    });
    let Some(relation) = relation else { return false };
    let words = relation.strip_prefix(b"\"").and_then(|inner| inner.strip_suffix(b"\""));
    let mut words = words.unwrap_or(relation).split(u8::is_ascii_whitespace);
    words.any(|word| {
        [&b"preload"[..], b"preconnect"].iter().any(|own| word.eq_ignore_ascii_case(own))
    })
}

/// What stands between separators that are neither in `<>` nor in quotes; nothing of it is empty.
struct Elements<'e> {
    rest: &'e [u8],
    separator: u8,
}

impl<'e> Iterator for Elements<'e> {
    type Item = &'e [u8];

    fn next(&mut self) -> Option<&'e [u8]> {
        while !self.rest.is_empty() {
            let end = self.end();
            let (element, rest) = self.rest.split_at_checked(end)?;
            self.rest = rest.get(1..).unwrap_or_default();
            if !element.trim_ascii().is_empty() {
                return Some(element.trim_ascii());
            }
        }
        None
    }
}

impl Elements<'_> {
    /// Where the next separator is, or the end.
    fn end(&self) -> usize {
        /// Within what a byte stands.
        enum Within {
            Nothing,
            Target,
            Quotes,
            Escape,
        }
        let mut within = Within::Nothing;
        for (place, &byte) in self.rest.iter().enumerate() {
            within = match (within, byte) {
                (Within::Nothing, b'<') => Within::Target,
                (Within::Target, b'>') => Within::Nothing,
                (Within::Nothing, b'"') | (Within::Escape, _) => Within::Quotes,
                (Within::Quotes, b'"') => Within::Nothing,
                (Within::Quotes, b'\\') => Within::Escape,
                (Within::Nothing, byte) if byte == self.separator => return place,
                (within, _) => within,
            };
        }
        self.rest.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(lines: &[&[u8]]) -> Vec<String> {
        let line = |line: &&[u8]| (header::LINK, HeaderValue::from_bytes(line).unwrap());
        let headers: HeaderMap = lines.iter().map(line).collect();
        let text = |value: HeaderValue| value.to_str().unwrap().to_owned();
        early_hints(&headers).into_iter().map(text).collect()
    }

    #[test]
    fn links_to_act_on_early_are_taken_and_no_others() {
        for (line, expected) in [
            ("</a.css>; rel=preload; as=style", true),
            ("</a.css>;rel=\"preload\"", true),
            ("</a.css>; REL = Preload", true),
            ("<https://cdn.example>; rel=preconnect; crossorigin", true),
            ("</a.css>; as=style; rel=\"stylesheet preload\"", true),
            ("</a.css>; title=\";rel=x\"; rel=preload", true),
            ("</next>; rel=next", false),
            ("</a.css>; rel=next; rel=preload", false),
            ("</a.css>; rel=preloaded", false),
            ("</a.css>; title=\"; rel=preload\"", false),
            ("</a.css;rel=preload", false),
            ("/a.css; rel=preload", false),
            ("</a.css>", false),
            ("", false),
        ] {
            let expected = if expected { vec![line] } else { vec![] };
            assert_eq!(of(&[line.as_bytes()]), expected, "{line}");
        }
    }

    #[test]
    fn links_of_one_line_and_of_several_are_told_apart() {
        let lines: [&[u8]; 2] = [
            b"</a,b>; rel=preload; title=\"a, \\\"b\", </c>; rel=next ,, </d>; rel=preload",
            b"</e>; rel=preconnect",
        ];
        let expected = [
            "</a,b>; rel=preload; title=\"a, \\\"b\"",
            "</d>; rel=preload",
            "</e>; rel=preconnect",
        ];
        assert_eq!(of(&lines), expected);
    }

    #[test]
    fn there_are_no_more_than_a_client_can_want() {
        let line = "</a>; rel=preload, ".repeat(40);
        assert_eq!(of(&[line.as_bytes()]).len(), MOST_LINKS);
        let long = format!("</{}>; rel=preload", "a".repeat(MOST_BYTES));
        assert_eq!(of(&[long.as_bytes(), b"</a>; rel=preload"]), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn any_line_makes_hints_of_itself(line in "[<>a;,=\" \\\\]{0,40}(rel=preload)?[<>;,\"]{0,3}") {
            for hint in of(&[line.as_bytes()]) {
                prop_assert!(line.contains(&hint) && hint.starts_with('<'));
            }
        }
    }
}
