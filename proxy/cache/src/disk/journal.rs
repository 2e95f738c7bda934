//! What was purged, kept so that it stays purged.
//!
//! Records behind one another, each with a checksum; a torn one is stepped over. Every process on the directory appends to the
//! same file, one at a time.

use std::fs::File;
use std::io::{self, Read, Write};

use bytes::Bytes;
use parking_lot::Mutex;
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::directory::{Directory, private};
use super::format;

const NAME: &str = "purges";
const NEW: &str = "purges-new";
const LOCK: &str = "purges-lock";
const MAGIC: [u8; 4] = *b"Purg";
const HEAD: usize = 16;
/// The largest record.
const LARGEST: usize = 64 << 10;
/// More than this is not read: whoever writes as much should have put fewer records in the place of them long before.
const LARGEST_FILE: u64 = 64 << 20;

/// The records of purges in a directory.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// What the file was when it was last read or written here.
    known: Mutex<Option<Mark>>,
}

/// Which file, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    inode: u64,
    length: u64,
}

impl Journal {
    /// All records that are whole.
    pub(super) fn read(&self, directory: &Directory) -> io::Result<Vec<Bytes>> {
        let Some(file) = open(directory, OFlags::RDONLY)? else { return Ok(Vec::new()) };
        let mark = mark(&file)?;
        let mut bytes = Vec::new();
        file.take(LARGEST_FILE).read_to_end(&mut bytes)?;
        *self.known.lock() = Some(mark);
        Ok(records(&Bytes::from(bytes)))
    }

    /// The same, if another process has written since.
    pub(super) fn read_if_changed(&self, directory: &Directory) -> io::Result<Option<Vec<Bytes>>> {
        let now = open(directory, OFlags::RDONLY)?.map(|file| mark(&file)).transpose()?;
        if now == *self.known.lock() {
            return Ok(None);
        }
        self.read(directory).map(Some)
    }

    /// Appends a record, and returns when the disk has it.
    pub(super) fn append(&self, directory: &Directory, record: &[u8]) -> io::Result<()> {
        let _lock = lock(directory)?;
        let before = open(directory, OFlags::RDONLY)?.map(|file| mark(&file)).transpose()?;
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
        let file = open(directory, flags)?.ok_or(Errno::NOENT)?;
        (&file).write_all(&framed(record)?)?;
        file.sync_data()?;
        if before.is_none() {
            rustix::fs::fsync(directory.root())?;
        }
        let mut known = self.known.lock();
        if *known == before {
            *known = Some(mark(&file)?);
        }
        Ok(())
    }

    /// Puts `records` in the place of all.
    pub(super) fn replace(&self, directory: &Directory, records: &[Bytes]) -> io::Result<()> {
        let _lock = lock(directory)?;
        let root = directory.root();
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = File::from(rustix::fs::openat(root, NEW, flags, private())?);
        let mut bytes = Vec::new();
        for record in records {
            bytes.extend_from_slice(&framed(record)?);
        }
        (&file).write_all(&bytes)?;
        file.sync_data()?;
        rustix::fs::renameat(root, NEW, root, NAME)?;
        rustix::fs::fsync(root)?;
        *self.known.lock() = Some(mark(&file)?);
        Ok(())
    }
}

fn open(directory: &Directory, access: OFlags) -> io::Result<Option<File>> {
    let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    match rustix::fs::openat(directory.root(), NAME, flags, private()) {
        Ok(file) => Ok(Some(file.into())),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Held by one process at a time, for as long as a record takes.
fn lock(directory: &Directory) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mode: Mode = private();
    let file = rustix::fs::openat(directory.root(), LOCK, flags, mode)?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

fn mark(file: &File) -> io::Result<Mark> {
    let facts = rustix::fs::fstat(file)?;
    Ok(Mark { inode: facts.st_ino, length: u64::try_from(facts.st_size).unwrap_or_default() })
}

fn framed(record: &[u8]) -> io::Result<Vec<u8>> {
    if record.len() > LARGEST {
        return Err(Errno::MSGSIZE.into());
    }
    let length = u32::try_from(record.len()).map_err(|_| Errno::MSGSIZE)?;
    let mut framed = Vec::with_capacity(HEAD + record.len());
    framed.extend_from_slice(&MAGIC);
    framed.extend_from_slice(&length.to_le_bytes());
    framed.extend_from_slice(&format::digest(record).to_le_bytes());
    framed.extend_from_slice(record);
    Ok(framed)
}

/// The records in `bytes`; what is none is stepped over byte by byte, to where the next begins.
fn records(bytes: &Bytes) -> Vec<Bytes> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + HEAD <= bytes.len() {
        match record_at(bytes, at) {
            Some(record) => {
                at += HEAD + record.len();
                found.push(record);
            }
            None => at += 1,
        }
    }
    found
}

fn record_at(bytes: &Bytes, at: usize) -> Option<Bytes> {
    let rest = bytes.get(at..)?.strip_prefix(&MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let record = rest.get(..length).filter(|record| record.len() <= LARGEST)?;
    (format::digest(record) == u64::from_le_bytes(*checksum)).then(|| bytes.slice_ref(record))
}

/// What is found in any bytes is found again when it is written. The records found; and those that the bytes are, one after the
/// other, each behind a byte that says its length: checksums keep a fuzzer out.
pub(super) fn check(bytes: &Bytes) -> [Vec<Bytes>; 2] {
    let found = records(bytes);
    let written: Vec<u8> =
        found.iter().filter_map(|record| framed(record).ok()).flatten().collect();
    assert_eq!(records(&Bytes::from(written)), found, "written otherwise than read");
    let (mut bare, mut rest) = (Vec::new(), bytes.clone());
    while let Some(length) = rest.first().map(|length| usize::from(*length)) {
        let record = rest.split_off(1);
        rest = record.slice(length.min(record.len())..);
        bare.push(record.slice(..record.len() - rest.len()));
    }
    [found, bare]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(records: &[&[u8]]) -> Vec<u8> {
        records.iter().flat_map(|record| framed(record).unwrap()).collect()
    }

    #[test]
    fn a_torn_record_costs_itself_alone() {
        let whole = written(&[b"one", b"two", b"three"]);
        let two = HEAD + 3..2 * (HEAD + 3);
        for at in two.clone() {
            for bit in 0..8 {
                let mut torn = whole.clone();
                torn[at] ^= 1 << bit;
                assert_eq!(records(&torn.into()), ["one", "three"], "bit {bit} of byte {at}");
            }
        }
        for cut in two.start..two.end {
            // A process appends behind what another had only half written.
            let torn = [&whole[..cut], &written(&[b"four"])].concat();
            assert_eq!(records(&torn.into()), ["one", "four"], "cut at {cut}");
        }
    }
}
