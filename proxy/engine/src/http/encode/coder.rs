//! What a body goes through: it is encoded, or decoded, or both, and counted.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use switchback_variant::{
    Broken, Coding, Decoder, Dictionary, Digest, Encoder, EncoderFailed, Flush, Level, Limits,
    Step as Decoded, Variant,
};
use thiserror::Error;

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
    /// Against what it is encoded, where its coding needs a dictionary.
    pub(super) dictionary: Option<Digest>,
}

impl Recipe {
    /// What comes of it.
    pub(super) fn variant(self) -> Variant {
        match &self.dictionary {
            Some(dictionary) => Variant::with_dictionary(self.coding(), dictionary),
            None => Variant::coded(self.coding()),
        }
    }

    /// The bytes that it may take to make it, with an encoder of this level.
    fn memory(self, level: Level) -> u64 {
        let decoder = self.decode.map_or(0, Decoder::memory);
        decoder + self.encode.map_or(0, |coding| Encoder::memory(coding, level))
    }

    /// What it comes out in.
    pub(super) fn coding(self) -> Coding {
        self.encode.unwrap_or(Coding::Identity)
    }
}

/// A body on its way through.
pub(crate) struct Coder {
    recipe: Recipe,
    /// The bytes that it may hold.
    memory: u64,
    decoder: Option<Decoder>,
    encoder: Option<Encoder>,
    /// What its encoder is to be made of, where that takes long.
    begins: Option<Box<Begins>>,
    /// What stands before what it makes.
    preamble: Vec<u8>,
    /// Between the two.
    plain: Vec<u8>,
    taken: u64,
    made: u64,
    resident: Arc<Resident>,
}

/// What an encoder is made of that has to learn a dictionary first.
struct Begins {
    coding: Coding,
    level: Level,
    length: Option<u64>,
    dictionary: Arc<Dictionary>,
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
    /// Too many others are on their way.
    #[error("too many answers are being encoded")]
    TooMany,
}

/// What there is left to do with a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is called again with what is left of it, which may be nothing.
    More,
    /// All of it has been taken.
    Wants,
}

/// What is encoded at a time, and what a decoder has room for: a millisecond's work.
const SLICE: usize = 64 * 1024;
/// What a body may come to where all of it has to come out at once.
const MOST_AT_ONCE: usize = 8 * 1024 * 1024;

impl Coder {
    /// For a body of this length, where that is known, that is encoded at this level.
    pub(super) fn new(
        recipe: Recipe,
        level: Level,
        length: Option<u64>,
        resident: &Arc<Resident>,
    ) -> Result<Self, Failed> {
        Self::against(None, recipe, level, length, resident)
    }

    /// The same with a dictionary, where its coding needs one. That is learnt when it is first used, or by [`Coder::begun`].
    pub(super) fn against(
        dictionary: Option<&Arc<Dictionary>>,
        recipe: Recipe,
        level: Level,
        length: Option<u64>,
        resident: &Arc<Resident>,
    ) -> Result<Self, Failed> {
        let memory = recipe.memory(level);
        if !resident.metrics.encoding.enter(memory) {
            return Err(Failed::TooMany);
        }
        let mut coder = Self {
            recipe,
            memory,
            decoder: None,
            encoder: None,
            begins: None,
            preamble: Vec::new(),
            plain: Vec::new(),
            taken: 0,
            made: 0,
            resident: Arc::clone(resident),
        };
        if let Some(coding) = recipe.decode {
            coder.decoder = Some(Decoder::new(coding, Limits::default())?);
        }
        if let Some(coding) = recipe.encode {
            let length = length.filter(|_| recipe.decode.is_none());
            match dictionary.cloned() {
                Some(dictionary) => {
                    coder.begins = Some(Box::new(Begins { coding, level, length, dictionary }));
                }
                None => coder.encoder = Some(Encoder::new(coding, level, length)?),
            }
        }
        Ok(coder)
    }

    /// Once it has learnt its dictionary, elsewhere: others need this thread meanwhile. `None` where that has failed.
    pub(crate) async fn begun(mut self) -> Option<Self> {
        if self.begins.is_none() {
            return Some(self);
        }
        let learning = tokio::task::spawn_blocking(move || {
            let begun = self.begin();
            begun.map_err(|_| self.count_failure()).ok().map(|()| self)
        });
        learning.await.ok().flatten()
    }

    fn begin(&mut self) -> Result<(), Failed> {
        let Some(begins) = self.begins.take() else { return Ok(()) };
        let Begins { coding, level, length, dictionary } = *begins;
        let before = &mut self.preamble;
        let encoder = Encoder::with_dictionary(coding, level, length, &dictionary, before)?;
        self.encoder = Some(encoder);
        Ok(())
    }

    /// Counts it among those that failed.
    pub(super) fn count_failure(&self) {
        self.resident.metrics.encoding.failures.add();
    }

