//! How an upstream chooses among its endpoints.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serializer;

use super::define::model;
use super::text::{Count, OrText, Short, TemplateText};
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::native::{Decoder, Node, Setting, Value};
use crate::plan::BalanceBy;

model! {
    /// How an upstream chooses among its endpoints. Where only `by` is written, it alone will do.
    pub struct Balance {
        /// `"p2c"`: of two endpoints drawn at random by weight, the one that has fewer requests in flight for its weight, or
        /// that answers more than twice as fast. `"round_robin"`: in turn, smoothly by weight. `"least_requests"`: the one of
        /// all with the fewest requests in flight for its weight. `"least_time"`: likewise, by the product of requests in
        /// flight and time to the first byte. `"random"`: by weight. `"ip_hash"`: by the client's address, as nginx's
        /// `ip_hash`. `"hash"`: by `key`. What an endpoint takes to the first byte is its peak, fading by half in two
        /// seconds; failing counts as taking 250 ms.
        pub by: At<BalanceBy>,
        /// With `"hash"`: what requests are held together by, such as `"$uri"`. Where it comes out empty, endpoints are drawn
        /// at random.
        pub key: Option<At<TemplateText>> = None,
        /// With `"hash"`: whether only the keys of an endpoint that comes or goes move, as with nginx's
        /// `hash … consistent`. Without it, `true`; `false` is nginx's plain `hash`.
        pub consistent: Option<At<bool>> = None,
        /// With a consistent `"hash"`: how much an endpoint may have in flight, as a multiple of its share of all that is, from
        /// 1.01 to 100. Beyond, the next endpoint in the key's order has the request. Without it, there is no bound.
        pub bound: Option<At<Bound>> = None,
    }
}

impl Short for Balance {
    type Key = BalanceBy;

    fn from_key(by: At<BalanceBy>) -> Self {
        Self { by, key: None, consistent: None, bound: None }
    }

    fn as_key(&self) -> Option<&BalanceBy> {
        let is_alone = self.key.is_none() && self.consistent.is_none() && self.bound.is_none();
        is_alone.then_some(&self.by.value)
    }
}

model! {
    /// Keys of a `"hash"` that are asked for so often that one endpoint should not have them alone. From a quarter of an even share of
    /// all requests on, a key has as many endpoints, the next ones in its order, as make twice its share, and one more; of two
    /// of these drawn at random, the better one. What changes something (methods other than GET, HEAD, OPTIONS and TRACE)
    /// stays with the first. With `bound`, no endpoint has more than that, whatever is hot.
    pub struct HotKeys: Default {
        /// The most endpoints that one key has.
        pub most: Count<2, 16> = Count::clamped(16),
    }
}

impl Balance {
    /// What holds where nothing is said.
    pub(super) fn usual() -> OrText<Self> {
        OrText(Self::from_key(BalanceBy::P2c.into()))
    }
}

/// A multiple of a share, in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound(u32);

impl Bound {
    /// So many hundredths, 101 to 10,000.
    #[must_use]
    pub fn hundredths(hundredths: u32) -> Option<Self> {
        (101..=10_000).contains(&hundredths).then_some(Self(hundredths))
    }

    /// The hundredths.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }
}

impl Setting for Bound {
    fn decode(node: Node<'_>, decoder: &mut Decoder<'_>) -> Option<Self> {
        let (Value::Integer(written, 10) | Value::Float(written)) = node.value() else {
            return decoder.wrong_type(node, "a multiple such as 1.25");
        };
        let multiple: Option<f64> = written.replace('_', "").parse().ok();
        // Within the bounds just looked at the number is whole and small.
        let hundredths = multiple.filter(|multiple| (0.0..=1e6).contains(multiple));
        let bound =
            hundredths.and_then(|multiple| Self::hundredths((multiple * 100.0).round() as u32));
        if bound.is_none() {
            let message = format!("{written} is not between 1.01 and 100");
            decoder.report(Diagnostic::error(Code::OutOfRange, node.at(), message));
        }
        bound
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / 100.0)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 1.01, "maximum": 100 })
    }
}
