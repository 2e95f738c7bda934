//! A host function while it runs: the module's memory, read and written only where it is.
#![expect(unsafe_code, reason = "names of ASCII are not looked at twice")]

use wasmtime::{AsContext, Caller, Extern, Memory};

use crate::host::Host;
use crate::status::Status;

/// The longest name of a field, a property, a metric or a function.
const MAX_NAME: u32 = 16 << 10;

/// Where bytes are in a module's memory, by its own account.
#[derive(Clone, Copy)]
pub(crate) struct Span(pub(crate) u32, pub(crate) u32);

/// Where a module wants to find the place and the length of what it is given.
#[derive(Clone, Copy)]
pub(crate) struct Out(pub(crate) u32, pub(crate) u32);

/// Why a host function did not do what it was asked to.
pub(crate) enum Stop {
    /// The module is told.
    Says(Status),
    /// The module ends.
    Traps(wasmtime::Error),
}

impl From<Status> for Stop {
    fn from(status: Status) -> Self {
        Self::Says(status)
    }
}

impl From<wasmtime::Error> for Stop {
    fn from(error: wasmtime::Error) -> Self {
        Self::Traps(error)
    }
}

/// What comes of a host function.
pub(crate) type Answered = Result<(), Stop>;

/// A host function while it runs.
pub(crate) struct Call<'a> {
    caller: Caller<'a, Host>,
    memory: Memory,
}

