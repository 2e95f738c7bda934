//! Directories of older versions of the format.

use std::io;

use rustix::fs::{AtFlags, Dir, FlockOperation, Mode};
use rustix::io::Errno;

use super::directory::{CURRENT, Directory, ENTRY, FOLDER, Temporary, VERSION};
use super::name::{Name, Shard};

/// What became of the directory of an older version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) entries: u64,
    pub(super) foreign: u64,
}

impl Directory {
    /// Removes the entries of older versions that no process uses any more.
    pub(super) fn drop_older(&self) -> io::Result<Dropped> {
        let mut dropped = Dropped::default();
        for entry in Dir::read_from(&self.outer)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            match name {
                b"." | b".." => {}
                name if name == CURRENT.as_bytes() => {}
                name if is_older(name) => self.drop_version(name, &mut dropped)?,
                _ => dropped.foreign += 1,
            }
        }
        Ok(dropped)
    }

    /// Files with names of ours alone, two levels deep; whatever else is there keeps its place.
    fn drop_version(&self, name: &[u8], dropped: &mut Dropped) -> io::Result<()> {
        let folder = match rustix::fs::openat(&self.outer, name, FOLDER, Mode::empty()) {
            Ok(folder) => folder,
            // Another process was quicker.
            Err(Errno::NOENT) => return Ok(()),
            Err(_) => {
                dropped.foreign += 1;
                return Ok(());
            }
        };
        if let Ok(lock) = rustix::fs::openat(&folder, "lock", ENTRY, Mode::empty())
            && rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err()
        {
            return Ok(());
        }
        for shard in Shard::all() {
            let Ok(inner) = rustix::fs::openat(&folder, shard.to_string(), FOLDER, Mode::empty())
            else {
                continue;
            };
            for entry in Dir::read_from(&inner)? {
                let entry = entry?;
                let text = entry.file_name().to_bytes();
                let is_ours =
                    Name::parse(text, shard).is_some() || Temporary::parse(text).is_some();
                if is_ours
                    && rustix::fs::unlinkat(&inner, entry.file_name(), AtFlags::empty()).is_ok()
                {
                    dropped.entries += 1;
                }
            }
            let _ = rustix::fs::unlinkat(&folder, shard.to_string(), AtFlags::REMOVEDIR);
        }
        for file in ["purges", "lock"] {
            let _ = rustix::fs::unlinkat(&folder, file, AtFlags::empty());
        }
        let _ = rustix::fs::unlinkat(&self.outer, name, AtFlags::REMOVEDIR);
        Ok(())
    }
}

fn is_older(name: &[u8]) -> bool {
    let digits = name.strip_prefix(b"v").and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse::<u32>().ok()).is_some_and(|version| version < VERSION)
}
