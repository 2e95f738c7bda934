//! The one writer of a log target: a thread that takes lines from the queue and writes them.
//!
//! What fails is tried again, later and later; meanwhile lines wait in the queue for as long as there is room.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use switchback_conf::plan::{LogTarget, RotatePlan};

use super::queue::{Losses, Queue};
use super::rotate::{self, Rotation};
use super::sink::{self, Piece, Sink};
use super::trouble::Trouble;

/// Writes the lines of a target, shared by everybody who names it.
#[derive(Debug)]
pub struct LogWriter {
    queue: Arc<Queue>,
    rotation: Arc<Rotation>,
    is_absent: bool,
}

impl LogWriter {
    /// Opens `target` and starts its thread, which ends when the writer is dropped. What is lost is counted in `losses`.
    ///
    /// A FIFO that nobody reads yet, and the socket of a syslog that is being started, are opened later.
    ///
    /// # Errors
    /// The target cannot be opened, or the thread not started.
    pub fn start(target: LogTarget, losses: Arc<Losses>) -> io::Result<Self> {
        let sink = match Sink::open(&target) {
            Ok(sink) => Some(sink),
            Err(error) if sink::is_absent(&error) => None,
            Err(error) => return Err(error),
        };
        let is_absent = sink.is_none();
        let queue = Arc::new(Queue::new(Arc::clone(&losses)));
        let rotation = Arc::new(Rotation::default());
        let thread = Thread {
            target,
            file: sink.as_ref().and_then(Sink::identity),
            sink,
            queue: Arc::clone(&queue),
            rotation: Arc::clone(&rotation),
            losses,
            hand: Vec::new(),
            done: 0,
            trouble: Trouble::default(),
        };
        std::thread::Builder::new().name("log-writer".into()).spawn(move || thread.run())?;
        Ok(Self { queue, rotation, is_absent })
    }

    /// Hands over a line, newline included. When the queue is full the line is dropped, and counted.
    pub fn write(&self, line: &[u8]) {
        self.queue.push(line);
    }

    /// Has the target opened again, after a rotation by somebody else. A [`flush`](Self::flush) waits for it.
    pub fn reopen(&self) {
        self.queue.reopen();
    }

    /// Waits until everything handed over so far is written, if it can be; at most a second.
    pub fn flush(&self) {
        self.queue.flush();
    }

    /// Has the file put aside as `plan` says from now on.
    pub(crate) fn rotate_by(&self, plan: Option<RotatePlan>) {
        self.rotation.set(plan);
    }

    /// Whether nobody listened at the target when it was opened first.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.is_absent
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.queue.close();
    }
}

struct Thread {
    target: LogTarget,
    /// `None` while it cannot be opened.
    sink: Option<Sink>,
    /// The file that was written last.
    file: Option<(u64, u64)>,
    queue: Arc<Queue>,
    rotation: Arc<Rotation>,
    losses: Arc<Losses>,
    /// Lines taken from the queue.
    hand: Vec<u8>,
    /// So many bytes of them are written.
    done: usize,
    trouble: Trouble,
}

/// How far the hand was emptied.
enum Progress {
    Done,
    /// The target takes nothing at present.
    Blocked,
    Failed(io::Error),
}

/// How long what is in hand may take once nobody hands over anything more.
const LAST: Duration = Duration::from_secs(1);

impl Thread {
    /// Until nobody can hand over anything more.
    fn run(mut self) {
        let mut closed_at = None;
        loop {
            let orders = self.queue.wait(&mut self.hand, self.trouble.next_try());
            self.trouble.refused(&self.target, orders.refused);
            if orders.reopen && self.trouble.is_stuck() {
                self.reopen();
            }
            let is_settled = self.write_out();
            if orders.reopen && !self.trouble.is_stuck() {
                self.reopen();
            }
            if is_settled {
                self.queue.flushed(orders);
            }
            if orders.closed {
                let closed_at = *closed_at.get_or_insert_with(Instant::now);
                if self.hand.is_empty() || self.trouble.is_failing() || closed_at.elapsed() > LAST {
                    break;
                }
            }
        }
        let rest = self.hand.get(self.done..).unwrap_or_default();
        self.losses.lose(memchr::memchr_iter(b'\n', rest).count() as u64);
    }

    /// Whether what was handed over is written, or known not to go: nobody need wait for that.
    fn write_out(&mut self) -> bool {
        match self.empty_hand() {
            Progress::Done => {
                self.hand.clear();
                self.done = 0;
                self.trouble.over(&self.target);
                true
            }
            Progress::Blocked => {
                self.trouble.blocked();
                false
            }
            Progress::Failed(error) => {
                self.losses.fail();
                self.trouble.failed(&self.target, &error);
                self.sink = None;
                true
            }
        }
    }

