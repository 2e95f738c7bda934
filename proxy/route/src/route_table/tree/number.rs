//! Numbers in as few bytes as they need, as LEB128 has them: seven bits in each, the low ones first.

const MORE: u8 = 0x80;
const BITS: u32 = 7;

/// Adds `number` to the end of `bytes`.
pub(super) fn push(bytes: &mut Vec<u8>, number: u32) {
    let (mut low, mut rest) = (number, number >> BITS);
    while rest > 0 {
        bytes.push(byte_of(low) | MORE);
        (low, rest) = (rest, rest >> BITS);
    }
    bytes.push(byte_of(low));
}

/// Adds a number that may be [`NONE`](super::super::NONE), which is the shortest of these.
pub(super) fn push_or_none(bytes: &mut Vec<u8>, number: u32) {
    push(bytes, number.wrapping_add(1));
}

/// Takes a number off the front of `bytes`; 0 where there is none.
#[inline]
pub(super) fn take(bytes: &mut &[u8]) -> u32 {
    let mut number = 0;
    let mut shift = 0;
    while let Some((byte, behind)) = bytes.split_first() {
        *bytes = behind;
        number |= u32::from(byte & !MORE) << shift;
        if byte & MORE == 0 {
            break;
        }
        shift = (shift + BITS) % u32::BITS;
    }
    number
}

/// Takes a number off the front of `bytes` that may be [`NONE`](super::super::NONE).
#[inline]
pub(super) fn take_or_none(bytes: &mut &[u8]) -> u32 {
    take(bytes).wrapping_sub(1)
}

/// The low seven bits.
fn byte_of(number: u32) -> u8 {
    number.to_le_bytes()[0] & !MORE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route_table::NONE;

    const NUMBERS: [u32; 10] = [0, 1, 127, 128, 129, 16_383, 16_384, 1 << 28, NONE - 1, NONE];

    #[test]
    fn every_number_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        for number in NUMBERS {
            push(&mut bytes, number);
            push_or_none(&mut bytes, number);
        }
        let mut rest = bytes.as_slice();
        for number in NUMBERS {
            assert_eq!(take(&mut rest), number);
            assert_eq!(take_or_none(&mut rest), number);
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn small_numbers_and_none_are_one_byte() {
        let length = |number, push: fn(&mut Vec<u8>, u32)| {
            let mut bytes = Vec::new();
            push(&mut bytes, number);
            bytes.len()
        };
        assert_eq!(
            [0, 127, 128, 16_383, 16_384, NONE].map(|number| length(number, push)),
            [1, 1, 2, 2, 3, 5]
        );
        assert_eq!([NONE, 0, 126, 127].map(|number| length(number, push_or_none)), [1, 1, 1, 2]);
    }

    #[test]
    fn nothing_is_read_beyond_the_end() {
        let mut empty: &[u8] = &[];
        assert_eq!(take(&mut empty), 0);
        let mut cut: &[u8] = &[0x81];
        assert_eq!((take(&mut cut), cut.len()), (1, 0));
        let mut endless: &[u8] = &[0xFF; 20];
        take(&mut endless);
        assert!(endless.is_empty());
    }
}
