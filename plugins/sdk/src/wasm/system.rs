//! What a host of proxy-wasm offers, in words of Rust.
#![expect(unsafe_code, reason = "the other side is another language")]

use crate::exchange::{Refused, Value};
use crate::wasm::landing::{Given, Hold, OK, given};
use crate::wasm::raw;

/// What host functions say where they have not done what they were asked to.
const NOT_FOUND: i32 = 1;
const CAS_MISMATCH: i32 = 8;

/// Headers of the response to a call of the plugin's own.
pub(super) const CALL_HEADERS: u32 = 6;
/// Its body.
pub(super) const CALL_BODY: u32 = 4;
/// The options.
pub(super) const CONFIGURATION: u32 = 7;

fn done(status: i32) -> Result<(), i32> {
    if status == OK { Ok(()) } else { Err(status) }
}

// SAFETY, of all that follows: what is passed is there as long as the call lasts, with the length that is said; the host writes to the
// places it is given, and nowhere else.

pub(super) fn log(level: u32, message: &str) {
    // SAFETY: as above.
    let _ = unsafe { raw::proxy_log(level, message.as_ptr(), message.len()) };
}

pub(super) fn now() -> u64 {
    let mut now = 0;
    // SAFETY: as above.
    let _ = unsafe { raw::proxy_get_current_time_nanoseconds(&raw mut now) };
    now
}

pub(super) fn tick_every(milliseconds: u32) {
    // SAFETY: as above.
    let _ = unsafe { raw::proxy_set_tick_period_milliseconds(milliseconds) };
}

pub(super) fn pairs(map: u32) -> Vec<u8> {
    // SAFETY: as above.
    let pairs = given(|data, size| unsafe { raw::proxy_get_header_map_pairs(map, data, size) });
    pairs.map(Given::owned).unwrap_or_default()
}

pub(super) fn field<'h>(hold: &'h Hold, map: u32, name: &str) -> Option<Value<'h>> {
    let value = given(|data, size| {
        // SAFETY: as above.
        unsafe { raw::proxy_get_header_map_value(map, name.as_ptr(), name.len(), data, size) }
    });
    Some(value.ok()?.held(hold))
}

/// How a field is changed.
pub(super) enum Change<'a> {
    Set(&'a [u8]),
    Append(&'a [u8]),
    Remove,
}

pub(super) fn change(map: u32, name: &str, change: &Change<'_>) -> Result<(), Refused> {
    let (key, length) = (name.as_ptr(), name.len());
    // SAFETY: as above.
    let status = unsafe {
        match *change {
            Change::Set(value) => {
                raw::proxy_replace_header_map_value(map, key, length, value.as_ptr(), value.len())
            }
            Change::Append(value) => {
                raw::proxy_add_header_map_value(map, key, length, value.as_ptr(), value.len())
            }
            Change::Remove => raw::proxy_remove_header_map_value(map, key, length),
        }
    };
    done(status).map_err(|_| refused())
}

pub(super) fn buffer(buffer: u32, most: usize) -> Vec<u8> {
    // SAFETY: as above.
    let bytes =
        given(|data, size| unsafe { raw::proxy_get_buffer_bytes(buffer, 0, most, data, size) });
    bytes.map(Given::owned).unwrap_or_default()
}

pub(super) fn set_buffer(buffer: u32, bytes: &[u8]) -> Result<(), Refused> {
    // SAFETY: as above.
    let status =
        unsafe { raw::proxy_set_buffer_bytes(buffer, 0, usize::MAX, bytes.as_ptr(), bytes.len()) };
    done(status).map_err(|_| refused())
}

pub(super) fn property<'h>(hold: &'h Hold, path: impl AsRef<[u8]>) -> Option<Value<'h>> {
    let path = path.as_ref();
    let value = given(|data, size| {
        // SAFETY: as above.
        unsafe { raw::proxy_get_property(path.as_ptr(), path.len(), data, size) }
    });
    Some(value.ok()?.held(hold))
}

