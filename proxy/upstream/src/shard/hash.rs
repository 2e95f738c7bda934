//! What keys and names come to as numbers. All of it is the same on every machine and in every version: keys stay where they are.

use twox_hash::XxHash3_64;

/// The hash of a key.
pub(super) fn of_key(key: &[u8]) -> u64 {
    XxHash3_64::oneshot(key)
}

/// The hash of a name. Another one than that of a key, so that a key which is a shard's name is a key like others.
pub(super) fn of_name(name: &str) -> u64 {
    XxHash3_64::oneshot_with_seed(NAMES, name.as_bytes())
}

const NAMES: u64 = 0x6e61_6d65_7321;

/// A number in which every bit depends on every bit of `number`, and another for each.
pub(super) const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let number = (number ^ (number >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    number ^ (number >> 32)
}
