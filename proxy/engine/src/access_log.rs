//! Access logs: a bounded queue and a thread that writes. A slow or full disk drops lines; it never slows a request.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use switchback_conf::plan::{AccessLogPlan, LogTarget};
use switchback_value::{Facts, escape};

use crate::snapshot::assemble::is_upstream_header;

/// One access log of a snapshot.
#[derive(Debug)]
pub(crate) struct AccessLog {
    plan: AccessLogPlan,
    writer: Arc<LogWriter>,
}

impl AccessLog {
    /// The log of `plan`, written by `writer`.
    pub(crate) fn new(plan: AccessLogPlan, writer: Arc<LogWriter>) -> Self {
        Self { plan, writer }
    }

    /// Whether its lines may refer to the head of the upstream's answer.
    pub(crate) fn needs_upstream_headers(&self) -> bool {
        self.plan.format.variables().chain(self.plan.when.variables()).any(is_upstream_header)
    }

    /// Writes the line of one request, if its condition holds.
    pub(crate) fn write(&self, facts: &dyn Facts) {
        if !self.plan.when.holds(facts) {
            return;
        }
        let mut line = Vec::with_capacity(256);
        self.plan.format.render_with(facts, &mut line, escape::log, b"-");
        line.push(b'\n');
        self.writer.write(line);
    }
}

/// The one writer of a log target, shared by all snapshots that name it.
#[derive(Debug)]
pub(crate) struct LogWriter {
    queue: SyncSender<Order>,
    dropped: Arc<AtomicU64>,
}

enum Order {
    Line(Vec<u8>),
    Reopen,
    Flush(SyncSender<()>),
}

/// Lines that may wait. At 300 bytes each this is about 10 MB at worst.
const QUEUE: usize = 32 * 1024;
/// Bytes gathered before a write.
const BATCH: usize = 64 * 1024;

impl LogWriter {
    /// Opens `target` and starts its thread, which ends when the writer is dropped.
    ///
    /// # Errors
    /// The target cannot be opened, or the thread not started.
    pub(crate) fn start(target: LogTarget) -> io::Result<Self> {
        let sink = Sink::open(&target)?;
        let (queue, orders) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&dropped);
        std::thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || WriterThread { target, sink, orders, lost }.run())?;
        Ok(Self { queue, dropped })
    }

    /// Hands over a line, newline included. When the queue is full the line is dropped, and counted.
    pub(crate) fn write(&self, line: Vec<u8>) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.queue.try_send(Order::Line(line))
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Opens the file again, after a rotation.
    pub(crate) fn reopen(&self) {
        // A full queue means a stuck disk: the next rotation asks again.
        let _ = self.queue.try_send(Order::Reopen);
    }

    /// Waits until everything handed over so far is written. Blocks.
    pub(crate) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.queue.try_send(Order::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(std::time::Duration::from_secs(1));
        }
    }

    /// Lines lost so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

struct WriterThread {
    target: LogTarget,
    sink: Sink,
    orders: Receiver<Order>,
    lost: Arc<AtomicU64>,
}

impl WriterThread {
    /// Until nobody can hand over anything more. Lines that are ready go in one write.
    fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut lines = 0;
        while let Ok(order) = self.orders.recv() {
            let mut next = Some(order);
            while let Some(order) = next {
                match order {
                    Order::Line(line) => {
                        batch.extend_from_slice(&line);
                        lines += 1;
                    }
                    Order::Reopen => {
                        self.write_out(&mut batch, &mut lines);
                        self.reopen();
                    }
                    Order::Flush(done) => {
                        self.write_out(&mut batch, &mut lines);
                        let _ = done.send(());
                    }
                }
                next = if batch.len() < BATCH { self.orders.try_recv().ok() } else { None };
            }
            self.write_out(&mut batch, &mut lines);
        }
    }

    fn write_out(&mut self, batch: &mut Vec<u8>, lines: &mut u64) {
        if !batch.is_empty() && self.sink.write_all(batch).is_err() {
            self.lost.fetch_add(*lines, Ordering::Relaxed);
        }
        batch.clear();
        *lines = 0;
    }

    fn reopen(&mut self) {
        match Sink::open(&self.target) {
            Ok(sink) => self.sink = sink,
            Err(error) => {
                tracing::error!(target = ?self.target, %error, "cannot open the access log again, going on with the old file")
            }
        }
    }
}

enum Sink {
    Stdout,
    Stderr,
    File(File),
}

impl Sink {
    fn open(target: &LogTarget) -> io::Result<Self> {
        match target {
            LogTarget::Stdout => Ok(Self::Stdout),
            LogTarget::Stderr => Ok(Self::Stderr),
            LogTarget::File(path) => {
                OpenOptions::new().create(true).append(true).open(path).map(Self::File)
            }
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()
            }
            Self::Stderr => io::stderr().write_all(bytes),
            Self::File(file) => file.write_all(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_to_the_file_and_a_reopened_log_to_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let writer = LogWriter::start(LogTarget::File(path.clone())).unwrap();
        writer.write(b"one\n".to_vec());
        writer.flush();
        std::fs::rename(&path, folder.path().join("access.log.1")).unwrap();
        writer.reopen();
        writer.write(b"two\n".to_vec());
        writer.flush();
        assert_eq!(std::fs::read(folder.path().join("access.log.1")).unwrap(), b"one\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"two\n");
    }

    #[test]
    fn a_full_disk_drops_lines_and_counts_them() {
        let writer = LogWriter::start(LogTarget::File("/dev/full".into())).unwrap();
        writer.write(b"lost\n".to_vec());
        writer.flush();
        assert_eq!(writer.dropped(), 1);
    }

    #[test]
    fn a_log_that_cannot_be_opened_is_an_error() {
        assert!(LogWriter::start(LogTarget::File("/nowhere/access.log".into())).is_err());
    }
}
