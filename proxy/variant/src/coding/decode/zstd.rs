//! Zstandard, by its own library.

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use crate::coding::Coding;
use crate::coding::decode::{Broken, Step};

pub(super) struct Zstd {
    decoder: Decoder<'static>,
    /// Nothing has come of a frame, or all of it.
    is_between: bool,
    frames: u64,
}

const MALFORMED: Broken = Broken::Malformed(Coding::Zstd);

impl Zstd {
    /// `dictionary` is empty where there is none.
    pub(super) fn new(window: u32, dictionary: &[u8]) -> Result<Self, Broken> {
        let mut decoder = Decoder::with_dictionary(dictionary).map_err(|_| MALFORMED)?;
        // Between the least and the most that the library knows.
        let window = window.max(1).ilog2().clamp(10, 27);
        decoder.set_parameter(DParameter::WindowLogMax(window)).map_err(|_| MALFORMED)?;
        Ok(Self { decoder, is_between: true, frames: 0 })
    }

    /// A body may end here: frames follow each other without a sign of the last.
    pub(super) fn is_between_frames(&self) -> bool {
        self.is_between && self.frames > 0
    }

    pub(super) fn step(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
        room: usize,
    ) -> Result<Step, Broken> {
        let start = out.len();
        out.resize(start + room, 0);
        let mut written = 0;
        let step = self.fill(input, out.get_mut(start..).unwrap_or_default(), &mut written);
        out.truncate(start + written);
        step
    }

    fn fill(
        &mut self,
        input: &mut &[u8],
        room: &mut [u8],
        written: &mut usize,
    ) -> Result<Step, Broken> {
        let size = room.len();
        let mut from = InBuffer::around(input);
        let mut to = OutBuffer::around(room);
        let step = loop {
            if self.is_between && from.pos() == input.len() {
                break Step::Wants;
            }
            let before = (from.pos(), to.pos());
            self.is_between = self.decoder.run(&mut from, &mut to).map_err(|_| MALFORMED)? == 0;
            self.frames += u64::from(self.is_between);
            if to.pos() == size && !(self.is_between && from.pos() == input.len()) {
                break Step::Full;
            }
            if from.pos() == input.len() {
                break Step::Wants;
            }
            if before == (from.pos(), to.pos()) {
                return Err(MALFORMED);
            }
        };
        *written = to.pos();
        *input = input.get(from.pos()..).unwrap_or_default();
        Ok(step)
    }
}
