//! A host function while it runs: the module's memory, read and written only where it is.

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
        let length = u32::try_from(bytes.len()).map_err(|_| Status::InvalidMemoryAccess)?;
        let (memory, _) = self.split();
        let place = range(Span(at, length)).and_then(|range| memory.get_mut(range));
        place.ok_or(Status::InvalidMemoryAccess)?.copy_from_slice(bytes);
        Ok(())
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
        let written = write(memory, host, &mut scratch);
        let given = match written {
            Ok(()) => self.hand_over(out, &scratch),
            Err(status) => Err(status.into()),
        };
        // A large one is not kept for the small ones that follow.
        if scratch.capacity() <= 64 << 10 {
            self.host().scratch = scratch;
        }
        given
    }

    /// Copies `value` to a place that the module makes for it, and says where it is.
    fn hand_over(&mut self, out: Out, value: &[u8]) -> Answered {
        self.check(out.0)?;
        self.check(out.1)?;
        let length = u32::try_from(value.len()).map_err(|_| Status::InternalFailure)?;
        let mut place = 0;
        if length > 0 {
            let Some(allocate) = self.host().allocate.clone() else {
                return Err(Status::InternalFailure.into());
            };
            place = allocate.call(&mut self.caller, length)?;
            if place == 0 {
                return Err(Status::InternalFailure.into());
            }
            self.write(place, value)?;
        }
        self.write_number(out.0, place)?;
        self.write_number(out.1, length)?;
        Ok(())
    }
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
    std::str::from_utf8(bytes(memory, span)?).map_err(|_| Status::BadArgument)
}

fn range(Span(start, length): Span) -> Option<std::ops::Range<usize>> {
    let end = start.checked_add(length)?;
    Some(start as usize..end as usize)
}
