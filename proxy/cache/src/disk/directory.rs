//! The system calls beneath the tier's directory.
//!
//! ```text
//! <path>/v1/00 .. 3f    entries, and what is being written (`t-` and 16 digits, locked by its writer)
//! <path>/v1/purges      see `journal`
//! <path>/v1/lock        locked, shared, by every process that uses the directory
//! ```
//!
//! Directories are opened once, names below them one at a time and never through a symbolic link. Two processes may use it at
//! once, as they do during an upgrade: a file appears under its name complete (`rename`) and is never changed but in ways that its
//! checksums cover, and what one removes the other finds absent. Another version of the format has a directory of its own.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Statx, StatxFlags};
use rustix::io::Errno;

use super::OpenError;
use super::name::{Name, Shard};
use super::tier::random;

/// The directory of this version of the format.
pub(super) const CURRENT: &str = "v1";
pub(super) const VERSION: u32 = 1;

pub(super) const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
/// A pipe in the place of a file does not keep us waiting.
pub(super) const ENTRY: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);

/// How often another name is tried for a file that somebody took for litter.
const MOST_TRIES: usize = 8;

/// An open directory of entries.
#[derive(Debug)]
pub(super) struct Directory {
    /// The configured path, for old versions of the format.
    pub(super) outer: OwnedFd,
    /// `v1`.
    root: OwnedFd,
    shards: Vec<OwnedFd>,
    /// Keeps its lock for as long as this lives.
    _lock: OwnedFd,
    user: u32,
    /// Files are taken for each other, as in a copy of a directory.
    #[cfg(test)]
    pub(super) ignores_births: std::sync::atomic::AtomicBool,
}

/// What stands under a name.
#[derive(Debug)]
pub(super) enum Opened {
    /// A file of ours.
    File(OwnFile),
    /// Nothing.
    Nothing,
    /// Something that we did not put there.
    Foreign,
}

/// An open file of ours.
#[derive(Debug)]
pub(super) struct OwnFile {
    pub(super) file: File,
    /// In bytes.
    pub(super) length: u64,
    pub(super) birth: Birth,
}

/// When and as what number a file was made, folded into one; 0 where the file system does not say.
///
/// A power cut may leave a file whose blocks still hold what a removed one had put there (ext4 with `data=writeback`): an entry
/// that is whole, and was purged. Its contents say of which file they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Birth(pub(super) u64);

/// What stands under a name, without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A file of ours.
    File {
        /// In bytes.
        length: u64,
        /// When it was last written or, as far as the file system says so, read; in seconds.
        used: i64,
    },
    Nothing,
    Foreign,
}

/// A name in the directory of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    Entry(Name),
    Temporary(Temporary),
    Foreign,
}

/// What something is called while it is being written: a random number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Temporary(pub(super) u64);