/// Runs a host function of proxy-wasm.
pub(crate) fn answer(
    caller: Caller<'_, Host>,
    function: impl FnOnce(&mut Call<'_>) -> Answered,
) -> wasmtime::Result<i32> {
    let Some(mut call) = Call::new(caller) else { return Ok(Status::InvalidMemoryAccess as i32) };
    match function(&mut call) {
        Ok(()) => Ok(Status::Ok as i32),
        Err(Stop::Says(status)) => Ok(status as i32),
        Err(Stop::Traps(error)) => Err(error),
    }
}

impl<'a> Call<'a> {
    /// `None` for a module without a memory.
    pub(crate) fn new(mut caller: Caller<'a, Host>) -> Option<Self> {
        let memory = match caller.data().memory {
            Some(memory) => memory,
            // The module is only beginning.
            None => caller.get_export("memory").and_then(Extern::into_memory)?,
        };
        Some(Self { caller, memory })
    }

    pub(crate) fn host(&mut self) -> &mut Host {
        self.caller.data_mut()
    }

    /// The memory, and what stands beside it.
    pub(crate) fn split(&mut self) -> (&mut [u8], &mut Host) {
        self.memory.data_and_store_mut(&mut self.caller)
    }

    /// The bytes at `span`.
    pub(crate) fn bytes(&self, span: Span) -> Result<&[u8], Status> {
        bytes(self.memory.data(self.caller.as_context()), span)
    }

    /// Makes sure that a number can be written there.
    pub(crate) fn check(&mut self, at: u32) -> Result<(), Status> {
        self.bytes(Span(at, 4)).map(drop)
    }

    pub(crate) fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Status> {
        let (memory, _) = self.split();
        put(memory, at, bytes)
    }

    pub(crate) fn write_number(&mut self, at: u32, number: u32) -> Result<(), Status> {
        self.write(at, &number.to_le_bytes())
    }

    /// Gives the module what `write` puts into a buffer; nothing when it says no.
    pub(crate) fn give(
        &mut self,
        out: Out,
        write: impl FnOnce(&mut [u8], &mut Host, &mut Vec<u8>) -> Result<(), Status>,
    ) -> Answered {
        let (memory, host) = self.split();
        let mut scratch = std::mem::take(&mut host.scratch);
        scratch.clear();
        let given = match write(memory, host, &mut scratch) {
            Ok(()) => self.hand_over(out, &scratch),
            Err(status) => Err(status.into()),
        };
        // A large one is not kept for the small ones that follow.
        if scratch.capacity() <= 64 << 10 {
            self.host().scratch = scratch;
        }
        given
    }

    /// Copies `value` to a place that the module has for it or makes for it, and says where it is.
    fn hand_over(&mut self, out: Out, value: &[u8]) -> Answered {
        let length = u32::try_from(value.len()).map_err(|_| Status::InternalFailure)?;
        let (memory, host) = self.split();
        bytes(memory, Span(out.0, 4))?;
        bytes(memory, Span(out.1, 4))?;
        let landed = host.landing.and_then(|landing| landing.place(memory, length));
        let place = match landed {
            Some(place) => place,
            None if length == 0 => 0,
            None => self.allocate(length)?,
        };
        let (memory, _) = self.split();
        put(memory, place, value)?;
        put(memory, out.0, &place.to_le_bytes())?;
        put(memory, out.1, &length.to_le_bytes())?;
        Ok(())
    }

    /// A place of that length, which the module makes.
    fn allocate(&mut self, length: u32) -> Result<u32, Stop> {
        // Taken, because a copy of it counts itself in three places that all threads share. An allocator that asks for bytes itself gets
        // none.
        let Some(allocate) = self.host().allocate.take() else {
            return Err(Status::InternalFailure.into());
        };
        let place = allocate.call(&mut self.caller, length);
        self.host().allocate = Some(allocate);
        match place? {
            0 => Err(Status::InternalFailure.into()),
            place => Ok(place),
        }
    }
}

/// Where a module of our own SDK has room for what it is given, so that it need not be asked for each: a number, how much of the room is
/// used, and the room. The module says when all of it is free again.
#[derive(Clone, Copy)]
pub(crate) struct Landing {
    at: u32,
    size: u32,
}

impl Landing {
    /// As the module says it: where in the upper half, and how much room in the lower.
    pub(crate) fn of(said: u64) -> Option<Self> {
        let at = u32::try_from(said >> 32).ok()?;
        let size = u32::try_from(said & u64::from(u32::MAX)).ok()?;
        (size > 0).then_some(Self { at, size })
    }

    /// Room for so many bytes, which are used from now on; `None` where there is not as much.
    fn place(self, memory: &mut [u8], length: u32) -> Option<u32> {
        let number = memory.get_mut(range(Span(self.at, 4))?)?;
        let used = u32::from_le_bytes((*number).try_into().ok()?);
        let rest = self.size.checked_sub(used)?;
        if length == 0 || length > rest {
            return None;
        }
        number.copy_from_slice(&(used + length).to_le_bytes());
        self.at.checked_add(4)?.checked_add(used)
    }
}

fn put(memory: &mut [u8], at: u32, bytes: &[u8]) -> Result<(), Status> {
    let length = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
    let place = range(Span(at, length)).and_then(|range| memory.get_mut(range));
    place.ok_or(Status::InvalidMemoryAccess)?.copy_from_slice(bytes);
    Ok(())
}

/// The bytes at `span` of `memory`.
pub(crate) fn bytes(memory: &[u8], span: Span) -> Result<&[u8], Status> {
    range(span).and_then(|range| memory.get(range)).ok_or(Status::InvalidMemoryAccess)
}

/// The name at `span` of `memory`.
pub(crate) fn name(memory: &[u8], span: Span) -> Result<&str, Status> {
    if span.1 > MAX_NAME {
        // Also where it does not lie in the memory at all.
        bytes(memory, span)?;
        return Err(Status::BadArgument);
    }
    text(bytes(memory, span)?).ok_or(Status::BadArgument)
}

/// Names are short and ASCII, and to look at them letter by letter is one in twenty of the instructions of a hook (bench `hook`,
/// `raw_get_set`).
fn text(bytes: &[u8]) -> Option<&str> {
    if bytes.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        return Some(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    std::str::from_utf8(bytes).ok()
}

fn range(Span(start, length): Span) -> Option<std::ops::Range<usize>> {
    let end = start.checked_add(length)?;
    Some(start as usize..end as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lands_lies_one_behind_the_other_until_the_room_is_full() {
        let landing = Landing::of(8 << 32 | 10).unwrap();
        let mut memory = vec![0; 32];
        let mut place = |length| landing.place(&mut memory, length);
        assert_eq!([place(4), place(5), place(2), place(1)], [Some(12), Some(16), None, Some(21)]);
        assert_eq!([place(1), place(0)], [None, None]);
        memory[8..12].copy_from_slice(&[0; 4]);
        assert_eq!(landing.place(&mut memory, 10), Some(12), "the module has freed it");
    }

    #[test]
    fn a_landing_that_lies_is_none() {
        let mut memory = vec![0xff; 32];
        assert!(Landing::of(8 << 32).is_none(), "no room");
        for said in [8 << 32 | 10, 30 << 32 | 10, u64::MAX] {
            assert_eq!(Landing::of(said).unwrap().place(&mut memory, 1), None, "{said:x}");
        }
    }
}
