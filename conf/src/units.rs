//! Sizes and times as an operator writes them.

use std::borrow::Cow;
use std::fmt;

use schemars::{Schema, json_schema};

use crate::native::{FromText, Problem};

/// A number of bytes: `"512"`, `"64KiB"`, `"1MiB"`, `"2GiB"`; `k`, `m` and `g` mean the same, as in nginx.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// So many KiB.
    #[must_use]
    pub const fn kib(count: u32) -> Self {
        Self(count as u64 * 1024)
    }

    /// So many MiB.
    #[must_use]
    pub const fn mib(count: u32) -> Self {
        Self(count as u64 * 1024 * 1024)
    }
}

/// The names of a unit, the first of which is written, and the bytes in it.
const BYTE_UNITS: [(&[&str], u64); 5] = [
    (&["TiB", "t", "ti"], 1 << 40),
    (&["GiB", "g", "gi"], 1 << 30),
    (&["MiB", "m", "mi"], 1 << 20),
    (&["KiB", "k", "ki"], 1 << 10),
    (&["", "b"], 1),
];

impl fmt::Display for Bytes {
    /// In the largest unit that leaves no fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = BYTE_UNITS.iter().find(|(_, size)| self.0 != 0 && self.0.is_multiple_of(*size));
        match whole {
            Some((names, size)) => write!(f, "{}{}", self.0 / size, names[0]),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromText for Bytes {
    const EXPECTED: &'static str = "a size such as \"64KiB\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        let problem = || Problem::new(format!("`{text}` is not a size"));
        let (number, unit) = split_number(text);
        let named = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(unit));
        let Some((_, size)) = BYTE_UNITS.iter().find(|(names, _)| named(names)) else {
            return Err(problem().hint("units are KiB, MiB, GiB and TiB; a bare number is bytes"));
        };
        let number: u64 = number
            .parse()
            .map_err(|_| problem().hint("a whole number and a unit, such as 64KiB"))?;
        number
            .checked_mul(*size)
            .map(Self)
            .ok_or_else(|| Problem::new(format!("`{text}` is beyond all sizes")))
    }

    fn to_text(&self) -> Cow<'_, str> {
        self.to_string().into()
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "format": "size" })
    }
}

/// A number of bytes that is at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Size(Bytes);

impl Size {
    /// `bytes` unless there are none.
    #[must_use]
    pub const fn new(bytes: Bytes) -> Option<Self> {
        if bytes.0 == 0 { None } else { Some(Self(bytes)) }
    }

    /// So many KiB, at least one.
    pub(crate) const fn kib(count: u32) -> Self {
        Self(Bytes::kib(if count == 0 { 1 } else { count }))
    }

    /// So many MiB, at least one.
    pub(crate) const fn mib(count: u32) -> Self {
        Self(Bytes::mib(if count == 0 { 1 } else { count }))
    }

    /// The size that `text` says: `"256MiB"`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_text(text).ok()
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0.0
    }
}

impl FromText for Size {
    const EXPECTED: &'static str = Bytes::EXPECTED;

    fn from_text(text: &str) -> Result<Self, Problem> {
        let bytes = Bytes::from_text(text)?;
        Self::new(bytes).ok_or_else(|| Problem::new("this size must not be 0"))
    }

    fn to_text(&self) -> Cow<'_, str> {
        self.0.to_string().into()
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "format": "size" })
    }
}

/// A time in milliseconds: `"250ms"`, `"10s"`, `"5m"`, `"1h"`, `"1d"`, and `"0"` for none. At most `365d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duration {
    milliseconds: u64,
}

/// The name of a unit and the milliseconds in it.
const TIME_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Duration {
    /// The longest there is.
    pub const MAX: Self = Self { milliseconds: 365 * 86_400_000 };

    /// So many seconds, at most [`MAX`](Self::MAX).
    #[must_use]
    pub const fn seconds(count: u32) -> Self {
        let milliseconds = count as u64 * 1_000;
        if milliseconds > Self::MAX.milliseconds { Self::MAX } else { Self { milliseconds } }
    }

    /// The same for the standard library.
    #[must_use]
    pub const fn std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.milliseconds)
    }
}

impl From<std::time::Duration> for Duration {
    /// Cut to milliseconds and to [`Duration::MAX`].
    fn from(duration: std::time::Duration) -> Self {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self { milliseconds: milliseconds.min(Self::MAX.milliseconds) }
    }
}

impl fmt::Display for Duration {
    /// In the largest unit that leaves no fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = TIME_UNITS
            .iter()
            .find(|(_, size)| self.milliseconds != 0 && self.milliseconds.is_multiple_of(*size));
        match whole {
            Some((name, size)) => write!(f, "{}{name}", self.milliseconds / size),
            None => f.write_str("0"),
        }
    }
}

