//! What a body goes through: it is encoded, or decoded, or both, and counted.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use switchback_variant::{
    Broken, Coding, Decoder, Encoder, EncoderFailed, Flush, Limits, Step as Decoded,
};
use thiserror::Error;

use super::Encoding;
use crate::http::context::Context;
use crate::http::fault::{Fault, Kind};
use crate::snapshot::resident::Resident;

/// What is made of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recipe {
    /// What it comes in, where that is taken off.
    pub(super) decode: Option<Coding>,
    /// What it is sent in.
    pub(super) encode: Option<Coding>,
    /// How soon.
    pub(super) flush: Flush,
}

/// A body on its way through.
pub(crate) struct Coder {
    recipe: Recipe,
    decoder: Option<Decoder>,
    encoder: Option<Encoder>,
    /// Between the two.
    plain: Vec<u8>,
    taken: u64,
    made: u64,
    resident: Arc<Resident>,
}

/// Why a body could not come through. Whoever was sent a part must see that it is one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Failed {
    /// It is not what it says.
    #[error("{0}")]
    Body(#[from] Broken),
    /// The encoder says so.
    #[error("{0}")]
    Encoder(#[from] EncoderFailed),
    /// One piece of it comes to more than is held at once.
    #[error("a piece of the body comes to more than {MOST_AT_ONCE} bytes when it is decoded")]
    Bomb,
}

/// What there is left to do with a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is called again with what is left of it, which may be nothing.
    More,
    /// All of it has been taken.
    Wants,
}

/// What is encoded at a time, and what a decoder has room for: a millisecond's work.
const SLICE: usize = 64 * 1024;
/// What a piece may come to where all of it has to come out at once.
const MOST_AT_ONCE: usize = 8 * 1024 * 1024;

impl Coder {
    /// For a body of this length, where that is known. `None` where an encoder cannot be had, which is logged and counted.
    pub(super) fn new(
        recipe: Recipe,
        length: Option<u64>,
        encoding: &Encoding,
        context: &Context,
    ) -> Option<Self> {
        let resident = Arc::clone(&context.resident);
        if !resident.metrics.encoding.enter() {
            return None;
        }
        let length = length.filter(|_| recipe.decode.is_none());
        let mut coder = Self {
            recipe,
            decoder: None,
            encoder: None,
            plain: Vec::new(),
            taken: 0,
            made: 0,
            resident,
        };
        let made = coder.prepare(length, encoding);
        made.map_err(|error| coder.note(&error, &context.request.id)).ok().map(|()| coder)
    }

    fn prepare(&mut self, length: Option<u64>, encoding: &Encoding) -> Result<(), Failed> {
        if let Some(coding) = self.recipe.decode {
            self.decoder = Some(Decoder::new(coding, Limits::default())?);
        }
        if let Some(coding) = self.recipe.encode {
            let level = encoding.settings.level(coding);
            self.encoder = Some(Encoder::new(coding, level, length)?);
        }
        Ok(())
    }

    /// Notes that it went wrong.
    pub(super) fn note(&self, error: &Failed, request: &str) {
        self.resident.metrics.encoding.failures.add();
        tracing::warn!(request, "an answer cannot be encoded or decoded: {error}");
    }

    /// Whether each piece has to be out at once.
    pub(super) fn is_hasty(&self) -> bool {
        self.recipe.flush == Flush::Always
    }

    /// Whether something may be inside that a flush would bring out.
    pub(super) fn is_dirty(&self) -> bool {
        self.encoder.as_ref().is_some_and(Encoder::is_dirty)
    }

    /// Takes some from the front of `piece`, and appends what it comes to.
    pub(super) fn step(&mut self, piece: &mut &[u8], out: &mut Vec<u8>) -> Result<Step, Failed> {
        let (before, had) = (piece.len(), out.len());
        let step = self.some(piece, out);
        self.taken += (before - piece.len()) as u64;
        self.made += (out.len() - had) as u64;
        step
    }

    fn some(&mut self, piece: &mut &[u8], out: &mut Vec<u8>) -> Result<Step, Failed> {
        let Some(decoder) = &mut self.decoder else {
            let (slice, rest) = piece.split_at(piece.len().min(SLICE));
            *piece = rest;
            if let Some(encoder) = &mut self.encoder {
                encoder.push(slice, out)?;
            }
            return Ok(if rest.is_empty() { Step::Wants } else { Step::More });
        };
        let decoded = match &mut self.encoder {
            None => decoder.decode(piece, out, SLICE)?,
            Some(encoder) => {
                let decoded = decoder.decode(piece, &mut self.plain, SLICE)?;
                encoder.push(&self.plain, out)?;
                self.plain.clear();
                decoded
            }
        };
        Ok(if decoded == Decoded::Full { Step::More } else { Step::Wants })
    }

    /// All of a piece at once, out of which comes no more than can be held.
    pub(super) fn piece(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Failed> {
        let mut piece = piece;
        while self.step(&mut piece, out)? == Step::More {
            if out.len() > MOST_AT_ONCE {
                return Err(Failed::Bomb);
            }
        }
        Ok(())
    }

    /// Brings out what is inside.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Failed> {
        let had = out.len();
        if let Some(encoder) = &mut self.encoder {
            encoder.flush(out)?;
        }
        self.made += (out.len() - had) as u64;
        Ok(())
    }

    /// Ends the body.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Failed> {
        let had = out.len();
        if let Some(decoder) = &self.decoder {
            decoder.finish()?;
        }
        if let Some(encoder) = self.encoder.take() {
            encoder.finish(out)?;
        }
        self.made += (out.len() - had) as u64;
        Ok(())
    }

    /// A whole body at once.
    pub(super) fn whole(mut self, body: &[u8]) -> Result<Bytes, Failed> {
        let mut out = Vec::new();
        self.piece(body, &mut out)?;
        self.finish(&mut out)?;
        Ok(out.into())
    }
}

impl Drop for Coder {
    fn drop(&mut self) {
        let counters = &self.resident.metrics.encoding;
        counters.leave();
        match (self.recipe.encode, self.recipe.decode) {
            (Some(coding), _) => counters.encoded(coding, self.taken, self.made),
            (None, Some(coding)) => counters.decoded(coding, self.taken, self.made),
            (None, None) => {}
        }
    }
}

impl std::fmt::Debug for Coder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coder").field("recipe", &self.recipe).finish_non_exhaustive()
    }
}

impl Failed {
    /// In terms of requests.
    pub(crate) fn into_fault(self) -> Fault {
        match self {
            Self::Body(_) | Self::Bomb => Fault::upstream(Kind::BadAnswer, self.to_string()),
            Self::Encoder(_) => Fault::ours(Kind::Internal, self.to_string()),
        }
    }
}

impl From<Failed> for io::Error {
    fn from(failed: Failed) -> Self {
        Self::new(io::ErrorKind::UnexpectedEof, failed)
    }
}
