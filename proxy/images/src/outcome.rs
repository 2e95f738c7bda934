//! What became of a job, and how `X-Media` tells it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::{Format, Quality, Target};

/// What became of a job.
///
/// Its `Display` is the value of `X-Media`: `webp; from=jpeg; width=960; quality=79; saved=61`, `original; reason=busy`,
/// `broken; reason=truncated`.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A smaller picture: by 5 % at least.
    Made(Made),
    /// The original is the better answer, or the only one.
    Original(Reason),
    /// The original cannot be read, whoever asks.
    Broken(Flaw),
}

/// A picture that was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The picture. Metadata of the original is not in it, but for a colour profile that is not sRGB's.
    pub bytes: Bytes,
    /// Its format.
    pub target: Target,
    /// What it was made of and how.
    pub facts: Facts,
}

/// What a picture was made of and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The format of the original.
    pub from: Format,
    /// Bytes of the original.
    pub source_bytes: usize,
    /// Width in pixels of what was made, turned upright.
    pub width: u32,
    /// Height in pixels of what was made, turned upright.
    pub height: u32,
    /// How many frames it has; 1 is a still picture.
    pub frames: u32,
    /// How much was lost; `None` where every pixel is as it was.
    pub quality: Option<Quality>,
    /// Whether a colour profile went along, because the picture has colours that sRGB does not.
    pub profile: bool,
    /// How long it took, without the wait for a thread.
    pub took: Duration,
}

impl Made {
    /// How much smaller it is than the original, in percent.
    pub fn saved(&self) -> u64 {
        let (made, source) = (self.bytes.len() as u64, self.facts.source_bytes as u64);
        source.saturating_sub(made) * 100 / source.max(1)
    }
}

/// Why the original is the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// SVG is not turned into pixels.
    Vector,
    /// Not a picture that is read here.
    Unsupported,
    /// Its bytes are not what its type says.
    Mislabelled,
    /// More bytes than [`Limits::bytes`](crate::Limits::bytes).
    Bytes,
    /// More pixels than [`Limits::pixels`](crate::Limits::pixels).
    Pixels,
    /// More frames than [`Limits::frames`](crate::Limits::frames).
    Frames,
    /// More memory would be needed than [`Limits::memory`](crate::Limits::memory).
    Memory,
    /// A side is longer than the format can say.
    Dimensions,
    /// Colours that would change: CMYK, or a profile that cannot be read or kept.
    Colours,
    /// It moves, and the target or its own format does not let it.
    Animation,
    /// It is in the format already, and would keep its size.
    Format,
    /// What was made is not smaller by 5 %.
    Size,
    /// The encoder failed.
    Encoder,
    /// This build does not make the target.
    NotBuilt,
    /// It took longer than [`Limits::time`](crate::Limits::time).
    Slow,
    /// Nobody waited for it any more.
    Abandoned,
    /// The pool has as much to do as it may have.
    Busy,
    /// The pool was closed.
    Closed,
    /// A mistake in here or in a decoder; the thread went on.
    Panicked,
}

impl Reason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 19] = [
        Self::Vector,
        Self::Unsupported,
        Self::Mislabelled,
        Self::Bytes,
        Self::Pixels,
        Self::Frames,
        Self::Memory,
        Self::Dimensions,
        Self::Colours,
        Self::Animation,
        Self::Format,
        Self::Size,
        Self::Encoder,
        Self::NotBuilt,
        Self::Slow,
        Self::Abandoned,
        Self::Busy,
        Self::Closed,
        Self::Panicked,
    ];

    /// Its name, in `X-Media` and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vector => "vector",
            Self::Unsupported => "unsupported",
            Self::Mislabelled => "mislabelled",
            Self::Bytes => "bytes",
            Self::Pixels => "pixels",
            Self::Frames => "frames",
            Self::Memory => "memory",
            Self::Dimensions => "dimensions",
            Self::Colours => "colours",
            Self::Animation => "animation",
            Self::Format => "format",
            Self::Size => "size",
            Self::Encoder => "encoder",
            Self::NotBuilt => "not-built",
            Self::Slow => "slow",
            Self::Abandoned => "abandoned",
            Self::Busy => "busy",
            Self::Closed => "closed",
            Self::Panicked => "panicked",
        }
    }

    /// Whether another try at the same job would end the same: then it may be remembered as long as the original is.
    pub fn is_lasting(self) -> bool {
        !matches!(
            self,
            Self::Encoder
                | Self::Slow
                | Self::Abandoned
                | Self::Busy
                | Self::Closed
                | Self::Panicked
        )
    }
}

/// What is wrong with an original. A browser may show some of it all the same, so it is still the better answer than none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// It ends too early.
    Truncated,
    /// It contradicts itself or its format.
    Corrupt,
}

impl Flaw {
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Truncated, Self::Corrupt];

    /// Its name, in `X-Media` and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Corrupt => "corrupt",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made(made) => made.fmt(f),
            Self::Original(reason) => write!(f, "original; reason={}", reason.name()),
            Self::Broken(flaw) => write!(f, "broken; reason={}", flaw.name()),
        }
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { from, width, frames, quality, .. } = self.facts;
        write!(f, "{}; from={}; width={width}", self.target.name(), from.name())?;
        if frames > 1 {
            write!(f, "; frames={frames}")?;
        }
        match quality {
            Some(quality) => write!(f, "; quality={}", quality.get())?,
            None => f.write_str("; lossless")?,
        }
        write!(f, "; saved={}", self.saved())
    }
}

/// Why nothing is made: what the steps of a job hand up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The original is the answer.
    Original(Reason),
    /// The original is broken.
    Broken(Flaw),
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::Original(reason)
    }
}

impl From<Flaw> for Refusal {
    fn from(flaw: Flaw) -> Self {
        Self::Broken(flaw)
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Original(reason) => Self::Original(reason),
            Refusal::Broken(flaw) => Self::Broken(flaw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Facts, Flaw, Made, Outcome, Reason};
    use crate::{Format, Quality, Target};

    #[test]
    fn the_header_tells_what_happened() {
        let facts = Facts {
            from: Format::Jpeg,
            source_bytes: 1000,
            width: 960,
            height: 640,
            frames: 1,
            quality: Quality::new(79),
            profile: false,
            took: std::time::Duration::ZERO,
        };
        let made =
            |facts| Outcome::Made(Made { bytes: vec![0; 391].into(), target: Target::WebP, facts });
        let shown = made(facts).to_string();
        assert_eq!(shown, "webp; from=jpeg; width=960; quality=79; saved=60");
        let shown =
            made(Facts { from: Format::Gif, frames: 7, quality: None, ..facts }).to_string();
        assert_eq!(shown, "webp; from=gif; width=960; frames=7; lossless; saved=60");
        assert_eq!(Outcome::Original(Reason::Busy).to_string(), "original; reason=busy");
        assert_eq!(Outcome::Broken(Flaw::Truncated).to_string(), "broken; reason=truncated");
    }

    #[test]
    fn every_reason_has_its_number_and_a_name_of_its_own() {
        for (number, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number);
        }
        for (number, flaw) in Flaw::ALL.into_iter().enumerate() {
            assert_eq!(flaw as usize, number);
        }
        let names: std::collections::HashSet<_> = Reason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
