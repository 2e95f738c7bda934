//! The pid file: one live process at a time, by a lock that dies with its holder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;

/// How often a file that vanishes between opening and locking is tried again.
const TRIES: usize = 8;

/// A locked pid file; removed when dropped.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    file: File,
    /// Whether it is another process's, which holds the same lock.
    is_left: Arc<AtomicBool>,
}

/// A hold on a pid file, by which another process gets it with its lock.
#[derive(Debug)]
pub(crate) struct PidShare {
    file: File,
    is_left: Arc<AtomicBool>,
}

/// Why a pid file cannot be had.
#[derive(Debug, Error)]
pub enum PidFileError {
    /// A live process holds it.
    #[error("pid file {}: held by running process {holder}; stop it, or give this one another `pid_file`", path.display())]
    Held {
        /// The file.
        path: PathBuf,
        /// What the file says: a process id, or nothing yet.
        holder: String,
    },
    /// The system refuses.
    #[error("pid file {}: {source}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
}

impl PidFile {
    /// Makes the file this process's own. It says nothing until [`write`](Self::write).
    pub(crate) fn lock(path: &Path) -> Result<Self, PidFileError> {
        let refused = |source| PidFileError::Refused { path: path.to_owned(), source };
        for _ in 0..TRIES {
            let file = open(path).map_err(refused)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(held(path, file)),
                Err(TryLockError::Error(error)) => return Err(refused(error)),
            }
            // Its former holder may have removed it meanwhile: then this lock is on a file that nobody else sees.
            if is_at(&file, path) {
                return Ok(Self { path: path.to_owned(), file, is_left: Arc::default() });
            }
        }
        Err(refused(io::Error::other("removed again and again by somebody else")))
    }

    /// The file that another process has locked and shares with this one, if it is that of `path`. It stays the other's until
    /// it is written.
    pub(crate) fn adopt(path: &Path, file: File) -> Option<Self> {
        let is_left = Arc::new(AtomicBool::new(true));
        is_at(&file, path).then(|| Self { path: path.to_owned(), file, is_left })
    }

    /// Writes the id of this process. What was there is written over: there is no moment at which nothing is.
    pub(crate) fn write(&self) -> Result<(), PidFileError> {
        let refused = |source| PidFileError::Refused { path: self.path.clone(), source };
        self.is_left.store(false, Ordering::Release);
        let text = format!("{}\n", std::process::id());
        self.file.write_all_at(text.as_bytes(), 0).map_err(refused)?;
        self.file.set_len(text.len() as u64).map_err(refused)
    }

    /// What another process needs in order to have it too, and then alone.
    pub(crate) fn share(&self) -> Result<PidShare, PidFileError> {
        let refused = |source| PidFileError::Refused { path: self.path.clone(), source };
        let file = self.file.try_clone().map_err(refused)?;
        Ok(PidShare { file, is_left: Arc::clone(&self.is_left) })
    }
}

impl PidShare {
    /// The file, locked.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Leaves the file to the other process.
    pub(crate) fn leave(&self) {
        self.is_left.store(true, Ordering::Release);
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.is_left.load(Ordering::Acquire) {
            return;
        }
        // Still locked, so that no other process has written it.
        if is_at(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn held(path: &Path, file: File) -> PidFileError {
    let mut holder = String::new();
    // A holder that has not written yet, or not UTF-8, is unknown.
    let _ = file.take(32).read_to_string(&mut holder);
    let holder = match holder.trim() {
        "" => "(starting)".to_owned(),
        id => id.to_owned(),
    };
    PidFileError::Held { path: path.to_owned(), holder }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(opened), Ok(named)) => (opened.dev(), opened.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_process_id_while_it_lives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("switchback.pid");
        let pid_file = PidFile::lock(&path).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "",
            "nothing before the start has succeeded"
        );
        pid_file.write().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(pid_file);
        assert!(!path.exists());
    }

    #[test]
    fn a_second_holder_is_refused_and_told_who_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("switchback.pid");
        let first = PidFile::lock(&path).unwrap();
        first.write().unwrap();
        let error = PidFile::lock(&path).unwrap_err();
        assert!(matches!(error, PidFileError::Held { .. }), "{error}");
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        drop(first);
        PidFile::lock(&path).unwrap();
    }

    #[test]
    fn the_file_of_a_killed_process_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("switchback.pid");
        fs::write(&path, "999999999 and more that must not remain\n").unwrap();
        let pid_file = PidFile::lock(&path).unwrap();
        pid_file.write().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    }

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let error = PidFile::lock(Path::new("/nowhere/switchback.pid")).unwrap_err();
        assert!(error.to_string().starts_with("pid file /nowhere/switchback.pid: "), "{error}");
    }

    #[test]
    fn a_successors_file_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("switchback.pid");
        let old = PidFile::lock(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _new = PidFile::lock(&path).unwrap();
        drop(old);
        assert!(path.exists());
    }

    #[test]
    fn the_lock_goes_from_one_process_to_the_next_without_a_gap() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("switchback.pid");
        let old = PidFile::lock(&path).unwrap();
        old.write().unwrap();
        let share = old.share().unwrap();
        let handed = || File::from(share.descriptor().try_clone_to_owned().unwrap());
        assert!(PidFile::adopt(&folder.path().join("other.pid"), handed()).is_none());
        drop(PidFile::adopt(&path, handed()).unwrap());
        assert!(path.exists(), "one that has not served removes nothing");

        let new = PidFile::adopt(&path, handed()).unwrap();
        new.write().unwrap();
        share.leave();
        drop((old, share));
        assert!(matches!(PidFile::lock(&path), Err(PidFileError::Held { .. })));
        drop(new);
        assert!(!path.exists());
    }
}
