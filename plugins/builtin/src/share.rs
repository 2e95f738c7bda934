//! Shares of all requests, and chance.

use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use twox_hash::XxHash3_64;

/// A share: `"5%"`, `"0.25%"`, from `"0%"` to `"100%"`, with at most four digits behind the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Share {
    millionths: u32,
}

const WHOLE: u32 = 1_000_000;

impl Share {
    /// Everything.
    pub(crate) const ALL: Self = Self { millionths: WHOLE };

    /// Whether a place, which is somewhere in all of 64 bits, lies in this share of them. What lies in a smaller share lies in a larger
    /// one, too.
    pub(crate) fn covers(self, place: u64) -> bool {
        (u128::from(place) * u128::from(WHOLE)) >> 64 < u128::from(self.millionths)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.millionths / 10_000, self.millionths % 10_000);
        if rest == 0 {
            return write!(f, "{whole}%");
        }
        write!(f, "{whole}.{}%", format!("{rest:04}").trim_end_matches('0'))
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = || format!("`{text}` is not a share: write it as in 5% or 0.25%, up to 100%");
        let number = text.strip_suffix('%').ok_or_else(problem)?;
        let (whole, rest) = number.split_once('.').unwrap_or((number, "0"));
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(rest) || rest.len() > 4 {
            return Err(problem());
        }
        let whole: u32 = whole.parse().ok().filter(|whole| *whole <= 100).ok_or_else(problem)?;
        let rest: u32 = format!("{rest:0<4}").parse().map_err(|_| problem())?;
        let millionths = whole * 10_000 + rest;
        if millionths > WHOLE { Err(problem()) } else { Ok(Self { millionths }) }
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Share {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "share", "pattern": "^[0-9]+(\\.[0-9]{1,4})?%$" })
    }
}

/// Gives every request a place in all of 64 bits: the same one to the same key, or one by chance.
#[derive(Debug)]
pub(crate) struct Places {
    seed: u64,
    thrown: AtomicU64,
    chance: u64,
}

impl Places {
    /// Keys have other places under another `name`, so that two splits of the same keys know nothing of each other.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            seed: XxHash3_64::oneshot(name.as_bytes()),
            thrown: AtomicU64::new(0),
            chance: RandomState::new().build_hasher().finish(),
        }
    }

    /// The place of `key`: the same in every process, and after every restart.
    pub(crate) fn of(&self, key: &[u8]) -> u64 {
        XxHash3_64::oneshot_with_seed(self.seed, key)
    }

    /// A place that nobody can foresee.
    pub(crate) fn by_chance(&self) -> u64 {
        let thrown = self.thrown.fetch_add(1, Ordering::Relaxed);
        XxHash3_64::oneshot_with_seed(self.chance, &thrown.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share(text: &str) -> Option<u32> {
        text.parse::<Share>().ok().map(|share| share.millionths)
    }

    #[test]
    fn shares_are_written_in_hundredths() {
        assert_eq!(share("5%"), Some(50_000));
        assert_eq!(share("0.25%"), Some(2_500));
        assert_eq!(share("100%"), Some(WHOLE));
        assert_eq!(share("0%"), Some(0));
        for text in ["", "%", "5", "101%", "100.1%", "-1%", "1.%", ".5%", "0.00001%", "1e1%", "+5%"]
        {
            assert_eq!(share(text), None, "{text}");
        }
    }

    #[test]
    fn none_and_all_are_exact() {
        for place in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(Share::ALL.covers(place));
            assert!(!Share { millionths: 0 }.covers(place));
        }
    }

    #[test]
    fn chance_and_keys_fill_a_share_evenly() {
        let places = Places::new("test");
        let share: Share = "20%".parse().unwrap();
        let chance = (0..20_000).filter(|_| share.covers(places.by_chance())).count();
        let keys =
            (0..20_000_u32).filter(|key| share.covers(places.of(&key.to_le_bytes()))).count();
        assert!((3_700..4_300).contains(&chance), "{chance}");
        assert!((3_700..4_300).contains(&keys), "{keys}");
    }

    #[test]
    fn a_name_moves_every_key() {
        assert_ne!(Places::new("a").of(b"key"), Places::new("b").of(b"key"));
        assert_eq!(Places::new("a").of(b"key"), Places::new("a").of(b"key"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(millionths in 0..=WHOLE) {
            let share = Share { millionths };
            prop_assert_eq!(share.to_string().parse(), Ok(share));
        }

        #[test]
        fn a_larger_share_covers_what_a_smaller_one_does(place: u64, few in 0..=WHOLE, more in 0..=WHOLE) {
            prop_assume!(few <= more);
            let (few, more) = (Share { millionths: few }, Share { millionths: more });
            prop_assert!(!few.covers(place) || more.covers(place));
        }
    }
}
