//! Opening what lies beneath a root, and nothing else.
//!
//! The kernel keeps the promise (`openat2` with `RESOLVE_BENEATH`), so that there is no moment between a check and its use.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// Whether symbolic links are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Symlinks {
    /// As long as they stay beneath the root. Absolute ones never do. A kernel without `openat2` (before 5.6, or behind a
    /// filter that forbids it) follows none.
    #[default]
    Beneath,
    /// Not at all.
    Never,
}

/// What stands at a path.
#[derive(Debug)]
pub(crate) enum Found {
    File(RegularFile),
    Directory,
    /// Nothing, or nothing that is ever served: a FIFO, a socket, a device.
    Nothing,
}

/// A regular file, open for reading.
#[derive(Debug)]
pub(crate) struct RegularFile {
    pub(crate) file: File,
    pub(crate) size: u64,
    /// Seconds since 1970.
    pub(crate) modified: i64,
}

/// Why something that exists cannot be opened.
#[derive(Debug)]
pub(crate) enum Refusal {
    Forbidden,
    Failed(io::Error),
}

/// The directory beneath which everything is opened.
#[derive(Debug)]
pub(crate) struct Root {
    directory: OwnedFd,
    symlinks: Symlinks,
}

/// For reading. `NONBLOCK`, because whoever opens a FIFO waits for its writer; `NOCTTY`, because a terminal would become
/// that of this process.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
/// For looking only: needs no permission on the thing itself, and no driver hears of it.
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// How often `openat2` is asked again when something was renamed while it looked.
const MAX_TRIES: usize = 32;

impl Root {
    /// One system call, and one more when it is dropped; `None` where there is no such directory.
    pub(crate) fn open(path: &Path, symlinks: Symlinks) -> Result<Option<Self>, Refusal> {
        let flags = LOOK | OFlags::DIRECTORY;
        let directory = optional(again(|| rustix::fs::open(path, flags, Mode::empty())))?;
        Ok(directory.map(|directory| Self { directory, symlinks }))
    }

    /// Whether links beneath it are followed.
    pub(crate) fn symlinks(&self) -> Symlinks {
        self.symlinks
    }

    /// Whether both are one directory.
    pub(crate) fn is_same(&self, other: &Self) -> Result<bool, Refusal> {
        let identity = |root: &Self| {
            let facts = rustix::fs::fstat(&root.directory).map_err(refusal)?;
            Ok((facts.st_dev, facts.st_ino))
        };
        Ok(identity(self)? == identity(other)?)
    }

    /// What stands at `path`. Two system calls for a file that is there, one for nothing.
    pub(crate) fn find(&self, path: &[u8]) -> Result<Found, Refusal> {
        let file = match optional(self.open_beneath(path, READ)) {
            // A directory may be entered by those who may not read it.
            Err(Refusal::Forbidden) if self.is_directory(path)? => return Ok(Found::Directory),
            Ok(None) => return Ok(Found::Nothing),
            found => found?,
        };
        let Some(file) = file else { return Ok(Found::Nothing) };
        let facts = rustix::fs::fstat(&file).map_err(refusal)?;
        Ok(match FileType::from_raw_mode(facts.st_mode) {
            FileType::RegularFile => Found::File(RegularFile {
                file: File::from(file),
                size: size_of(&facts),
                modified: modified_of(&facts),
            }),
            FileType::Directory => Found::Directory,
            _ => Found::Nothing,
        })
    }

    pub(crate) fn is_directory(&self, path: &[u8]) -> Result<bool, Refusal> {
        Ok(optional(self.open_beneath(path, LOOK | OFlags::DIRECTORY))?.is_some())
    }

    /// A directory whose entries can be read.
    pub(crate) fn open_directory(&self, path: &[u8]) -> Result<Option<OwnedFd>, Refusal> {
        optional(self.open_beneath(path, READ | OFlags::DIRECTORY))
    }

    /// What a symbolic link at `path` leads to, where it may be followed.
    pub(crate) fn look(&self, path: &[u8]) -> Option<Stat> {
        let found = self.open_beneath(path, LOOK).ok()?;
        rustix::fs::fstat(&found).ok()
    }

    fn open_beneath(&self, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { b".".as_slice() } else { path };
        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        if self.symlinks == Symlinks::Never {
            resolve |= ResolveFlags::NO_SYMLINKS;
        }
        let openat2 = || rustix::fs::openat2(&self.directory, path, flags, Mode::empty(), resolve);
        self.or_walk(again(openat2), path, flags)
    }

    /// What `openat2` said, unless it could not be asked: filters of system calls answer `EPERM`, old kernels `ENOSYS`.
    fn or_walk(
        &self,
        opened: rustix::io::Result<OwnedFd>,
        path: &[u8],
        flags: OFlags,
    ) -> rustix::io::Result<OwnedFd> {
        match opened {
            Err(Errno::NOSYS | Errno::PERM) => walk(self.directory.as_fd(), path, flags),
            opened => opened,
        }
    }
}

