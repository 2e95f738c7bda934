//! The Unix socket: bound for its owner alone, taken over from the dead, never from the living.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use thiserror::Error;

/// Only the user who runs the process may connect: whoever can, may stop it.
const MODE: u32 = 0o600;

/// The kernel's bound on the path of a Unix socket (`sun_path`), its terminating zero not counted.
const LONGEST_PATH: usize = 107;

const BACKLOG: i32 = 64;

/// A bound control socket, not yet answering. Its file goes when it is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    file: SocketFile,
}

/// Why a control socket cannot be bound.
#[derive(Debug, Error)]
pub enum BindError {
    /// A live process answers there.
    #[error(
        "control socket {}: a running process answers there; stop it, or give this one another `control.socket`",
        path.display()
    )]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else has that name, and is left alone.
    #[error("control socket {}: that is not a socket; remove it, or choose another `control.socket`", path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The kernel takes no path that long.
    #[error("control socket {}: the path has {} bytes, a Unix socket takes at most {LONGEST_PATH}", path.display(), path.as_os_str().len())]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("control socket {}: {source}", path.display())]
    Refused {
        /// The socket.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
}

impl ControlSocket {
    /// Binds `path` with mode 0600. The socket of a process that is gone is replaced.
    ///
    /// # Errors
    /// A live process answers there, something else has that name, or the system refuses.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let refused = |source| BindError::Refused { path: path.to_owned(), source };
        if path.as_os_str().len() > LONGEST_PATH {
            return Err(BindError::TooLong { path: path.to_owned() });
        }
        remove_if_dead(path)?;
        let listener = listen(path).map_err(refused)?;
        let file = SocketFile::of(path).map_err(refused)?;
        Ok(Self { listener, file })
    }

    /// Where it is bound.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// The listener, non-blocking, and the guard of its file.
    pub(crate) fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }
}

fn remove_if_dead(path: &Path) -> Result<(), BindError> {
    let refused = |source| BindError::Refused { path: path.to_owned(), source };
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(error)),
    };
    if !found.file_type().is_socket() {
        return Err(BindError::NotASocket { path: path.to_owned() });
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(BindError::InUse { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(refused)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(refused(error)),
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // On Linux the mode of the descriptor becomes that of the file at bind, so that there is no moment at which others
    // could connect.
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let descriptor = File::from(OwnedFd::from(socket));
    descriptor.set_permissions(Permissions::from_mode(MODE))?;
    let socket = Socket::from(OwnedFd::from(descriptor));
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// The socket's file; removed when dropped, unless somebody else has put another in its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: found.dev(), inode: found.ino() })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let Ok(found) = fs::symlink_metadata(&self.path) else { return };
        if (found.dev(), found.ino()) == (self.device, self.inode) {
            // Nobody is left to be told; a file that stays is recognised as dead by the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_may_connect() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let _socket = ControlSocket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_socket_of_a_dead_process_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "std leaves the file behind, as a killed process does");
        ControlSocket::bind(&path).unwrap();
    }

    #[test]
    fn the_socket_of_a_live_process_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let _living = ControlSocket::bind(&path).unwrap();
        assert!(matches!(ControlSocket::bind(&path), Err(BindError::InUse { .. })));
        assert!(path.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious.txt");
        fs::write(&path, "do not lose me").unwrap();
        assert!(matches!(ControlSocket::bind(&path), Err(BindError::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "do not lose me");
    }

    #[test]
    fn a_path_that_the_kernel_would_cut_is_refused_by_length() {
        let path = Path::new("/tmp").join("x".repeat(120));
        let error = ControlSocket::bind(&path).unwrap_err();
        assert!(error.to_string().contains("at most 107"), "{error}");
    }

    #[test]
    fn the_file_goes_with_the_socket_but_not_a_successors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        drop(ControlSocket::bind(&path).unwrap());
        assert!(!path.exists());

        let old = ControlSocket::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _new = ControlSocket::bind(&path).unwrap();
        drop(old);
        assert!(path.exists());
    }
}
