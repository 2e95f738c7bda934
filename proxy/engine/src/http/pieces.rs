//! Files as pieces in memory, for streams that cannot be given a file: TLS and HTTP/2.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::vec;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use rustix::io::ReadWriteFlags;
use switchback_files::Part;

use super::streamed::Streamed;

/// What is read at a time.
const PIECE: usize = 64 * 1024;

/// The parts of a file, one piece after the other.
pub(crate) struct Pieces {
    /// `None` where all parts are in memory already.
    file: Option<Arc<File>>,
    parts: vec::IntoIter<Part>,
    range: Range<u64>,
    /// All there is, where it is no file.
    streamed: Option<Box<Streamed>>,
}

impl Pieces {
    /// `parts` of `file`, in their order.
    pub(crate) fn new(file: Arc<File>, parts: Vec<Part>) -> Self {
        Self { file: Some(file), parts: parts.into_iter(), range: 0..0, streamed: None }
    }

    /// What is in memory already.
    pub(crate) fn of(bytes: Bytes) -> Self {
        let parts = vec![Part::Bytes(bytes)].into_iter();
        Self { file: None, parts, range: 0..0, streamed: None }
    }

    /// What comes piece by piece.
    pub(crate) fn streamed(streamed: Box<Streamed>) -> Self {
        Self { file: None, parts: Vec::new().into_iter(), range: 0..0, streamed: Some(streamed) }
    }

    /// Whether nobody else reads them: none is wanted when their client has left.
    pub(crate) fn are_for_one(&self) -> bool {
        self.streamed.as_ref().is_some_and(|streamed| streamed.is_for_one())
    }

    /// The next piece; `None` after the last.
    ///
    /// # Errors
    /// The file cannot be read, or has become shorter meanwhile.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(streamed) = &mut self.streamed {
            return streamed.next().await;
        }
        while self.range.is_empty() {
            match self.parts.next() {
                Some(Part::Bytes(bytes)) => return Ok(Some(bytes)),
                Some(Part::Range(range)) => self.range = range,
                None => return Ok(None),
            }
        }
        let Some(file) = &self.file else { return Ok(None) };
        let piece = read(file, &self.range).await?;
        self.range.start += piece.len() as u64;
        Ok(Some(piece))
    }

    /// What follows them, to be asked for after the last.
    pub(crate) fn trailers(&self) -> Option<HeaderMap> {
        self.streamed.as_ref()?.trailers()
    }
}

/// The beginning of `range`.
async fn read(file: &Arc<File>, range: &Range<u64>) -> io::Result<Bytes> {
    let left = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    let mut piece = BytesMut::zeroed(left.min(PIECE));
    let read = match read_cached(file, &mut piece, range.start) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return read_from_disk(Arc::clone(file), piece, range.start).await;
        }
        Err(error) => return Err(error),
    };
    cut(piece, read)
}

/// Reads what lies in memory already, without waiting for a disk.
fn read_cached(file: &File, piece: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut slices = [IoSliceMut::new(piece)];
    match rustix::io::preadv2(file, &mut slices, offset, ReadWriteFlags::NOWAIT) {
        Ok(read) => Ok(read),
        // Some file systems know nothing of not waiting.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.read_at(piece, offset),
        Err(error) => Err(error.into()),
    }
}

/// A worker never waits for a disk: others have requests on it.
async fn read_from_disk(file: Arc<File>, mut piece: BytesMut, offset: u64) -> io::Result<Bytes> {
    let reading = tokio::task::spawn_blocking(move || {
        let read = file.read_at(&mut piece, offset)?;
        cut(piece, read)
    });
    reading.await.map_err(io::Error::other)?
}

fn cut(mut piece: BytesMut, read: usize) -> io::Result<Bytes> {
    if read == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter"));
    }
    piece.truncate(read);
    Ok(piece.freeze())
}

/// What is sent without a look whether it lies in memory: the kernel reads that much ahead at once, so a cold small file holds
/// its worker for one read, as its look-up does. The look would be one of nine system calls for such a file.
const SMALL: u64 = 128 * 1024;

/// Sees to it that `range` lies in memory, at least its beginning.
pub(crate) async fn into_memory(file: &Arc<File>, range: &Range<u64>) -> io::Result<()> {
    if range.end - range.start <= SMALL {
        return Ok(());
    }
    let mut first = [0];
    match read_cached(file, &mut first, range.start) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        other => return other.map(drop),
    }
    let (file, range) = (Arc::clone(file), range.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let mut piece = vec![0; PIECE];
        let mut at = range.start;
        while at < range.end {
            match file.read_at(&mut piece, at)? {
                0 => break,
                read => at += read as u64,
            }
        }
        Ok(())
    });
    reading.await.map_err(io::Error::other)?
}