pub(super) fn set_property(path: &str, value: &[u8]) -> Result<(), Refused> {
    // SAFETY: as above.
    let status =
        unsafe { raw::proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) };
    done(status).map_err(|_| refused())
}

pub(super) fn respond(status: u16, headers: &[u8], body: &[u8]) -> Result<(), i32> {
    // SAFETY: as above.
    done(unsafe {
        raw::proxy_send_local_response(
            u32::from(status),
            std::ptr::null(),
            0,
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            -1,
        )
    })
}

/// Begins a request of the plugin's own, on a host that has only proxy-wasm: its number.
pub(super) fn http_call(
    upstream: &str,
    headers: &[u8],
    body: &[u8],
    milliseconds: u32,
) -> Result<u32, Refused> {
    let mut id = 0;
    // SAFETY: as above.
    let status = unsafe {
        raw::proxy_http_call(
            upstream.as_ptr(),
            upstream.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            std::ptr::null(),
            0,
            milliseconds,
            &raw mut id,
        )
    };
    match status {
        OK => Ok(id),
        _ => Err(Refused::Unknown),
    }
}

pub(super) fn go_on(stream: u32) {
    // SAFETY: as above.
    let _ = unsafe { raw::proxy_continue_stream(stream) };
}

pub(super) fn mean(context: u32) {
    // SAFETY: as above.
    let _ = unsafe { raw::proxy_set_effective_context(context) };
}

/// The value of a key that all instances share, and the number to change it with.
pub(super) fn shared(key: &[u8]) -> Option<(Vec<u8>, u32)> {
    let mut number = 0;
    let value = given(|data, size| {
        // SAFETY: as above.
        unsafe { raw::proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut number) }
    });
    Some((value.ok()?.owned(), number))
}

/// Whether the value was put there: not if somebody else was faster.
pub(super) fn share(key: &[u8], value: &[u8], number: u32) -> Result<bool, Refused> {
    // SAFETY: as above.
    let status = unsafe {
        raw::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), number)
    };
    match status {
        OK => Ok(true),
        CAS_MISMATCH => Ok(false),
        _ => Err(Refused::Full),
    }
}

pub(super) fn define(kind: u32, name: &str) -> Option<u32> {
    let mut id = 0;
    // SAFETY: as above.
    let status = unsafe { raw::proxy_define_metric(kind, name.as_ptr(), name.len(), &raw mut id) };
    (status == OK).then_some(id)
}

pub(super) fn record(id: u32, value: u64) {
    // SAFETY: as above.
    let _ = unsafe { raw::proxy_record_metric(id, value) };
}

pub(super) fn increment(id: u32, delta: i64) {
    // SAFETY: as above.
    let _ = unsafe { raw::proxy_increment_metric(id, delta) };
}

/// Calls what Switchback has beyond proxy-wasm. Another host has nothing of the kind.
pub(super) fn beyond(name: &str, arguments: &[u8]) -> Result<Vec<u8>, Refused> {
    let called = call(name, arguments);
    called.map_err(|status| {
        if status == NOT_FOUND && !is_known() { Refused::Unsupported } else { refused() }
    })
}

fn call(name: &str, arguments: &[u8]) -> Result<Vec<u8>, i32> {
    let result = given(|data, size| {
        // SAFETY: as above.
        unsafe {
            raw::proxy_call_foreign_function(
                name.as_ptr(),
                name.len(),
                arguments.as_ptr(),
                arguments.len(),
                data,
                size,
            )
        }
    });
    result.map(Given::owned)
}

/// Whether the host is a Switchback.
pub(super) fn is_known() -> bool {
    call("switchback.refused", &[]).is_ok()
}

/// Why the host did not do what was wanted last.
fn refused() -> Refused {
    let number = call("switchback.refused", &[]).ok();
    let number = number.and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_le_bytes);
    match number {
        -1 => Refused::NotNow,
        -3 => Refused::Unknown,
        -4 => Refused::Full,
        -5 => Refused::Unsupported,
        _ => Refused::Invalid,
    }
}
