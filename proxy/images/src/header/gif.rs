//! GIF (87a and 89a): the blocks, to the end, because frames are not counted at the front.

use super::bytes::Reader;
use super::{Header, Unread};
use crate::{Flaw, Format};

const SIGNATURE: usize = 6;

pub(super) fn read(bytes: &[u8]) -> Result<Header, Unread> {
    let mut reader = Reader::new(bytes, SIGNATURE);
    let size = (u32::from(reader.u16_le()?), u32::from(reader.u16_le()?));
    let packed = reader.u8()?;
    // Background and aspect ratio.
    reader.skip(2)?;
    skip_palette(&mut reader, packed)?;
    let pixels_at = reader.at();
    let frames = count_frames(&mut reader)?;
    // Whatever is not covered, or is transparent, is clear.
    let still = Header::still(Format::Gif, size, 4);
    Ok(Header { frames, lossless: true, pixels_at, ..still })
}

/// The frames up to the trailer. Many files have none and end after a block.
fn count_frames(reader: &mut Reader<'_>) -> Result<u32, Unread> {
    let mut frames = 0_u32;
    while !reader.is_done() {
        match reader.u8()? {
            0x2c => {
                reader.skip(8)?;
                let packed = reader.u8()?;
                skip_palette(reader, packed)?;
                // The width of a code.
                reader.skip(1)?;
                skip_blocks(reader)?;
                frames = frames.saturating_add(1);
            }
            0x21 => {
                // What kind of extension.
                reader.skip(1)?;
                skip_blocks(reader)?;
            }
            0x3b => return Ok(frames),
            // Padding between blocks.
            0x00 => {}
            _ => return Err(Unread::Flaw(Flaw::Corrupt)),
        }
    }
    if frames == 0 { Err(Unread::Flaw(Flaw::Truncated)) } else { Ok(frames) }
}

fn skip_palette(reader: &mut Reader<'_>, packed: u8) -> Result<(), Unread> {
    if packed & 0x80 == 0 {
        return Ok(());
    }
    reader.skip(3 << ((packed & 7) + 1))
}

/// Sub-blocks, each with its length before it, up to an empty one.
fn skip_blocks(reader: &mut Reader<'_>) -> Result<(), Unread> {
    loop {
        match reader.u8()? {
            0 => return Ok(()),
            length => reader.skip(length.into())?,
        }
    }
}
