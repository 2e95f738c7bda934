//! Zstandard, by its own library.

use std::io;

use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation, OutBuffer};

use crate::coding::Coding;
use crate::coding::encode::{EncoderFailed, ROOM, window_for, with_dictionary};

pub(super) struct Zstd(Encoder<'static>);

/// 8 MiB: more need not be decoded by anybody (RFC 9659; with a dictionary, RFC 9842 section 5).
const LARGEST_WINDOW: u32 = 23;
/// 1 MiB: what a stream holds while somebody waits for it.
const STREAM_WINDOW: u32 = 20;
/// A million places of four bytes.
const LARGEST_FAST_TABLE: u32 = 20;
/// Levels above are for those who have time, and memory with it.
const FAST_LEVELS: u8 = 9;

impl Zstd {
    pub(super) fn new(
        level: u8,
        length: Option<u64>,
        dictionary: Option<&[u8]>,
    ) -> Result<Self, EncoderFailed> {
        let level = level.clamp(1, 19);
        let most = if level <= FAST_LEVELS && dictionary.is_none() {
            STREAM_WINDOW
        } else {
            LARGEST_WINDOW
        };
        // A dictionary can be used as far as the window holds it together with what was coded.
        let length = match dictionary {
            Some(dictionary) => Some(with_dictionary(length, dictionary.len() as u64)),
            None => length,
        };
        let window = window_for(length, 10, most);
        let encoder = Encoder::with_dictionary(i32::from(level), dictionary.unwrap_or_default());
        let mut encoder = encoder.map_err(failed)?;
        encoder.set_parameter(CParameter::WindowLog(window)).map_err(failed)?;
        if dictionary.is_some() && level <= FAST_LEVELS {
            // Fast levels look for matches in tables that hold but the end of a large dictionary.
            let places = (window - 1).clamp(10, LARGEST_FAST_TABLE);
            encoder.set_parameter(CParameter::HashLog(places)).map_err(failed)?;
            encoder.set_parameter(CParameter::ChainLog(places)).map_err(failed)?;
        }
        Ok(Self(encoder))
    }

    pub(super) fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), EncoderFailed> {
        let mut input = InBuffer::around(input);
        while input.pos() < input.src.len() {
            out.reserve(ROOM);
            let end = out.len();
            self.0.run(&mut input, &mut OutBuffer::around_pos(out, end)).map_err(failed)?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), EncoderFailed> {
        repeat(out, |room| self.0.flush(room))
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncoderFailed> {
        repeat(out, |room| self.0.finish(room, true))
    }
}

/// Until nothing is left inside.
fn repeat(
    out: &mut Vec<u8>,
    mut step: impl FnMut(&mut OutBuffer<'_, Vec<u8>>) -> io::Result<usize>,
) -> Result<(), EncoderFailed> {
    loop {
        out.reserve(ROOM);
        let end = out.len();
        if step(&mut OutBuffer::around_pos(out, end)).map_err(failed)? == 0 {
            return Ok(());
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` gives")]
fn failed(error: io::Error) -> EncoderFailed {
    EncoderFailed::Failed { coding: Coding::Zstd, reason: error.to_string() }
}
