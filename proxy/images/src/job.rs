//! What is to be made of which picture, and within which limits.

use std::time::Duration;

use bytes::Bytes;

use crate::{Format, Header, Target};

/// One picture to be made of another.
#[derive(Clone, Debug)]
pub struct Job {
    /// The original, whole.
    pub source: Bytes,
    /// What its `Content-Type` declares, where that is a picture's. A source that turns out to be something else is left alone;
    /// without a declaration the bytes alone tell.
    pub declared: Option<Format>,
    /// The format that is made.
    pub target: Target,
    /// The width in pixels that is made, a rung of a [`Ladder`](crate::Ladder): the height follows, and a picture that is
    /// narrower keeps its size. `None` keeps the size.
    pub width: Option<u32>,
    /// How much may be lost where something is lost.
    pub quality: Quality,
    /// The same for a client that asked to save data. For him what has the format already is made again, too.
    pub save_data: Option<Quality>,
    /// How hard to try for few bytes.
    pub effort: Effort,
    /// What is too much.
    pub limits: Limits,
}

impl Job {
    /// A job of default quality, effort and limits that keeps the size.
    pub fn new(source: Bytes, target: Target) -> Self {
        Self {
            source,
            declared: None,
            target,
            width: None,
            quality: Quality::default_of(target),
            save_data: None,
            effort: Effort::Quick,
            limits: Limits::default(),
        }
    }

    /// Bytes of memory that the job needs at most for a source with this head, itself included. It is the most of three steps:
    /// decoding into one copy and turning that into another, resizing, and encoding.
    pub fn memory(&self, header: &Header) -> u64 {
        // Tables and windows of the codecs.
        const CODECS: u64 = 1 << 20;
        let (width, height) = Header::fitted((header.width, header.height), self.width);
        let (source, made) = (header.area(), u64::from(width) * u64::from(height));
        let encoder = match self.target {
            Target::WebP if header.lossless => 24,
            Target::WebP => 8,
            Target::Avif => 40,
        };
        let steps = if header.frames > 1 {
            source.saturating_mul(16).saturating_add(made.saturating_mul(32))
        } else {
            let pixel = u64::from(header.channels) * u64::from(header.depth) / 8;
            let passes = if header.progressive { u64::from(header.channels) * 2 } else { 0 };
            let decoded = source.saturating_mul(pixel + passes + 4);
            let resized = source.saturating_mul(4).saturating_add(made.saturating_mul(4));
            decoded.max(resized).max(made.saturating_mul(4 + encoder))
        };
        // The source is there already, and a decoder may copy it.
        let sources = (self.source.len() as u64).saturating_mul(2);
        sources.saturating_add(steps).saturating_add(CODECS)
    }

    /// The quality that applies.
    pub fn applied_quality(&self) -> Quality {
        self.save_data.unwrap_or(self.quality)
    }
}

/// How like the original a picture stays that loses something: 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quality(u8);

impl Quality {
    /// How much `Save-Data` takes off.
    const SAVED: u8 = 15;

    /// `None` outside 1 to 100.
    pub fn new(quality: u8) -> Option<Self> {
        (1..=100).contains(&quality).then_some(Self(quality))
    }

    /// What looks about the same in each format: the scales differ.
    pub fn default_of(target: Target) -> Self {
        match target {
            Target::WebP => Self(79),
            Target::Avif => Self(63),
        }
    }

    /// Less, for who saves data: by 15, and at least 1.
    #[must_use]
    pub fn lowered(self) -> Self {
        Self(self.0.saturating_sub(Self::SAVED).max(1))
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0
    }
}

/// How much time is given for few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effort {
    /// Somebody waits: about 60 ms per megapixel of WebP.
    Quick,
    /// Nobody waits: twice as long and some 3 % smaller.
    Thorough,
}

/// What is too much. Whatever is over a limit keeps its original; all but `time` are looked at before a pixel is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the original.
    pub bytes: u64,
    /// Pixels of the original; those of all frames together.
    pub pixels: u64,
    /// Frames of an animation.
    pub frames: u32,
    /// Bytes of memory that the job may need, as reckoned from the header.
    pub memory: u64,
    /// Time from the moment a thread takes the job. It is looked at between the steps, while the source is read and while the
    /// encoder runs; only that of AVIF goes on to its end.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 20 << 20,
            pixels: 40_000_000,
            frames: 60,
            memory: 512 << 20,
            time: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Quality;

    #[test]
    fn who_saves_data_gets_less_but_never_nothing() {
        let quality = |number| Quality::new(number).unwrap();
        assert_eq!(quality(79).lowered(), quality(64));
        assert_eq!(quality(10).lowered(), quality(1));
        assert_eq!([0, 101, 255].map(Quality::new), [None; 3]);
    }
}