impl FromText for Duration {
    const EXPECTED: &'static str = "a time such as \"10s\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        let problem = || {
            Problem::new(format!("`{text}` is not a time"))
                .hint("units are ms, s, m, h and d, as in 10s")
        };
        if text == "0" {
            return Ok(Self::default());
        }
        let (number, unit) = split_number(text);
        let (_, size) = TIME_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(problem)?;
        let number: u64 = number.parse().map_err(|_| problem())?;
        let milliseconds = number.checked_mul(*size).filter(|sum| *sum <= Self::MAX.milliseconds);
        let too_long =
            || Problem::new(format!("`{text}` is too long")).hint(format!("at most {}", Self::MAX));
        milliseconds.map(|milliseconds| Self { milliseconds }).ok_or_else(too_long)
    }

    fn to_text(&self) -> Cow<'_, str> {
        self.to_string().into()
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "format": "time" })
    }
}

/// A time that is not zero: every wait has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timeout(Duration);

impl Timeout {
    /// `duration` unless it is zero.
    #[must_use]
    pub const fn new(duration: Duration) -> Option<Self> {
        if duration.milliseconds == 0 { None } else { Some(Self(duration)) }
    }

    /// So many seconds, at least one.
    pub(crate) const fn seconds(count: u32) -> Self {
        Self(Duration::seconds(if count == 0 { 1 } else { count }))
    }

    /// So many milliseconds, at least one.
    pub(crate) const fn milliseconds(count: u32) -> Self {
        Self(Duration { milliseconds: if count == 0 { 1 } else { count as u64 } })
    }

    /// So many days, at least one and at most a year.
    pub(crate) const fn days(count: u32) -> Self {
        Self::seconds(count.saturating_mul(86_400))
    }

    /// The same for the standard library.
    #[must_use]
    pub const fn std(self) -> std::time::Duration {
        self.0.std()
    }
}

impl FromText for Timeout {
    const EXPECTED: &'static str = Duration::EXPECTED;

    fn from_text(text: &str) -> Result<Self, Problem> {
        let duration = Duration::from_text(text)?;
        Self::new(duration)
            .ok_or_else(|| Problem::new("a time-out must not be 0").hint("every wait has an end"))
    }

    fn to_text(&self) -> Cow<'_, str> {
        self.0.to_string().into()
    }

    fn schema() -> Schema {
        json_schema!({ "type": "string", "format": "time" })
    }
}

/// The leading digits and the rest.
fn split_number(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(text: &str) -> Option<u64> {
        Bytes::from_text(text).ok().map(|bytes| bytes.0)
    }

    fn milliseconds(text: &str) -> Option<u128> {
        Duration::from_text(text).ok().map(|duration| duration.std().as_millis())
    }

    #[test]
    fn sizes_take_binary_units_in_any_case() {
        assert_eq!(bytes("0"), Some(0));
        assert_eq!(bytes("512"), Some(512));
        assert_eq!(bytes("512b"), Some(512));
        assert_eq!(bytes("64KiB"), Some(65_536));
        assert_eq!(bytes("64k"), Some(65_536));
        assert_eq!(bytes("1M"), Some(1_048_576));
        assert_eq!(bytes("2Gi"), Some(2_147_483_648));
        assert_eq!(bytes("1TiB"), Some(1_099_511_627_776));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "KiB",
            "1KB",
            "1.5MiB",
            "-1",
            "1 MiB",
            "99999999999999999999",
            "18446744073709551615k",
        ] {
            assert_eq!(bytes(text), None, "{text}");
        }
        assert!(Size::from_text("0k").is_err());
        assert_eq!(Size::from_text("1k").unwrap().bytes(), 1024);
    }

    #[test]
    fn times_take_units() {
        assert_eq!(milliseconds("0"), Some(0));
        assert_eq!(milliseconds("250ms"), Some(250));
        assert_eq!(milliseconds("10s"), Some(10_000));
        assert_eq!(milliseconds("5m"), Some(300_000));
        assert_eq!(milliseconds("1h"), Some(3_600_000));
        assert_eq!(milliseconds("365d"), Some(31_536_000_000));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "10", "s", "1.5s", "1S", "366d", "99999999999999999d", "-1s"] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
        assert!(Timeout::from_text("0").is_err());
        assert!(Timeout::from_text("0s").is_err());
        assert_eq!(Timeout::from_text("1ms").unwrap().std().as_millis(), 1);
    }

    #[test]
    fn times_from_the_standard_library_are_cut() {
        assert_eq!(Duration::from(std::time::Duration::MAX), Duration::MAX);
        assert_eq!(Duration::from(std::time::Duration::from_micros(1_999)).to_string(), "1ms");
        assert_eq!(Duration::seconds(u32::MAX), Duration::MAX);
        assert_eq!(Duration::seconds(90).to_string(), "90s");
    }

    proptest! {
        #[test]
        fn sizes_read_back_as_written(count: u64) {
            prop_assert_eq!(bytes(&Bytes(count).to_string()), Some(count));
        }

        #[test]
        fn times_read_back_as_written(milliseconds in 0_u64..=Duration::MAX.milliseconds) {
            let duration = Duration { milliseconds };
            prop_assert_eq!(Duration::from_text(&duration.to_string()).unwrap(), duration);
        }
    }
}
