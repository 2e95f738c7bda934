//! The file of an entry that is not finished, for its writer and its readers.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;

use super::body::{Content, DiskBody, ReadError, Span};
use super::directory::{Birth, OwnFile, Temporary};
use super::format::{self, BLOCK, BodyFacts, Preamble, Record};
use super::health::{self, Action};
use super::name::Name;
use super::pool::Kind;
use super::tier::{Tier, count, read_at};
use super::writer::GivenUp;
use super::{ReadError as Error, Stored};
use crate::entry::Meta;

/// What is already written of an entry, for those who read it while it grows. A handle; it stays readable to what was written
/// when the writer is gone.
#[derive(Clone)]
pub struct Growing {
    output: Arc<Output>,
}

/// The file of an entry that is being written.
pub(super) struct Output {
    pub(super) tier: Arc<Tier>,
    name: Name,
    preamble: Preamble,
    begun: OnceLock<Begun>,
    /// Bytes of the body in the file, all of which `progress` has digests of.
    written: AtomicU64,
    progress: Mutex<Progress>,
    /// Held through a writing.
    temporary: Mutex<Option<Temporary>>,
}

/// The file, once there is one.
#[derive(Debug)]
struct Begun {
    file: Arc<File>,
    birth: Birth,
}

#[derive(Debug, Default)]
struct Progress {
    /// Of the blocks, the last of which may be a part of one as yet.
    digests: Vec<u64>,
    /// The bytes of the last block while it is a part.
    part: Vec<u8>,
}

impl Output {
    /// `None` for a head that is too large.
    pub(super) fn new(tier: &Arc<Tier>, meta: &Meta) -> Option<Self> {
        let mut head = Vec::new();
        let body = BodyFacts { length: 0, digest: 0 };
        Record { sequence: 0, body, meta: meta.clone() }.write(0, &mut head)?;
        Some(Self {
            tier: Arc::clone(tier),
            name: Name::of(meta),
            preamble: Preamble::for_record(head.len(), meta.body.number())?,
            begun: OnceLock::new(),
            written: AtomicU64::new(0),
            progress: Mutex::default(),
            temporary: Mutex::default(),
        })
    }

    /// Writes the next bytes of the body.
    pub(super) fn append(&self, pieces: &[Bytes]) -> Result<(), GivenUp> {
        let mut temporary = self.temporary.lock();
        let length: usize = pieces.iter().map(Bytes::len).sum();
        let head = u64::from(self.preamble.body_at);
        if !self.tier.make_room(head + length as u64) {
            count(&self.tier.counts.refused);
            return Err(GivenUp);
        }
        let Begun { file, .. } = self.begin(&mut temporary)?;
        let bytes = joined(pieces);
        let from = self.written.load(Ordering::Relaxed);
        self.noted(file.write_all_at(&bytes, head + from))?;
        self.progress.lock().add(&bytes);
        self.tier.unfinished.fetch_add(length as u64, Ordering::Relaxed);
        self.tier.counts.written.fetch_add(length as u64, Ordering::Relaxed);
        self.written.store(from + length as u64, Ordering::Release);
        Ok(())
    }

    /// Writes the rest, the digests and the head, and gives the file its name.
    pub(super) fn finish(self: &Arc<Self>, last: &[Bytes], meta: Meta) -> Result<Stored, GivenUp> {
        let is_begun = self.begun.get().is_some();
        let body = joined(last);
        let finished = if is_begun || body.len() as u64 > BLOCK {
            let appended = if body.is_empty() { Ok(()) } else { self.append(&[body]) };
            appended.and_then(|()| self.finish_large(meta))
        } else {
            self.finish_small(body, meta)
        };
        if finished.is_err() {
            self.abandon();
        }
        finished
    }

    /// All of it in one writing.
    fn finish_small(&self, body: Bytes, meta: Meta) -> Result<Stored, GivenUp> {
        let facts = BodyFacts { length: body.len() as u64, digest: format::digest(&body) };
        let length = self.preamble.body_at as usize + body.len();
        let mut temporary = self.temporary.lock();
        if !self.tier.make_room(length as u64) {
            count(&self.tier.counts.refused);
            return Err(GivenUp);
        }
        let Begun { file, birth } = self.begin(&mut temporary)?;
        let mut bytes = Vec::with_capacity(length);
        let record =
            self.write_head(Record { sequence: 0, body: facts, meta }, *birth, &mut bytes)?;
        bytes.extend_from_slice(&body);
        self.noted(file.write_all_at(&bytes, 0))?;
        self.tier.counts.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.publish(&mut temporary, bytes.len() as u64)?;
        Ok(Stored { meta: record.meta, body: DiskBody::in_memory(body) })
    }

    fn finish_large(&self, meta: Meta) -> Result<Stored, GivenUp> {
        let mut temporary = self.temporary.lock();
        let Begun { file, birth } = self.begin(&mut temporary)?;
        let length = self.written.load(Ordering::Relaxed);
        let digests: Box<[u64]> = self.progress.lock().digests.as_slice().into();
        let (digest, behind) = format::seal(&digests);
        let facts = BodyFacts { length, digest };
        self.noted(file.write_all_at(&behind, self.preamble.digests_at(facts)))?;
        let mut head = Vec::new();
        let record =
            self.write_head(Record { sequence: 0, body: facts, meta }, *birth, &mut head)?;
        self.noted(file.write_all_at(&head, 0))?;
        self.tier.counts.written.fetch_add((head.len() + behind.len()) as u64, Ordering::Relaxed);
        self.publish(&mut temporary, self.preamble.tail_at(facts, 0))?;
        let content = Content {
            tier: Arc::clone(&self.tier),
            name: self.name,
            file: Arc::clone(file),
            begins: u64::from(self.preamble.body_at),
            facts,
            digests: OnceLock::from(digests),
        };
        Ok(Stored { meta: record.meta, body: DiskBody::in_file(content) })
    }

