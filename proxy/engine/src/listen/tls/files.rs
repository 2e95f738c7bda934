//! Files that are kept in memory and read again when they change.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use switchback_conf::plan::FileStamp;
use switchback_conf::{Code, Diagnostic, Location};

/// Why something in a file cannot be used.
#[derive(Debug)]
pub(super) struct Flaw {
    code: Code,
    message: String,
    hint: &'static str,
}

impl Flaw {
    pub(super) fn new(code: Code, message: impl Into<String>, hint: &'static str) -> Self {
        Self { code, message: message.into(), hint }
    }

    /// As it is told at start, check and reload.
    pub(super) fn at(self, at: &Location) -> Diagnostic {
        Diagnostic::error(self.code, at.clone(), self.message).hint(self.hint)
    }
}

/// The content of a regular file that is not larger than any of its kind should be, or what is wrong with it.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    const MAX_FILE: u64 = 16 * 1024 * 1024;
    // Asked before it is opened: opening a pipe would wait for its writer.
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_FILE {
        Err("it is larger than 16 MiB".to_owned())
    } else {
        Ok(bytes)
    }
}

/// Files that are looked at now and then.
#[derive(Debug)]
pub(super) struct Watched {
    paths: Box<[PathBuf]>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    stamps: Vec<Option<FileStamp>>,
    trouble: Trouble,
}

/// What came of the last reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    /// It failed, but perhaps somebody was still writing.
    Once,
    /// It failed, and the log tells so.
    Told,
}

impl Watched {
    /// Reads for the first time.
    pub(super) fn read<T>(
        paths: Vec<PathBuf>,
        read: impl FnOnce() -> Result<T, Flaw>,
    ) -> Result<(Self, T), Flaw> {
        let stamps = stamps(&paths);
        let value = read()?;
        let seen = Mutex::new(Seen { stamps, trouble: Trouble::None });
        Ok((Self { paths: paths.into(), seen }, value))
    }

    /// What the files hold now, if they have changed; a reading that fails is told. For reloads.
    pub(super) fn changed<T>(
        &self,
        read: impl FnOnce() -> Result<T, Flaw>,
    ) -> Result<Option<T>, Flaw> {
        let mut seen = self.seen.lock();
        let stamps = stamps(&self.paths);
        if stamps == seen.stamps && seen.trouble == Trouble::None {
            return Ok(None);
        }
        let value = read()?;
        *seen = Seen { stamps, trouble: Trouble::None };
        Ok(Some(value))
    }

    /// The same between reloads: of what fails, the log tells once, and only when the file stays as it is for a while.
    pub(super) fn look<T>(&self, read: impl FnOnce() -> Result<T, Flaw>) -> Option<T> {
        let mut seen = self.seen.lock();
        let stamps = stamps(&self.paths);
        let has_changed = stamps != seen.stamps;
        if !has_changed && seen.trouble != Trouble::Once {
            return None;
        }
        seen.stamps = stamps;
        match read() {
            Ok(value) => {
                seen.trouble = Trouble::None;
                tracing::info!(files = ?self.paths, "files of TLS were read again");
                Some(value)
            }
            Err(flaw) => {
                seen.trouble = match seen.trouble {
                    Trouble::None => Trouble::Once,
                    Trouble::Once if has_changed => Trouble::Once,
                    Trouble::Once => {
                        tracing::error!("what was read before stays in use: {}", flaw.message);
                        Trouble::Told
                    }
                    Trouble::Told => Trouble::Told,
                };
                None
            }
        }
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Option<FileStamp>> {
    paths.iter().map(|path| FileStamp::of(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flaw() -> Flaw {
        Flaw::new(Code::Certificate, "bad", "")
    }

    #[test]
    fn what_fails_once_is_read_again_and_what_is_told_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "1").unwrap();
        let (watched, first) = Watched::read(vec![path.clone()], || Ok(1)).unwrap();
        assert_eq!(first, 1);
        let never = || -> Result<i32, Flaw> { panic!("nothing has changed") };
        assert_eq!(watched.look(never), None);
        std::fs::write(&path, "22").unwrap();
        assert_eq!(watched.look(|| Err::<i32, _>(flaw())), None);
        assert_eq!(watched.seen.lock().trouble, Trouble::Once);
        assert_eq!(watched.look(|| Err::<i32, _>(flaw())), None);
        assert_eq!(watched.seen.lock().trouble, Trouble::Told);
        assert_eq!(watched.look(never), None);
        assert!(watched.changed(|| Err::<i32, _>(flaw())).is_err());
        std::fs::write(&path, "333").unwrap();
        assert_eq!(watched.look(|| Ok(3)), Some(3));
        assert!(watched.changed(never).unwrap().is_none());
    }

    #[test]
    fn directories_and_what_is_not_there_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).unwrap_err().contains("regular file"));
        assert!(read(&folder.path().join("none")).is_err());
    }
}
