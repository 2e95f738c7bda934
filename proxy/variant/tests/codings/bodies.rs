//! What is coded here, and how it comes back.

use bytes::Bytes;
use switchback_variant::{Broken, Coding, Decoder, Dictionary, Encoder, Levels, Limits, Step};

/// What can be made.
pub(crate) const MADE: [Coding; 6] =
    [Coding::Identity, Coding::Gzip, Coding::Br, Coding::Zstd, Coding::Dcb, Coding::Dcz];

/// Lines that are like each other, and never the same.
pub(crate) fn script(lines: usize, version: usize) -> Vec<u8> {
    let line = |at: usize| {
        let changed = if at % 50 == 7 { version } else { 0 };
        let name = at.wrapping_mul(2_654_435_761) % 9973;
        format!(
            "export function f{name}(a, b) {{ return call_{at}(a[{changed}], b.value{name}); }}\n"
        )
    };
    (0..lines).map(line).collect::<String>().into_bytes()
}

/// Bytes in which nothing repeats.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state >> 56).unwrap()
    };
    (0..length).map(|_| next()).collect()
}

pub(crate) fn dictionary() -> Dictionary {
    Dictionary::new(Bytes::from(script(400, 1))).unwrap()
}

pub(crate) fn bodies() -> Vec<Vec<u8>> {
    let zeros = vec![0; 300_000];
    vec![vec![], b"x".to_vec(), script(3, 1), script(1000, 2), noise(70_000), zeros]
}

/// An encoder, and what stands before the body.
pub(crate) fn encoder(
    coding: Coding,
    levels: Levels,
    dictionary: &Dictionary,
) -> (Encoder, Vec<u8>) {
    let mut out = Vec::new();
    let encoder = match coding.needs_dictionary() {
        true => Encoder::with_dictionary(coding, levels.of(coding), None, dictionary, &mut out),
        false => Encoder::new(coding, levels.of(coding), None),
    };
    (encoder.unwrap(), out)
}

pub(crate) fn decoder(coding: Coding, limits: Limits, dictionary: &Dictionary) -> Decoder {
    match coding.needs_dictionary() {
        true => Decoder::with_dictionary(coding, limits, dictionary).unwrap(),
        false => Decoder::new(coding, limits).unwrap(),
    }
}

/// All that there is for a decoder to give, in portions of `room` bytes.
pub(crate) fn drain(
    decoder: &mut Decoder,
    mut input: &[u8],
    room: usize,
) -> Result<Vec<u8>, Broken> {
    let mut out = Vec::new();
    loop {
        let before = out.len();
        let step = decoder.decode(&mut input, &mut out, room)?;
        assert!(out.len() - before <= room);
        match step {
            Step::Full => {}
            Step::Wants | Step::End => {
                assert!(input.is_empty());
                return Ok(out);
            }
        }
    }
}
