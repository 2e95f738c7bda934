//! One strong tag for each variant (RFC 9110 section 8.8.3), and the way back to the tag of the response it was made from.
//!
//! `"v1"` becomes `"v1;br;0a1b2c3d"`: the tag as it came, the name of the variant, and which making of it this is. Encoders do not
//! give the same bytes twice when a response comes in other pieces or at another level, so each making has a number of its own:
//! half of one making is never joined to half of another, because `If-Range` compares all of it. Whether a client's copy still
//! holds does not depend on the making, so `If-None-Match` is answered with 304 after a variant was made anew ([`is_current`]).
//!
//! A weak tag stays weak. What is no tag is left as it is, since nobody can say what it would mean.

use std::hash::{BuildHasher, Hasher, RandomState};

use bytes::{Bytes, BytesMut};
use http::HeaderValue;

use crate::variant::{Variant, hex, unhex};

/// Which making of a variant this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Making(u32);

const MAKING_DIGITS: usize = 8;

impl Making {
    /// One that has most likely never been.
    #[must_use]
    pub fn fresh() -> Self {
        let chance = RandomState::new().build_hasher().finish();
        Self::numbered((chance ^ (chance >> 32)) & u64::from(u32::MAX))
    }

    /// The one of this number, for makers who number them: what is of equal number has equal bytes. Only 32 bits count.
    #[must_use]
    pub fn numbered(number: u64) -> Self {
        Self(u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default())
    }
}

/// The tag of a variant of a response whose own tag is `original`. The original keeps its own. `None` where `original` is no tag.
#[must_use]
pub fn of_variant(original: &[u8], variant: &Variant, making: Making) -> Option<HeaderValue> {
    let tag = Tag::parse(original)?;
    if variant.is_original() {
        return HeaderValue::from_bytes(original).ok();
    }
    let token = variant.token();
    let mut text =
        BytesMut::with_capacity(original.len() + token.as_bytes().len() + MAKING_DIGITS + 2);
    text.extend_from_slice(if tag.is_weak { b"W/\"" } else { b"\"" });
    text.extend_from_slice(tag.opaque);
    text.extend_from_slice(b";");
    text.extend_from_slice(token.as_bytes());
    text.extend_from_slice(b";");
    for byte in making.0.to_be_bytes() {
        text.extend_from_slice(&[hex(byte >> 4), hex(byte & 15)]);
    }
    text.extend_from_slice(b"\"");
    HeaderValue::from_maybe_shared(text.freeze()).ok()
}

/// A tag, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    /// `W/` stands before it.
    pub is_weak: bool,
    /// What stands between its quotes.
    pub opaque: &'a [u8],
}

impl<'a> Tag<'a> {
    /// `"..."` or `W/"..."`, and nothing else.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (tag, rest) = Self::first(text)?;
        rest.is_empty().then_some(tag)
    }

    /// The tag that a text begins with, and what stands behind it.
    fn first(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (is_weak, rest) = match text {
            [b'W', b'/', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let [b'"', rest @ ..] = rest else { return None };
        let end = rest.iter().position(|&byte| byte == b'"')?;
        let (opaque, rest) = rest.split_at_checked(end)?;
        Some((Self { is_weak, opaque }, rest.get(1..)?))
    }

    /// What the tag of the original had between its quotes, and of which variant this is.
    #[must_use]
    pub fn origin(&self) -> (&'a [u8], Variant) {
        self.made().unwrap_or((self.opaque, Variant::ORIGINAL))
    }

    /// Appends it to a list, with this between its quotes.
    fn append_as(&self, opaque: &[u8], list: &mut BytesMut) {
        let pieces: [&[u8]; 4] = [
            if list.is_empty() { b"" } else { b", " },
            if self.is_weak { b"W/\"" } else { b"\"" },
            opaque,
            b"\"",
        ];
        pieces.into_iter().for_each(|piece| list.extend_from_slice(piece));
    }

    fn made(&self) -> Option<(&'a [u8], Variant)> {
        let (rest, making) = rsplit_once(self.opaque)?;
        unhex::<{ MAKING_DIGITS / 2 }>(making)?;
        let (original, token) = rsplit_once(rest)?;
        let variant = Variant::named(token).filter(|variant| !variant.is_original())?;
        Some((original, variant))
    }
}

fn rsplit_once(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().rposition(|&byte| byte == b';')?;
    let (before, behind) = text.split_at_checked(at)?;
    Some((before, behind.get(1..)?))
}

/// The tags of one line, up to the first thing that is none.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        let start = self.0.iter().position(|byte| !b", \t".contains(byte))?;
        let (tag, rest) = Tag::first(self.0.get(start..)?)?;
        self.0 = rest;
        Some(tag)
    }
}