    fn write_head(
        &self,
        record: Record,
        birth: Birth,
        out: &mut Vec<u8>,
    ) -> Result<Record, GivenUp> {
        self.preamble.write(birth, out);
        record.write(self.preamble.identity, out).ok_or(GivenUp)?;
        Ok(record)
    }

    fn publish(&self, temporary: &mut Option<Temporary>, length: u64) -> Result<(), GivenUp> {
        let Some(from) = *temporary else { return Err(GivenUp) };
        self.noted(self.tier.directory.publish(from, self.name))?;
        *temporary = None;
        let written = self.written.load(Ordering::Relaxed);
        self.tier.unfinished.fetch_sub(written, Ordering::Relaxed);
        self.tier.index.insert(self.name, length);
        self.tier.health.succeeded(Action::Write);
        count(&self.tier.counts.stored);
        self.supersede();
        let most = self.tier.limits().variants.max(1);
        while let Some(surplus) = self.tier.index.surplus_variant(self.name, most) {
            self.tier.discard(surplus);
        }
        Ok(())
    }

    /// What has no variants takes the place of all that has, and the other way round: what is newer is right.
    fn supersede(&self) {
        let plain = Name { variant: 0, ..self.name };
        if self.name != plain {
            let index = &self.tier.index;
            let is_there = index.find(plain.key).contains(&plain);
            if is_there || !index.is_known(plain.key.shard()) {
                self.tier.discard(plain);
            }
            return;
        }
        for other in self.tier.index.find(plain.key).into_iter().filter(|name| *name != plain) {
            self.tier.discard(other);
        }
    }

    /// Nobody goes on writing: the name goes, and the file with its last reader.
    pub(super) fn abandon(&self) {
        let Some(temporary) = self.temporary.lock().take() else { return };
        let written = self.written.load(Ordering::Relaxed);
        self.tier.unfinished.fetch_sub(written, Ordering::Relaxed);
        let shard = self.name.key.shard();
        self.tier.noted(Action::Write, self.tier.directory.remove_temporary(shard, temporary));
    }

    /// The file, which is made for the first bytes.
    fn begin(&self, temporary: &mut Option<Temporary>) -> Result<&Begun, GivenUp> {
        if let Some(begun) = self.begun.get() {
            return Ok(begun);
        }
        let (name, OwnFile { file, birth, .. }) =
            self.noted(self.tier.directory.create(self.name.key.shard()))?;
        *temporary = Some(name);
        Ok(self.begun.get_or_init(|| Begun { file: Arc::new(file), birth }))
    }

    fn noted<T>(&self, result: std::io::Result<T>) -> Result<T, GivenUp> {
        if result.as_ref().is_err_and(health::is_full) {
            // Others filled the file system: some of what is ours may go, for the next one.
            self.tier.bell.ring();
        }
        self.tier.noted(Action::Write, result).ok_or(GivenUp)
    }

    fn read(&self, offset: u64, most: usize) -> Result<Bytes, ReadError> {
        let (span, digests) = {
            let progress = self.progress.lock();
            let written = self.written.load(Ordering::Acquire);
            let span = Span::of(offset, most, written);
            let Some(span) = span else { return Ok(Bytes::new()) };
            let blocks = span.length().div_ceil(BLOCK as usize);
            let digests = progress.digests.iter().skip(span.first_block()).take(blocks);
            (span, digests.copied().collect::<Vec<_>>())
        };
        let Begun { file, .. } = self.begun.get().ok_or(Error::Failed)?;
        let begins = u64::from(self.preamble.body_at) + span.begins;
        let bytes = read_at(file, begins, span.length());
        let bytes = self.tier.noted(Action::Read, bytes).ok_or(Error::Failed)?;
        span.verified(bytes, &digests).ok_or(Error::Corrupt)
    }
}

impl Progress {
    fn add(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = BLOCK as usize - self.part.len();
            let (next, after) = rest.split_at(room.min(rest.len()));
            rest = after;
            if !self.part.is_empty() {
                self.digests.pop();
            }
            if self.part.is_empty() && next.len() == BLOCK as usize {
                self.digests.push(format::digest(next));
                continue;
            }
            self.part.extend_from_slice(next);
            self.digests.push(format::digest(&self.part));
            if self.part.len() == BLOCK as usize {
                self.part.clear();
            }
        }
    }
}

impl Growing {
    pub(super) fn of(output: &Arc<Output>) -> Self {
        Self { output: Arc::clone(output) }
    }

    /// How much can be read by now; only grows.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.output.written.load(Ordering::Acquire)
    }

    /// The next piece from `offset` on, as [`DiskBody::read`] gives it, of what is written by now; empty where nothing is yet.
    ///
    /// # Errors
    /// When it cannot be read as it was written.
    pub async fn read(&self, offset: u64, most: usize) -> Result<Bytes, ReadError> {
        if offset >= self.written() {
            return Ok(Bytes::new());
        }
        let output = Arc::clone(&self.output);
        let read = self.output.tier.pool.run(Kind::Read, move || output.read(offset, most));
        read.await.unwrap_or(Err(ReadError::Failed))
    }
}

impl std::fmt::Debug for Growing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Growing({} bytes)", self.written())
    }
}

fn joined(pieces: &[Bytes]) -> Bytes {
    match pieces {
        [one] => one.clone(),
        many => many.concat().into(),
    }
}
