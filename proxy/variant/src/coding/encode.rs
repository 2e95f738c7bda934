//! Encoders, all behind one type.

use thiserror::Error;

use crate::coding::Coding;
use crate::dictionary::Dictionary;

mod br;
mod gzip;
mod zstd;

/// A body is being coded.
///
/// What [`Encoder::push`] takes may stay inside; [`Encoder::flush`] brings it out, so that a decoder has all of it, and
/// [`Encoder::finish`] ends the body. Output is appended. After a failure the body cannot be completed, and whoever reads it has
/// to learn so.
///
/// What an encoder holds depends on its level and not on the body, however long that is. Bench `coding`, for a body of unknown
/// length: gzip 6 half a MiB, zstd 3 2 MiB, br 4 6.5 MiB; br 11 39 MiB and zstd 19 85 MiB. With a dictionary comes as much as that
/// is long, once or twice, and at most 8 MiB for its tables.
pub struct Encoder {
    kind: Kind,
    /// Something has been pushed since the last flush.
    is_dirty: bool,
}

enum Kind {
    Identity,
    Gzip(gzip::Gzip),
    Br(Box<br::Br>),
    Zstd(zstd::Zstd),
}

/// How hard an encoder tries, in its own numbers.
pub type Level = u8;

/// How hard each encoder tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// 0 to 11
    pub br: Level,
    /// 1 to 19; what is above needs windows that HTTP does not allow (RFC 9659).
    pub zstd: Level,
    /// 1 to 9
    pub gzip: Level,
}

impl Levels {
    /// For what is coded while somebody waits.
    pub const FAST: Self = Self { br: 4, zstd: 3, gzip: 6 };
    /// For what is coded once, beside the way, and sent often.
    pub const BEST: Self = Self { br: 11, zstd: 19, gzip: 9 };

    /// The level of a coding.
    #[must_use]
    pub fn of(&self, coding: Coding) -> Level {
        match coding {
            Coding::Identity | Coding::Deflate => 0,
            Coding::Gzip => self.gzip,
            Coding::Br | Coding::Dcb => self.br,
            Coding::Zstd | Coding::Dcz => self.zstd,
        }
    }

    /// Whether each lies within its range.
    #[must_use]
    pub fn are_sound(&self) -> bool {
        self.br <= 11 && (1..=19).contains(&self.zstd) && (1..=9).contains(&self.gzip)
    }
}

/// Why a body could not be coded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EncoderFailed {
    /// Nobody makes this coding, or its dictionary is missing.
    #[error("{} is not made here{}", .0.name(), if .0.needs_dictionary() { " without a dictionary" } else { "" })]
    NotMade(Coding),
    /// The encoder says so.
    #[error("the {} encoder failed: {reason}", .coding.name())]
    Failed {
        /// Whose.
        coding: Coding,
        /// In its own words.
        reason: String,
    },
}

/// How much room an encoder gets at a time.
pub(crate) const ROOM: usize = 16 * 1024;

impl Encoder {
    /// For a body of which `length` is known, if only roughly: a short one needs less memory.
    ///
    /// # Errors
    /// When the coding is not made, or needs a dictionary.
    pub fn new(coding: Coding, level: Level, length: Option<u64>) -> Result<Self, EncoderFailed> {
        let kind = match coding {
            Coding::Identity => Kind::Identity,
            Coding::Gzip => Kind::Gzip(gzip::Gzip::new(level)),
            Coding::Br => Kind::Br(Box::new(br::Br::new(level, length, &[]))),
            Coding::Zstd => Kind::Zstd(zstd::Zstd::new(level, length, None)?),
            Coding::Deflate | Coding::Dcb | Coding::Dcz => {
                return Err(EncoderFailed::NotMade(coding));
            }
        };
        Ok(Self { kind, is_dirty: false })
    }

    /// With a dictionary, where the coding is one of those that need it. What has to stand before the body is appended to `out`.
    ///
    /// Learns the dictionary, which takes as long as some times its length takes to encode: a second for each MiB at the best levels.
    ///
    /// # Errors
    /// When the coding takes no dictionary.
    pub fn with_dictionary(
        coding: Coding,
        level: Level,
        length: Option<u64>,
        dictionary: &Dictionary,
        out: &mut Vec<u8>,
    ) -> Result<Self, EncoderFailed> {
        let bytes = dictionary.bytes();
        let mut kind = match coding {
            Coding::Dcb => Kind::Br(Box::new(br::Br::new(level, length, bytes))),
            Coding::Dcz => Kind::Zstd(zstd::Zstd::new(level, length, Some(bytes))?),
            _ => return Err(EncoderFailed::NotMade(coding)),
        };
        let preamble = dictionary.digest().preamble(coding);
        out.extend_from_slice(preamble.as_ref().map_or(&[], |preamble| preamble.as_bytes()));
        if let Kind::Zstd(zstd) = &mut kind {
            // It would learn the dictionary with the first bytes: this way it has.
            zstd.flush(out)?;
        }
        Ok(Self { kind, is_dirty: false })
    }

