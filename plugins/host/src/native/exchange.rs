//! The functions of the host about one request.
//!
//! Of all of them: `exchange` is the pointer that the module was given for the call at hand, bytes and lists are valid for the call of the
//! function, and what is to be filled may be written to. That is what the header asks of a module, and what `unsafe` rests on here.

use std::ffi::c_void;
use std::time::Duration;

use bytes::Bytes;
use switchback_plugin::{Fact, Map, Part, Refused, Steer};
use switchback_plugin_abi as abi;

use super::border::asked;
use super::read;

/// The number of something, as what it means.
fn known<T>(found: Option<T>) -> Result<T, Refused> {
    found.ok_or(Refused::Unknown)
}

pub(super) unsafe extern "C" fn field(
    exchange: *mut abi::Exchange,
    map: u32,
    name: abi::Bytes,
    value: *mut abi::Bytes,
) -> i32 {
    // SAFETY: see the module.
    unsafe {
        asked(exchange, |border| {
            let (map, name) = (known(Map::from_number(map))?, read::text(name)?);
            Ok(border.give(border.look().field(map, name.into()), value))
        })
    }
}

pub(super) unsafe extern "C" fn fields(
    exchange: *mut abi::Exchange,
    map: u32,
    visit: abi::Visit,
    data: *mut c_void,
) -> i32 {
    // SAFETY: see the module; `visit` is the module's own, with its own data.
    unsafe {
        asked(exchange, |border| {
            let map = known(Map::from_number(map))?;
            border.visiting(|exchange| {
                exchange.fields(map, &mut |name, value| {
                    visit(data, abi::Bytes::of(name.as_bytes()), abi::Bytes::of(value));
                });
            });
            Ok(abi::OK)
        })
    }
}

pub(super) unsafe extern "C" fn change_field(
    exchange: *mut abi::Exchange,
    map: u32,
    change: u32,
    name: abi::Bytes,
    value: abi::Bytes,
) -> i32 {
    // SAFETY: see the module.
    unsafe {
        asked(exchange, |border| {
            let map = known(Map::from_number(map))?;
            let (name, value) = (read::text(name)?, read::bytes(value)?);
            border.change(|exchange, _| match change {
                abi::CHANGE_SET => exchange.set_field(map, name.into(), value),
                abi::CHANGE_APPEND => exchange.append_field(map, name.into(), value),
                abi::CHANGE_REMOVE => exchange.remove_field(map, name.into()),
                _ => Err(Refused::Unknown),
            })?;
            Ok(abi::OK)
        })
    }
}

pub(super) unsafe extern "C" fn fact(
    exchange: *mut abi::Exchange,
    fact: u32,
    value: *mut abi::Bytes,
) -> i32 {
    // SAFETY: see the module.
    unsafe {
        asked(exchange, |border| {
            let fact = known(Fact::from_number(fact))?;
            Ok(border.give(border.look().fact(fact), value))
        })
    }
}

pub(super) unsafe extern "C" fn variable(
    exchange: *mut abi::Exchange,
    name: abi::Bytes,
    value: *mut abi::Bytes,
) -> i32 {
    // SAFETY: see the module.
    unsafe {
        asked(exchange, |border| {
            let name = read::text(name)?;
            Ok(border.give(border.look().variable(name), value))
        })
    }
}

pub(super) unsafe extern "C" fn set_variable(
    exchange: *mut abi::Exchange,
    name: abi::Bytes,
    value: abi::Bytes,
) -> i32 {
    // SAFETY: see the module.
    unsafe {
        asked(exchange, |border| {
            let (name, value) = (read::text(name)?, read::bytes(value)?);
            border.change(|exchange, _| exchange.set_variable(name, value))?;
            Ok(abi::OK)
        })
    }
}

pub(super) unsafe extern "C" fn set_part(
    exchange: *mut abi::Exchange,
    part: u32,
    value: abi::Bytes,
) -> i32 {
    // SAFETY: see the module.
    unsafe {
        asked(exchange, |border| {
            let (part, value) = (known(Part::from_number(part))?, read::text(value)?);
            border.change(|exchange, _| exchange.set_part(part, value))?;
            Ok(abi::OK)
        })
    }
}

pub(super) unsafe extern "C" fn set_status(exchange: *mut abi::Exchange, status: u32) -> i32 {
    // SAFETY: see the module.
    unsafe {
        asked(exchange, |border| {
            let status = u16::try_from(status).map_err(|_| Refused::Invalid)?;
            border.change(|exchange, _| exchange.set_status(status))?;
            Ok(abi::OK)
        })
    }
}