impl Directory {
    /// Opens `path`, and makes what is missing of it.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let failed =
            |error: Errno| OpenError::Failed { path: path.to_owned(), error: error.into() };
        let user = rustix::process::geteuid().as_raw();
        make_folder(rustix::fs::CWD, path).map_err(failed)?;
        // The path itself is the administrator's word and may lead over links; what is in it may not.
        let outer = rustix::fs::open(path, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty());
        let outer = outer.map_err(failed)?;
        check_owner(&outer, path, user)?;
        let root = open_folder(outer.as_fd(), CURRENT, &path.join(CURRENT), user)?;
        // Not for writing: the file system may be made read-only while this lives.
        let lock = ENTRY | OFlags::CREATE | OFlags::RDONLY;
        let lock = rustix::fs::openat(&root, "lock", lock, private()).map_err(failed)?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).map_err(failed)?;
        let mut shards = Vec::new();
        for shard in Shard::all() {
            let name = shard.to_string();
            let path = path.join(CURRENT).join(&name);
            shards.push(open_folder(root.as_fd(), &name, &path, user)?);
        }
        Ok(Self {
            outer,
            root,
            shards,
            _lock: lock,
            user,
            #[cfg(test)]
            ignores_births: false.into(),
        })
    }

    pub(super) fn open_entry(&self, name: Name, for_writing: bool) -> io::Result<Opened> {
        let access = if for_writing { OFlags::RDWR } else { OFlags::RDONLY };
        let shard = self.shard(name.key.shard());
        let opened = rustix::fs::openat(shard, name.to_string(), ENTRY | access, Mode::empty());
        let file = match opened {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(Opened::Nothing),
            // A symbolic link, a directory, a socket; or a file that this user may not open.
            Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO | Errno::NODEV | Errno::ACCESS) => {
                return Ok(Opened::Foreign);
            }
            Err(error) => return Err(error.into()),
        };
        let facts = facts(&file)?;
        if !self.is_own(&facts) {
            return Ok(Opened::Foreign);
        }
        let birth = self.birth(&facts);
        Ok(Opened::File(OwnFile { file: file.into(), length: facts.stx_size, birth }))
    }

    pub(super) fn look(&self, name: Name) -> io::Result<Seen> {
        let shard = self.shard(name.key.shard());
        let wanted = StatxFlags::BASIC_STATS;
        match rustix::fs::statx(shard, name.to_string(), AtFlags::SYMLINK_NOFOLLOW, wanted) {
            Ok(facts) => Ok(self.seen(&facts)),
            Err(Errno::NOENT) => Ok(Seen::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// A file of our own has this user, one name and no other kind.
    fn is_own(&self, facts: &Statx) -> bool {
        let mode = rustix::fs::RawMode::from(facts.stx_mode);
        let is_file = FileType::from_raw_mode(mode) == FileType::RegularFile;
        is_file && facts.stx_uid == self.user && facts.stx_nlink <= 1
    }

    fn birth(&self, facts: &Statx) -> Birth {
        let is_told = StatxFlags::from_bits_retain(facts.stx_mask).contains(StatxFlags::BTIME);
        #[cfg(test)]
        let is_told = is_told && !self.ignores_births.load(std::sync::atomic::Ordering::Relaxed);
        let born = facts.stx_btime;
        match is_told {
            true => Birth::of(facts.stx_ino, born.tv_sec, born.tv_nsec),
            false => Birth::default(),
        }
    }

    fn seen(&self, facts: &Statx) -> Seen {
        if !self.is_own(facts) {
            return Seen::Foreign;
        }
        let used = facts.stx_mtime.tv_sec.max(facts.stx_atime.tv_sec);
        Seen::File { length: facts.stx_size, used }
    }

    /// An empty file in the directory of `shard`, locked, so that others know that its writer lives.
    pub(super) fn create(&self, shard: Shard) -> io::Result<(Temporary, OwnFile)> {
        let flags = ENTRY | OFlags::CREATE | OFlags::EXCL | OFlags::RDWR;
        for _ in 0..MOST_TRIES {
            let name = Temporary(random());
            let file = rustix::fs::openat(self.shard(shard), name.to_string(), flags, private())?;
            let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
            // Whoever looks for litter may have come between the two, and taken it for that.
            let facts = facts(&file)?;
            if locked.is_ok() && facts.stx_nlink == 1 {
                let birth = self.birth(&facts);
                return Ok((name, OwnFile { file: file.into(), length: 0, birth }));
            }
        }
        Err(Errno::AGAIN.into())
    }

    /// Puts what was written in the place of the entry, at once.
    pub(super) fn publish(&self, from: Temporary, to: Name) -> io::Result<()> {
        let shard = self.shard(to.key.shard());
        Ok(rustix::fs::renameat(shard, from.to_string(), shard, to.to_string())?)
    }

    /// Whether there was one.
    pub(super) fn remove(&self, name: Name) -> io::Result<bool> {
        self.unlink(name.key.shard(), &name.to_string())
    }

    pub(super) fn remove_temporary(&self, shard: Shard, name: Temporary) -> io::Result<bool> {
        self.unlink(shard, &name.to_string())
    }

    fn unlink(&self, shard: Shard, name: &str) -> io::Result<bool> {
        match rustix::fs::unlinkat(self.shard(shard), name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what a writer left that died; one that lives holds a lock.
    pub(super) fn remove_litter(&self, shard: Shard, name: Temporary) -> io::Result<bool> {
        let flags = ENTRY | OFlags::RDONLY;
        let opened = rustix::fs::openat(self.shard(shard), name.to_string(), flags, Mode::empty());
        let Ok(file) = opened else { return Ok(false) };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => self.remove_temporary(shard, name),
            Err(_) => Ok(false),
        }
    }

    /// Makes what was removed from `shard` stay removed when the power fails.
    pub(super) fn sync(&self, shard: Shard) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.shard(shard))?)
    }

    /// Every name in `shard`, without a look at what it stands for.
    pub(super) fn list(&self, shard: Shard, mut each: impl FnMut(Listed)) -> io::Result<()> {
        for entry in Dir::read_from(self.shard(shard))? {
            let entry = entry?;
            let text = entry.file_name().to_bytes();
            if text == b"." || text == b".." {
                continue;
            }
            let is_file = matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown);
            let name = Name::parse(text, shard).map(Listed::Entry);
            let name = name.or_else(|| Temporary::parse(text).map(Listed::Temporary));
            each(name.filter(|_| is_file).unwrap_or(Listed::Foreign));
        }
        Ok(())
    }

    /// Bytes of the file system that this user may still fill.
    pub(super) fn free(&self) -> io::Result<u64> {
        let facts = rustix::fs::fstatvfs(&self.root)?;
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
    }

    /// `v1`, for what lies beside the entries.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    fn shard(&self, shard: Shard) -> BorrowedFd<'_> {
        // One for each shard was opened.
        self.shards.get(shard.index()).unwrap_or(&self.root).as_fd()
    }
}

