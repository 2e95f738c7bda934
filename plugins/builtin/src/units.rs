//! Times, sizes and rates as the configuration language writes them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A time: `"250ms"`, `"10s"`, `"5m"`, `"1h"`, `"1d"`, and `"0"` for none. At most `365d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) Duration);

/// The name of a unit and the milliseconds in it, the longest first.
const TIME_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const LONGEST: u64 = 365 * 86_400_000;

impl Time {
    /// So many seconds.
    pub(crate) const fn seconds(count: u64) -> Self {
        Self(Duration::from_secs(count))
    }

    /// So many milliseconds.
    pub(crate) const fn milliseconds(count: u64) -> Self {
        Self(Duration::from_millis(count))
    }
}

impl fmt::Display for Time {
    /// In the largest unit that leaves no fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let whole = TIME_UNITS
            .iter()
            .find(|(_, size)| milliseconds != 0 && milliseconds.is_multiple_of(*size));
        match whole {
            Some((name, size)) => write!(f, "{}{name}", milliseconds / size),
            None => f.write_str("0"),
        }
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self::default());
        }
        let problem = || format!("`{text}` is not a time: write a number with ms, s, m, h or d");
        let (number, unit) = split_number(text);
        let (_, size) = TIME_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(problem)?;
        let number: u64 = number.parse().map_err(|_| problem())?;
        let milliseconds = number.checked_mul(*size).filter(|sum| *sum <= LONGEST);
        milliseconds.map(Self::milliseconds).ok_or(format!("`{text}` is too long: at most 365d"))
    }
}

/// A number of bytes: `"512"`, `"64KiB"`, `"10MiB"`, `"2GiB"`; `k`, `m` and `g` mean the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

/// The names of a unit, the first of which is written, and the bytes in it.
const SIZE_UNITS: [(&[&str], u64); 4] = [
    (&["GiB", "g", "gi"], 1 << 30),
    (&["MiB", "m", "mi"], 1 << 20),
    (&["KiB", "k", "ki"], 1 << 10),
    (&["", "b"], 1),
];

impl fmt::Display for Size {
    /// In the largest unit that leaves no fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = SIZE_UNITS.iter().find(|(_, size)| self.0 != 0 && self.0.is_multiple_of(*size));
        match whole {
            Some(([name, ..], size)) => write!(f, "{}{name}", self.0 / size),
            _ => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = || {
            format!("`{text}` is not a size: write a number of bytes, or one with KiB, MiB or GiB")
        };
        let (number, unit) = split_number(text);
        let named = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(unit));
        let (_, size) = SIZE_UNITS.iter().find(|(names, _)| named(names)).ok_or_else(problem)?;
        let number: u64 = number.parse().map_err(|_| problem())?;
        number.checked_mul(*size).map(Self).ok_or(format!("`{text}` is beyond all sizes"))
    }
}

/// So many in a time: `"50/s"`, `"100/m"`, `"5/10s"`. Neither is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// How many.
    pub(crate) count: u64,
    /// In what time.
    pub(crate) period: Duration,
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = Time(self.period).to_string();
        let one =
            period.strip_prefix('1').filter(|rest| TIME_UNITS.iter().any(|(unit, _)| unit == rest));
        write!(f, "{}/{}", self.count, one.unwrap_or(&period))
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = || format!("`{text}` is not a rate: write it as in 50/s, 100/m or 5/10s");
        let (count, period) = text.split_once('/').ok_or_else(problem)?;
        let count = count.parse().ok().filter(|count| *count > 0).ok_or_else(problem)?;
        let starts_with_digit = period.starts_with(|sign: char| sign.is_ascii_digit());
        let period =
            if starts_with_digit { Cow::Borrowed(period) } else { format!("1{period}").into() };
        let Time(period) = period.parse().map_err(|_| problem())?;
        if period.is_zero() {
            return Err(problem());
        }
        Ok(Self { count, period })
    }
}

/// Digits, and what comes behind them.
fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

macro_rules! written_as_text {
    ($($unit:ident: $name:literal, $pattern:literal;)*) => {$(
        impl<'de> Deserialize<'de> for $unit {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl Serialize for $unit {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $unit {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $name, "pattern": $pattern })
            }
        }
    )*};
}

written_as_text! {
    Time: "time", "^(0|[0-9]+(ms|s|m|h|d))$";
    Size: "size", "^[0-9]+([KkMmGg]([Ii][Bb]?)?|[Bb])?$";
    Rate: "rate", "^[0-9]+/([0-9]*(ms|s|m|h|d))$";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_mean_what_the_configuration_language_means() {
        let time = |text: &str| text.parse::<Time>().map(|time| time.0.as_millis());
        assert_eq!(time("50ms"), Ok(50));
        assert_eq!(time("2m"), Ok(120_000));
        assert_eq!(time("0"), Ok(0));
        let size = |text: &str| text.parse::<Size>().map(|size| size.0);
        assert_eq!(size("10MiB"), Ok(10 << 20));
        assert_eq!(size("1k"), Ok(1024));
        assert_eq!(size("7"), Ok(7));
        let rate =
            |text: &str| text.parse::<Rate>().map(|rate| (rate.count, rate.period.as_millis()));
        assert_eq!(rate("50/s"), Ok((50, 1_000)));
        assert_eq!(rate("5/10s"), Ok((5, 10_000)));
    }

    #[test]
    fn what_is_no_unit_is_refused() {
        for text in ["", "5", "-1s", "1.5s", "1y", "s", "366d", "99999999999999999999s", "1 s"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
        for text in
            ["", "KiB", "-1", "1.5k", "1TB", "99999999999999999999", "18446744073709551615g"]
        {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        for text in ["", "50", "0/s", "5/0s", "5/0", "/s", "5/", "-5/s", "5/1", "5/s/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(milliseconds in 0..=LONGEST, bytes: u64, count in 1..u64::MAX) {
            let time = Time::milliseconds(milliseconds);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
            prop_assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
            let rate = Rate { count, period: Duration::from_millis(milliseconds.max(1)) };
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,12}") {
            let _ = (text.parse::<Time>(), text.parse::<Size>(), text.parse::<Rate>());
        }
    }
}
