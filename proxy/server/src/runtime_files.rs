//! Where pid file and control socket are when a configuration file names neither: one place for each file, so that the
//! command line finds the process that runs from it.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use switchback_conf::plan::ProcessPlan;
use switchback_conf::{Code, Config, Diagnostic, Location};

/// The file that needs no telling apart: `/run/switchback/switchback.pid`, as packages expect it.
const USUAL: &str = "/etc/switchback/switchback.toml";

/// Fills in pid file and control socket when `config` names neither. They are a convenience: a folder that cannot be had is a
/// warning.
pub(crate) fn fill(process: &mut ProcessPlan, config: &Config, path: &Path) -> Option<Diagnostic> {
    if process.pid_file.is_some() || config.control.socket.is_some() {
        return None;
    }
    let folder = folder();
    if let Err(error) = own(&folder) {
        let message = format!("no pid file and no control socket: {}: {error}", folder.display());
        let found = Diagnostic::warning(Code::NoEffect, Location::none(), message);
        return Some(found.hint("set `pid_file` to where this process may write"));
    }
    let pid_file = folder.join(name(path)).with_extension("pid");
    process.control_socket = Some(pid_file.with_extension("sock"));
    process.pid_file = Some(pid_file);
    None
}

/// The control socket of a process that runs from `path`, when that names neither pid file nor socket.
pub(crate) fn socket(path: &Path) -> PathBuf {
    folder().join(name(path)).with_extension("sock")
}

/// `/run/switchback` for root, else the user's own runtime folder.
fn folder() -> PathBuf {
    let user = rustix::process::getuid();
    if user.is_root() {
        return "/run/switchback".into();
    }
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => Path::new(&folder).join("switchback"),
        None => std::env::temp_dir().join(format!("switchback-{}", user.as_raw())),
    }
}

/// Makes `folder`, for its owner alone; one that is somebody else's is refused, because the temporary folder is everybody's.
fn own(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    match builder.mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = std::fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != rustix::process::getuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to somebody else"));
    }
    Ok(())
}

/// A name that differs between files of one name, and stays the same from one run to the next. Without extension.
fn name(path: &Path) -> String {
    let whole = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if whole == Path::new(USUAL) {
        return "switchback".to_owned();
    }
    let stem =
        whole.file_stem().map(|stem| stem.to_string_lossy().replace('.', "-")).unwrap_or_default();
    format!("{stem}-{:08x}", fnv1a(whole.as_os_str().as_encoded_bytes()))
}

/// FNV-1a, 32 bits: the standard library's hasher may change from one release to the next.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_name_have_sockets_of_their_own() {
        let (one, other) = (socket(Path::new("/a/site.toml")), socket(Path::new("/b/site.toml")));
        assert_ne!(one, other);
        assert_eq!(one, socket(Path::new("/a/site.toml")));
        assert!(
            one.file_name().unwrap().to_str().unwrap().starts_with("site-"),
            "{}",
            one.display()
        );
        assert_eq!(socket(Path::new(USUAL)).file_name().unwrap(), "switchback.sock");
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0x811c_9dc5);
        assert_eq!(fnv1a(b"a"), 0xe40c_292c);
    }

    #[test]
    fn a_folder_that_is_no_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(own(&file).is_err());
        own(&folder.path().join("new")).unwrap();
    }
}
