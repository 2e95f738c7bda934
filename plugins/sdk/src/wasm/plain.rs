//! What a guest makes of a host that has only proxy-wasm.

use std::borrow::Cow;

use bytes::Bytes;

use crate::exchange::{Fact, Map, Refused, Value};
use crate::operation::{HttpRequest, OperationError, Outcome, StoreAction, StoreOperation};
use crate::wasm::landing::Hold;
use crate::wasm::system;

/// What Envoy has of a fact.
pub(super) fn fact(hold: &Hold, fact: Fact) -> Option<Value<'_>> {
    let property = |path: &str| system::property(hold, path);
    match fact {
        Fact::Method => property("request\0method"),
        Fact::Scheme => property("request\0scheme"),
        Fact::Host => {
            let host = property("request\0host")?;
            let name = host.split(|byte| *byte == b':').next().unwrap_or_default();
            Some(Cow::Owned(name.to_ascii_lowercase()))
        }
        Fact::Path => property("request\0url_path"),
        Fact::Query => property("request\0query"),
        Fact::Target => property("request\0path"),
        Fact::Protocol => property("request\0protocol"),
        Fact::ClientAddress => {
            let address = property("source\0address")?;
            let end = address.iter().rposition(|byte| *byte == b':').unwrap_or(address.len());
            Some(Cow::Owned(address.get(..end)?.to_vec()))
        }
        Fact::RequestId => property("request\0id"),
        Fact::Route => property("route_name"),
        Fact::Upstream => property("cluster_name"),
        Fact::Endpoint => property("upstream\0address"),
        Fact::Status => system::field(hold, Map::ResponseHeaders as u32, ":status"),
        Fact::Plugin => property("plugin_name"),
        _ => None,
    }
}

/// A request of the plugin's own, as proxy-wasm has it.
pub(super) fn http(request: &HttpRequest) -> Result<u32, Refused> {
    let authority = request.headers.get(http::header::HOST);
    let authority = authority.map_or(request.upstream.as_bytes(), |host| host.as_bytes());
    let mut fields: Vec<(&[u8], &[u8])> = vec![
        (b":method", request.method.as_str().as_bytes()),
        (b":path", request.target.as_bytes()),
        (b":authority", authority),
    ];
    let others = request.headers.iter().filter(|(name, _)| *name != http::header::HOST);
    fields.extend(others.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())));
    let timeout = request.timeout.map_or(1000, |timeout| timeout.as_millis());
    let timeout = u32::try_from(timeout).unwrap_or(u32::MAX);
    system::http_call(&request.upstream, &pairs(&fields), &request.body, timeout)
}

/// A list of fields, as proxy-wasm has it.
pub(super) fn pairs(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let length = |text: &[u8]| u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut list = u32::try_from(fields.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    for (name, value) in fields {
        list.extend(length(name));
        list.extend(length(value));
    }
    for (name, value) in fields {
        list.extend_from_slice(name);
        list.push(0);
        list.extend_from_slice(value);
        list.push(0);
    }
    list
}

/// Calls `visit` with each field of a list.
pub(super) fn each_pair(list: &[u8], mut visit: impl FnMut(&str, &[u8])) {
    let number = |at: usize| {
        let bytes = list.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes) as usize)
    };
    let count = number(0).unwrap_or(0);
    let mut text = 4 + count.saturating_mul(8);
    for pair in 0..count {
        let lengths = number(4 + pair * 8).zip(number(8 + pair * 8));
        let Some((name, value)) = lengths else { return };
        let (name_end, value_end) = (text + name, text + name + 1 + value);
        let Some(name) = list.get(text..name_end) else { return };
        let Some(value) = list.get(name_end + 1..value_end) else { return };
        text = value_end + 1;
        if let Ok(name) = std::str::from_utf8(name) {
            visit(name, value);
        }
    }
}

/// Data that instances share, where there are no stores: without times, which such hosts do not know.
pub(super) fn store(operation: &StoreOperation) -> Result<Outcome, OperationError> {
    let key = [operation.store.as_bytes(), b"\0", &operation.key].concat();
    loop {
        let there = system::shared(&key).filter(|(value, _)| !value.is_empty());
        let (value, number) = match &there {
            Some((value, number)) => (Some(Bytes::copy_from_slice(value)), *number),
            None => (None, 0),
        };
        let (put, outcome) = applied(&operation.action, value)?;
        let Some(put) = put else { return Ok(outcome) };
        match system::share(&key, &put, number) {
            Ok(true) => return Ok(outcome),
            Ok(false) => {}
            Err(_) => return Err(OperationError::Failed),
        }
    }
}

/// What is to be put there, if anything, and what comes of it.
fn applied(
    action: &StoreAction,
    there: Option<Bytes>,
) -> Result<(Option<Bytes>, Outcome), OperationError> {
    Ok(match action {
        StoreAction::Get => (None, there.map_or(Outcome::Done, Outcome::Value)),
        StoreAction::Put { value, .. } => (Some(value.clone()), Outcome::Done),
        StoreAction::Swap { expected, value, .. } if *expected == there => {
            (Some(value.clone()), Outcome::Swapped { done: true, now: Some(value.clone()) })
        }
        StoreAction::Swap { .. } => (None, Outcome::Swapped { done: false, now: there }),
        StoreAction::Add { delta, .. } => {
            let before = match there {
                None => 0,
                Some(text) => std::str::from_utf8(&text)
                    .ok()
                    .and_then(|text| text.parse::<i64>().ok())
                    .ok_or(OperationError::Failed)?,
            };
            let sum = Bytes::from(before.saturating_add(*delta).to_string());
            (Some(sum.clone()), Outcome::Value(sum))
        }
        StoreAction::Remove => (there.map(|_| Bytes::new()), Outcome::Done),
    })
}
