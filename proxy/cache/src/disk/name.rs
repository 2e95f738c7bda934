//! What entries are called in the directory.

use std::fmt;

use http::{HeaderMap, HeaderName};
use twox_hash::XxHash3_64;

use crate::entry::Meta;
use crate::key::Key;

/// How many directories the files are spread over.
pub(super) const SHARDS: usize = 64;

/// Letters of an entry's name: 16 digits, a dash, 8 digits.
const NAME_LENGTH: usize = 25;

/// What an entry is called: a hash of its key and one of what its variant was selected by. Entries of one name replace each
/// other; whether a file is what was asked for, its head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name {
    /// Of the key; its first bits are the directory.
    pub(super) key: KeyHash,
    /// 0 for what has no `Vary`.
    pub(super) variant: u32,
}

/// A hash of a key, the same in every process and release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct KeyHash(pub(super) u64);

/// One of the directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard(u8);

impl Shard {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..SHARDS as u8).map(Self)
    }

    /// Below [`SHARDS`].
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

impl KeyHash {
    pub(super) fn of(key: &Key) -> Self {
        Self(key.digest() as u64)
    }

    pub(super) fn shard(self) -> Shard {
        // The first six bits: below 64.
        Shard((self.0 >> 58) as u8)
    }
}

impl Name {
    pub(super) fn of(meta: &Meta) -> Self {
        Self { key: KeyHash::of(&meta.key), variant: variant(&meta.vary, &meta.selected_by) }
    }

    /// From a name in a directory of `shard`; `None` for whatever is not the name of an entry there.
    pub(super) fn parse(text: &[u8], shard: Shard) -> Option<Self> {
        if text.len() != NAME_LENGTH || text.get(16) != Some(&b'-') {
            return None;
        }
        let key = KeyHash(digits(text.get(..16)?)?);
        let variant = u32::try_from(digits(text.get(17..)?)?).ok()?;
        (key.shard() == shard).then_some(Self { key, variant })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:08x}", self.key.0, self.variant)
    }
}

/// Lower-case hexadecimal: each number is written in one way only.
fn digits(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0_u64, |number, letter| {
        let digit = match letter {
            b'0'..=b'9' => letter - b'0',
            b'a'..=b'f' => letter - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(digit))
    })
}

/// Each name and value is framed by its length.
fn variant(vary: &[HeaderName], selected_by: &HeaderMap) -> u32 {
    if vary.is_empty() {
        return 0;
    }
    let mut framed = Vec::with_capacity(128);
    let mut part = |bytes: &[u8]| {
        framed.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        framed.extend_from_slice(bytes);
    };
    for name in vary {
        part(name.as_str().as_bytes());
        selected_by.get_all(name).iter().for_each(|value| part(value.as_bytes()));
    }
    // The upper half; never that of what has no `Vary`.
    ((XxHash3_64::oneshot(&framed) >> 32) as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written_and_nothing_else_is_a_name() {
        let name = Name { key: KeyHash(0xfedc_ba98_7654_3210), variant: 7 };
        let shard = name.key.shard();
        assert_eq!(shard.to_string(), "3f");
        let text = name.to_string();
        assert_eq!(text, "fedcba9876543210-00000007");
        assert_eq!(Name::parse(text.as_bytes(), shard), Some(name));
        assert_eq!(Name::parse(text.as_bytes(), Shard(1)), None, "in another's directory");
        for other in [
            "",
            ".",
            "fedcba9876543210",
            "fedcba9876543210-0000000",
            "FEDCBA9876543210-00000007",
            "fedcba9876543210+00000007",
            "fedcba987654321/-00000007",
            "+edcba9876543210-00000007",
            "t-fedcba9876543210",
        ] {
            assert_eq!(Name::parse(other.as_bytes(), shard), None, "{other}");
        }
    }

    #[test]
    fn variants_differ_by_field_and_by_value() {
        let by = |fields: &[(&'static str, &'static str)]| {
            let vary: Vec<_> = fields.iter().map(|f| HeaderName::from_static(f.0)).collect();
            let mut values = HeaderMap::new();
            for (name, value) in fields {
                values.insert(*name, value.parse().unwrap());
            }
            variant(&vary, &values)
        };
        let all = [by(&[]), by(&[("a", "1")]), by(&[("a", "2")]), by(&[("b", "1")])];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(by(&[]), 0);
    }
}
