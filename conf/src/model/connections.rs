//! How many connections are taken.

use std::borrow::Cow;
use std::time::Duration;

use super::define::model;
use super::text::Count;
use crate::at::At;
use crate::native::{FromText, Problem};

model! {
    /// How many connections are taken. One too many is reset as soon as it is accepted.
    pub struct Connections: Default {
        /// Open at once. Those that were open before there was this limit do not count.
        pub total: Option<At<Count<1, 10_000_000>>> = None,
        /// Open at once from one client: an address, or a network of those that `ipv4_prefix` and `ipv6_prefix` say. Whom a
        /// PROXY header names is the client. Clients on Unix sockets have no address and are not limited.
        pub per_client: Option<At<Count<1, 10_000_000>>> = None,
        /// How much of an IPv4 address makes a client, in bits. Without it, 32: all of it.
        pub ipv4_prefix: Option<At<Count<1, 32>>> = None,
        /// How much of an IPv6 address makes a client, in bits. Without it, 64: what one network has.
        pub ipv6_prefix: Option<At<Count<1, 128>>> = None,
        /// How many are accepted in a time, such as `"1000/s"` or `"600/m"`. More wait in the kernel's queue.
        pub rate: Option<At<Rate>> = None,
    }
}

/// So many in a time: `"1000/s"`, `"600/m"`, `"100/h"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    unit: char,
}

impl Rate {
    /// Reads the text form.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        Self::from_text(text).ok()
    }

    /// The time from one to the next.
    #[must_use]
    pub fn interval(self) -> Duration {
        let seconds = match self.unit {
            'h' => 3600,
            'm' => 60,
            _ => 1,
        };
        Duration::from_secs(seconds) / self.count.max(1)
    }
}

/// A thousandth of a millisecond from one to the next.
const MOST: u32 = 1_000_000;

impl FromText for Rate {
    const EXPECTED: &'static str = "a rate such as \"1000/s\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        let problem = || {
            Problem::new(format!("`{text}` is not a rate"))
                .hint(format!("1 to {MOST} and a unit: \"1000/s\", \"600/m\" or \"100/h\""))
        };
        let (count, unit) = text.split_once('/').ok_or_else(problem)?;
        let unit = match unit {
            "s" | "m" | "h" => unit.chars().next(),
            _ => None,
        };
        let is_number = count.bytes().all(|byte| byte.is_ascii_digit());
        let count = count.parse().ok().filter(|count| is_number && (1..=MOST).contains(count));
        match (count, unit) {
            (Some(count), Some(unit)) => Ok(Self { count, unit }),
            _ => Err(problem()),
        }
    }

    fn to_text(&self) -> Cow<'_, str> {
        format!("{}/{}", self.count, self.unit).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_unit() {
        let interval = |text| Rate::from_text(text).unwrap().interval();
        assert_eq!(interval("1000/s"), Duration::from_millis(1));
        assert_eq!(interval("600/m"), Duration::from_millis(100));
        assert_eq!(interval("1/h"), Duration::from_secs(3600));
        assert_eq!(Rate::from_text("600/m").unwrap().to_text(), "600/m");
        for text in ["", "1000", "0/s", "/s", "1/d", "1/", "-1/s", "+1/s", "1.5/s", "1000001/s"] {
            assert!(Rate::from_text(text).is_err(), "{text}");
        }
    }
}
