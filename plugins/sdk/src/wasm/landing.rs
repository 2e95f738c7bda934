//! Where the host puts what it gives. A host of proxy-wasm asks for room for each value; ours puts small ones where there is room
//! already, one behind the other, and the guest reads them where they are.
#![expect(unsafe_code, reason = "the other side is another language")]

use std::alloc::{Layout, alloc};
use std::borrow::Cow;
use std::cell::{Cell, UnsafeCell};

use crate::exchange::Value;

/// What a host function says when it has done what it was asked to.
pub(super) const OK: i32 = 0;

/// As much as the headers of a request that a plugin looks at; what finds no room here comes as elsewhere.
const SIZE: usize = 8 << 10;

/// The host knows where this is, and that the number comes before the room.
#[repr(C)]
struct Landing {
    used: Cell<u32>,
    room: UnsafeCell<[u8; SIZE]>,
}

// SAFETY: a module has one thread.
unsafe impl Sync for Landing {}

static LANDING: Landing = Landing { used: Cell::new(0), room: UnsafeCell::new([0; SIZE]) };

/// How many hooks wait, and may have hold of what they were given.
struct Waiting(Cell<u32>);

// SAFETY: as above.
unsafe impl Sync for Waiting {}

static WAITING: Waiting = Waiting(Cell::new(0));

/// Where the landing is: its place in the upper half, how much room there is in the lower one.
#[must_use]
pub fn landing() -> u64 {
    (&raw const LANDING as usize as u64) << 32 | SIZE as u64
}

/// All of the room is free again, unless a hook waits. Called before a hook begins: those before it have ended, and what they were given
/// lives no longer than they do.
pub(super) fn clear() {
    if WAITING.0.get() == 0 {
        LANDING.used.set(0);
    }
}

/// A hook waits, as long as this is there.
pub(super) struct Waits(());

impl Waits {
    pub(super) fn new() -> Self {
        WAITING.0.set(WAITING.0.get() + 1);
        Self(())
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        WAITING.0.set(WAITING.0.get() - 1);
    }
}

/// Who has one lives no longer than the hook, or the [`Waits`] of one: what borrows it may lie where it landed.
pub(super) struct Hold(());

impl Hold {
    /// # Safety
    ///
    /// What is borrowed from it must be gone when [`clear`] is called without a [`Waits`].
    pub(super) unsafe fn new() -> Self {
        Self(())
    }
}

/// What a host function gave.
pub(super) enum Given {
    /// It landed, as `.1` bytes at `.0`.
    Landed(*const u8, usize),
    Own(Vec<u8>),
}

impl Given {
    /// For as long as the guest likes.
    pub(super) fn owned(self) -> Vec<u8> {
        match self {
            Self::Own(value) => value,
            Self::Landed(place, size) => {
                // SAFETY: the host filled so many bytes there, and nothing has changed them since: `clear` frees them, and is not called
                // between `given` and this.
                let value = unsafe { std::slice::from_raw_parts(place, size) }.to_vec();
                // The room is free for the next one if nothing has landed behind it.
                let end = place as usize + size - LANDING.room.get() as usize;
                if LANDING.used.get() as usize == end {
                    LANDING.used.set(LANDING.used.get() - size as u32);
                }
                value
            }
        }
    }

    /// For as long as the hook has hold of it.
    pub(super) fn held(self, _hold: &Hold) -> Value<'_> {
        match self {
            Self::Own(value) => Cow::Owned(value),
            // SAFETY: as above; and who made the `Hold` has promised that the value is gone before the room is free again.
            Self::Landed(place, size) => {
                Cow::Borrowed(unsafe { std::slice::from_raw_parts(place, size) })
            }
        }
    }
}

/// Room for `size` bytes, which is given back as a [`Vec`] of that capacity.
#[must_use]
pub fn allocate(size: usize) -> *mut u8 {
    match Layout::array::<u8>(size) {
        // SAFETY: the layout has a size.
        Ok(layout) if size > 0 => unsafe { alloc(layout) },
        _ => std::ptr::null_mut(),
    }
}

/// What a host function gives: `call` is told where to say place and size of it.
pub(super) fn given(call: impl FnOnce(*mut *mut u8, *mut usize) -> i32) -> Result<Given, i32> {
    let mut data = std::ptr::null_mut();
    let mut size = 0;
    match call(&raw mut data, &raw mut size) {
        OK if data.is_null() || size == 0 => Ok(Given::Own(Vec::new())),
        OK if (data as usize).wrapping_sub(LANDING.room.get() as usize) < SIZE => {
            Ok(Given::Landed(data, size))
        }
        // SAFETY: the host asked `allocate` for so many bytes, filled all of them, and keeps no hold of them.
        OK => Ok(Given::Own(unsafe { Vec::from_raw_parts(data, size, size) })),
        status => Err(status),
    }
}
