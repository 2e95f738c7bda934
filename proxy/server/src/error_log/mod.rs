//! The process's logger: `tracing` events and, through a bridge, `log` records (Pingora's), a line each.
//!
//! Whoever logs hands the line to a bounded queue; a thread writes it. Nobody waits for the disk or for a reader.

mod format;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use parking_lot::RwLock;
use switchback_conf::plan::{LogLevel, LogPlan, LogTarget, MessageFormat, SyslogSeverity};
use switchback_conf::{Code, Diagnostic};
use switchback_engine::log::{LogWriter, Losses, Mark};
use tracing::{Level, Metadata};
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

/// A target that is open, and not written yet.
pub(crate) struct Opened(Option<Out>);

impl ErrorLog {
    /// Makes it the process's logger.
    pub(crate) fn install(plan: &LogPlan) -> Result<Self, Error> {
        let losses = Arc::<Losses>::default();
        let out = Out::open(plan, &losses).map_err(|found| Error::Config(vec![found]))?;
        let sink = Sink(Arc::new(Shared {
            out: RwLock::new(out),
            is_json: AtomicBool::new(plan.format == MessageFormat::Json),
            losses,
        }));
        let (level, handle) = reload::Layer::new(filter(plan.level));
        let lines = fmt::layer()
            .with_ansi(false)
            .event_format(format::Lines::new(sink.clone()))
            .with_writer(sink.clone());
        tracing_subscriber::registry()
            .with(level)
            .with(lines)
            .try_init()
            .map_err(|_| Error::LoggerTaken)?;
        Ok(Self { level: handle, sink })
    }

    /// Opens the target of a new plan, if it is another one.
    pub(crate) fn open(&self, plan: &LogPlan) -> Result<Opened, Diagnostic> {
        if self.sink.0.out.read().target == plan.target {
            return Ok(Opened(None));
        }
        Out::open(plan, &self.sink.0.losses).map(|out| Opened(Some(out)))
    }

    /// Takes level, format and target from a new plan.
    pub(crate) fn follow(&self, plan: &LogPlan, opened: Opened) {
        // It fails only when the logger is gone, and with it everything that could be told.
        let _ = self.level.reload(filter(plan.level));
        log::set_max_level(bridged(plan.level));
        let shared = &self.sink.0;
        shared.is_json.store(plan.format == MessageFormat::Json, Ordering::Relaxed);
        let mut out = shared.out.write();
        out.mark = mark(plan);
        let before = opened.0.map(|opened| std::mem::replace(&mut *out, opened));
        drop(out);
        drop(before);
    }

    /// Opens the file again, after it was rotated; nothing more goes to the old one.
    pub(crate) fn reopen(&self) {
        self.sink.0.out.read().writer.reopen();
        self.flush();
    }

    /// Waits until everything said so far is written, if it can be; at most a second.
    pub(crate) fn flush(&self) {
        let writer = Arc::clone(&self.sink.0.out.read().writer);
        writer.flush();
    }

    /// Lines that were never written.
    pub(crate) fn lost(&self) -> u64 {
        self.sink.0.losses.lines()
    }
}

impl Drop for ErrorLog {
    fn drop(&mut self) {
        self.flush();
    }
}

/// What keeps the error log of `plan` from being opened.
pub(crate) fn probe(plan: &LogPlan) -> Option<Diagnostic> {
    Out::open(plan, &Arc::default()).err()
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

fn severity(level: Level) -> SyslogSeverity {
    match level {
        Level::ERROR => SyslogSeverity::Error,
        Level::WARN => SyslogSeverity::Warn,
        Level::INFO => SyslogSeverity::Info,
        Level::DEBUG | Level::TRACE => SyslogSeverity::Debug,
    }
}

fn mark(plan: &LogPlan) -> Option<Mark> {
    matches!(plan.target, LogTarget::Syslog(_)).then(|| Mark::new(&plan.syslog))
}

/// Where lines go, changeable while they are written.
#[derive(Clone)]
struct Sink(Arc<Shared>);

struct Shared {
    out: RwLock<Out>,
    is_json: AtomicBool,
    losses: Arc<Losses>,
}

struct Out {
    target: LogTarget,
    writer: Arc<LogWriter>,
    /// For a syslog.
    mark: Option<Mark>,
}

impl Out {
    fn open(plan: &LogPlan, losses: &Arc<Losses>) -> Result<Self, Diagnostic> {
        let target = plan.target.clone();
        match LogWriter::start(target.clone(), Arc::clone(losses)) {
            Ok(writer) => Ok(Self { target, writer: Arc::new(writer), mark: mark(plan) }),
            Err(error) => {
                let message = format!("error log {target} cannot be opened: {error}");
                Err(Diagnostic::error(Code::LogFile, plan.at.clone(), message))
            }
        }
    }
}

impl Sink {
    fn is_json(&self) -> bool {
        self.0.is_json.load(Ordering::Relaxed)
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { shared: &self.0, level: Level::INFO }
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Line<'a> {
        Line { shared: &self.0, level: *of.level() }
    }
}

/// Takes one line.
struct Line<'a> {
    shared: &'a Shared,
    level: Level,
}

impl io::Write for Line<'_> {
    /// `text` is a whole line, newline included. Whatever is in it, it stays one.
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let body = text.strip_suffix(b"\n").unwrap_or(text);
        let mut line = Vec::with_capacity(body.len() + 64);
        let out = self.shared.out.read();
        if let Some(mark) = &out.mark {
            mark.begin(severity(self.level), SystemTime::now(), &mut line);
        }
        for (index, part) in body.split(|byte| *byte == b'\n').enumerate() {
            if index > 0 {
                line.extend_from_slice(b"\\n");
            }
            line.extend_from_slice(part);
        }
        line.push(b'\n');
        out.writer.write(&line);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_message_of_several_lines_stays_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("error.log");
        let losses = Arc::<Losses>::default();
        let target = LogTarget::File(path.clone());
        let writer = Arc::new(LogWriter::start(target.clone(), Arc::clone(&losses)).unwrap());
        let out = RwLock::new(Out { target, writer: Arc::clone(&writer), mark: None });
        let sink = Sink(Arc::new(Shared { out, is_json: AtomicBool::new(false), losses }));
        sink.make_writer().write_all(b"one\nforged\n").unwrap();
        writer.flush();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "one\\nforged\n");
    }
}
