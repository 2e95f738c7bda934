//! Brotli, in Rust.

use brotli::enc::StandardAlloc;
use brotli::{Allocator, BrotliDecompressStream, BrotliResult, BrotliState, SliceWrapperMut};

use crate::coding::Coding;
use crate::coding::decode::{Broken, Step};

pub(super) struct Br(BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>);

impl Br {
    /// `dictionary` is empty where there is none. Windows are those of the RFC, of at most 16 MiB.
    pub(super) fn new(dictionary: &[u8]) -> Self {
        let allocator = StandardAlloc::default;
        let mut state = BrotliState::new_strict(allocator(), allocator(), allocator());
        if !dictionary.is_empty() {
            let mut copy =
                <StandardAlloc as Allocator<u8>>::alloc_cell(&mut allocator(), dictionary.len());
            copy.slice_mut().copy_from_slice(dictionary);
            state.attach_dictionary(copy);
        }
        Self(state)
    }

    pub(super) fn step(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
        room: usize,
    ) -> Result<Step, Broken> {
        let start = out.len();
        out.resize(start + room, 0);
        let (mut left, mut at, mut room, mut written) = (input.len(), 0, room, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut at,
            input,
            &mut room,
            &mut written,
            out.get_mut(start..).unwrap_or_default(),
            &mut 0,
            &mut self.0,
        );
        out.truncate(start + written);
        *input = input.get(at..).unwrap_or_default();
        match result {
            // It says so too while it still has output for which there was no room.
            BrotliResult::NeedsMoreInput if room == 0 => Ok(Step::Full),
            BrotliResult::NeedsMoreInput => Ok(Step::Wants),
            BrotliResult::NeedsMoreOutput => Ok(Step::Full),
            BrotliResult::ResultSuccess => {
                *input = &[];
                Ok(Step::End)
            }
            BrotliResult::ResultFailure => Err(Broken::Malformed(Coding::Br)),
        }
    }
}
