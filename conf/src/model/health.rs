//! How it is found out which endpoints can be asked.

use std::borrow::Cow;

use http::Method;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;

use super::define::model;
use super::overload::Percent;
use super::text::{Count, OrOff, OrText, Short};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::native::{Decoder, FromText, Node, Problem, Setting, Value};
use crate::plan::ProbeKind;
use crate::units::Timeout;

/// `health = "/healthz"` or `health = { .. }`.
pub type HealthOrPath = OrText<Health>;

/// `outliers = { .. }` or `outliers = "off"`.
pub type OutliersOrOff = OrOff<Outliers>;

model! {
    /// Probes that ask each endpoint by themselves whether it is well. Where only `path` is written, it alone will do. An endpoint
    /// that is not gets no requests until it is again. What is known of it outlives reloads.
    pub struct Health: Default {
        /// What is asked over HTTP: path and query.
        pub path: Option<At<Box<str>>> = None,
        /// What a probe is: `"http"`, `"tcp"` (a connection is enough), `"tls"` (a handshake, verified as the upstream's) or `"grpc"`
        /// (`grpc.health.v1.Health/Check` over HTTP/2).
        pub kind: At<ProbeKind> = At::from(ProbeKind::Http),
        /// The method of a probe over HTTP. Without it GET.
        pub method: Option<At<Method>> = None,
        /// The `Host` of a probe over HTTP or gRPC. Without it the endpoint's own name or address.
        pub host: Option<At<Box<str>>> = None,
        /// The statuses that are well, such as `"200-299, 304"`. Without it 200 to 399.
        pub status: Option<At<StatusRanges>> = None,
        /// A text that the answer's body must hold in its first 64 KiB.
        pub body: Option<At<Box<str>>> = None,
        /// The gRPC service that is asked about. Without it the server as a whole.
        pub service: Option<At<Box<str>>> = None,
        /// How often; a tenth more or less, so that probes do not go all at once. Four times as often when a probe of an endpoint that
        /// was well fails, until `fall` decides, and while an endpoint is not well: for sixteen times as long as this; then twice as
        /// often for a while, and after that as always. Once one that was not well passes, the next ones follow at once.
        pub every: Timeout = Timeout::seconds(5),
        /// How long a probe may take, connecting included.
        pub timeout: Timeout = Timeout::seconds(2),
        /// Probes in a row that must pass before an endpoint that was not well is asked again.
        pub rise: Count<1, 100> = Count::clamped(2),
        /// Probes in a row that must fail before one that was well is not asked any more. The first probe of all decides alone.
        pub fall: Count<1, 100> = Count::clamped(3),
        /// The port that is probed, if it is not the endpoint's own.
        pub port: Option<At<Count<1, 65535>>> = None,
    }
}

impl Short for Health {
    type Key = Box<str>;

    fn from_key(path: At<Box<str>>) -> Self {
        Self { path: Some(path), ..Self::default() }
    }

    fn as_key(&self) -> Option<&Box<str>> {
        let path = self.path.as_ref()?;
        (*self == Self::from_key(path.clone())).then_some(&path.value)
    }
}

model! {
    /// Which endpoints are ejected for what they answer: they get no requests for a while, then an eighth, a quarter and a half of
    /// their share, then all. A first gateway error while they return ejects them again.
    pub struct Outliers: Default {
        /// Gateway errors in a row that are enough: no connection, one that breaks before the answer, a time-out, 502, 503, 504. 0 is
        /// never.
        pub errors: Count<0, 10_000> = Count::clamped(5),
        /// How many standard deviations below the mean of all a success rate is an outlier, if at least 5 endpoints have had
        /// `requests` within `window`. Any 5xx is a failure. 0 is never.
        pub success_rate: Tenths = Tenths::new(19),
        /// How many times slower than the others an endpoint is an outlier: by the time to the first byte of its last 30
        /// answers or more, if at least 3 have had as many within `window`, and by 20 ms at least. 0 is never.
        pub latency: Tenths = Tenths::new(50),
        /// Requests that a success rate is judged by.
        pub requests: Count<1, 1_000_000> = Count::clamped(100),
        /// Over how long answers are counted. They are judged every second.
        pub window: Timeout = Timeout::seconds(10),
        /// How long the first ejection is, a tenth more or less. Each further one is longer by as much; for each such time that all
        /// goes well, one is forgiven. Probes that pass end it sooner.
        pub base: At<Timeout> = At::from(Timeout::seconds(30)),
        /// The longest ejection.
        pub longest: At<Timeout> = At::from(Timeout::seconds(300)),
        /// The most endpoints that are ejected at once. One of several may always be.
        pub share: Percent = Percent::clamped(50),
    }
}

/// A number from 0 to 100, to a tenth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tenths(u32);

impl Tenths {
    /// So many tenths, 1,000 at most.
    #[must_use]
    pub const fn new(tenths: u32) -> Self {
        Self(if tenths > 1000 { 1000 } else { tenths })
    }

    /// The number.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.0) / 10.0
    }
}

impl Setting for Tenths {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let (Value::Integer(written, 10) | Value::Float(written)) = node.value() else {
            return decoder.wrong_type(node, "a number such as 1.9");
        };
        let number: Option<f64> = written.replace('_', "").parse().ok();
        let number = number.filter(|number| (0.0..=100.0).contains(number));
        if number.is_none() {
            let message = format!("{written} is not between 0 and 100");
            decoder.report(Diagnostic::error(Code::OutOfRange, node.at(), message));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the bounds just looked at"
        )]
        number.map(|number| Self((number * 10.0).round() as u32))
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.value())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 100 })
    }
}

/// Statuses, such as `"200-299, 304"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StatusRanges(Box<[(u16, u16)]>);

impl StatusRanges {
    /// The ranges, both ends included; `None` when there is none, or one that holds nothing or is beyond 100 to 599.
    #[must_use]
    pub fn new(ranges: impl IntoIterator<Item = (u16, u16)>) -> Option<Self> {
        let ranges: Box<[_]> = ranges.into_iter().collect();
        let is_fit = |(from, to): &(u16, u16)| 100 <= *from && from <= to && *to <= 599;
        (!ranges.is_empty() && ranges.iter().all(is_fit)).then_some(Self(ranges))
    }

    /// 200 to 399.
    #[must_use]
    pub fn usual() -> Self {
        Self(Box::new([(200, 399)]))
    }

    /// Whether `status` is one of them.
    #[must_use]
    pub fn hold(&self, status: u16) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

impl FromText for StatusRanges {
    const EXPECTED: &'static str = "statuses such as \"200-399\"";

    fn from_text(text: &str) -> Result<Self, Problem> {
        let range = |part: &str| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
        };
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        ranges.and_then(Self::new).ok_or_else(|| {
            Problem::new(format!("`{text}` are no statuses"))
                .hint("as in \"200-299, 304\", from 100 to 599")
        })
    }

    fn to_text(&self) -> Cow<'_, str> {
        let one = |(from, to): &(u16, u16)| match from == to {
            true => from.to_string(),
            false => format!("{from}-{to}"),
        };
        Cow::Owned(self.0.iter().map(one).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_ranges_and_single_ones() {
        let statuses = StatusRanges::from_text("200-299,304").unwrap();
        assert_eq!(statuses.to_text(), "200-299, 304");
        let held = [199, 200, 299, 300, 304, 305].map(|status| statuses.hold(status));
        assert_eq!(held, [false, true, true, false, true, false]);
        for wrong in ["", "2xx", "200-", "300-200", "99", "600", "200,,201", "-200"] {
            assert!(StatusRanges::from_text(wrong).is_err(), "{wrong}");
        }
    }
}
