//! What keeps a service from being asked for more than it can do.

use std::borrow::Cow;
use std::net::IpAddr;

use http::StatusCode;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;

use super::define::model;
use super::text::Count;
use crate::at::At;
use crate::native::{Decoder, FromText, Node, Problem, Setting, Value, integer};
use crate::units::Timeout;

model! {
    /// Which tries that failed are followed by another, at an endpoint that was not tried yet. Whatever is said here, a request
    /// whose method is not idempotent is never sent again once a byte of it was sent, unless the endpoint said that it has not
    /// begun with it; nor is one whose body is larger than 64 KiB.
    pub struct Retry: Default {
        /// After what: `"connect"` (no connection), `"refused_stream"` (HTTP/2: the endpoint says that it has not begun),
        /// `"reset"` (the connection broke before the head of an answer), `"timeout"` (no head of an answer in time), or an
        /// answer with `"502"`, `"503"` or `"504"`. What is tried is bounded by `tries`.
        pub on: Vec<At<RetryOn>> = RetryOn::by_default(),
        /// How many requests may be sent again, against those that are sent for the first time, and in flight. Tries that
        /// could not connect do not count: they ask nothing of the service.
        pub budget: Percent = Percent(20),
        /// How many may be sent again at once, and in ten seconds, however few there are.
        pub least: Count<0, 1000> = Count::clamped(3),
        /// A request that came longer ago than this is not sent again, nor one that would not be answered by then.
        pub within: Timeout = Timeout::seconds(10),
    }
}

model! {
    /// When endpoints that fail are not asked for a while: those that cannot be connected to, break off, give no answer in time,
    /// or answer with 502, 503 or 504. After that while, one request shows whether they are well again. Where all of them fail,
    /// requests are answered with 503 at once.
    pub struct Breaker: Default {
        /// More failures than this, of all tries of the last ten seconds.
        pub errors: Percent = Percent(50),
        /// Fewer tries than these are not judged.
        pub least: Count<1, 100_000> = Count::clamped(20),
        /// How long it is not asked at first; then twice as long each time.
        pub open: Timeout = Timeout::seconds(1),
        /// The longest that it is not asked.
        pub longest: Timeout = Timeout::seconds(30),
    }
}

model! {
    /// Who waits where a service has as many requests as it may have. Others are answered with 503 and `Retry-After`. All are served
    /// in turn, as long as they can be in time. When the queue is full, or somebody has waited for three quarters of `wait`, they
    /// cannot: then those who came last are served first, and those who waited for half as long as an answer takes not at all.
    pub struct Queue: Default {
        /// So many wait; 0 is nobody.
        pub most: Count<0, 100_000> = Count::clamped(1000),
        /// The longest that one waits.
        pub wait: Timeout = Timeout::seconds(1),
    }
}

model! {
    /// When a request whose answer is late is sent a second time, to an endpoint that does not have it. The client has the answer
    /// whose head comes first, and the other copy is given up; one that `retry.on` names is not taken while the other copy may
    /// bring a better one. Only GET and HEAD without a body are sent twice, unless `sticky` holds them to an endpoint, and only
    /// while there is time left of `retry.within` and room in the service. The second copy is one of the `tries`, and counts
    /// everywhere as a request of its own. There is never a third: where two endpoints are late, it is not theirs, and more of
    /// the same makes it worse.
    pub struct Hedge: Default {
        /// How long the first copy has had without the head of an answer: a time such as `"50ms"`, or what so many of the latest
        /// such requests have taken at most, `"p50"` to `"p99.9"`. Nothing is late until enough of them are known: 20 for
        /// `"p95"`, 100 for `"p99"`.
        pub after: At<HedgeAfter> = HedgeAfter::usual(),
        /// How many of the requests that might be are sent a second time, at most. Ten are saved up for when many are late.
        pub budget: At<Percent> = At::from(Percent(10)),
    }
}

/// From when on an answer is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeAfter {
    /// After so many thousandths of all answers.
    Quantile(u16),
    /// After this time.
    Time(Timeout),
}

impl HedgeAfter {
    fn usual() -> At<Self> {
        At::from(Self::Quantile(950))
    }
}

impl FromText for HedgeAfter {
    const EXPECTED: &'static str = "a time such as \"50ms\", or \"p50\" to \"p99.9\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        let Some(percent) = text.strip_prefix('p') else {
            return Timeout::from_text(text).map(Self::Time);
        };
        let (whole, tenths) = percent.split_once('.').unwrap_or((percent, "0"));
        let is_plain = whole.len() == 2 && tenths.len() == 1;
        let number = |text: &str| text.parse::<u16>().ok().filter(|_| is_plain);
        let per_mille = number(whole).zip(number(tenths)).map(|(whole, tenth)| whole * 10 + tenth);
        let known = per_mille.filter(|per_mille| (500..=999).contains(per_mille));
        known.map(Self::Quantile).ok_or_else(|| {
            Problem::new(format!("`{text}` is no share of answers that can be told"))
                .hint("\"p50\" to \"p99.9\", or a time such as \"50ms\"")
        })
    }

    fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Time(time) => Cow::Owned(time.to_text().into_owned()),
            Self::Quantile(per_mille) => Cow::Owned(match per_mille % 10 {
                0 => format!("p{}", per_mille / 10),
                tenth => format!("p{}.{tenth}", per_mille / 10),
            }),
        }
    }
}

