//! gzip and deflate, by zlib-ng.

use flate2::{Decompress, FlushDecompress, Status};

use crate::coding::Coding;
use crate::coding::decode::{Broken, Step};

pub(super) struct Inflate {
    coding: Coding,
    /// Made with the first byte of each member.
    decompress: Option<Decompress>,
    members: u64,
}

const WINDOW_BITS: u8 = 15;

impl Inflate {
    pub(super) fn gzip() -> Self {
        Self { coding: Coding::Gzip, decompress: None, members: 0 }
    }

    pub(super) fn deflate() -> Self {
        Self { coding: Coding::Deflate, decompress: None, members: 0 }
    }

    pub(super) fn coding(&self) -> Coding {
        self.coding
    }

    /// A body may end here: it has a member, and none has begun since.
    pub(super) fn is_between_members(&self) -> bool {
        self.decompress.is_none() && self.members > 0
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
        loop {
            let decompress = match (&mut self.decompress, input.first()) {
                (Some(decompress), _) => decompress,
                (None, None) => return Ok(Step::Wants),
                (None, Some(&first)) => match start(self.coding, first, self.members) {
                    Some(started) => self.decompress.insert(started),
                    None => {
                        *input = &[];
                        return Ok(Step::End);
                    }
                },
            };
            let place = room.get_mut(*written..).unwrap_or_default();
            let before = (decompress.total_in(), decompress.total_out());
            let status = decompress.decompress(input, place, FlushDecompress::None);
            let status = status.map_err(|_| Broken::Malformed(self.coding))?;
            *input = rest(input, decompress.total_in() - before.0);
            *written += usize::try_from(decompress.total_out() - before.1).unwrap_or_default();
            match status {
                Status::StreamEnd => {
                    self.decompress = None;
                    self.members += 1;
                }
                _ if *written == room.len() => return Ok(Step::Full),
                _ if input.is_empty() => return Ok(Step::Wants),
                _ if before == (decompress.total_in(), decompress.total_out()) => {
                    return Err(Broken::Malformed(self.coding));
                }
                _ => {}
            }
        }
    }
}

/// A member that begins with this byte. `None` where what follows the last one is no other.
fn start(coding: Coding, first: u8, members: u64) -> Option<Decompress> {
    match coding {
        Coding::Gzip if members == 0 || first == 0x1f => Some(Decompress::new_gzip(WINDOW_BITS)),
        // The wrapping of RFC 1950 begins with its method, 8. Bare data would have to begin with a stored block that is
        // padded with ones.
        Coding::Deflate if members == 0 => Some(Decompress::new(first & 15 == 8)),
        _ => None,
    }
}

fn rest(input: &[u8], taken: u64) -> &[u8] {
    usize::try_from(taken).ok().and_then(|taken| input.get(taken..)).unwrap_or_default()
}
