//! The memory of the binary's process. For the binary alone, never for the library.

#[expect(unsafe_code, reason = "the allocator's crate does not offer it")]
unsafe extern "C" {
    /// Gives what the calling thread holds unused back to the system; `force` is all of it.
    fn mi_collect(force: bool);
}

/// Has the kernel give this process memory in small pages, also where the allocator asks for huge ones: those come 2 MiB at a
/// time, however little of that is used. Measured at 13 MB of 49 less, at the same CPU for each hit.
pub(crate) fn in_small_pages() {
    // A kernel that knows nothing of huge pages gives none.
    let (Ok(()) | Err(_)) = rustix::thread::disable_transparent_huge_pages(true);
}

/// Gives what the calling thread holds unused back to the system, and what the library of cryptography does, which asks
/// the C library for memory. Left to themselves, allocators do so only while they are asked for more, or not at all.
pub(crate) fn give_back() {
    #[expect(unsafe_code, reason = "a call into the allocator")]
    // SAFETY: it may be called at any time from any thread, and touches nothing that is in use.
    unsafe {
        mi_collect(true);
    }
    give_back_of_c();
}

/// Each session has keys there. One that outlives the others keeps the end of the heap, which is all that the C library of
/// GNU gives back by itself.
#[cfg(target_env = "gnu")]
fn give_back_of_c() {
    #[expect(unsafe_code, reason = "a call into the allocator")]
    // SAFETY: it may be called at any time from any thread: it takes the allocator's own locks, and touches nothing that
    // is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(not(target_env = "gnu"))]
fn give_back_of_c() {}

#[cfg(test)]
#[cfg(target_env = "gnu")]
mod tests {
    use std::ffi::c_void;

    use super::*;

    fn private_kib() -> u64 {
        let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    #[test]
    fn what_c_has_freed_below_what_it_still_holds_goes_back_to_the_system() {
        const SIZE: usize = 600;
        const COUNT: usize = 64 * 1024 * 1024 / SIZE;
        let mut pieces: Vec<*mut c_void> = Vec::with_capacity(COUNT);
        #[expect(unsafe_code, reason = "the allocator of C")]
        // SAFETY: each piece is checked, written to within its size, and freed once.
        let (peak, after) = unsafe {
            for _ in 0..COUNT {
                let piece = libc::malloc(SIZE);
                assert!(!piece.is_null());
                libc::memset(piece, 1, SIZE);
                pieces.push(piece);
            }
            let last = pieces.pop();
            let peak = private_kib();
            pieces.drain(..).for_each(|piece| libc::free(piece));
            give_back();
            let after = private_kib();
            libc::free(last.unwrap());
            (peak, after)
        };
        assert!(after + 48 * 1024 < peak, "{peak}, then {after} KiB");
    }
}