    /// Whether it has been given nothing yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.taken == 0
    }

    /// Whether what comes out may be much more than what went in.
    pub(super) fn decodes(&self) -> bool {
        self.decoder.is_some()
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
        self.begin()?;
        let (before, had) = (piece.len(), out.len());
        out.append(&mut self.preamble);
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

    /// All of a piece at once: of one that is decoded, nobody knows what that comes to.
    pub(super) fn piece(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Failed> {
        let mut piece = piece;
        while self.step(&mut piece, out)? == Step::More {}
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

    /// A body of these pieces at once, as long as nobody says `stop`. What goes wrong is counted.
    pub(super) fn all(mut self, pieces: &[Bytes], stop: impl Fn() -> bool) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for piece in pieces {
            let mut piece = &**piece;
            loop {
                let step = self.step(&mut piece, &mut out);
                let step = step.map_err(|_| self.count_failure()).ok()?;
                if stop() || out.len() > MOST_AT_ONCE {
                    return None;
                }
                if step == Step::Wants {
                    break;
                }
            }
        }
        self.finish(&mut out).map_err(|_| self.count_failure()).ok()?;
        Some(out)
    }

    /// Ends the body.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Failed> {
        self.begin()?;
        let had = out.len();
        out.append(&mut self.preamble);
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
        counters.leave(self.memory);
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
    /// Counts it, and says so in the log. That there are too many has been counted, and may be said too often.
    pub(super) fn note(&self, context: &Context) {
        if *self != Self::TooMany {
            context.resident.metrics.encoding.failures.add();
            let request = &*context.request.id;
            tracing::warn!(request, "an answer cannot be encoded or decoded: {self}");
        }
    }

    /// In terms of requests.
    pub(crate) fn into_fault(self) -> Fault {
        match self {
            Self::Body(_) => Fault::upstream(Kind::BadAnswer, self.to_string()),
            Self::Encoder(_) | Self::TooMany => Fault::ours(Kind::Internal, self.to_string()),
        }
    }
}

impl From<Failed> for io::Error {
    fn from(failed: Failed) -> Self {
        Self::new(io::ErrorKind::UnexpectedEof, failed)
    }
}

#[cfg(test)]
mod tests {
    use switchback_variant::encode_whole;

    use super::*;

    fn coder(decode: Option<Coding>, encode: Option<Coding>) -> Result<Coder, Failed> {
        let recipe = Recipe { decode, encode, flush: Flush::WhenQuiet, dictionary: None };
        Coder::new(recipe, 4, None, &Arc::default())
    }

    #[test]
    fn a_body_that_is_coded_anew_stays_the_same() {
        let body = b"one line like the other\n".repeat(20_000);
        let zstd = encode_whole(Coding::Zstd, 3, &body, None).unwrap();
        let gzip = coder(Some(Coding::Zstd), Some(Coding::Gzip)).unwrap().whole(&zstd).unwrap();
        let plain = coder(Some(Coding::Gzip), None).unwrap().whole(&gzip).unwrap();
        assert!(plain == body);
    }

    #[tokio::test]
    async fn a_dictionary_is_learnt_elsewhere_or_with_the_first_bytes() {
        let dictionary = Arc::new(Dictionary::new(vec![7; 10_000].into()).unwrap());
        let body = vec![7; 9_000];
        for coding in [Coding::Dcb, Coding::Dcz] {
            let (encode, flush) = (Some(coding), Flush::WhenQuiet);
            let digest = Some(*dictionary.digest());
            let recipe = Recipe { decode: None, encode, flush, dictionary: digest };
            let new = || Coder::against(Some(&dictionary), recipe, 4, None, &Arc::default());
            let begun = new().unwrap().begun().await.unwrap();
            assert!(begun.begins.is_none());
            let whole = begun.whole(&body).unwrap();
            assert_eq!(new().unwrap().whole(&body).unwrap(), whole);
            let read = switchback_variant::decode_whole;
            assert!(read(coding, &whole, Limits::default(), Some(&dictionary)).unwrap() == body);
            // Nothing at all is encoded, too.
            assert!(new().unwrap().whole(b"").unwrap().len() > 36);
        }
    }

    #[test]
    fn bodies_that_end_too_early_are_not_ended() {
        let gzip = encode_whole(Coding::Gzip, 4, &[7; 9_000], None).unwrap();
        let half = &gzip[..gzip.len() / 2];
        for encode in [None, Some(Coding::Br)] {
            let failed = coder(Some(Coding::Gzip), encode).unwrap().whole(half);
            assert_eq!(failed, Err(Failed::Body(Broken::Truncated(Coding::Gzip))));
        }
    }

    #[test]
    fn there_are_only_so_many_at_once() {
        let resident = Arc::<Resident>::default();
        let (encode, flush) = (Some(Coding::Gzip), Flush::WhenQuiet);
        let recipe = Recipe { decode: None, encode, flush, dictionary: None };
        let coder = || Coder::new(recipe, 1, None, &resident);
        let first = coder().unwrap();
        while resident.metrics.encoding.enter(1) {}
        assert_eq!(coder().err(), Some(Failed::TooMany));
        drop(first);
        assert!(coder().is_ok());
    }

    #[test]
    fn they_hold_only_so_much_memory_together() {
        let resident = Arc::<Resident>::default();
        let coder = |coding, level| {
            let recipe = Recipe {
                decode: None,
                encode: Some(coding),
                flush: Flush::WhenQuiet,
                dictionary: None,
            };
            Coder::new(recipe, level, Some(1), &resident)
        };
        let metrics = &resident.metrics.encoding;
        assert!(metrics.enter((1 << 30) - (1 << 20)));
        assert_eq!(coder(Coding::Br, 4).err(), Some(Failed::TooMany));
        let gzip = [(); 2].map(|()| coder(Coding::Gzip, 6));
        assert!(gzip.iter().all(Result::is_ok));
        assert_eq!(coder(Coding::Gzip, 6).err(), Some(Failed::TooMany));
        drop(gzip);
        assert!(coder(Coding::Gzip, 6).is_ok());
        metrics.leave((1 << 30) - (1 << 20));
        assert!(coder(Coding::Br, 4).is_ok());
    }
}
