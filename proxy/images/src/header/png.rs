//! PNG (ISO/IEC 15948): the chunks before the pixels.

use std::ops::RangeInclusive;

use super::bytes::Reader;
use super::{Header, Unread};
use crate::{Flaw, Format};

const SIGNATURE: usize = 8;
/// What follows a chunk.
const CHECKSUM: usize = 4;

/// About 1/2.2, in hundred thousandths.
const SRGB_GAMMA: RangeInclusive<u32> = 45_000..=46_000;

pub(super) fn read(bytes: &[u8]) -> Result<Header, Unread> {
    let mut reader = Reader::new(bytes, SIGNATURE);
    let mut header = first_chunk(&mut reader)?;
    let (mut has_space, mut has_other_gamma) = (false, false);
    loop {
        let at = reader.at();
        let length = reader.u32_be()?;
        match &reader.array()? {
            b"IDAT" => {
                header.foreign_colours |= has_other_gamma && !has_space;
                return Ok(Header { pixels_at: at, ..header });
            }
            b"IEND" => return Err(Unread::Flaw(Flaw::Corrupt)),
            b"acTL" => {
                let mut inside = reader;
                header.frames = inside.u32_be()?;
            }
            // Of colour spaces by number (ITU-T H.273) only sRGB's stays what it is without the chunk.
            b"cICP" => {
                let mut inside = reader;
                header.foreign_colours |= inside.array()? != [1, 13, 0, 1];
            }
            // A profile, or sRGB by name, counts before a gamma.
            b"iCCP" | b"sRGB" => has_space = true,
            b"gAMA" => {
                let mut inside = reader;
                has_other_gamma = !SRGB_GAMMA.contains(&inside.u32_be()?);
            }
            b"tRNS" => header.channels += u8::from(header.channels % 2 == 1),
            _ => {}
        }
        reader.skip(usize::try_from(length).unwrap_or(usize::MAX))?;
        reader.skip(CHECKSUM)?;
    }
}

/// `IHDR`: size, depth and colour type.
fn first_chunk(reader: &mut Reader<'_>) -> Result<Header, Unread> {
    if (reader.u32_be()?, &reader.array()?) != (13, b"IHDR") {
        return Err(Unread::Flaw(Flaw::Corrupt));
    }
    let size = (reader.u32_be()?, reader.u32_be()?);
    let depth = reader.u8()?;
    let channels = match reader.u8()? {
        0 => 1,
        // A palette becomes what it names.
        2 | 3 => 3,
        4 => 2,
        6 => 4,
        _ => return Err(Unread::Flaw(Flaw::Corrupt)),
    };
    if size.0 > i32::MAX.unsigned_abs() || size.1 > i32::MAX.unsigned_abs() {
        return Err(Unread::Flaw(Flaw::Corrupt));
    }
    // Compression, filter, interlacing.
    reader.skip(3 + CHECKSUM)?;
    let still = Header::still(Format::Png, size, channels);
    Ok(Header { depth: if depth == 16 { 16 } else { 8 }, lossless: true, ..still })
}
