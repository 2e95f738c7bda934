//! Which bytes were asked for (RFC 9110 section 14).

use std::ops::Range;

/// How many ranges one answer has at most; who asks for more gets the whole.
pub const MAX_RANGES: usize = 256;

/// What a `Range` line comes to for a representation of a known size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// 200: the line means something else than bytes, or so many of them that the whole is less.
    Whole,
    /// 206 with these, in the order of the line: at least one, none empty, all within the size, together at most the size.
    Some(Vec<Range<u64>>),
    /// 416: nothing of what was asked for exists, or it cannot be read. The RFC lets a server ignore what it cannot read;
    /// nginx refuses it, and so does this.
    Unsatisfiable,
}

impl Ranges {
    /// Reads the value of one `Range` line. Spaces may stand between its parts; empty elements are skipped.
    #[must_use]
    pub fn parse(line: &[u8], size: u64) -> Self {
        let Some((unit, list)) = line.split_at_checked(6) else { return Self::Whole };
        if !unit.eq_ignore_ascii_case(b"bytes=") || list.is_empty() {
            return Self::Whole;
        }
        let mut ranges = Vec::new();
        let mut left = size;
        for element in list.split(|&byte| byte == b',').map(trim) {
            if element.is_empty() {
                continue;
            }
            let Some(wanted) = Wanted::parse(element) else { return Self::Unsatisfiable };
            let range = wanted.within(size);
            if range.is_empty() {
                // Of an empty file there is nothing to take, and all of it to give.
                if range.start == 0 {
                    return Self::Whole;
                }
                continue;
            }
            let Some(rest) = left.checked_sub(range.end - range.start) else { return Self::Whole };
            if ranges.len() == MAX_RANGES {
                return Self::Whole;
            }
            left = rest;
            ranges.push(range);
        }
        if ranges.is_empty() { Self::Unsatisfiable } else { Self::Some(ranges) }
    }
}

/// One element of the line.
enum Wanted {
    /// Both ends included, the last perhaps left open.
    FromTo(u64, Option<u64>),
    /// So many of the last bytes.
    Last(u64),
}

impl Wanted {
    fn parse(element: &[u8]) -> Option<Self> {
        let dash = element.iter().position(|&byte| byte == b'-')?;
        let (first, last) = element.split_at_checked(dash)?;
        let (first, last) = (trim(first), trim(last.get(1..)?));
        match (first.is_empty(), last.is_empty()) {
            (true, _) => Some(Self::Last(number(last)?)),
            (false, true) => Some(Self::FromTo(number(first)?, None)),
            (false, false) => Some(Self::FromTo(number(first)?, Some(number(last)?))),
        }
    }

    /// Empty where nothing of it exists.
    fn within(&self, size: u64) -> Range<u64> {
        match *self {
            Self::FromTo(first, last) => {
                first..last.map_or(size, |last| last.saturating_add(1).min(size))
            }
            Self::Last(count) => size.saturating_sub(count)..size,
        }
    }
}

/// Digits alone. A number beyond what a file may have as its size is a large one all the same (RFC 9110, 14.1.2); nginx refuses
/// it.
fn number(digits: &[u8]) -> Option<u64> {
    const LARGEST: u64 = i64::MAX as u64;
    let is_plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_plain)?;
    Some(text.parse().map_or(LARGEST, |number: u64| number.min(LARGEST)))
}

fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some(ranges: &[(u64, u64)]) -> Ranges {
        Ranges::Some(ranges.iter().map(|&(start, end)| start..end).collect())
    }

    #[test]
    fn lines_come_to_what_nginx_makes_of_them_but_for_large_numbers() {
        for (line, expected) in [
            ("bytes=0-3", some(&[(0, 4)])),
            ("bytes=-3", some(&[(17, 20)])),
            ("bytes=5-", some(&[(5, 20)])),
            ("bytes=0-19", some(&[(0, 20)])),
            ("bytes=19-99", some(&[(19, 20)])),
            ("bytes=-99", some(&[(0, 20)])),
            ("Bytes=0-1", some(&[(0, 2)])),
            ("bytes= 0 - 1 , 3-4", some(&[(0, 2), (3, 5)])),
            ("bytes=5-6,0-1", some(&[(5, 7), (0, 2)])),
            ("bytes=30-,0-1", some(&[(0, 2)])),
            ("bytes=3-2,0-1", some(&[(0, 2)])),
            ("bytes=30-", Ranges::Unsatisfiable),
            ("bytes=20-", Ranges::Unsatisfiable),
            ("bytes=3-2", Ranges::Unsatisfiable),
            ("bytes=-0", Ranges::Unsatisfiable),
            ("bytes=x-1", Ranges::Unsatisfiable),
            ("bytes=0-x", Ranges::Unsatisfiable),
            ("bytes=-", Ranges::Unsatisfiable),
            ("bytes=1", Ranges::Unsatisfiable),
            ("bytes=+1-2", Ranges::Unsatisfiable),
            ("bytes=0--1", Ranges::Unsatisfiable),
            ("bytes=0-1,x", Ranges::Unsatisfiable),
            ("bytes=0-99999999999999999999", some(&[(0, 20)])),
            ("bytes=-99999999999999999999", some(&[(0, 20)])),
            ("bytes=99999999999999999999-", Ranges::Unsatisfiable),
            ("bytes=0-30,0-1", Ranges::Whole),
            ("bytes=0-,-20", Ranges::Whole),
            ("items=0-1", Ranges::Whole),
            ("bytes 0-1", Ranges::Whole),
            ("bytes=", Ranges::Whole),
            ("", Ranges::Whole),
        ] {
            assert_eq!(Ranges::parse(line.as_bytes(), 20), expected, "{line:?}");
        }
    }

    #[test]
    fn empty_elements_of_a_list_are_skipped_as_the_rfc_asks() {
        assert_eq!(Ranges::parse(b"bytes=0-0,,2-2,", 20), some(&[(0, 1), (2, 3)]));
        assert_eq!(Ranges::parse(b"bytes=,,", 20), Ranges::Unsatisfiable);
    }

    #[test]
    fn an_empty_file_is_whole_unless_its_middle_is_asked_for() {
        for (line, expected) in [
            ("bytes=0-", Ranges::Whole),
            ("bytes=0-5", Ranges::Whole),
            ("bytes=-5", Ranges::Whole),
            ("bytes=5-", Ranges::Unsatisfiable),
        ] {
            assert_eq!(Ranges::parse(line.as_bytes(), 0), expected, "{line:?}");
        }
    }

    #[test]
    fn a_thousand_ranges_get_the_whole() {
        let overlapping = format!("bytes={}", "0-,".repeat(1000));
        assert_eq!(Ranges::parse(overlapping.as_bytes(), 1 << 40), Ranges::Whole);
        let tiny = format!("bytes={}", "7-7,".repeat(MAX_RANGES + 1));
        assert_eq!(Ranges::parse(tiny.as_bytes(), 1 << 40), Ranges::Whole);
        let most = format!("bytes={}", "7-7,".repeat(MAX_RANGES));
        assert_eq!(Ranges::parse(most.as_bytes(), 1 << 40), Ranges::Some(vec![7..8; MAX_RANGES]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn ranges_lie_within_the_file_and_are_together_no_larger(
            line in "(bytes=|BYTES=|)[0-9, x-]{0,40}|bytes=([0-9]{0,3}-[0-9]{0,3},?){0,6}|.{0,20}",
            size in prop_oneof![0_u64..1000, Just(u64::MAX >> 1), Just(u64::MAX)],
        ) {
            if let Ranges::Some(ranges) = Ranges::parse(line.as_bytes(), size) {
                prop_assert!(!ranges.is_empty() && ranges.len() <= MAX_RANGES);
                prop_assert!(ranges.iter().all(|range| range.start < range.end && range.end <= size));
                prop_assert!(ranges.iter().map(|range| u128::from(range.end - range.start)).sum::<u128>() <= u128::from(size));
            }
        }

        #[test]
        fn a_plain_range_is_what_it_says(first in 0_u64..100, count in 1_u64..100, size in 1_u64..300) {
            let line = format!("bytes={first}-{}", first + count - 1);
            let expected = match first < size {
                true => some(&[(first, (first + count).min(size))]),
                false => Ranges::Unsatisfiable,
            };
            prop_assert_eq!(Ranges::parse(line.as_bytes(), size), expected);
        }
    }
}
