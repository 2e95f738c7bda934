//! Files that are read again when they change.

use std::fs::{self, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use switchback_plugin::{Background, BuildError, Level, Operating, Setup};

use crate::units::{Size, Time};

/// How often files are looked at, unless the operator says otherwise.
pub(crate) const PERIOD: Time = Time::seconds(5);

/// The largest text that is read.
const LARGEST: u64 = 64 << 20;

/// What is in a file, as it was when it was last seen to be right.
///
/// A file that cannot be read any more, or not understood, changes nothing but a line in the log: half of a file is as good as none.
pub(crate) struct Watched<T> {
    path: PathBuf,
    largest: u64,
    parse: Parse<T>,
    current: ArcSwap<T>,
    seen: Mutex<Option<Stamp>>,
}

/// What reads a file.
type Parse<T> = Arc<dyn Fn(Vec<u8>) -> Result<T, String> + Send + Sync>;

impl<T: Send + Sync + 'static> Watched<T> {
    /// Reads the file that the option at `option` names, a text; what `parse` finds wrong says in which line.
    ///
    /// # Errors
    ///
    /// It cannot be read, is larger than 64 MiB, or `parse` does not understand it.
    pub(crate) fn open(
        option: &str,
        file: &Path,
        setup: &Setup<'_>,
        parse: impl Fn(&str) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, BuildError> {
        Self::open_bytes(option, file, setup, (LARGEST, move |bytes| parse(&text(bytes)?)))
    }

    /// The same of a file that is no text, with how many bytes it may have.
    ///
    /// # Errors
    ///
    /// It cannot be read, is larger, or `parse` does not understand it.
    pub(crate) fn open_bytes(
        option: &str,
        file: &Path,
        setup: &Setup<'_>,
        (largest, parse): (u64, impl Fn(Vec<u8>) -> Result<T, String> + Send + Sync + 'static),
    ) -> Result<Self, BuildError> {
        let path = setup.path(file);
        let parse: Parse<T> = Arc::new(parse);
        let (stamp, parsed) = read(&path, largest, &*parse);
        let value =
            parsed.map_err(|why| BuildError::new(option, format!("{}: {why}", path.display())))?;
        Ok(Self {
            path,
            largest,
            parse,
            current: ArcSwap::from_pointee(value),
            seen: Mutex::new(stamp),
        })
    }

    /// What is in force.
    pub(crate) fn current(&self) -> arc_swap::Guard<Arc<T>> {
        self.current.load()
    }

    /// Looks at the file, and reads it if it is another than before. Says whether something new is in force.
    pub(crate) async fn refresh(&self, background: &mut Background<'_>) -> bool {
        let (path, parse, seen) = (self.path.clone(), self.parse.clone(), *self.seen.lock());
        let largest = self.largest;
        let look = move || {
            if stamp(&path) == seen { None } else { Some(read(&path, largest, &*parse)) }
        };
        let (stamp, parsed) = match background.blocking(look).await {
            Ok(Some(changed)) => changed,
            Ok(None) => return false,
            Err(error) => {
                background.log(
                    Level::Warn,
                    &format!("{} is not looked at: {error}", self.path.display()),
                );
                return false;
            }
        };
        // Also of one that is wrong, so that the same mistake is told once.
        *self.seen.lock() = stamp;
        match parsed {
            Ok(value) => {
                self.current.store(Arc::new(value));
                background.log(Level::Info, &format!("{} was read again", self.path.display()));
                true
            }
            Err(why) => {
                let message = format!("{}: {why}; what was read before stays", self.path.display());
                background.log(Level::Warn, &message);
                false
            }
        }
    }
}

/// Has ticks come that often, for files to be looked at; none with `"0"`.
///
/// # Errors
///
/// More often than every 10 ms.
pub(crate) fn watch(option: &str, period: Time, setup: &mut Setup<'_>) -> Result<(), BuildError> {
    match period.0 {
        Duration::ZERO => {}
        period if period < Duration::from_millis(10) => {
            return Err(BuildError::new(option, "not below 10ms"));
        }
        period => setup.every(period),
    }
    Ok(())
}

/// Tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    fs::metadata(path).ok().as_ref().map(Stamp::of)
}

fn read<T>(
    path: &Path,
    largest: u64,
    parse: &(dyn Fn(Vec<u8>) -> Result<T, String> + Send + Sync),
) -> (Option<Stamp>, Result<T, String>) {
    // Before the bytes: what is written in between is seen the next time.
    let stamp = stamp(path);
    (stamp, bytes(path, largest).and_then(parse))
}

fn bytes(path: &Path, largest: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let taken = file.take(largest + 1).read_to_end(&mut bytes);
    match taken.map_err(|error| error.to_string())? {
        length if length as u64 > largest => Err(format!("larger than {}", Size(largest))),
        _ => Ok(bytes),
    }
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())
}

/// Lines that say something, with their numbers from 1: without blanks around them, comments behind `#`, and empty ones.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    numbered.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}
