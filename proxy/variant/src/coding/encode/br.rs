//! Brotli, in Rust.

use brotli::InputPair;
use brotli::enc::InputReferenceMut;
use brotli::enc::StandardAlloc;
use brotli::enc::encode::{
    BrotliEncoderDestroyInstance, BrotliEncoderOperation, BrotliEncoderParameter,
    BrotliEncoderStateStruct,
};
use brotli::enc::interface::{PredictionModeContextMap, StaticCommand};

use crate::coding::Coding;
use crate::coding::encode::{EncoderFailed, ROOM, window_for, with_dictionary};

pub(super) struct Br(BrotliEncoderStateStruct<StandardAlloc>);

/// 256 KiB: what a stream holds while somebody waits for it.
const STREAM_WINDOW: u32 = 18;
/// 4 MiB, the encoder's own choice.
const USUAL_WINDOW: u32 = 22;
/// 16 MiB, the largest that is no extension.
const LARGEST_WINDOW: u32 = 24;
/// Levels above are for those who have time, and memory with it.
const FAST_LEVELS: u8 = 4;
/// The first level that can use a dictionary.
const LEAST_WITH_DICTIONARY: u8 = 2;

impl Br {
    /// `dictionary` is empty where there is none.
    pub(super) fn new(level: u8, length: Option<u64>, dictionary: &[u8]) -> Self {
        let mut level = level.min(11);
        let mut most = if level <= FAST_LEVELS { STREAM_WINDOW } else { USUAL_WINDOW };
        let mut needed = length;
        if !dictionary.is_empty() {
            level = level.max(LEAST_WITH_DICTIONARY);
            most = LARGEST_WINDOW;
            // The encoder keeps the dictionary and what was coded in one window.
            needed = Some(with_dictionary(length, dictionary.len() as u64));
        }
        // 16 bytes of a window are not to be had.
        let window = window_for(needed.map(|needed| needed.saturating_add(16)), 10, most);
        let mut state = BrotliEncoderStateStruct::new(StandardAlloc::default());
        let hint = length.and_then(|length| u32::try_from(length).ok()).unwrap_or_default();
        state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_QUALITY, u32::from(level));
        state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_LGWIN, window);
        state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_SIZE_HINT, hint);
        if !dictionary.is_empty() {
            state.set_custom_dictionary(dictionary.len(), dictionary);
        }
        Self(state)
    }

    pub(super) fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), EncoderFailed> {
        self.run(BrotliEncoderOperation::BROTLI_OPERATION_PROCESS, input, out)
    }

    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), EncoderFailed> {
        self.run(BrotliEncoderOperation::BROTLI_OPERATION_FLUSH, &[], out)
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncoderFailed> {
        self.run(BrotliEncoderOperation::BROTLI_OPERATION_FINISH, &[], out)?;
        if self.0.is_finished() { Ok(()) } else { Err(failed("it does not end")) }
    }

    fn run(
        &mut self,
        operation: BrotliEncoderOperation,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), EncoderFailed> {
        let mut left = input.len();
        let mut at = 0;
        let mut ignored = |_: &mut PredictionModeContextMap<InputReferenceMut<'_>>,
                           _: &mut [StaticCommand],
                           _: InputPair<'_>,
                           _: &mut StandardAlloc| ();
        loop {
            let end = out.len();
            out.resize(end + ROOM, 0);
            let (mut room, mut written) = (ROOM, 0);
            let place = out.get_mut(end..).unwrap_or_default();
            let is_well = self.0.compress_stream(
                operation,
                &mut left,
                input,
                &mut at,
                &mut room,
                place,
                &mut written,
                &mut None,
                &mut ignored,
            );
            out.truncate(end + written);
            if !is_well {
                return Err(failed("it refuses its input"));
            }
            if left == 0 && !self.0.has_more_output() {
                return Ok(());
            }
        }
    }
}

impl Drop for Br {
    fn drop(&mut self) {
        BrotliEncoderDestroyInstance(&mut self.0);
    }
}

fn failed(reason: &str) -> EncoderFailed {
    EncoderFailed::Failed { coding: Coding::Br, reason: reason.to_owned() }
}
