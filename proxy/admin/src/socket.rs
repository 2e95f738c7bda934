//! The Unix socket: bound for its owner alone, taken over from the dead, never from the living.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use socket2::{Domain, SockAddr, Socket, Type};
use thiserror::Error;
use tokio::sync::watch;

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

/// A hold on a control socket that is being served, by which another process gets it.
#[derive(Clone, Debug)]
pub struct ControlShare {
    descriptor: Arc<OwnedFd>,
    path: PathBuf,
    left: watch::Sender<bool>,
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

    /// The socket that another process has bound at `path` and shares with this one.
    ///
    /// # Errors
    /// It is bound elsewhere, or its file is gone.
    pub fn adopt(path: &Path, descriptor: OwnedFd) -> Result<Self, BindError> {
        let refused = |source| BindError::Refused { path: path.to_owned(), source };
        let listener = UnixListener::from(descriptor);
        let bound = listener.local_addr().map_err(refused)?;
        if bound.as_pathname() != Some(path) {
            return Err(refused(io::Error::other("the socket is bound to another path")));
        }
        listener.set_nonblocking(true).map_err(refused)?;
        let mut file = SocketFile::of(path).map_err(refused)?;
        // The other process's, until this one serves.
        file.is_foreign = true;
        Ok(Self { listener, file })
    }

    /// What another process needs in order to answer here too, and then alone.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn share(&self) -> Result<ControlShare, BindError> {
        let refused = |source| BindError::Refused { path: self.file.path.clone(), source };
        Ok(ControlShare {
            descriptor: Arc::new(self.listener.try_clone().map_err(refused)?.into()),
            path: self.file.path.clone(),
            left: self.file.left.clone(),
        })
    }

    /// Where it is bound.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// The listener, non-blocking, and the guard of its file.
    pub(crate) fn into_parts(mut self) -> (UnixListener, SocketFile, watch::Receiver<bool>) {
        self.file.is_foreign = false;
        let left = self.file.left.subscribe();
        (self.listener, self.file, left)
    }
}

impl ControlShare {
    /// The socket.
    #[must_use]
    pub fn descriptor(&self) -> &OwnedFd {
        &self.descriptor
    }

    /// Where it is bound.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Accepts no more calls and leaves the file to the process that shares the socket. Calls that run are answered.
    pub fn leave(&self) {
        self.left.send_replace(true);
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
    /// Whether it is another process's.
    is_foreign: bool,
    /// Turned true when it becomes another process's.
    left: watch::Sender<bool>,
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: found.dev(),
            inode: found.ino(),
            is_foreign: false,
            left: watch::Sender::new(false),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_foreign || *self.left.borrow() {
            return;
        }
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
    fn a_socket_that_is_shared_is_adopted_where_it_is_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let old = ControlSocket::bind(&path).unwrap();
        let shared = || old.share().unwrap().descriptor().try_clone().unwrap();
        let elsewhere = folder.path().join("other.sock");
        assert!(ControlSocket::adopt(&elsewhere, shared()).is_err());
        let new = ControlSocket::adopt(&path, shared()).unwrap();
        old.share().unwrap().leave();
        drop(old);
        assert!(path.exists(), "the file is the new process's");
        drop(ControlSocket::adopt(&path, new.share().unwrap().descriptor().try_clone().unwrap()));
        assert!(path.exists(), "one that was adopted and has not served is the old process's");
        drop(new.into_parts());
        assert!(!path.exists());
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