    fn empty_hand(&mut self) -> Progress {
        while self.done < self.hand.len() {
            if self.sink.is_none()
                && let Err(error) = self.open()
            {
                return Progress::Failed(error);
            }
            let most = self.room();
            let Some(sink) = &mut self.sink else { return Progress::Blocked };
            let rest = self.hand.get(self.done..).unwrap_or_default();
            match sink.write(rest, most) {
                Ok(Piece::Written(0)) => return Progress::Failed(io::ErrorKind::WriteZero.into()),
                Ok(Piece::Written(bytes)) => self.done += bytes,
                Ok(Piece::TooLong(bytes)) => {
                    self.losses.lose(1);
                    self.done += bytes;
                }
                Ok(Piece::Blocked) => return Progress::Blocked,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Progress::Failed(error),
            }
        }
        Progress::Done
    }

    /// So many bytes may be written before the file must be put aside; puts it aside if the next line has no room.
    fn room(&mut self) -> usize {
        let (Some(Sink::Regular { length, .. }), Some(plan)) = (&self.sink, self.rotation.plan())
        else {
            return usize::MAX;
        };
        let rest = self.hand.get(self.done..).unwrap_or_default();
        let next = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1) as u64;
        let is_mid_line = self.done > 0 && self.hand.get(self.done - 1) != Some(&b'\n');
        let mut room = plan.size.saturating_sub(*length);
        if next > room && *length > 0 && !is_mid_line {
            self.put_aside(plan);
            room = plan.size;
        }
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    fn put_aside(&mut self, plan: RotatePlan) {
        let LogTarget::File(path) = &self.target else { return };
        let put_aside = rotate::put_aside(path, plan.keep).and_then(|()| Sink::open(&self.target));
        match put_aside {
            Ok(sink) => {
                self.file = sink.identity();
                self.sink = Some(sink);
                self.trouble.rotated();
            }
            Err(error) => {
                self.trouble.not_rotated(&self.target, &error);
                // Goes on in the same file, and tries again when as much has been written once more.
                if let Some(Sink::Regular { length, .. }) = &mut self.sink {
                    *length = 0;
                }
            }
        }
    }

    /// Opens the target again. If that fails, goes on with what is open.
    fn reopen(&mut self) {
        if let Err(error) = self.open() {
            self.losses.fail();
            let target = &self.target;
            tracing::error!(%target, %error, "cannot open the log again");
        }
    }

    fn open(&mut self) -> io::Result<()> {
        let sink = Sink::open(&self.target)?;
        let file = sink.identity();
        if file.is_none() || std::mem::replace(&mut self.file, file) != file {
            // Half a line went to somebody else: the whole of it goes here.
            let written = self.hand.get(..self.done).unwrap_or_default();
            self.done = memchr::memrchr(b'\n', written).map_or(0, |end| end + 1);
        }
        self.sink = Some(sink);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::super::queue::MOST_WAITING;
    use super::*;

    fn start(path: &Path) -> (LogWriter, Arc<Losses>) {
        let losses = Arc::new(Losses::default());
        let writer = LogWriter::start(LogTarget::File(path.into()), Arc::clone(&losses)).unwrap();
        (writer, losses)
    }

    fn eventually(holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(Instant::now() < deadline, "waited in vain");
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    fn make_fifo(path: &Path) {
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, path, mode).unwrap();
    }

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn lines_go_to_the_file_and_a_reopened_log_to_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
        let (writer, _) = start(&path);
        writer.write(b"one\n");
        writer.flush();
        std::fs::rename(&path, &old).unwrap();
        writer.reopen();
        writer.flush();
        assert!(path.exists(), "the flush waited for it");
        writer.write(b"two\n");
        writer.flush();
        assert_eq!((read(&old), read(&path)), ("one\n".into(), "two\n".into()));
    }

