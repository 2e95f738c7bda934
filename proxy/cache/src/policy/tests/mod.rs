//! Tables of what the RFCs ask for, the section beside each row.

mod accel;
mod control;
mod fields;
mod freshness;
mod invalidation;
mod judge;
mod merge;
mod partial;
mod properties;
mod rules;
mod search;
mod status;
mod store;
mod vary;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::entry::{BodyId, Head, Meta, Times};
use crate::key::{Address, KeyBuilder};
use crate::policy::{
    self, Asked, Asks, Rules, Storable, Unstorable, Use, asks, selecting, storable, to_store,
};

/// When every response of these tests was received, right when it was asked for.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_300_000)
}

fn times() -> Times {
    Times { request: now(), response: now() }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Fields from `Name: value | Name: value`; a value `@-5` is the date five seconds ago, `@5` in five seconds.
fn fields(text: &str) -> HeaderMap {
    let lines = text.split('|').map(str::trim_start).filter(|line| !line.is_empty());
    let fields = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        (
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(&dated(value.trim())).unwrap(),
        )
    });
    let mut headers = HeaderMap::new();
    fields.for_each(|(name, value)| {
        headers.append(name, value);
    });
    headers
}

fn dated(value: &str) -> String {
    match value.strip_prefix('@').map(|seconds| seconds.parse::<i64>().unwrap()) {
        None => value.to_owned(),
        Some(offset) if offset < 0 => {
            httpdate::fmt_http_date(now() - seconds(offset.unsigned_abs()))
        }
        Some(offset) => httpdate::fmt_http_date(now() + seconds(offset.unsigned_abs())),
    }
}

fn head(status: u16, text: &str) -> Head {
    Head { status: StatusCode::from_u16(status).unwrap(), headers: fields(text) }
}

/// What becomes of the response to a GET without fields.
fn stored(status: u16, text: &str, rules: &Rules) -> Result<Storable, Unstorable> {
    asked("", status, text, rules)
}

/// What becomes of the response to a GET with the fields of `request`.
fn asked(request: &str, status: u16, text: &str, rules: &Rules) -> Result<Storable, Unstorable> {
    let request = fields(request);
    storable(Asked { method: &Method::GET, headers: &request }, &head(status, text), times(), rules)
}

/// A stored 200.
fn meta(text: &str) -> Meta {
    meta_of("", text, &Rules::default())
}

/// A stored 200 to a GET with the fields of `request`.
fn meta_of(request: &str, text: &str, rules: &Rules) -> Meta {
    let request = fields(request);
    let mut head = head(200, text);
    let asked = Asked { method: &Method::GET, headers: &request };
    let storable = storable(asked, &head, times(), rules).unwrap();
    to_store(&mut head, &storable, times(), rules);
    Meta {
        key: KeyBuilder::template(b"", b"/", Address::default()).build(),
        head,
        times: times(),
        freshness: storable.freshness,
        selected_by: selecting(&storable.vary, &request),
        vary: storable.vary,
        tags: Box::default(),
        generation: 0,
        body: BodyId::fresh(),
    }
}

/// What a request with the fields of `request` may use a stored 200 for, so many seconds after it was received.
fn used(response: &str, request: &str, after: u64, rules: &Rules) -> Use {
    let asks: Asks = asks(&fields(request), rules);
    policy::judge(&meta_of("", response, rules), &asks, rules, now() + seconds(after))
}
