//! A hash of text that can be taken back byte by byte: hashed once, a path gives the hashes of all its beginnings.
//!
//! Clients cannot make the texts in a table collide, because only the operator writes them.

/// Odd, so that there is a number that undoes it.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
const FACTOR_UNDONE: u64 = inverse(FACTOR);

/// What gives 1 when it is multiplied with `odd`. Three of the bits are right at first, and every step of Newton's
/// doubles their number.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut right_bits = 3;
    while right_bits < 64 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        right_bits *= 2;
    }
    inverse
}

/// The hash of `text`. Its high bits depend on every byte.
pub(super) fn hash_of(text: &[u8]) -> u64 {
    text.iter().fold(0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FACTOR))
}

/// The hash of the text without its last byte.
pub(super) fn hash_without(hash: u64, last: u8) -> u64 {
    hash.wrapping_mul(FACTOR_UNDONE) ^ u64::from(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_taken_back_byte_by_byte() {
        assert_eq!(FACTOR.wrapping_mul(FACTOR_UNDONE), 1);
        assert_eq!(hash_of(b""), 0);
        let text = b"/users/\xff";
        for length in 1..=text.len() {
            let (shorter, last) = (&text[..length - 1], text[length - 1]);
            assert_eq!(hash_without(hash_of(&text[..length]), last), hash_of(shorter));
        }
        assert_ne!(hash_of(b"/a"), hash_of(b"/b"));
    }
}