    #[test]
    fn a_full_disk_keeps_lines_until_there_is_room_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        symlink("/dev/full", &path).unwrap();
        let (writer, losses) = start(&path);
        writer.write(b"one\n");
        writer.flush();
        assert!(losses.failures() > 0);
        std::fs::remove_file(&path).unwrap();
        writer.write(b"two\n");
        eventually(|| read(&path) == "one\ntwo\n");
        assert_eq!(losses.lines(), 0);
    }

    #[test]
    fn what_cannot_be_written_to_the_end_is_counted() {
        let (writer, losses) = start(Path::new("/dev/full"));
        writer.write(b"one\n");
        writer.write(b"two\n");
        drop(writer);
        eventually(|| losses.lines() == 2);
    }

    #[test]
    fn lines_beyond_the_room_of_the_queue_are_counted() {
        let (writer, losses) = start(Path::new("/dev/full"));
        let line = [b"x".repeat(MOST_WAITING / 8 - 1), b"\n".to_vec()].concat();
        writer.write(b"first\n");
        writer.flush();
        for _ in 0..10 {
            writer.write(&line);
        }
        assert_eq!(losses.lines(), 2);
    }

    #[test]
    fn a_fifo_without_reader_is_opened_once_it_has_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        make_fifo(&path);
        let (writer, _) = start(&path);
        assert!(writer.is_absent());
        writer.write(b"one\n");
        let mut text = [0; 4];
        std::fs::File::open(&path).unwrap().read_exact(&mut text).unwrap();
        assert_eq!(&text, b"one\n");
    }

    #[test]
    fn a_file_is_put_aside_before_it_is_too_large_and_no_line_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (writer, _) = start(&path);
        writer.rotate_by(Some(RotatePlan { size: 10, keep: 2 }));
        for line in ["1111\n", "2222\n", "3333\n", "longer than ten\n", "5\n"] {
            writer.write(line.as_bytes());
        }
        writer.flush();
        assert_eq!(read(&path), "5\n");
        assert_eq!(read(&folder.path().join("log.1")), "longer than ten\n");
        assert_eq!(read(&folder.path().join("log.2")), "3333\n");
        assert!(!folder.path().join("log.3").exists());
    }

    #[test]
    fn a_file_that_cannot_be_put_aside_is_written_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::create_dir(folder.path().join("log.1")).unwrap();
        let (writer, losses) = start(&path);
        writer.rotate_by(Some(RotatePlan { size: 5, keep: 1 }));
        for line in ["1111\n", "2222\n", "3333\n"] {
            writer.write(line.as_bytes());
        }
        writer.flush();
        assert_eq!((read(&path), losses.lines()), ("1111\n2222\n3333\n".into(), 0));
    }

    #[test]
    fn a_fifo_whose_reader_leaves_waits_for_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        make_fifo(&path);
        let (writer, losses) = start(&path);
        writer.write(b"one\n");
        let read_line = |file: &mut std::fs::File| {
            let mut text = [0; 4];
            file.read_exact(&mut text).unwrap();
            text
        };
        let mut reader = std::fs::File::open(&path).unwrap();
        assert_eq!(&read_line(&mut reader), b"one\n");
        drop(reader);
        let before = losses.failures();
        writer.write(b"two\n");
        eventually(|| losses.failures() > before);
        let mut reader = std::fs::File::open(&path).unwrap();
        assert_eq!(&read_line(&mut reader), b"two\n");
        assert_eq!(losses.lines(), 0);
    }

    #[test]
    fn a_line_that_no_syslog_can_take_is_lost_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.sock");
        let syslog = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        syslog.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let losses = Arc::new(Losses::default());
        let target = LogTarget::Syslog(switchback_conf::plan::SyslogAddress::Unix(path));
        let writer = LogWriter::start(target, Arc::clone(&losses)).unwrap();
        writer.write(&[b"x".repeat(4 * 1024 * 1024), b"\n".to_vec()].concat());
        writer.write(b"short\n");
        let mut datagram = [0; 16];
        let length = syslog.recv(&mut datagram).unwrap();
        assert_eq!((&datagram[..length], losses.lines()), (&b"short"[..], 1));
    }

    #[test]
    fn half_a_line_is_completed_in_its_own_file_and_repeated_in_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let target = LogTarget::File(path.clone());
        let sink = Sink::open(&target).unwrap();
        let losses = Arc::new(Losses::default());
        let mut thread = Thread {
            file: sink.identity(),
            target,
            sink: None,
            queue: Arc::new(Queue::new(Arc::clone(&losses))),
            rotation: Arc::default(),
            losses,
            hand: b"one\ntwo\n".to_vec(),
            done: 6,
            trouble: Trouble::default(),
        };
        thread.open().unwrap();
        assert_eq!(thread.done, 6);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(folder.path().join("other"), "").unwrap();
        thread.open().unwrap();
        assert_eq!(thread.done, 4);
    }

    #[test]
    fn a_log_that_cannot_be_opened_is_an_error() {
        for path in ["/nowhere/access.log", "/dev"] {
            let target = LogTarget::File(path.into());
            assert!(LogWriter::start(target, Arc::default()).is_err());
        }
    }
}
