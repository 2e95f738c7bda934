//! gzip, by zlib-ng.

use flate2::{Compress, Compression, FlushCompress, Status};

use crate::coding::Coding;
use crate::coding::encode::{EncoderFailed, ROOM};

pub(super) struct Gzip(Compress);

/// 32 KiB, the largest there is.
const WINDOW_BITS: u8 = 15;

impl Gzip {
    pub(super) fn new(level: u8) -> Self {
        Self(Compress::new_gzip(Compression::new(u32::from(level.clamp(1, 9))), WINDOW_BITS))
    }

    pub(super) fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), EncoderFailed> {
        self.run(input, FlushCompress::None, out)
    }

    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), EncoderFailed> {
        self.run(&[], FlushCompress::Sync, out)
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), EncoderFailed> {
        self.run(&[], FlushCompress::Finish, out)
    }

    fn run(
        &mut self,
        input: &[u8],
        flush: FlushCompress,
        out: &mut Vec<u8>,
    ) -> Result<(), EncoderFailed> {
        let mut input = input;
        loop {
            out.reserve(ROOM);
            let before = (self.0.total_in(), out.len());
            let status = self
                .0
                .compress_vec(input, out, flush)
                .map_err(|error| failed(error.to_string()))?;
            let taken = usize::try_from(self.0.total_in() - before.0).unwrap_or(usize::MAX);
            input = input.get(taken..).unwrap_or_default();
            // Where room is left, everything is out that this flush brings out.
            let has_room = out.len() < out.capacity();
            match status {
                Status::StreamEnd => return Ok(()),
                _ if !matches!(flush, FlushCompress::Finish) && input.is_empty() && has_room => {
                    return Ok(());
                }
                _ if before == (self.0.total_in(), out.len()) => {
                    return Err(failed("it stands still".to_owned()));
                }
                _ => {}
            }
        }
    }
}

fn failed(reason: String) -> EncoderFailed {
    EncoderFailed::Failed { coding: Coding::Gzip, reason }
}
