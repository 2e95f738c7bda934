//! Short header values, written on the stack.

use std::fmt::Arguments;
use std::io::Write;

use http::HeaderValue;

/// The longest: `bytes A-B/C` of three numbers of 20 digits.
const LONGEST: usize = 68;

/// Text of a few numbers.
#[derive(Clone, Copy, Debug)]
pub struct Short {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Short {
    /// What does not fit is cut off.
    #[must_use]
    pub fn of(text: Arguments<'_>) -> Self {
        let mut bytes = [0; LONGEST];
        let mut left = bytes.as_mut_slice();
        let _ = left.write_fmt(text);
        let length = LONGEST - left.len();
        Self { bytes, length }
    }

    /// Two numbers in hexadecimal digits, between quotes. For each answer: formatting costs five times as much.
    #[must_use]
    pub fn quoted_pair(first: u64, second: u64) -> Self {
        let mut short = Self { bytes: [0; LONGEST], length: 0 };
        short.push(b'"');
        short.push_hex(first);
        short.push(b'-');
        short.push_hex(second);
        short.push(b'"');
        short
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn push_hex(&mut self, number: u64) {
        let digits = 16 - number.leading_zeros().min(60) / 4;
        for place in (0..digits).rev() {
            // A nibble is at most 15.
            let nibble = u8::try_from((number >> (4 * place)) & 0xf).unwrap_or_default();
            self.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
        }
    }

    /// What was written.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Asks the heap once, where a value made of a number asks twice. Empty if no header can carry it.
    #[must_use]
    pub fn to_value(self) -> HeaderValue {
        let empty = HeaderValue::from_static("");
        HeaderValue::from_bytes(self.as_bytes()).unwrap_or(empty)
    }
}

/// A number in digits.
#[must_use]
pub fn number(mut number: u64) -> HeaderValue {
    let mut digits = [b'0'; 20];
    let mut length = 0;
    // From the last to the first. Formatting costs ten times as much, for each answer.
    for digit in digits.iter_mut().rev() {
        // A remainder of ten fits.
        *digit += u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        length += 1;
        if number == 0 {
            break;
        }
    }
    let written = digits.get(digits.len() - length..).unwrap_or_default();
    HeaderValue::from_bytes(written).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_written_as_they_are_formatted() {
        for (first, second) in [(0, 0), (1, 15), (16, 255), (u64::MAX, 1 << 60), (0x2eb_c98a1, 20)]
        {
            let expected = format!("\"{first:x}-{second:x}\"");
            assert_eq!(Short::quoted_pair(first, second).as_bytes(), expected.as_bytes());
        }
    }

    #[test]
    fn the_longest_fits() {
        let most = u64::MAX;
        let text = format!("bytes {most}-{most}/{most}");
        assert_eq!(Short::of(format_args!("{text}")).as_bytes(), text.as_bytes());
        assert_eq!(number(most), most.to_string());
        assert_eq!(number(0), "0");
        assert_eq!(number(100_000), "100000");
    }
}
