//! Access logs as JSON: an object for each line, with a fixed set of keys after the Elastic Common Schema. What a request does
//! not have is left out.

use std::io::Write as _;
use std::time::Duration;

use http::header;
use switchback_value::{Facts as _, Known, Variable, escape};

use super::redact::{Mask, Redaction};
use crate::clock;
use crate::http::facts::RequestFacts;

/// Appends a value as a string of JSON, with its quotes.
pub fn text(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    escape::json(value, out);
    out.push(b'"');
}

/// Appends the object of one request.
pub(super) fn line(facts: &RequestFacts<'_>, redaction: &Redaction, out: &mut Vec<u8>) {
    let context = facts.context();
    let mut object = Object::begin(out);
    object.text("@timestamp", clock::iso8601_millis(context.wall).as_bytes());
    let mut writer = Writer { facts, redaction, object };
    for (key, known) in TEXTS {
        writer.known(key, known);
    }
    writer.header("http.request.referrer", header::REFERER);
    writer.header("user_agent.original", header::USER_AGENT);
    for (key, known) in NUMBERS {
        writer.number(key, known);
    }
    let mut object = writer.object;
    object.duration("event.duration", context.started.elapsed());
    object.text("switchback.listener", context.connection.listener.plan.name.as_bytes());
    let asked = context.asked.lock();
    object.number("switchback.tries", asked.tries.len() as u64);
    if let Some(tried) = asked.tries.last() {
        object.text("switchback.endpoint", tried.address.as_bytes());
        if let Some(status) = tried.status {
            object.number("switchback.upstream.status", status.as_u16().into());
        }
        for (key, time) in [
            ("switchback.upstream.connect", tried.connected),
            ("switchback.upstream.head", tried.answered),
            ("switchback.upstream.duration", tried.ended),
        ] {
            if let Some(time) = time {
                object.duration(key, time);
            }
        }
    }
    object.end();
}

const TEXTS: [(&str, Known); 18] = [
    ("http.request.id", Known::RequestId),
    ("client.address", Known::RemoteAddr),
    ("user.name", Known::RemoteUser),
    ("http.request.method", Known::RequestMethod),
    ("url.scheme", Known::Scheme),
    ("url.domain", Known::Host),
    ("url.original", Known::RequestUri),
    ("url.path", Known::Uri),
    ("network.protocol", Known::ServerProtocol),
    ("server.address", Known::ServerAddr),
    ("tls.protocol", Known::SslProtocol),
    ("tls.cipher", Known::SslCipher),
    ("switchback.site", Known::ServerName),
    ("switchback.route", Known::Route),
    ("switchback.upstream.name", Known::Upstream),
    ("switchback.cache.status", Known::UpstreamCacheStatus),
    ("switchback.cache.tier", Known::UpstreamCacheTier),
    ("switchback.cache.key", Known::UpstreamCacheKeyHash),
];

const NUMBERS: [(&str, Known); 7] = [
    ("client.port", Known::RemotePort),
    ("server.port", Known::ServerPort),
    ("http.request.bytes", Known::RequestLength),
    ("http.response.status_code", Known::Status),
    ("http.response.bytes", Known::BytesSent),
    ("http.response.body.bytes", Known::BodyBytesSent),
    ("switchback.cache.age", Known::UpstreamCacheAge),
];

struct Writer<'w, 'o> {
    facts: &'w RequestFacts<'w>,
    redaction: &'w Redaction,
    object: Object<'o>,
}

impl Writer<'_, '_> {
    fn known(&mut self, key: &str, known: Known) {
        self.variable(key, &Variable::Known(known));
    }

    fn header(&mut self, key: &str, name: http::HeaderName) {
        self.variable(key, &Variable::Header(name));
    }

    fn variable(&mut self, key: &str, variable: &Variable) {
        if let Some(value) = self.facts.fact(variable) {
            self.object.redacted(key, &value, self.redaction.mask(variable), self.redaction);
        }
    }

    /// The registry gives these in digits.
    fn number(&mut self, key: &str, known: Known) {
        let value = self.facts.fact(&Variable::Known(known));
        if let Some(digits) = value.filter(|value| !value.is_empty()) {
            self.object.key(key);
            self.object.out.extend_from_slice(&digits);
        }
    }
}

/// An object that is being written. Keys are our own words.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

impl<'o> Object<'o> {
    fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    fn key(&mut self, key: &str) {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        text(key.as_bytes(), self.out);
        self.out.push(b':');
    }

    fn text(&mut self, key: &str, value: &[u8]) {
        self.redacted(key, value, Mask::Nothing, &Redaction::default());
    }

    fn redacted(&mut self, key: &str, value: &[u8], mask: Mask, redaction: &Redaction) {
        self.key(key);
        self.out.push(b'"');
        redaction.write(mask, value, escape::json, self.out);
        self.out.push(b'"');
    }

    fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        // Writing to a Vec cannot fail.
        let _ = write!(self.out, "{value}");
    }

    /// In nanoseconds, as `event.duration` is.
    fn duration(&mut self, key: &str, value: Duration) {
        self.number(key, u64::try_from(value.as_nanos()).unwrap_or(u64::MAX));
    }

    fn end(self) {
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_and_values_stand_in_order() {
        let mut out = Vec::new();
        let mut object = Object::begin(&mut out);
        object.text("a", b"x\"y\n\xff");
        object.number("b", 7);
        object.duration("c", Duration::from_micros(2));
        object.end();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"a\":\"x\\\"y\\n\u{fffd}\",\"b\":7,\"c\":2000}"
        );
    }

    proptest! {
        #[test]
        fn whatever_bytes_arrive_the_line_is_json(values: Vec<Vec<u8>>) {
            let redaction = Redaction::new(Box::new(["token".into()]));
            let mut out = Vec::new();
            let mut object = Object::begin(&mut out);
            for (index, value) in values.iter().enumerate() {
                object.redacted(&index.to_string(), value, Mask::Query, &redaction);
            }
            object.end();
            prop_assert!(!out.contains(&b'\n'));
            let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(read.as_object().unwrap().len(), values.len());
        }
    }
}