/// After what a request is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryOn {
    /// No connection.
    Connect,
    /// The endpoint has not begun.
    RefusedStream,
    /// The connection broke before an answer.
    Reset,
    /// No answer in time.
    Timeout,
    /// An answer with this status.
    Status(StatusCode),
}

impl RetryOn {
    /// Whatever ends without an answer: as nginx's `error timeout`.
    pub(super) fn by_default() -> Vec<At<Self>> {
        [Self::Connect, Self::RefusedStream, Self::Reset, Self::Timeout].map(At::from).into()
    }
}

const STATUSES: [StatusCode; 3] =
    [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT];

impl FromText for RetryOn {
    const EXPECTED: &'static str = "what a request is sent again after";

    fn from_text(text: &str) -> Result<Self, Problem> {
        match text {
            "connect" => Ok(Self::Connect),
            "refused_stream" => Ok(Self::RefusedStream),
            "reset" => Ok(Self::Reset),
            "timeout" => Ok(Self::Timeout),
            _ => STATUSES
                .into_iter()
                .find(|status| status.as_str() == text)
                .map(Self::Status)
                .ok_or_else(|| {
                    Problem::new(format!("`{text}` is not {}", Self::EXPECTED)).hint(
                        "\"connect\", \"refused_stream\", \"reset\", \"timeout\", \"502\", \"503\" or \"504\"",
                    )
                }),
        }
    }

    fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Connect => Cow::Borrowed("connect"),
            Self::RefusedStream => Cow::Borrowed("refused_stream"),
            Self::Reset => Cow::Borrowed("reset"),
            Self::Timeout => Cow::Borrowed("timeout"),
            Self::Status(status) => Cow::Owned(status.as_str().to_owned()),
        }
    }
}

/// Hundredths: `"20%"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(u8);

impl Percent {
    /// So many hundredths, 0 to 100.
    #[must_use]
    pub fn new(hundredths: u8) -> Option<Self> {
        (hundredths <= 100).then_some(Self(hundredths))
    }

    /// The nearest between 0 and 100.
    pub(crate) const fn clamped(hundredths: u8) -> Self {
        Self(if hundredths > 100 { 100 } else { hundredths })
    }

    /// The hundredths.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

impl FromText for Percent {
    const EXPECTED: &'static str = "a percentage such as \"20%\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
        number.and_then(Self::new).ok_or_else(|| {
            Problem::new(format!("`{text}` is not {}", Self::EXPECTED)).hint("0% to 100%")
        })
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Owned(format!("{}%", self.0))
    }
}

/// How many requests a service may have at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtOnce {
    /// As many as it can work at, found by watching it.
    Adaptive,
    /// So many.
    Fixed(u32),
    /// As many as come.
    Off,
}

const AT_ONCE: &str = "\"adaptive\", \"off\" or a number of requests";
const MOST_AT_ONCE: u32 = 1_000_000;

impl Setting for AtOnce {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        match node.value() {
            Value::String(text) if text == "adaptive" => Some(Self::Adaptive),
            Value::String(text) if text == "off" => Some(Self::Off),
            Value::String(text) => {
                let problem = Problem::new(format!("`{text}` is not a limit of requests"));
                decoder.bad_value(node.at(), problem.hint(AT_ONCE));
                None
            }
            Value::Integer(..) => {
                let most = integer(node, 1..=i64::from(MOST_AT_ONCE), decoder)?;
                u32::try_from(most).ok().map(Self::Fixed)
            }
            _ => decoder.wrong_type(node, AT_ONCE),
        }
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Adaptive => serializer.serialize_str("adaptive"),
            Self::Off => serializer.serialize_str("off"),
            Self::Fixed(most) => serializer.serialize_u32(*most),
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "enum": ["adaptive", "off"] },
            { "type": "integer", "minimum": 1, "maximum": MOST_AT_ONCE }
        ] })
    }
}

impl FromText for IpAddr {
    const EXPECTED: &'static str = "an IP address";

    fn from_text(text: &str) -> Result<Self, Problem> {
        text.parse().map_err(|_| {
            Problem::new(format!("`{text}` is not {}", Self::EXPECTED)).hint("as in \"10.0.0.2\"")
        })
    }

    fn to_text(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_string())
    }
}