/// Name by name, following no link.
fn walk(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let mut names = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).peekable();
    let mut parent: Option<OwnedFd> = None;
    while let Some(name) = names.next() {
        if name == b".." {
            return Err(Errno::XDEV);
        }
        let is_last = names.peek().is_none();
        let flags = if is_last { flags } else { LOOK | OFlags::DIRECTORY } | OFlags::NOFOLLOW;
        let directory = parent.as_ref().map_or(root, AsFd::as_fd);
        let opened = again(|| rustix::fs::openat(directory, name, flags, Mode::empty()))?;
        if is_last {
            return Ok(opened);
        }
        parent = Some(opened);
    }
    Err(Errno::NOENT)
}

/// Asks again where nothing but the moment was wrong, a bounded number of times.
fn again<T>(mut ask: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    let mut answer = ask();
    for _ in 1..MAX_TRIES {
        match answer {
            Err(Errno::AGAIN | Errno::INTR) => answer = ask(),
            answer => return answer,
        }
    }
    answer
}

/// `None` for what is not there: nothing of this name, or nothing that can be opened at all.
fn optional<T>(opened: rustix::io::Result<T>) -> Result<Option<T>, Refusal> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::NXIO | Errno::NODEV) => {
            Ok(None)
        }
        Err(error) => Err(refusal(error)),
    }
}

fn refusal(error: Errno) -> Refusal {
    match error {
        // `XDEV` is what leads out of the root, `LOOP` a link where none may be, or too many.
        Errno::ACCESS | Errno::PERM | Errno::XDEV | Errno::LOOP => Refusal::Forbidden,
        error => Refusal::Failed(error.into()),
    }
}

pub(crate) fn size_of(facts: &Stat) -> u64 {
    u64::try_from(facts.st_size).unwrap_or(0)
}

pub(crate) fn modified_of(facts: &Stat) -> i64 {
    // Unsigned on some machines, and yet negative before 1970.
    i64::from_ne_bytes(facts.st_mtime.to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// `a/b.txt`, `link.txt` to it, `linked` to `a`, and `out.txt` to what lies beside the root.
    fn tree() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("a")).unwrap();
        fs::write(root.join("a/b.txt"), "inside").unwrap();
        fs::write(folder.path().join("secret"), "outside").unwrap();
        symlink("a/b.txt", root.join("link.txt")).unwrap();
        symlink("a", root.join("linked")).unwrap();
        symlink("../secret", root.join("out.txt")).unwrap();
        let root = Root::open(&root, Symlinks::Beneath).unwrap().unwrap();
        (folder, root)
    }

    #[test]
    fn a_kernel_without_openat2_serves_files_and_follows_no_link() {
        let (_folder, root) = tree();
        for error in [Errno::NOSYS, Errno::PERM] {
            let open = |path: &str| root.or_walk(Err(error), path.as_bytes(), READ);
            let file = File::from(open("a/b.txt").unwrap());
            assert_eq!(io::read_to_string(file).unwrap(), "inside");
            assert!(open("a").is_ok() && open(".").is_ok());
            assert_eq!(open("link.txt").unwrap_err(), Errno::LOOP);
            assert_eq!(open("out.txt").unwrap_err(), Errno::LOOP);
            assert_eq!(open("linked/b.txt").unwrap_err(), Errno::NOTDIR);
            assert_eq!(open("a/missing").unwrap_err(), Errno::NOENT);
            assert_eq!(open("a/../../secret").unwrap_err(), Errno::XDEV);
            assert_eq!(open("../secret").unwrap_err(), Errno::XDEV);
        }
    }

    #[test]
    fn openat2_is_believed_where_it_exists() {
        let (_folder, root) = tree();
        let opened = root.or_walk(Err(Errno::XDEV), b"a/b.txt", READ);
        assert_eq!(opened.unwrap_err(), Errno::XDEV);
    }

    #[test]
    fn renames_beside_are_waited_out_a_bounded_number_of_times() {
        let mut left = 5;
        let answer = again(|| {
            left -= 1;
            if left > 0 { Err(Errno::AGAIN) } else { Ok(left) }
        });
        assert_eq!(answer, Ok(0));

        let mut asked = 0;
        let never = again(|| {
            asked += 1;
            Err::<(), _>(Errno::AGAIN)
        });
        assert_eq!((never, asked), (Err(Errno::AGAIN), MAX_TRIES));
    }

    #[test]
    fn errors_are_nothing_forbidden_or_ours() {
        for nothing in [Errno::NOENT, Errno::NOTDIR, Errno::NAMETOOLONG, Errno::NXIO] {
            assert!(matches!(optional::<()>(Err(nothing)), Ok(None)), "{nothing}");
        }
        for forbidden in [Errno::ACCESS, Errno::XDEV, Errno::LOOP, Errno::PERM] {
            assert!(matches!(optional::<()>(Err(forbidden)), Err(Refusal::Forbidden)));
        }
        for ours in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::IO, Errno::AGAIN] {
            assert!(matches!(optional::<()>(Err(ours)), Err(Refusal::Failed(_))), "{ours}");
        }
    }
}
