//! Lines of the log, the clock, and how often a module wants to be called.

use std::time::Duration;

use switchback_plugin::Level;

use crate::call::{self, Answered, Call, Span};
use crate::status::{self, Status};

pub(super) fn log(call: &mut Call<'_>, level: u32, message: Span) -> Answered {
    let (memory, host) = call.split();
    let message = call::bytes(memory, message)?;
    let level = status::level(level).ok_or(Status::BadArgument)?;
    host.log(level, message);
    Ok(())
}

/// The least level that is worth a call. Which lines are written is for the log to say.
pub(super) fn log_level(call: &mut Call<'_>, out: u32) -> Answered {
    call.write_number(out, Level::Info as u32)?;
    Ok(())
}

pub(super) fn now(call: &mut Call<'_>, out: u32) -> Answered {
    let now = call.host().now();
    call.write(out, &now.to_le_bytes())?;
    Ok(())
}

pub(super) fn every(call: &mut Call<'_>, milliseconds: u32) -> Answered {
    let period = Duration::from_millis(u64::from(milliseconds));
    call.host().period = Some(period).filter(|period| !period.is_zero());
    Ok(())
}