    /// Takes all of `input`.
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), EncoderFailed> {
        if input.is_empty() {
            return Ok(());
        }
        self.is_dirty = true;
        match &mut self.kind {
            Kind::Identity => out.extend_from_slice(input),
            Kind::Gzip(gzip) => gzip.push(input, out)?,
            Kind::Br(br) => br.push(input, out)?,
            Kind::Zstd(zstd) => zstd.push(input, out)?,
        }
        Ok(())
    }

    /// Whether something may be inside that a flush would bring out.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// Brings out what is inside, in such a form that a decoder gives all of it. Costs a few bytes; does nothing where nothing
    /// has been pushed since.
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), EncoderFailed> {
        if !std::mem::take(&mut self.is_dirty) {
            return Ok(());
        }
        match &mut self.kind {
            Kind::Identity => Ok(()),
            Kind::Gzip(gzip) => gzip.flush(out),
            Kind::Br(br) => br.flush(out),
            Kind::Zstd(zstd) => zstd.flush(out),
        }
    }

    /// Ends the body.
    ///
    /// # Errors
    /// When the encoder fails.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), EncoderFailed> {
        match &mut self.kind {
            Kind::Identity => Ok(()),
            Kind::Gzip(gzip) => gzip.finish(out),
            Kind::Br(br) => br.finish(out),
            Kind::Zstd(zstd) => zstd.finish(out),
        }
    }
}

/// A whole body at once.
///
/// # Errors
/// When the coding is not made, needs a dictionary and has none, or its encoder fails.
pub fn encode_whole(
    coding: Coding,
    level: Level,
    body: &[u8],
    dictionary: Option<&Dictionary>,
) -> Result<Vec<u8>, EncoderFailed> {
    let length = Some(body.len() as u64);
    let mut out = Vec::new();
    let mut encoder = match dictionary {
        Some(dictionary) if coding.needs_dictionary() => {
            Encoder::with_dictionary(coding, level, length, dictionary, &mut out)?
        }
        _ => Encoder::new(coding, level, length)?,
    };
    encoder.push(body, &mut out)?;
    encoder.finish(&mut out)?;
    Ok(out)
}

/// How long a body and its dictionary are together; of a body of unknown length, that it is somewhat longer than the dictionary, of
/// which it is another version.
pub(crate) fn with_dictionary(length: Option<u64>, dictionary: u64) -> u64 {
    let guess = dictionary.saturating_add(dictionary / 4).saturating_add(1 << 18);
    length.unwrap_or(guess).saturating_add(dictionary)
}

/// The power of two of a window that holds `length` bytes, between `least` and `most`.
pub(crate) fn window_for(length: Option<u64>, least: u32, most: u32) -> u32 {
    let Some(length) = length else { return most };
    let needed = u64::BITS - length.saturating_sub(1).leading_zeros();
    needed.clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_as_large_as_the_body_and_no_larger() {
        for (length, window) in
            [(None, 20), (Some(0), 10), (Some(1024), 10), (Some(1025), 11), (Some(1 << 40), 20)]
        {
            assert_eq!(window_for(length, 10, 20), window, "{length:?}");
        }
    }

    #[test]
    fn a_body_of_unknown_length_is_taken_for_another_version_of_its_dictionary() {
        assert_eq!(with_dictionary(Some(10), 100), 110);
        assert_eq!(with_dictionary(None, 1 << 20), (2 << 20) + (1 << 18) + (1 << 18));
        assert_eq!(with_dictionary(Some(u64::MAX), 1), u64::MAX);
    }

    #[test]
    fn levels_have_their_ranges() {
        assert!(Levels::FAST.are_sound() && Levels::BEST.are_sound());
        assert!(!Levels { br: 12, ..Levels::FAST }.are_sound());
        assert!(!Levels { zstd: 20, ..Levels::FAST }.are_sound());
        assert!(!Levels { zstd: 0, ..Levels::FAST }.are_sound());
        assert!(!Levels { gzip: 0, ..Levels::FAST }.are_sound());
        assert_eq!(Levels::BEST.of(Coding::Dcb), 11);
    }

    #[test]
    fn what_nobody_makes_is_refused() {
        for coding in [Coding::Deflate, Coding::Dcb, Coding::Dcz] {
            assert_eq!(Encoder::new(coding, 1, None).err(), Some(EncoderFailed::NotMade(coding)));
        }
        assert_eq!(
            EncoderFailed::NotMade(Coding::Dcz).to_string(),
            "dcz is not made here without a dictionary"
        );
    }
}
