//! The content codings that are known here.

use http::HeaderValue;

mod decode;
mod encode;

pub use decode::{Broken, Decoder, Limits, Step, check_decoder, decode_whole};
pub use encode::{Encoder, EncoderFailed, Level, Levels, encode_whole};

/// A content coding (RFC 9110 section 8.4.1; RFC 9842 section 6 for the two that need a dictionary).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Coding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or RFC 1951 without its wrapping, as some have sent it. It is decoded, and never made.
    Deflate,
    /// RFC 7932.
    Br,
    /// RFC 8878, with a window of at most 8 MiB (RFC 9659).
    Zstd,
    /// Brotli with a dictionary.
    Dcb,
    /// Zstandard with a dictionary.
    Dcz,
}

impl Coding {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Identity, Self::Gzip, Self::Deflate, Self::Br, Self::Zstd, Self::Dcb, Self::Dcz];

    /// The coding of this name, in any case. `x-gzip` is gzip (RFC 9110 section 8.4.1.3).
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        let candidates: &[Self] = match name.len() {
            2 => &[Self::Br],
            3 => &[Self::Dcb, Self::Dcz],
            4 => &[Self::Gzip, Self::Zstd],
            6 if name.eq_ignore_ascii_case(b"x-gzip") => return Some(Self::Gzip),
            7 => &[Self::Deflate],
            8 => &[Self::Identity],
            _ => &[],
        };
        let is = |coding: &Self| name.eq_ignore_ascii_case(coding.name().as_bytes());
        candidates.iter().copied().find(is)
    }

    /// As `Content-Encoding` writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Br => "br",
            Self::Zstd => "zstd",
            Self::Dcb => "dcb",
            Self::Dcz => "dcz",
        }
    }

    /// For `Content-Encoding`; `None` for what is sent as it is, which has no such line.
    #[must_use]
    pub fn header(self) -> Option<HeaderValue> {
        (self != Self::Identity).then(|| HeaderValue::from_static(self.name()))
    }

    /// What the name of a stored sibling ends with, where such siblings are made.
    #[must_use]
    pub const fn suffix(self) -> Option<&'static str> {
        match self {
            Self::Br => Some(".br"),
            Self::Zstd => Some(".zst"),
            Self::Gzip => Some(".gz"),
            Self::Identity | Self::Deflate | Self::Dcb | Self::Dcz => None,
        }
    }

    /// Whether it is made with a dictionary that the client has.
    #[must_use]
    pub const fn needs_dictionary(self) -> bool {
        matches!(self, Self::Dcb | Self::Dcz)
    }

    /// What a response is coded with. `None` where that is several codings or one that is not known here: such a response is
    /// passed on as it is.
    #[must_use]
    pub fn of(headers: &http::HeaderMap) -> Option<Self> {
        let mut coding = Self::Identity;
        for line in headers.get_all(http::header::CONTENT_ENCODING) {
            for name in line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                match Self::named(name) {
                    Some(Self::Identity) => {}
                    Some(named) if coding == Self::Identity => coding = named,
                    None if name.is_empty() => {}
                    Some(_) | None => return None,
                }
            }
        }
        Some(coding)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::CONTENT_ENCODING;

    use super::*;

    #[test]
    fn each_coding_is_found_by_its_name() {
        for coding in Coding::ALL {
            assert_eq!(Coding::named(coding.name().to_uppercase().as_bytes()), Some(coding));
        }
        assert_eq!(Coding::named(b"X-Gzip"), Some(Coding::Gzip));
        assert_eq!(Coding::named(b"compress"), None);
    }

    #[test]
    fn a_response_has_one_coding_or_is_left_alone() {
        for (lines, expected) in [
            (&[][..], Some(Coding::Identity)),
            (&[""], Some(Coding::Identity)),
            (&["identity"], Some(Coding::Identity)),
            (&["gzip"], Some(Coding::Gzip)),
            (&["GZip, identity"], Some(Coding::Gzip)),
            (&["identity", " br "], Some(Coding::Br)),
            (&["gzip, br"], None),
            (&["gzip", "gzip"], None),
            (&["compress"], None),
        ] {
            let line = |line: &&'static str| (CONTENT_ENCODING, HeaderValue::from_static(line));
            let headers: HeaderMap = lines.iter().map(line).collect();
            assert_eq!(Coding::of(&headers), expected, "{lines:?}");
        }
    }
}
