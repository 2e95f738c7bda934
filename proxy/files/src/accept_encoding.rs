//! What codings a client takes (RFC 9110 section 12.5.3).

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

/// How a stored sibling is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// `x.br`.
    Br,
    /// `x.zst`.
    Zstd,
    /// `x.gz`.
    Gzip,
}

/// How many codings there are; more in one list are not looked at.
pub const MAX_PRECOMPRESSED: usize = 3;

impl Coding {
    /// What a sibling's name ends with.
    pub(crate) fn suffix(self) -> &'static [u8] {
        match self {
            Self::Br => b".br",
            Self::Zstd => b".zst",
            Self::Gzip => b".gz",
        }
    }

    /// For `Content-Encoding`.
    pub(crate) fn name(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Br => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        })
    }
}

/// A weight in thousandths.
type Weight = u16;

/// What a client takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acceptable {
    br: Option<Weight>,
    zstd: Option<Weight>,
    gzip: Option<Weight>,
    identity: Option<Weight>,
    any: Option<Weight>,
}

impl Acceptable {
    /// Reads every `Accept-Encoding` line. None at all takes nothing coded.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut acceptable = Self::default();
        for line in headers.get_all(ACCEPT_ENCODING) {
            for element in line.as_bytes().split(|&byte| byte == b',') {
                acceptable.note(element);
            }
        }
        acceptable
    }

    /// One element: a coding and perhaps its weight. Of what is said twice the last counts; an unreadable weight is none.
    fn note(&mut self, element: &[u8]) {
        let mut parts = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let places = [
            ("br", &mut self.br),
            ("zstd", &mut self.zstd),
            ("gzip", &mut self.gzip),
            ("identity", &mut self.identity),
            ("*", &mut self.any),
        ];
        // RFC 9110 section 8.4.1.3: the old name of gzip.
        let name = if name.eq_ignore_ascii_case(b"x-gzip") { b"gzip" } else { name };
        let known =
            places.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
        if let Some((_, place)) = known {
            *place = Some(weight_of(parts));
        }
    }

    /// 0 where the client refuses the coding or says nothing of it.
    fn weight(&self, coding: Coding) -> Weight {
        let said = match coding {
            Coding::Br => self.br,
            Coding::Zstd => self.zstd,
            Coding::Gzip => self.gzip,
        };
        said.or(self.any).unwrap_or(0)
    }

    /// In which order to look for stored forms, `None` being the file itself: by what the client prefers, then by the place
    /// in `offered`. The file itself comes after all codings, unless the client weighs it higher than some, and is never
    /// left out: a client that refuses it too is better served with what it cannot read than with nothing.
    pub fn order(&self, offered: &[Coding]) -> impl Iterator<Item = Option<Coding>> + use<> {
        let mut order: [Option<(Weight, Option<Coding>)>; MAX_PRECOMPRESSED + 1] = [None; _];
        let taken = offered.iter().take(MAX_PRECOMPRESSED).copied();
        for (place, coding) in order.iter_mut().zip(taken) {
            let weight = self.weight(coding);
            *place = (weight > 0).then_some((weight, Some(coding)));
        }
        let [.., last] = &mut order;
        *last = Some((self.identity.unwrap_or(0), None));
        // Stable: equal weights stay in the server's order, the file itself last.
        order.sort_by_key(|place| std::cmp::Reverse(place.map(|(weight, _)| weight)));
        order.into_iter().flatten().map(|(_, coding)| coding)
    }
}

/// The weight among the parameters of an element, 1 where there is none.
fn weight_of<'a>(mut parameters: impl Iterator<Item = &'a [u8]>) -> Weight {
    let value = parameters.find_map(|parameter| match parameter {
        [b'q' | b'Q', b'=', value @ ..] => Some(value),
        _ => None,
    });
    value.map_or(1000, |value| thousandths(value).unwrap_or(0))
}

/// `0` to `1` with at most three digits after the point (RFC 9110 section 12.4.2).
fn thousandths(value: &[u8]) -> Option<Weight> {
    let (whole, digits) = match value {
        [whole @ (b'0' | b'1')] => (whole, [].as_slice()),
        [whole @ (b'0' | b'1'), b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    let mut weight = Weight::from(whole - b'0');
    for index in 0..3 {
        let digit = digits.get(index).copied().unwrap_or(b'0');
        weight = weight * 10 + Weight::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Coding; 3] = [Coding::Br, Coding::Zstd, Coding::Gzip];

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        let line = |line: &&[u8]| (ACCEPT_ENCODING, HeaderValue::from_bytes(line).unwrap());
        lines.iter().map(line).collect()
    }

    /// The order as text, `-` being the file itself.
    fn order(lines: &[&str]) -> String {
        let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
        let order = Acceptable::of(&headers(&lines)).order(&ALL);
        let names = order.map(|coding| match coding {
            Some(coding) => coding.name().to_str().unwrap().to_owned(),
            None => "-".to_owned(),
        });
        names.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_client_weighs_and_the_server_breaks_ties() {
        for (lines, expected) in [
            (&[][..], "-"),
            (&[""], "-"),
            (&["gzip"], "gzip -"),
            (&["gzip, deflate, br, zstd"], "br zstd gzip -"),
            (&["GZIP", "Br ; q=0.5"], "gzip br -"),
            (&["x-gzip"], "gzip -"),
            (&["*"], "br zstd gzip -"),
            (&["*;q=0.5, gzip"], "gzip br zstd -"),
            (&["*, br;q=0"], "zstd gzip -"),
            (&["gzip;q=0"], "-"),
            (&["gzip;q=0.000"], "-"),
            (&["gzip;q=0.001"], "gzip -"),
            (&["br;q=0.8, gzip;q=0.9, zstd;q=0.85"], "gzip zstd br -"),
            (&["identity, gzip;q=0.5"], "- gzip"),
            (&["identity;q=0.5, gzip;q=0.5, br;q=0.4"], "gzip - br"),
            (&["identity;q=0, gzip"], "gzip -"),
            (&["identity;q=0"], "-"),
            (&["*;q=0"], "-"),
            (&["gzip;q=2"], "-"),
            (&["gzip;q=1.001"], "-"),
            (&["gzip;q=0.1234"], "-"),
            (&["gzip;q="], "-"),
            (&["gzip;q=0.x"], "-"),
            (&["gzip;level=9;Q=0.5, br;q=0.4"], "gzip br -"),
            (&["gzipped, brr, ,;q=1"], "-"),
        ] {
            assert_eq!(order(lines), expected, "{lines:?}");
        }
    }

    proptest! {
        #[test]
        fn the_file_itself_is_always_offered_once(
            lines in prop::collection::vec("[a-z*;=,. q0-9]{0,60}|[\\x20-\\x7e]{0,60}", 0..4),
            offered in prop::collection::vec(prop::sample::select(ALL.to_vec()), 0..6),
        ) {
            let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
            let order: Vec<_> = Acceptable::of(&headers(&lines)).order(&offered).collect();
            prop_assert_eq!(order.iter().filter(|coding| coding.is_none()).count(), 1);
            prop_assert!(order.iter().flatten().all(|coding| offered.contains(coding)));
        }
    }
}
