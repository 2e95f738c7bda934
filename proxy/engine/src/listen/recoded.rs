//! An answer over HTTP/1 whose body is decoded, or coded anew, as its client takes it: what Pingora writes goes in, and what leaves
//! comes out, a portion at a time.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Version;
use memchr::memmem;
use tokio::io::AsyncWrite;

use super::chunked::{ChunkedScan, Malformed, Scanned};
use crate::http::encode::{Drawn, Step};

/// One such answer. Pingora frames it in chunks whoever the client is, so that its end is seen here.
#[derive(Debug)]
pub(crate) struct Recoded {
    drawn: Box<Drawn>,
    ending: Ending,
    /// As much of a head as has come; `None` behind the last one.
    head: Option<Vec<u8>>,
    scan: ChunkedScan,
    /// What is on its way to the client, framed as that reads it.
    out: Vec<u8>,
    /// How much of it is out.
    at: usize,
    /// How much of it is body.
    portion: usize,
    /// Whether there is more inside.
    has_more: bool,
    /// Whether others should have their turn first.
    has_worked: bool,
    /// How far the answer has got.
    state: State,
    /// Bytes of the body that are out.
    sent: u64,
}

/// How the client is told of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// By a last chunk.
    Chunk,
    /// By the end of the connection: HTTP/1.0 knows nothing else.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Broken,
    Whole,
}

/// Room for the size of a chunk before it: eight digits, and the end of their line.
const SIZE: usize = 10;

impl Recoded {
    /// An answer whose head is still to come, for a client that speaks `version`.
    pub(crate) fn new(drawn: Box<Drawn>, version: Version) -> Self {
        Self {
            drawn,
            ending: if version < Version::HTTP_11 { Ending::Close } else { Ending::Chunk },
            head: Some(Vec::new()),
            scan: ChunkedScan::default(),
            out: Vec::new(),
            at: 0,
            portion: 0,
            has_more: false,
            has_worked: false,
            state: State::Open,
            sent: 0,
        }
    }

    /// Bytes of the body that are out.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether the connection ends with this answer.
    pub(crate) fn closes(&self) -> bool {
        self.ending == Ending::Close || self.state != State::Whole
    }

    /// Whether its client would take a part of it for the whole if the connection ended as usual.
    pub(crate) fn is_cut(&self) -> bool {
        self.ending == Ending::Close && self.state != State::Whole && self.head.is_none()
    }

