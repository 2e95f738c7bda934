//! The process's logger: `tracing` events and, through a bridge, `log` records (Pingora's), a line each.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use switchback_conf::plan::{LogLevel, LogPlan, LogTarget};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::error::Error;

/// The logger of this process, once installed.
pub(crate) struct ErrorLog {
    level: reload::Handle<LevelFilter, Registry>,
    sink: Sink,
}

impl ErrorLog {
    /// Makes it the process's logger.
    pub(crate) fn install(plan: &LogPlan) -> Result<Self, Error> {
        let sink = Sink::open(&plan.target).map_err(|source| unopened(&plan.target, source))?;
        let (level, handle) = reload::Layer::new(filter(plan.level));
        let lines = fmt::layer().with_ansi(false).with_writer(sink.clone());
        tracing_subscriber::registry()
            .with(level)
            .with(lines)
            .try_init()
            .map_err(|_| Error::LoggerTaken)?;
        Ok(Self { level: handle, sink })
    }

    /// Takes level and target from a new plan. On an error the target stays; the level changes all the same.
    pub(crate) fn follow(&self, plan: &LogPlan) -> Result<(), Error> {
        let level = filter(plan.level);
        // It fails only when the logger is gone, and with it everything that could be told.
        let _ = self.level.reload(level);
        log::set_max_level(bridged(plan.level));
        self.sink.follow(&plan.target).map_err(|source| unopened(&plan.target, source))
    }

    /// Opens the file again, after it was rotated.
    pub(crate) fn reopen(&self) -> Result<(), Error> {
        self.sink.reopen().map_err(|(path, source)| Error::ErrorLog { path, source })
    }
}

fn unopened(target: &LogTarget, source: io::Error) -> Error {
    let path = match target {
        LogTarget::Stdout => PathBuf::from("stdout"),
        LogTarget::Stderr => PathBuf::from("stderr"),
        LogTarget::File(path) => path.clone(),
    };
    Error::ErrorLog { path, source }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

fn bridged(level: LogLevel) -> log::LevelFilter {
    match level {
        LogLevel::Error => log::LevelFilter::Error,
        LogLevel::Warn => log::LevelFilter::Warn,
        LogLevel::Info => log::LevelFilter::Info,
        LogLevel::Debug => log::LevelFilter::Debug,
        LogLevel::Trace => log::LevelFilter::Trace,
    }
}

/// Where lines go, changeable while they are written.
#[derive(Clone)]
struct Sink {
    out: Arc<Mutex<Out>>,
}

enum Out {
    Stdout,
    Stderr,
    File { path: PathBuf, file: File },
}

impl Out {
    fn open(target: &LogTarget) -> io::Result<Self> {
        Ok(match target {
            LogTarget::Stdout => Self::Stdout,
            LogTarget::Stderr => Self::Stderr,
            LogTarget::File(path) => Self::File { path: path.clone(), file: append(path)? },
        })
    }

    fn is(&self, target: &LogTarget) -> bool {
        match (self, target) {
            (Self::Stdout, LogTarget::Stdout) | (Self::Stderr, LogTarget::Stderr) => true,
            (Self::File { path, .. }, LogTarget::File(wanted)) => path == wanted,
            _ => false,
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Sink {
    fn open(target: &LogTarget) -> io::Result<Self> {
        Ok(Self { out: Arc::new(Mutex::new(Out::open(target)?)) })
    }

    fn follow(&self, target: &LogTarget) -> io::Result<()> {
        if self.out.lock().is(target) {
            return Ok(());
        }
        let next = Out::open(target)?;
        *self.out.lock() = next;
        Ok(())
    }

    fn reopen(&self) -> Result<(), (PathBuf, io::Error)> {
        let Out::File { path, file } = &mut *self.out.lock() else { return Ok(()) };
        *file = append(path).map_err(|source| (path.clone(), source))?;
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &mut *self.out.lock() {
            Out::Stdout => io::stdout().lock().write(line),
            Out::Stderr => io::stderr().lock().write(line),
            Out::File { file, .. } => file.write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut *self.out.lock() {
            Out::Stdout => io::stdout().lock().flush(),
            Out::Stderr | Out::File { .. } => Ok(()),
        }
    }
}

impl MakeWriter<'_> for Sink {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(path: &Path) -> LogTarget {
        LogTarget::File(path.to_owned())
    }

    #[test]
    fn a_rotated_file_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, rotated) = (folder.path().join("error.log"), folder.path().join("error.log.1"));
        let mut sink = Sink::open(&file(&path)).unwrap();
        sink.write_all(b"before\n").unwrap();
        fs::rename(&path, &rotated).unwrap();
        sink.write_all(b"between\n").unwrap();
        sink.reopen().unwrap();
        sink.write_all(b"after\n").unwrap();
        assert_eq!(fs::read_to_string(rotated).unwrap(), "before\nbetween\n");
        assert_eq!(fs::read_to_string(path).unwrap(), "after\n");
    }

    #[test]
    fn a_target_that_cannot_be_opened_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("error.log");
        let mut sink = Sink::open(&file(&path)).unwrap();
        sink.follow(&file(Path::new("/nowhere/error.log"))).unwrap_err();
        sink.write_all(b"still here\n").unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "still here\n");
    }

    #[test]
    fn an_unchanged_target_is_not_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("error.log");
        let sink = Sink::open(&file(&path)).unwrap();
        fs::remove_file(&path).unwrap();
        sink.follow(&file(&path)).unwrap();
        assert!(!path.exists(), "only USR1 opens it again");
    }
}
