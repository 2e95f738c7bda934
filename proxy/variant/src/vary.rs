//! What an answer says of the request fields that it was chosen by (RFC 9110 section 12.5.5).

use std::ops::{BitOr, BitOrAssign};

use bytes::BytesMut;
use http::header::VARY;
use http::{HeaderMap, HeaderValue};

/// Fields of a request that an answer was chosen by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Varies(u16);

/// What becomes of the `Vary` of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// It stays as it is.
    Unchanged,
    /// All of its lines are replaced by this one.
    Line(HeaderValue),
}

/// In the order in which they are written; each at the place of its bit.
const NAMES: [&str; 11] = [
    "accept",
    "accept-encoding",
    "available-dictionary",
    "cookie",
    "save-data",
    "sec-ch-dpr",
    "sec-ch-ua",
    "sec-ch-viewport-width",
    "sec-ch-width",
    "sec-fetch-dest",
    "user-agent",
];

impl Varies {
    /// By nothing.
    pub const NOTHING: Self = Self(0);
    /// By the codings that the client takes.
    pub const CODING: Self = Self(1 << 1);
    /// By the codings and by the dictionary that the client has.
    pub const DICTIONARY: Self = Self(Self::CODING.0 | 1 << 2);
    /// By the types of images that the client takes.
    pub const IMAGE: Self = Self(1);
    /// By whether the user wants few bytes.
    pub const SAVE_DATA: Self = Self(1 << 4);
    /// By how wide an image is shown.
    pub const WIDTH: Self = Self(1 << 5 | 1 << 7 | 1 << 8);
    /// By the kind of the client: all that [`crate::Segment`] is read from.
    pub const SEGMENT: Self = Self(1 | 1 << 3 | 1 << 6 | 1 << 9 | 1 << 10);

    /// What the `Vary` of an answer becomes that was chosen by these. Names that stand there already are not said again, and a `*`
    /// says all. Allocates only where something is added to lines that are there, or where more than the codings, the
    /// dictionary or the image count.
    #[must_use]
    pub fn merge(self, headers: &HeaderMap) -> Merged {
        let missing = self.missing(headers);
        if missing == Self::NOTHING {
            return Merged::Unchanged;
        }
        let is_alone = !headers.contains_key(VARY);
        match missing {
            Self::CODING if is_alone => {
                return Merged::Line(HeaderValue::from_static("accept-encoding"));
            }
            Self::DICTIONARY if is_alone => {
                return Merged::Line(HeaderValue::from_static(
                    "accept-encoding, available-dictionary",
                ));
            }
            Self::IMAGE if is_alone => return Merged::Line(HeaderValue::from_static("accept")),
            _ => {}
        }
        let mut line = BytesMut::new();
        for name in names_of(headers).chain(missing.names()) {
            if !line.is_empty() {
                line.extend_from_slice(b", ");
            }
            line.extend_from_slice(name);
        }
        HeaderValue::from_maybe_shared(line.freeze()).map_or(Merged::Unchanged, Merged::Line)
    }

    /// Those of these that an answer does not name.
    fn missing(self, headers: &HeaderMap) -> Self {
        let mut missing = self;
        for name in names_of(headers) {
            if name == b"*" {
                return Self::NOTHING;
            }
            let place = NAMES.iter().position(|known| name.eq_ignore_ascii_case(known.as_bytes()));
            missing.0 &= place.map_or(u16::MAX, |place| !(1 << place));
        }
        missing
    }

    fn names<'a>(self) -> impl Iterator<Item = &'a [u8]> {
        NAMES
            .into_iter()
            .enumerate()
            .filter(move |(place, _)| self.0 & (1 << place) != 0)
            .map(|(_, name)| name.as_bytes())
    }
}

impl BitOr for Varies {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Varies {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

fn names_of(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(VARY).into_iter();
    let names = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    names.map(<[u8]>::trim_ascii).filter(|name| !name.is_empty())
}

/// What a server that wants Client Hints says in `Accept-CH`.
pub const ACCEPT_CH: HeaderValue =
    HeaderValue::from_static("Sec-CH-Width, Sec-CH-DPR, Sec-CH-Viewport-Width");

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(varies: Varies, lines: &[&'static str]) -> Option<String> {
        let line = |line: &&'static str| (VARY, HeaderValue::from_static(line));
        match varies.merge(&lines.iter().map(line).collect()) {
            Merged::Unchanged => None,
            Merged::Line(line) => Some(line.to_str().unwrap().to_owned()),
        }
    }

    #[test]
    fn names_are_added_once_behind_those_that_are_there() {
        let images = Varies::IMAGE | Varies::WIDTH | Varies::SAVE_DATA;
        for (varies, lines, expected) in [
            (Varies::NOTHING, &[][..], None),
            (Varies::NOTHING, &["Origin"], None),
            (Varies::CODING, &[], Some("accept-encoding")),
            (Varies::CODING, &["Accept-Encoding"], None),
            (Varies::CODING, &["Origin", "ACCEPT-ENCODING, X"], None),
            (Varies::CODING, &["Origin, ,", "Cookie"], Some("Origin, Cookie, accept-encoding")),
            (Varies::CODING, &["*"], None),
            (Varies::CODING, &["Origin", "*"], None),
            (Varies::DICTIONARY, &[], Some("accept-encoding, available-dictionary")),
            (
                Varies::DICTIONARY,
                &["accept-encoding"],
                Some("accept-encoding, available-dictionary"),
            ),
            (Varies::IMAGE, &[], Some("accept")),
            (Varies::IMAGE, &["accept-encoding"], Some("accept-encoding, accept")),
            (
                images,
                &[],
                Some("accept, save-data, sec-ch-dpr, sec-ch-viewport-width, sec-ch-width"),
            ),
            (Varies::SEGMENT, &[], Some("accept, cookie, sec-ch-ua, sec-fetch-dest, user-agent")),
        ] {
            assert_eq!(merged(varies, lines).as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_is_merged_once_stays_as_it_is() {
        let varies = Varies::DICTIONARY | Varies::SEGMENT;
        let Merged::Line(line) = varies.merge(&HeaderMap::new()) else {
            panic!("nothing was added")
        };
        let headers = HeaderMap::from_iter([(VARY, line)]);
        assert_eq!(varies.merge(&headers), Merged::Unchanged);
    }
}