    /// Takes some of what Pingora writes, once all is out that there was before.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        mut to: Pin<&mut (impl AsyncWrite + ?Sized)>,
    ) -> Poll<io::Result<usize>> {
        while !bytes.is_empty() {
            ready!(self.poll_drain(cx, to.as_mut()))?;
            ready!(self.poll_turn(cx));
            let taken = self.take(bytes);
            let taken = self.checked(taken)?;
            if taken > 0 {
                return Poll::Ready(Ok(taken));
            }
        }
        Poll::Ready(Ok(0))
    }

    /// Ready when all is out that came of what was taken.
    pub(super) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        mut to: Pin<&mut (impl AsyncWrite + ?Sized)>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx, to.as_mut()))?;
        if self.head.is_none() && self.state == State::Open {
            self.begin();
            let flushed = self.drawn.flush(&mut self.out);
            self.checked(flushed)?;
            self.frame();
        }
        self.poll_out(cx, to)
    }

    fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        mut to: Pin<&mut (impl AsyncWrite + ?Sized)>,
    ) -> Poll<io::Result<()>> {
        if self.state == State::Broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        loop {
            ready!(self.poll_out(cx, to.as_mut()))?;
            if !self.has_more {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_turn(cx));
            let drawn = self.draw(&mut &b""[..]);
            self.checked(drawn)?;
        }
    }

    fn poll_out(
        &mut self,
        cx: &mut Context<'_>,
        mut to: Pin<&mut (impl AsyncWrite + ?Sized)>,
    ) -> Poll<io::Result<()>> {
        while let Some(left) = self.out.get(self.at..).filter(|left| !left.is_empty()) {
            let written = ready!(to.as_mut().poll_write(cx, left))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.at += written;
        }
        self.sent += std::mem::take(&mut self.portion) as u64;
        Poll::Ready(Ok(()))
    }

    /// Lets others have their turn between two portions.
    fn poll_turn(&mut self, cx: &Context<'_>) -> Poll<()> {
        if !std::mem::take(&mut self.has_worked) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.head.is_some() {
            return Ok(self.take_head(bytes));
        }
        let left = usize::try_from(self.scan.data_left()).unwrap_or(usize::MAX);
        if left == 0 {
            return self.take_framing(bytes);
        }
        let (piece, _) = bytes.split_at(left.min(bytes.len()));
        let mut rest = piece;
        self.draw(&mut rest)?;
        let taken = piece.len() - rest.len();
        self.scan.scan(piece.get(..taken).unwrap_or_default()).map_err(malformed)?;
        Ok(taken)
    }

    /// Heads pass, up to the one that the body follows.
    fn take_head(&mut self, bytes: &[u8]) -> usize {
        const END: &[u8] = b"\r\n\r\n";
        let head = self.head.get_or_insert_default();
        let before = head.len();
        head.extend_from_slice(bytes);
        let from = before.saturating_sub(END.len());
        let Some(end) = head.get(from..).and_then(|new| memmem::find(new, END)) else {
            return bytes.len();
        };
        let end = from + end + END.len();
        head.truncate(end);
        let whole = self.head.take().unwrap_or_default();
        let is_interim = whole.get(9) == Some(&b'1');
        self.head = is_interim.then(Vec::new);
        self.at = 0;
        self.out = match self.ending {
            Ending::Close if !is_interim => closing(&whole),
            Ending::Chunk | Ending::Close => whole,
        };
        end - before
    }

    /// What stands between the pieces of the body.
    fn take_framing(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for (at, byte) in bytes.iter().enumerate() {
            match self.scan.scan(std::slice::from_ref(byte)).map_err(malformed)? {
                Scanned::End(_) => {
                    self.finish()?;
                    return Ok(at + 1);
                }
                Scanned::Open if self.scan.data_left() > 0 => return Ok(at + 1),
                Scanned::Open => {}
            }
        }
        Ok(bytes.len())
    }

    fn draw(&mut self, piece: &mut &[u8]) -> io::Result<()> {
        self.has_worked = true;
        self.begin();
        self.has_more = self.drawn.draw(piece, &mut self.out)? == Step::More;
        self.frame();
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.begin();
        self.drawn.finish(&mut self.out)?;
        self.frame();
        if self.ending == Ending::Chunk {
            self.out.extend_from_slice(b"0\r\n\r\n");
        }
        self.state = State::Whole;
        Ok(())
    }

    /// What is to leave next begins.
    fn begin(&mut self) {
        self.out.clear();
        self.out.resize(SIZE, 0);
        self.at = SIZE;
    }

    /// Puts what was appended since into a chunk, where the client reads such.
    fn frame(&mut self) {
        self.portion = self.out.len() - SIZE;
        if self.portion == 0 || self.ending == Ending::Close {
            return;
        }
        if let Some(mut size) = self.out.get_mut(..SIZE) {
            // A portion is far smaller than what eight digits say.
            let _ = write!(size, "{:08x}\r\n", self.portion);
            self.at = 0;
        }
        self.out.extend_from_slice(b"\r\n");
    }

    fn checked<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        if done.is_err() {
            self.state = State::Broken;
        }
        done
    }
}

/// The head of an answer that ends with the connection.
fn closing(head: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len());
    let lines = head.strip_suffix(b"\r\n\r\n").unwrap_or(head).split(|byte| *byte == b'\n');
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        if name.eq_ignore_ascii_case(b"transfer-encoding")
            || name.eq_ignore_ascii_case(b"connection")
        {
            continue;
        }
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"Connection: close\r\n\r\n");
    out
}

