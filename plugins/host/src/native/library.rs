//! A shared library, loaded from a copy of its bytes.

use std::ffi::{OsString, c_int};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use switchback_plugin_abi as abi;

use super::elf;
use super::loader::Trouble;

/// The entry of the module with these bytes. It is loaded for good: a library of Rust that has once run leaves threads' destructors
/// behind, and cannot be unloaded.
pub(super) fn open(file: &Path, bytes: &[u8]) -> Result<abi::Entry, Trouble> {
    elf::check(bytes).map_err(Trouble::Kind)?;
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