/// Whether a line of `If-None-Match` names what would be sent now, whose tag is `current`: `*`, or a tag of the same original in
/// the same variant, whichever making it is of. Weak and strong tags are alike here (RFC 9110 section 13.1.2).
#[must_use]
pub fn is_current(line: &[u8], current: &[u8]) -> bool {
    if line.trim_ascii() == b"*" {
        return true;
    }
    let Some(current) = Tag::parse(current) else { return false };
    Tags(line).any(|tag| tag.origin() == current.origin())
}

/// What an upstream is asked in place of a client's line of `If-None-Match` or `If-Match`, when `variant` will be sent: the tags
/// of that variant as the upstream knows them. Tags of other variants are left out, as the upstream cannot say anything of what
/// the client would then be sent. `None` where nothing is left.
///
/// A line that may stay as it is is not copied. `If-Range` is asked for with [`Variant::ORIGINAL`]: a range of what is coded on its
/// way cannot be had, and where this is `None`, `Range` is not passed on either.
#[must_use]
pub fn for_upstream(line: &HeaderValue, variant: &Variant) -> Option<HeaderValue> {
    let text = line.as_bytes();
    if text.trim_ascii() == b"*" || is_foreign(text) {
        return (text.trim_ascii() == b"*" || variant.is_original()).then(|| line.clone());
    }
    let mut asked = BytesMut::with_capacity(text.len());
    for tag in Tags(text) {
        let (original, of) = tag.origin();
        if of != *variant {
            continue;
        }
        tag.append_as(original, &mut asked);
    }
    let asked: Bytes = asked.freeze();
    (!asked.is_empty()).then(|| HeaderValue::from_maybe_shared(asked).ok()).flatten()
}

/// No tag of the line was made here.
fn is_foreign(line: &[u8]) -> bool {
    Tags(line).all(|tag| tag.made().is_none())
}

/// What a line of `If-None-Match` or `If-Match` asks for, where it is not known yet which form will be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AsOriginal {
    /// No form of ours is named: it may stay as it is.
    Unchanged,
    /// The same with the tags as the upstream knows them.
    Line(HeaderValue),
    /// Nothing is left.
    Nothing,
}

/// A line of `If-None-Match` or `If-Match` as the upstream can judge it: for the tag of a form stands that of its original. Forms
/// that do not suit are left out; foreign tags stay.
#[must_use]
pub fn as_original(line: &HeaderValue, suits: impl Fn(&Variant) -> bool) -> AsOriginal {
    let text = line.as_bytes();
    if text.trim_ascii() == b"*" || is_foreign(text) {
        return AsOriginal::Unchanged;
    }
    let mut asked = BytesMut::with_capacity(text.len());
    for tag in Tags(text) {
        let (original, of) = tag.origin();
        if suits(&of) {
            tag.append_as(original, &mut asked);
        }
    }
    let asked = (!asked.is_empty()).then(|| HeaderValue::from_maybe_shared(asked.freeze()).ok());
    asked.flatten().map_or(AsOriginal::Nothing, AsOriginal::Line)
}

/// The tag of a line of `If-None-Match` that names a form of `original`, one that suits: what a 304 says, so that a client finds what
/// it has. What was made here comes before what is the original's own.
#[must_use]
pub fn confirmed(
    line: &[u8],
    original: &[u8],
    suits: impl Fn(&Variant) -> bool,
) -> Option<(HeaderValue, Variant)> {
    let (original, _) = Tag::parse(original)?.origin();
    let named = || Tags(line).map(|tag| (tag, tag.origin()));
    let (tag, (_, variant)) = named()
        .filter(|(_, (of, variant))| *of == original && suits(variant))
        .max_by_key(|(_, (_, variant))| !variant.is_original())?;
    let mut text = BytesMut::new();
    tag.append_as(tag.opaque, &mut text);
    Some((HeaderValue::from_maybe_shared(text.freeze()).ok()?, variant))
}

