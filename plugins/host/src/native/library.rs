//! A shared library, loaded from a copy of its bytes.

use std::ffi::{OsString, c_int};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use switchback_plugin_abi as abi;

use super::loader::Trouble;

/// The machine that this program is for, as ELF numbers them.
#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// The entry of the module with these bytes. It is loaded for good: a library of Rust that has once run leaves threads' destructors
/// behind, and cannot be unloaded.
pub(super) fn open(file: &Path, bytes: &[u8]) -> Result<abi::Entry, Trouble> {
    check(bytes)?;
    let copy = copy(file, bytes).map_err(Trouble::Copy)?;
    // The loader compares names first: this one is nobody else's as long as the descriptor is open, so it is never closed.
    let name = PathBuf::from(format!("/proc/self/fd/{}", copy.as_raw_fd()));
    std::mem::forget(copy);
    let flags: c_int = RTLD_NOW | RTLD_LOCAL | libc::RTLD_NODELETE;
    // SAFETY: runs what the library does when it is loaded: whoever names a module in a configuration has the proxy run it.
    let library = unsafe { Library::open(Some(&name), flags) }.map_err(|error| {
        let said = error.to_string().replace(&*name.to_string_lossy(), &file.to_string_lossy());
        Trouble::Open(said)
    })?;
    // SAFETY: that name has that type, by the header.
    let entry = unsafe { library.get::<abi::Entry>(abi::ENTRY_SYMBOL) };
    let entry = entry.map(|symbol| *symbol).map_err(|_| Trouble::Entry);
    std::mem::forget(library);
    entry
}

/// What the system's own loader says in fewer words.
fn check(bytes: &[u8]) -> Result<(), Trouble> {
    let number = |place| bytes.get(place..place + 2)?.try_into().ok().map(u16::from_le_bytes);
    if bytes.starts_with(b"\0asm") {
        return Err(Trouble::Kind("is a Wasm module: name it .wasm"));
    }
    if !bytes.starts_with(b"\x7fELF") {
        return Err(Trouble::Kind("is no shared library (ELF)"));
    }
    if bytes.get(4..6) != Some(&[2, 1]) {
        return Err(Trouble::Kind("is no library for 64-bit, little-endian processors"));
    }
    if number(18) != Some(MACHINE) {
        return Err(Trouble::Kind("is built for another processor"));
    }
    match number(16) {
        Some(3) => Ok(()),
        _ => Err(Trouble::Kind(
            "is no shared library: build it as one (crate-type cdylib, cc -shared)",
        )),
    }
}

/// A copy that nobody can change, and that is not in any file system.
fn copy(file: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut name = OsString::from("switchback:");
    name.push(file.file_name().unwrap_or_default());
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut copy = File::from(memfd_create(name, flags)?);
    copy.write_all(bytes)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    fcntl_add_seals(&copy, seals)?;
    Ok(copy)
}
