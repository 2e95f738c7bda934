//! Short header values, written on the stack.

use std::fmt::Arguments;
use std::io::Write;

use http::HeaderValue;

/// The longest: `bytes A-B/C` of three numbers of 20 digits.
const LONGEST: usize = 68;

/// Text of a few numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Short {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Short {
    /// What does not fit is cut off.
    pub(crate) fn of(text: Arguments<'_>) -> Self {
        let mut bytes = [0; LONGEST];
        let mut left = bytes.as_mut_slice();
        let _ = left.write_fmt(text);
        let length = LONGEST - left.len();
        Self { bytes, length }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Asks the heap once, where a value made of a number asks twice. Empty if no header can carry it.
    pub(crate) fn to_value(self) -> HeaderValue {
        let empty = HeaderValue::from_static("");
        HeaderValue::from_bytes(self.as_bytes()).unwrap_or(empty)
    }
}

/// A number in digits.
pub(crate) fn number(number: u64) -> HeaderValue {
    Short::of(format_args!("{number}")).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_fits() {
        let most = u64::MAX;
        let text = format!("bytes {most}-{most}/{most}");
        assert_eq!(Short::of(format_args!("{text}")).as_bytes(), text.as_bytes());
        assert_eq!(number(most), most.to_string());
        assert_eq!(number(0), "0");
    }
}
