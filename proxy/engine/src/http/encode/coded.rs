//! A body that is encoded or decoded as it is asked for.

use std::io;
use std::pin::Pin;

use bytes::{Buf, Bytes};
use futures::FutureExt;
use http::HeaderMap;

use super::coder::{Coder, Failed, Step};
use crate::http::pieces::Pieces;

/// What comes out of a coder, piece by piece.
///
/// What its source has given is out before it waits for more. Nothing is lost where asking for the next piece is given up.
pub(crate) struct Coded {
    source: Pieces,
    /// Whether the source may have to wait for an origin.
    waits: bool,
    coder: Coder,
    /// What is left of the piece in hand.
    piece: Bytes,
    /// Whether the coder has not taken all of that.
    has_more: bool,
    /// What has come out and was not given yet.
    out: Vec<u8>,
    is_over: bool,
    /// Whether others should have their turn first.
    has_worked: bool,
}

/// The next piece of a body.
pub(crate) type Next<'c> = Pin<Box<dyn Future<Output = io::Result<Option<Bytes>>> + Send + 'c>>;

/// What goes out at a time.
const ENOUGH: usize = 16 * 1024;

impl Coded {
    /// What comes of `source`. Whether that may wait decides whether it pays to look.
    pub(super) fn new(source: Pieces, waits: bool, coder: Coder) -> Self {
        Self {
            source,
            waits,
            coder,
            piece: Bytes::new(),
            has_more: false,
            out: Vec::new(),
            is_over: false,
            has_worked: false,
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// There should be more, and is not.
    pub(crate) fn next(&mut self) -> Next<'_> {
        Box::pin(self.advance())
    }

    /// Whether nobody else reads what it is made of.
    pub(crate) fn is_for_one(&self) -> bool {
        self.source.are_for_one()
    }

    /// What follows, to be asked for at the end.
    pub(crate) fn trailers(&self) -> Option<HeaderMap> {
        self.source.trailers()
    }

    async fn advance(&mut self) -> io::Result<Option<Bytes>> {
        while !self.is_over && self.out.len() < ENOUGH {
            if self.has_more {
                self.work().await?;
                continue;
            }
            let Some(came) = self.come().await else {
                let flushed = self.coder.flush(&mut self.out);
                self.checked(flushed)?;
                break;
            };
            match came? {
                Some(piece) => (self.piece, self.has_more) = (piece, true),
                None => {
                    let finished = self.coder.finish(&mut self.out);
                    self.checked(finished)?;
                    self.is_over = true;
                }
            }
        }
        let out = std::mem::take(&mut self.out);
        Ok((!out.is_empty()).then(|| out.into()))
    }

    /// Lets the coder take a part of the piece in hand; others have their turn between two.
    async fn work(&mut self) -> io::Result<()> {
        if self.has_worked {
            self.has_worked = false;
            tokio::task::yield_now().await;
        }
        let mut rest = &*self.piece;
        let step = self.coder.step(&mut rest, &mut self.out);
        let taken = self.piece.len() - rest.len();
        self.has_more = self.checked(step)? == Step::More;
        self.piece.advance(taken);
        self.has_worked = true;
        Ok(())
    }

    /// Counts what fails here, and not what its source lacks.
    fn checked<T>(&self, made: Result<T, Failed>) -> io::Result<T> {
        made.map_err(|failed| {
            self.coder.count_failure();
            failed.into()
        })
    }

    /// What comes next, or `None` where nothing is there and something should leave first.
    async fn come(&mut self) -> Option<io::Result<Option<Bytes>>> {
        let is_owed = !self.out.is_empty() || self.coder.is_dirty();
        if self.waits && is_owed {
            if self.coder.is_hasty() {
                return None;
            }
            return self.source.next().now_or_never();
        }
        Some(self.source.next().await)
    }
}

impl std::fmt::Debug for Coded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coded").field("coder", &self.coder).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use switchback_variant::{Coding, Flush, Limits, decode_whole};

    use super::super::coder::Recipe;
    use super::*;

    #[test]
    fn nothing_is_lost_where_a_wait_is_given_up() {
        let body = b"one line like the other\n".repeat(40_000);
        let (encode, flush) = (Some(Coding::Zstd), Flush::WhenQuiet);
        let recipe = Recipe { decode: None, encode, flush, dictionary: None };
        let coder = Coder::new(recipe, 1, None, &Arc::default()).unwrap();
        let mut coded = Coded::new(Pieces::of(body.clone().into()), false, coder);
        let (mut given_up, mut sent) = (0, Vec::new());
        loop {
            match coded.next().now_or_never() {
                None => given_up += 1,
                Some(piece) => match piece.unwrap() {
                    Some(piece) => sent.extend_from_slice(&piece),
                    None => break,
                },
            }
        }
        assert!(given_up > 10, "{given_up} times");
        assert!(decode_whole(Coding::Zstd, &sent, Limits::default(), None).unwrap() == body);
    }
}
