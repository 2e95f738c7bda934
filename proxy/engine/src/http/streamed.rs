//! Bodies that are not whole in one place: on their way, or stored in pieces.

use std::io;
use std::ops::Range;
use std::time::Duration;
use std::vec;

use bytes::Bytes;
use http::HeaderMap;
use switchback_cache::disk::DiskBody;
use switchback_cache::fill::{Broken, Outcome};
use switchback_cache::{Body, Entry, serve};
use switchback_representation::Part;
use tokio::time::timeout;

use super::cache::Reader;
use super::cache::slices::Sliced;
use super::encode::Coded;

/// How long a disk may take for a piece; then its client is cut.
const DISK_PATIENCE: Duration = Duration::from_secs(30);

/// A body that comes piece by piece.
#[derive(Debug)]
pub(crate) struct Streamed {
    source: Source,
    length: Option<u64>,
    /// Whether it comes for this reader alone, and ends with it.
    is_for_one: bool,
}

#[derive(Debug)]
enum Source {
    Pieces(vec::IntoIter<Bytes>),
    Arriving(Reader),
    Parts(Parts),
    Coded(Box<Coded>),
}

/// Parts of something larger.
#[derive(Debug)]
struct Parts {
    of: Larger,
    parts: vec::IntoIter<Part>,
    /// What is left of the range in hand.
    range: Range<u64>,
}

/// What parts are taken of.
#[derive(Debug)]
pub(crate) enum Larger {
    /// What is on its way; ranges are in order and do not overlap.
    Arriving(Reader),
    /// What is in memory, in pieces.
    InMemory(Box<[Bytes]>),
    /// What lies on disk.
    OnDisk(DiskBody),
    /// What is stored in parts.
    Parts(Box<serve::Parts>),
    /// What is stored slice by slice.
    Sliced(Box<Sliced>),
}

impl Streamed {
    /// Of pieces that are at hand.
    pub(crate) fn pieces(pieces: Vec<Bytes>) -> Self {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { source: Source::Pieces(pieces.into_iter()), length: Some(length), is_for_one: false }
    }

    /// On its way, with its length where that is known.
    pub(crate) fn arriving(reader: Reader, length: Option<u64>) -> Self {
        let is_for_one = is_for_one(&reader);
        Self { source: Source::Arriving(reader), length, is_for_one }
    }

    /// Parts of something, together of this length.
    pub(crate) fn parts(of: Larger, parts: Vec<Part>, length: u64) -> Self {
        let is_for_one = matches!(&of, Larger::Arriving(reader) if is_for_one(reader));
        let parts = Parts { of, parts: parts.into_iter(), range: 0..0 };
        Self { source: Source::Parts(parts), length: Some(length), is_for_one }
    }

    /// What comes out of a coder.
    pub(crate) fn coded(coded: Coded) -> Self {
        let is_for_one = coded.is_for_one();
        Self { source: Source::Coded(Box::new(coded)), length: None, is_for_one }
    }

    /// How many bytes there are in all, where that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether its next piece may be long in coming: an origin sends it, and not a disk or the memory.
    pub(crate) fn is_arriving(&self) -> bool {
        match &self.source {
            Source::Arriving(_) | Source::Coded(_) => true,
            Source::Parts(parts) => matches!(parts.of, Larger::Arriving(_) | Larger::Sliced(_)),
            Source::Pieces(_) => false,
        }
    }

    /// Whether nobody else reads it: nothing of it is wanted when its client has left.
    pub(crate) fn is_for_one(&self) -> bool {
        self.is_for_one
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// There should be more, and is not: whoever was sent a part must see that it is one.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match &mut self.source {
            Source::Pieces(pieces) => Ok(pieces.next()),
            Source::Arriving(reader) => reader.next().await.map_err(cut),
            Source::Parts(parts) => parts.next().await,
            Source::Coded(coded) => coded.next().await,
        }
    }

    /// What follows a body that was on its way, to be asked for at its end.
    pub(crate) fn trailers(&self) -> Option<HeaderMap> {
        match &self.source {
            Source::Arriving(reader) => reader.trailers(),
            Source::Coded(coded) => coded.trailers(),
            Source::Pieces(_) | Source::Parts(_) => None,
        }
    }
}

impl Parts {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while self.range.is_empty() {
            match self.parts.next() {
                Some(Part::Bytes(bytes)) => return Ok(Some(bytes)),
                Some(Part::Range(next)) => self.range = next,
                None => return Ok(None),
            }
        }
        let mut piece = self.of.read(&self.range).await?;
        if piece.is_empty() {
            return Err(cut(Broken));
        }
        piece.truncate(length(&self.range));
        self.range.start += piece.len() as u64;
        Ok(Some(piece))
    }
}

impl Larger {
    /// What is stored.
    pub(crate) fn of(entry: &Entry) -> Self {
        match &entry.body {
            Body::Memory(pieces) => Self::InMemory(pieces.clone()),
            Body::Disk(body) => Self::OnDisk(body.clone()),
        }
    }

    /// What is there next of this range, and perhaps of what follows it; nothing at the end.
    pub(crate) async fn read(&mut self, range: &Range<u64>) -> io::Result<Bytes> {
        match self {
            Self::Arriving(reader) => {
                reader.skip_to(range.start);
                Ok(reader.next().await.map_err(cut)?.unwrap_or_default())
            }
            Self::InMemory(pieces) => {
                Ok(serve::slices(pieces, range.clone()).next().unwrap_or_default())
            }
            Self::OnDisk(body) => {
                let reading = body.read(range.start, length(range));
                timeout(DISK_PATIENCE, reading).await?.map_err(cut)
            }
            Self::Parts(parts) => Ok(parts.bytes(range.clone()).next().unwrap_or_default()),
            Self::Sliced(sliced) => Box::pin(sliced.read(range)).await,
        }
    }
}

/// Whether what arrives is not stored.
fn is_for_one(reader: &Reader) -> bool {
    matches!(reader.known(), Some(Outcome::Arrived(arrived)) if arrived.stored.is_none())
}

fn length(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).unwrap_or(usize::MAX)
}

/// What was to come does not: the client must see that.
pub(crate) fn cut(why: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, why)
}