pub(super) unsafe extern "C" fn steer(
    exchange: *mut abi::Exchange,
    steer: *const abi::Steer,
) -> i32 {
    // SAFETY: see the module.
    unsafe {
        asked(exchange, |border| {
            let steer: abi::Steer = read::sized(steer.cast())?;
            let steer = steer_of(&steer)?;
            border.change(|exchange, _| exchange.steer(steer))?;
            Ok(abi::OK)
        })
    }
}

/// # Safety
///
/// What the text points to is valid for `'a`.
unsafe fn steer_of<'a>(steer: &abi::Steer) -> Result<Steer<'a>, Refused> {
    // SAFETY: as whoever called says.
    let text = || unsafe { read::text::<'a>(steer.text) };
    // SAFETY: likewise.
    let key = || unsafe { read::bytes::<'a>(steer.text) };
    let time = || Duration::from_nanos(steer.number);
    Ok(match steer.kind {
        abi::STEER_SITE => Steer::Site(text()?),
        abi::STEER_UPSTREAM => Steer::Upstream(text()?),
        abi::STEER_SHARD_KEY => Steer::ShardKey(key()?),
        abi::STEER_CACHE_KEY => Steer::CacheKey(key()?),
        abi::STEER_BYPASS_CACHE => Steer::BypassCache,
        abi::STEER_CONNECT_TIMEOUT => Steer::ConnectTimeout(time()),
        abi::STEER_READ_TIMEOUT => Steer::ReadTimeout(time()),
        abi::STEER_SEND_TIMEOUT => Steer::SendTimeout(time()),
        abi::STEER_TRIES => {
            Steer::Tries(u32::try_from(steer.number).map_err(|_| Refused::Invalid)?)
        }
        abi::STEER_MIRROR => Steer::Mirror(text()?),
        abi::STEER_MIRROR_BODY => Steer::MirrorBody(steer.number),
        _ => return Err(Refused::Unsupported),
    })
}

pub(super) unsafe extern "C" fn endpoint_count(exchange: *mut abi::Exchange) -> usize {
    let mut count = 0;
    // SAFETY: see the module.
    unsafe {
        asked(exchange, |border| {
            count = border.look().endpoint_count();
            Ok(abi::OK)
        });
    }
    count
}

pub(super) unsafe extern "C" fn endpoint(
    exchange: *mut abi::Exchange,
    index: usize,
    endpoint: *mut abi::Endpoint,
) -> i32 {
    // SAFETY: see the module.
    unsafe {
        asked(exchange, |border| {
            let Some(found) = border.look().endpoint(index) else { return Ok(abi::ABSENT) };
            let filled = abi::Endpoint {
                size: 0,
                weight: found.weight,
                in_flight: found.in_flight,
                ready: found.ready.into(),
                latency: found.latency,
                address: abi::Bytes::of(found.address.as_bytes()),
            };
            read::fill(endpoint, &filled)?;
            Ok(abi::OK)
        })
    }
}

pub(super) unsafe extern "C" fn prefer(
    exchange: *mut abi::Exchange,
    order: *const usize,
    count: usize,
) -> i32 {
    // SAFETY: see the module.
    unsafe {
        asked(exchange, |border| {
            let order = read::list(order, count)?;
            border.change(|exchange, _| exchange.prefer(order))?;
            Ok(abi::OK)
        })
    }
}

pub(super) unsafe extern "C" fn piece(
    exchange: *mut abi::Exchange,
    piece: *mut abi::Bytes,
    is_last: *mut u32,
) -> i32 {
    // SAFETY: see the module.
    unsafe {
        asked(exchange, |border| {
            let exchange = border.look();
            if !is_last.is_null() {
                is_last.write(exchange.is_last_piece().into());
            }
            Ok(border.give(Some(exchange.piece().into()), piece))
        })
    }
}

pub(super) unsafe extern "C" fn set_piece(exchange: *mut abi::Exchange, piece: abi::Bytes) -> i32 {
    // SAFETY: see the module.
    unsafe {
        asked(exchange, |border| {
            let piece = Bytes::copy_from_slice(read::bytes(piece)?);
            border.change(|exchange, _| exchange.set_piece(piece))?;
            Ok(abi::OK)
        })
    }
}

pub(super) unsafe extern "C" fn hold_piece(exchange: *mut abi::Exchange) -> i32 {
    // SAFETY: see the module.
    unsafe {
        asked(exchange, |border| {
            border.change(|exchange, _| exchange.hold_piece())?;
            Ok(abi::OK)
        })
    }
}

pub(super) unsafe extern "C" fn now(exchange: *mut abi::Exchange) -> u64 {
    let mut now = 0;
    // SAFETY: see the module.
    unsafe {
        asked(exchange, |border| {
            now = border.look().now();
            Ok(abi::OK)
        });
    }
    now
}