fn malformed(error: Malformed) -> io::Error {
    io::Error::other(error)
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use switchback_variant::{Coding, encode_whole};

    use super::*;
    use crate::http::encode::testing;

    /// A client that takes so much at a time, and then has to be waited for.
    struct Slow {
        came: Vec<u8>,
        at_once: usize,
        is_full: bool,
    }

    impl AsyncWrite for Slow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.is_full = !self.is_full;
            if self.is_full {
                return Poll::Pending;
            }
            let taken = bytes.len().min(self.at_once);
            self.came.extend_from_slice(bytes.get(..taken).unwrap_or_default());
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    const HEADS: &[u8] = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n";

    /// What Pingora writes of a body in chunks of this size.
    fn chunked(body: &[u8], size: usize) -> Vec<u8> {
        let mut wire = HEADS.to_vec();
        for chunk in body.chunks(size) {
            write!(wire, "{:X}\r\n", chunk.len()).unwrap();
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        wire
    }

    /// What a client gets of it that takes so much at a time, written in pieces of this size.
    fn written(
        recoded: &mut Recoded,
        wire: &[u8],
        (piece, at_once): (usize, usize),
    ) -> io::Result<Vec<u8>> {
        let mut client = Slow { came: Vec::new(), at_once, is_full: false };
        let mut cx = Context::from_waker(Waker::noop());
        for mut piece in wire.chunks(piece) {
            while !piece.is_empty() {
                if let Poll::Ready(taken) =
                    recoded.poll_write(&mut cx, piece, Pin::new(&mut client))
                {
                    piece = piece.get(taken?..).unwrap_or_default();
                }
            }
            while recoded.poll_flush(&mut cx, Pin::new(&mut client))?.is_pending() {}
        }
        Ok(client.came)
    }

    fn unchunked(mut wire: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let end = memmem::find(wire, b"\r\n").unwrap();
            let size = std::str::from_utf8(&wire[..end]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            wire = &wire[end + 2..];
            body.extend_from_slice(&wire[..size]);
            assert_eq!(&wire[size..size + 2], b"\r\n");
            wire = &wire[size + 2..];
            if size == 0 {
                assert_eq!(wire, b"");
                return body;
            }
        }
    }

    #[test]
    fn bodies_come_out_decoded_however_they_are_cut_and_taken() {
        let body = b"one line like the other\n".repeat(10_000);
        for coding in [Coding::Gzip, Coding::Br, Coding::Zstd] {
            let coded = encode_whole(coding, 1, &body, None).unwrap();
            for (chunk, piece, at_once) in [(1, 1, 70_000), (7, 100_000, 900), (100_000, 3, 70_000)]
            {
                let wire = chunked(&coded, chunk);
                let mut recoded = Recoded::new(testing::drawn(coding), Version::HTTP_11);
                let came = written(&mut recoded, &wire, (piece, at_once)).unwrap();
                assert!(unchunked(came.strip_prefix(HEADS).unwrap()) == body, "{coding:?}");
                assert!(!recoded.closes() && recoded.sent() == body.len() as u64);
                let mut recoded = Recoded::new(testing::drawn(coding), Version::HTTP_10);
                let came = written(&mut recoded, &wire, (piece, at_once)).unwrap();
                let head = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\n";
                assert!(came.strip_prefix(head).unwrap() == body, "{coding:?}");
                assert!(recoded.closes() && !recoded.is_cut());
            }
        }
    }

    #[test]
    fn what_breaks_has_no_end_and_what_never_began_is_empty() {
        let coded = encode_whole(Coding::Gzip, 1, &[7; 9_000], None).unwrap();
        for version in [Version::HTTP_10, Version::HTTP_11] {
            let mut recoded = Recoded::new(testing::drawn(Coding::Gzip), version);
            let wire = chunked(&coded[..coded.len() / 2], 10);
            assert!(written(&mut recoded, &wire, (100, 70_000)).is_err());
            assert!(recoded.closes() && recoded.is_cut() == (version == Version::HTTP_10));
            let mut recoded = Recoded::new(testing::drawn(Coding::Gzip), version);
            let came = written(&mut recoded, &chunked(b"", 1), (100, 70_000)).unwrap();
            assert_eq!(came.ends_with(b"\r\n\r\n0\r\n\r\n"), version == Version::HTTP_11);
            assert!(!recoded.is_cut());
        }
    }
}
