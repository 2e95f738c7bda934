//! Values of `Link` (RFC 8288).

use switchback_plugin::Response;

/// Whether a response is for one client alone.
pub(super) fn is_for_one(response: &Response<'_>) -> bool {
    let mut alone = false;
    response.headers(|name, value| match name {
        "set-cookie" => alone = true,
        "cache-control" => {
            let mut directives = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            alone |= directives.any(|directive| {
                let name = directive.split(|byte| *byte == b'=').next().unwrap_or_default();
                name.eq_ignore_ascii_case(b"private") || name.eq_ignore_ascii_case(b"no-store")
            });
        }
        _ => {}
    });
    alone
}

/// The links of one field: split at commas that are neither in a target nor in quotes.
pub(super) fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut within = Within::Nothing;
    let links = value.split(move |byte| {
        let is_comma = *byte == b',' && within == Within::Nothing;
        within = within.behind(*byte);
        is_comma
    });
    links.map(<[u8]>::trim_ascii).filter(|link| !link.is_empty())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Nothing,
    Target,
    Quotes,
    /// Behind a backslash in quotes.
    Escape,
}

impl Within {
    const fn behind(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Nothing, b'<') => Self::Target,
            (Self::Nothing, b'"') | (Self::Escape, _) => Self::Quotes,
            (Self::Quotes, b'\\') => Self::Escape,
            (Self::Target, b'>') | (Self::Quotes, b'"') => Self::Nothing,
            (within, _) => within,
        }
    }
}

/// Whether it has the form of a link with a relation.
pub(super) fn is_link(link: &[u8]) -> bool {
    relations(link).is_some()
}

/// Whether one of its relations is among these.
pub(super) fn has_relation(link: &[u8], wanted: &[String]) -> bool {
    let Some(relations) = relations(link) else { return false };
    relations.split(u8::is_ascii_whitespace).any(|relation| {
        wanted.iter().any(|wanted| wanted.as_bytes().eq_ignore_ascii_case(relation))
    })
}

/// The value of `rel`, without quotes; the first counts.
fn relations(link: &[u8]) -> Option<&[u8]> {
    let end = link.strip_prefix(b"<")?.iter().position(|byte| *byte == b'>')?;
    let mut within = Within::Nothing;
    let parameters = link.get(end + 2..)?.split(move |byte| {
        let is_semicolon = *byte == b';' && within == Within::Nothing;
        within = within.behind(*byte);
        is_semicolon
    });
    parameters.map(<[u8]>::trim_ascii).find_map(|parameter| {
        let equals = parameter.iter().position(|byte| *byte == b'=')?;
        let (name, value) = parameter.split_at(equals);
        let value = value.get(1..)?.trim_ascii();
        let value = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
        name.trim_ascii().eq_ignore_ascii_case(b"rel").then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn commas_in_targets_and_quotes_split_nothing() {
        let value =
            br#"</a,b>; rel=preload, <b>; title="x, \" y"; rel="preload next" ,, <c>; rel=icon"#;
        let links: Vec<_> = split(value).collect();
        assert_eq!(links.len(), 3);
        let wanted = ["preload".to_owned()];
        let wanted: Vec<_> = links.iter().map(|link| has_relation(link, &wanted)).collect();
        assert_eq!(wanted, [true, true, false]);
    }

    #[test]
    fn what_is_no_link_has_no_relation() {
        for text in ["", "/a; rel=preload", "<a", "<a>", "<a>; as=style", "a<b>; rel=x"] {
            assert!(!is_link(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_field_is_too_strange(value: Vec<u8>) {
            for link in split(&value) {
                let _ = has_relation(link, &["preload".to_owned()]);
            }
        }
    }
}