impl Birth {
    fn of(number: u64, seconds: i64, nanos: u32) -> Self {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        bytes[8..16].copy_from_slice(&seconds.to_le_bytes());
        bytes[16..].copy_from_slice(&nanos.to_le_bytes());
        Self(super::format::digest(&bytes))
    }
}

fn facts(file: &OwnedFd) -> io::Result<Statx> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    Ok(rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, wanted)?)
}

impl Temporary {
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let digits = text.strip_prefix(b"t-").filter(|digits| digits.len() == 16)?;
        u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok().map(Self)
    }
}

impl std::fmt::Display for Temporary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "t-{:016x}", self.0)
    }
}

/// For its owner alone.
pub(super) fn private() -> Mode {
    Mode::RUSR | Mode::WUSR
}

fn make_folder(beneath: impl AsFd, name: impl rustix::path::Arg) -> Result<(), Errno> {
    match rustix::fs::mkdirat(beneath, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error),
    }
}

fn open_folder(
    beneath: BorrowedFd<'_>,
    name: &str,
    path: &Path,
    user: u32,
) -> Result<OwnedFd, OpenError> {
    let failed = |error: Errno| OpenError::Failed { path: path.to_owned(), error: error.into() };
    make_folder(beneath, name).map_err(failed)?;
    let opened = match rustix::fs::openat(beneath, name, FOLDER, Mode::empty()) {
        Err(Errno::LOOP | Errno::NOTDIR) => {
            return Err(unsafe_path(
                path,
                "is a link or a file where a directory of ours should be",
            ));
        }
        opened => opened.map_err(failed)?,
    };
    check_owner(&opened, path, user)?;
    Ok(opened)
}

fn check_owner(folder: &OwnedFd, path: &Path, user: u32) -> Result<(), OpenError> {
    let facts = rustix::fs::fstat(folder);
    let facts =
        facts.map_err(|error| OpenError::Failed { path: path.to_owned(), error: error.into() })?;
    if facts.st_uid != user {
        return Err(unsafe_path(path, "belongs to another user"));
    }
    let mode = Mode::from_raw_mode(facts.st_mode);
    if mode.intersects(Mode::WGRP | Mode::WOTH) {
        return Err(unsafe_path(path, "others than its owner may write into it: chmod go-w"));
    }
    Ok(())
}

fn unsafe_path(path: &Path, reason: &'static str) -> OpenError {
    OpenError::Unsafe { path: PathBuf::from(path), reason }
}
