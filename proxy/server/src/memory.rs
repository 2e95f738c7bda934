//! The binary's allocator. For the binary alone, never for the library.

use mimalloc::MiMalloc;

// Measured at 20 % less CPU than glibc's for the whole proxy.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[expect(unsafe_code, reason = "the allocator's crate does not offer it")]
unsafe extern "C" {
    /// Gives what the calling thread holds unused back to the system; `force` is all of it.
    fn mi_collect(force: bool);
}

/// Gives what the calling thread holds unused back to the system. Left to itself, the allocator does so only while it is
/// asked for more.
pub(crate) fn give_back() {
    #[expect(unsafe_code, reason = "a call into the allocator")]
    // SAFETY: it may be called at any time from any thread, and touches nothing that is in use.
    unsafe {
        mi_collect(true);
    }
}