/// The same tag, weak: for what means the same and is not the same byte for byte. `None` where `original` is no tag.
#[must_use]
pub fn weakened(original: &[u8]) -> Option<HeaderValue> {
    let tag = Tag { is_weak: true, ..Tag::parse(original)? };
    let mut text = BytesMut::with_capacity(original.len() + 2);
    tag.append_as(tag.opaque, &mut text);
    HeaderValue::from_maybe_shared(text.freeze()).ok()
}

/// Whether a tag was made here.
#[must_use]
pub fn is_of_variant(tag: &[u8]) -> bool {
    Tag::parse(tag.trim_ascii()).is_some_and(|tag| tag.made().is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::coding::Coding;
    use crate::variant::tests::any_variant;

    const ORIGINAL: Variant = Variant::ORIGINAL;

    fn br() -> Variant {
        Variant::coded(Coding::Br)
    }

    fn tag(original: &str, variant: &Variant, making: u64) -> Option<String> {
        let tag = of_variant(original.as_bytes(), variant, Making::numbered(making))?;
        Some(tag.to_str().unwrap().to_owned())
    }

    #[test]
    fn each_variant_has_its_tag() {
        for (original, variant, expected) in [
            ("\"v1\"", br(), Some("\"v1;br;0000002a\"")),
            ("W/\"v1\"", br(), Some("W/\"v1;br;0000002a\"")),
            ("\"\"", br(), Some("\";br;0000002a\"")),
            ("\"v1\"", ORIGINAL, Some("\"v1\"")),
            ("W/\"v1\"", ORIGINAL, Some("W/\"v1\"")),
            ("v1", br(), None),
            ("\"v1", br(), None),
            ("\"v\"1\"", br(), None),
            ("w/\"v1\"", br(), None),
        ] {
            assert_eq!(tag(original, &variant, 42).as_deref(), expected, "{original}");
        }
        assert_ne!(Making::fresh(), Making::fresh());
    }

    #[test]
    fn a_copy_is_current_whichever_making_it_is_of() {
        let current = "\"v1;br;0000002a\"";
        for (line, expected) in [
            (current, true),
            ("W/\"v1;br;0000002a\"", true),
            ("\"v1;br;ffffffff\"", true),
            ("\"x\", W/\"y\" ,\"v1;br;00000001\"", true),
            ("*", true),
            ("\"v1\"", false),
            ("\"v1;gzip;0000002a\"", false),
            ("\"v2;br;0000002a\"", false),
            ("\"v1;br;2a\"", false),
            ("\"v1;br;0000002A\"", false),
            ("", false),
            ("v1", false),
        ] {
            assert_eq!(is_current(line.as_bytes(), current.as_bytes()), expected, "{line}");
        }
        assert!(is_current(b"\"v1\"", b"W/\"v1\""));
        assert!(!is_current(b"\"v1;br;0000002a\"", b"\"v1\""));
        assert!(!is_current(b"v1", b"v1"));
    }

    #[test]
    fn an_upstream_is_asked_for_its_own_tags() {
        let asked = |line: &str, variant: &Variant| {
            let line = HeaderValue::from_str(line).unwrap();
            for_upstream(&line, variant).map(|asked| asked.to_str().unwrap().to_owned())
        };
        let line = "\"a\", W/\"b;br;00000001\", \"c;br;00000002\", \"d;gzip;00000003\"";
        assert_eq!(asked(line, &br()).as_deref(), Some("W/\"b\", \"c\""));
        assert_eq!(asked(line, &ORIGINAL).as_deref(), Some("\"a\""));
        assert_eq!(asked("*", &br()).as_deref(), Some("*"));
        assert_eq!(asked("\"a\"", &ORIGINAL).as_deref(), Some("\"a\""));
        assert_eq!(asked("\"a\"", &br()), None);
        assert_eq!(asked("nonsense", &ORIGINAL).as_deref(), Some("nonsense"));
        assert_eq!(asked("nonsense", &br()), None);
    }

    proptest! {
        #[test]
        fn the_way_back_leads_to_where_it_began(
            opaque in "[!#-~]{0,20}(;br;0000002a)?",
            is_weak in any::<bool>(),
            variant in any_variant(),
            making in any::<u64>(),
        ) {
            let original = format!("{}\"{opaque}\"", if is_weak { "W/" } else { "" });
            let made = of_variant(original.as_bytes(), &variant, Making::numbered(making)).unwrap();
            let tag = Tag::parse(made.as_bytes()).unwrap();
            prop_assert_eq!(tag.is_weak, is_weak);
            if !variant.is_original() {
                prop_assert_eq!(tag.origin(), (opaque.as_bytes(), variant));
                let asked = for_upstream(&made, &variant).unwrap();
                prop_assert_eq!(asked.as_bytes(), original.as_bytes());
            }
            prop_assert!(is_current(made.as_bytes(), made.as_bytes()));
        }

        #[test]
        fn what_is_current_is_worth_asking_for(
            line in "[ -~]{0,60}|((W/)?\"(v1;)?[br;0-9]{0,12}\",? ?){0,4}|\"v1;br;0000[0-9]{4}\"",
            variant in any_variant(),
        ) {
            let header = HeaderValue::from_str(&line).unwrap();
            let current = of_variant(b"\"v1\"", &variant, Making::fresh()).unwrap();
            if is_current(line.as_bytes(), current.as_bytes()) {
                prop_assert!(for_upstream(&header, &variant).is_some());
            }
        }
    }

    #[test]
    fn forms_are_asked_for_as_their_original_where_they_suit() {
        let br = |variant: &Variant| variant.is_original() || variant.coding() == Coding::Br;
        let asked = |line: &'static str| as_original(&HeaderValue::from_static(line), br);
        let line = |text: &'static str| AsOriginal::Line(HeaderValue::from_static(text));
        assert_eq!(asked("\"v1\", W/\"v2\""), AsOriginal::Unchanged);
        assert_eq!(asked("*"), AsOriginal::Unchanged);
        assert_eq!(
            asked("\"v1;br;0a1b2c3d\", W/\"v2;br;00000000\", \"v0\""),
            line("\"v1\", W/\"v2\", \"v0\"")
        );
        assert_eq!(asked("\"v1;gzip;0a1b2c3d\""), AsOriginal::Nothing);
        assert_eq!(asked("\"v1;gzip;0a1b2c3d\", \"v1\""), line("\"v1\""));
    }

    #[test]
    fn a_304_names_the_tag_that_the_client_has() {
        let any = |_: &Variant| true;
        let named = |line: &str, original: &str| {
            let (tag, variant) = confirmed(line.as_bytes(), original.as_bytes(), any)?;
            Some((tag.to_str().unwrap().to_owned(), variant.coding()))
        };
        let br = "\"v1;br;0a1b2c3d\"";
        assert_eq!(named(br, "\"v1\""), Some((br.to_owned(), Coding::Br)));
        assert_eq!(named(br, "W/\"v1\""), Some((br.to_owned(), Coding::Br)));
        assert_eq!(named("\"v1\", \"v1;br;0a1b2c3d\"", "\"v1\""), Some((br.into(), Coding::Br)));
        assert_eq!(named("W/\"v1\"", "\"v1\""), Some(("W/\"v1\"".into(), Coding::Identity)));
        assert_eq!(named(br, "\"v2\""), None);
        assert!(confirmed(br.as_bytes(), b"\"v1\"", Variant::is_original).is_none());
    }

    #[test]
    fn weak_tags_and_made_ones_are_told_apart() {
        assert_eq!(weakened(b"\"v1\"").unwrap(), "W/\"v1\"");
        assert_eq!(weakened(b"W/\"v1\"").unwrap(), "W/\"v1\"");
        assert_eq!(weakened(b"v1"), None);
        assert!(is_of_variant(b"\"v1;br;0a1b2c3d\"") && !is_of_variant(b"\"v1;br\""));
    }
}
