//! What a module says: answers, interim responses, lines of the log, failures. See `exchange` for what `unsafe` rests on.

use bytes::Bytes;
use http::StatusCode;
use switchback_plugin::{Answer, Level, Refused};
use switchback_plugin_abi as abi;

use super::border::{Said, asked};
use super::read;

pub(super) unsafe extern "C" fn inform(
    exchange: *mut abi::Exchange,
    status: u32,
    fields: *const abi::Field,
    count: usize,
) -> i32 {
    // SAFETY: see `exchange`.
    unsafe {
        asked(exchange, |border| {
            let status = u16::try_from(status).map_err(|_| Refused::Invalid)?;
            let fields = read::pairs(fields, count)?;
            border.change(|exchange, _| exchange.inform(status, &fields))?;
            Ok(abi::OK)
        })
    }
}

pub(super) unsafe extern "C" fn answer(
    exchange: *mut abi::Exchange,
    status: u32,
    fields: *const abi::Field,
    count: usize,
    body: abi::Bytes,
) -> i32 {
    // SAFETY: see `exchange`.
    unsafe {
        asked(exchange, |border| {
            let status = u16::try_from(status).ok().filter(|status| (200..600).contains(status));
            let status = StatusCode::from_u16(status.ok_or(Refused::Invalid)?);
            let headers = read::headers(fields, count)?;
            let body = Bytes::copy_from_slice(read::bytes(body)?);
            let status = status.map_err(|_| Refused::Invalid)?;
            border.say(Said::Answer(Answer { status, headers, body }));
            Ok(abi::OK)
        })
    }
}

pub(super) unsafe extern "C" fn fail(exchange: *mut abi::Exchange, message: abi::Bytes) {
    // SAFETY: see `exchange`.
    unsafe {
        asked(exchange, |border| {
            border.say(Said::Failure(read::message(message).into_owned()));
            Ok(abi::OK)
        });
    }
}

pub(super) unsafe extern "C" fn log(exchange: *mut abi::Exchange, level: u32, message: abi::Bytes) {
    // SAFETY: see `exchange`.
    unsafe {
        asked(exchange, |border| {
            // A level that nobody knows is no reason to lose the line.
            let level = Level::from_number(level).unwrap_or(Level::Info);
            border.look().log(level, &read::message(message));
            Ok(abi::OK)
        });
    }
}
