//! The file with keys and the names of their shards.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use switchback_conf::plan::FileStamp;
use switchback_conf::{Code, Diagnostic, Location};
use switchback_upstream::shard::Table;

/// Larger files are refused.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// A file that is looked at.
#[derive(Debug)]
pub(super) struct TableFile {
    path: PathBuf,
    /// Where the configuration names it.
    at: Location,
    /// The state in which it was read last; only the watcher asks.
    stamp: Mutex<Option<FileStamp>>,
}

impl TableFile {
    /// The file and what it says, or nothing after having told what is wrong.
    pub(super) fn open(
        path: &Path,
        at: &Location,
        found: &mut Vec<Diagnostic>,
    ) -> Option<(Arc<Table>, Self)> {
        let stamp = Mutex::new(FileStamp::of(path));
        let file = Self { path: path.into(), at: at.clone(), stamp };
        match file.read() {
            Ok(table) => Some((table, file)),
            Err(wrong) => {
                found.extend(wrong);
                None
            }
        }
    }

    /// What it says, if it has changed since it was read.
    pub(super) fn read_changed(&self) -> Option<Result<Arc<Table>, Vec<Diagnostic>>> {
        let mut stamp = self.stamp.lock();
        // Taken before it is read: what is written meanwhile is noticed next time.
        let now = FileStamp::of(&self.path);
        if now == *stamp {
            return None;
        }
        *stamp = now;
        Some(self.read())
    }

    /// The line with this number.
    pub(super) fn line(&self, line: u32) -> Location {
        let text = read_bounded(&self.path).unwrap_or_default();
        Location::of_line(&self.path, String::from_utf8_lossy(&text).into_owned(), line as usize)
    }

    fn read(&self) -> Result<Arc<Table>, Vec<Diagnostic>> {
        let bytes = read_bounded(&self.path).map_err(|error| {
            let message = format!("cannot read {}: {error}", self.path.display());
            vec![Diagnostic::error(Code::FileUnreadable, self.at.clone(), message)]
        })?;
        Table::parse(&bytes).map(Arc::new).map_err(|wrong| {
            let text = String::from_utf8_lossy(&bytes);
            let told = wrong.iter().map(|error| {
                let at =
                    Location::of_line(&self.path, text.clone().into_owned(), error.line as usize);
                Diagnostic::error(Code::MapFile, at, error.mistake.to_string())
            });
            told.collect()
        })
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Asked before it is opened: opening a pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other("it is larger than 64 MiB"));
    }
    Ok(bytes)
}
