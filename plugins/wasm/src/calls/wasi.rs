//! What languages' own libraries ask a system for: as little of WASI as they need to begin, to write lines, to read the clock and to have
//! random numbers. There are no files.

use std::fmt;

use switchback_plugin::Level;
use wasmtime::{Caller, ExternType, Linker, Module, Val, ValType};

use crate::call::{Call, Span, bytes};
use crate::host::Host;

const SUCCESS: i32 = 0;
const BAD_DESCRIPTOR: i32 = 8;
const FAULT: i32 = 21;
const INVALID: i32 = 28;
const NOT_SUPPORTED: i32 = 58;
const NO_FUNCTION: i32 = 52;

/// Random bytes that are given at once.
const MAX_RANDOM: u32 = 64 << 10;
/// Parts of which a line may be made.
const MAX_PARTS: u32 = 1024;

/// A module that ended itself.
#[derive(Debug)]
pub(crate) struct Exit(pub(crate) u32);

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it ended itself with exit code {}", self.0)
    }
}

impl std::error::Error for Exit {}

/// Both names under which modules import it.
const NAMES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

pub(crate) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    for wasi in NAMES {
        linker.func_wrap(
            wasi,
            "fd_write",
            |caller: Caller<'_, Host>, fd: u32, parts: u32, count: u32, out: u32| {
                errno(caller, |call| write(call, fd, Span(parts, count), out))
            },
        )?;
        linker.func_wrap(
            wasi,
            "clock_time_get",
            |caller: Caller<'_, Host>, clock: u32, _: u64, out: u32| {
                errno(caller, |call| clock_time(call, clock, out))
            },
        )?;
        linker.func_wrap(
            wasi,
            "random_get",
            |caller: Caller<'_, Host>, at: u32, length: u32| {
                errno(caller, |call| random(call, Span(at, length)))
            },
        )?;
        for sizes in ["environ_sizes_get", "args_sizes_get"] {
            linker.func_wrap(
                wasi,
                sizes,
                |caller: Caller<'_, Host>, count: u32, length: u32| {
                    errno(caller, |call| {
                        call.write_number(count, 0).map_err(|_| FAULT)?;
                        call.write_number(length, 0).map_err(|_| FAULT)
                    })
                },
            )?;
        }
        for list in ["environ_get", "args_get"] {
            linker.func_wrap(wasi, list, |_: Caller<'_, Host>, _: u32, _: u32| SUCCESS)?;
        }
        link_nothing(linker, wasi)?;
    }
    Ok(())
}

/// What there is no more of than its name.
fn link_nothing(linker: &mut Linker<Host>, wasi: &str) -> wasmtime::Result<()> {
    linker.func_wrap(wasi, "sched_yield", |_: Caller<'_, Host>| SUCCESS)?;
    linker.func_wrap(
        wasi,
        "proc_exit",
        |_: Caller<'_, Host>, code: u32| -> wasmtime::Result<()> {
            Err(wasmtime::Error::new(Exit(code)))
        },
    )?;
    // There is nothing open but the two that lines are written to, and no folder.
    linker
        .func_wrap(wasi, "fd_prestat_get", |_: Caller<'_, Host>, _: u32, _: u32| BAD_DESCRIPTOR)?;
    linker.func_wrap(wasi, "fd_close", |_: Caller<'_, Host>, _: u32| BAD_DESCRIPTOR)?;
    linker.func_wrap(wasi, "fd_fdstat_get", |caller: Caller<'_, Host>, fd: u32, out: u32| {
        errno(caller, |call| match fd {
            0..=2 => call.write(out, &CHARACTERS).map_err(|_| FAULT),
            _ => Err(BAD_DESCRIPTOR),
        })
    })?;
    Ok(())
}

/// What `fd_fdstat_get` says of something that characters are written to.
const CHARACTERS: [u8; 24] = {
    let mut stat = [0; 24];
    stat[0] = 2;
    stat
};

/// Has all functions of WASI that a module imports say that they are not there: libraries import more than they use. Those that are
/// there take their places afterwards.
pub(crate) fn link_absent(linker: &mut Linker<Host>, module: &Module) -> wasmtime::Result<()> {
    for import in module.imports() {
        let ExternType::Func(kind) = import.ty() else { continue };
        let says = kind.results().len() == 1
            && kind.results().all(|result| matches!(result, ValType::I32));
        if !NAMES.contains(&import.module()) || !says {
            continue;
        }
        let absent = |_: Caller<'_, Host>, _: &[Val], results: &mut [Val]| {
            if let Some(result) = results.first_mut() {
                *result = Val::I32(NO_FUNCTION);
            }
            Ok(())
        };
        linker.func_new(import.module(), import.name(), kind, absent)?;
    }
    Ok(())
}

fn errno(caller: Caller<'_, Host>, function: impl FnOnce(&mut Call<'_>) -> Result<(), i32>) -> i32 {
    let Some(mut call) = Call::new(caller) else { return FAULT };
    function(&mut call).map_or_else(|errno| errno, |()| SUCCESS)
}

fn write(call: &mut Call<'_>, fd: u32, Span(parts, count): Span, out: u32) -> Result<(), i32> {
    let level = match fd {
        1 => Level::Info,
        2 => Level::Error,
        _ => return Err(BAD_DESCRIPTOR),
    };
    if count > MAX_PARTS {
        return Err(INVALID);
    }
    let (memory, host) = call.split();
    let list = bytes(memory, Span(parts, count * 8)).map_err(|_| FAULT)?;
    let mut line = Vec::new();
    let mut written: u32 = 0;
    for part in list.as_chunks::<8>().0 {
        let [a, b, c, d, e, f, g, h] = *part;
        let span = Span(u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let part = bytes(memory, span).map_err(|_| FAULT)?;
        written = written.checked_add(span.1).ok_or(INVALID)?;
        // The log takes no longer ones anyhow.
        line.extend(part.iter().take((16 << 10) - line.len().min(16 << 10)));
    }
    host.log(level, &line);
    call.write_number(out, written).map_err(|_| FAULT)
}

fn clock_time(call: &mut Call<'_>, clock: u32, out: u32) -> Result<(), i32> {
    // Real and monotonic time are the same: no call is so long that it would see the difference.
    if clock > 1 {
        return Err(NOT_SUPPORTED);
    }
    let now = call.host().now();
    call.write(out, &now.to_le_bytes()).map_err(|_| FAULT)
}

fn random(call: &mut Call<'_>, Span(at, length): Span) -> Result<(), i32> {
    if length > MAX_RANDOM {
        return Err(INVALID);
    }
    let mut random = vec![0; length as usize];
    let mut filled = 0;
    while let Some(rest) = random.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())
            .map_err(|_| NOT_SUPPORTED)?;
    }
    call.write(at, &random).map_err(|_| FAULT)
}
