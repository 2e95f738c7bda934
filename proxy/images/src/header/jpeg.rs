//! JPEG (ITU-T T.81): the markers before the first scan.

use super::bytes::Reader;
use super::{Header, Unread};
use crate::{Flaw, Format};

const END: [u8; 2] = [0xff, 0xd9];

pub(super) fn read(bytes: &[u8]) -> Result<Header, Unread> {
    let mut reader = Reader::new(bytes, 2);
    let mut frame = None;
    loop {
        let at = reader.at();
        let marker = marker(&mut reader)?;
        match marker {
            // The scan begins; without a frame before it there is nothing to decode.
            0xda => {
                let header: Header = frame.ok_or(Unread::Flaw(Flaw::Corrupt))?;
                return Ok(Header { pixels_at: at, ..header });
            }
            // The end, or a second beginning.
            0xd8 | 0xd9 => return Err(Unread::Flaw(Flaw::Corrupt)),
            // Markers without a length: restarts, and one for arithmetic coding.
            0xd0..=0xd7 | 0x01 => continue,
            _ => {}
        }
        let length = usize::from(reader.u16_be()?);
        let rest = length.checked_sub(2).ok_or(Unread::Flaw(Flaw::Corrupt))?;
        let mut inside = Reader::new(reader.take(rest)?, 0);
        if is_frame(marker) {
            if frame.is_some() {
                return Err(Unread::Flaw(Flaw::Corrupt));
            }
            frame = Some(read_frame(marker, &mut inside)?);
        }
    }
}

/// Whether the end of the picture comes after its first scan: in what is coded no such bytes can be.
pub(super) fn has_end(scans: &[u8]) -> bool {
    memchr::memmem::rfind(scans, &END).is_some()
}

/// The next marker; any number of fill bytes may stand before it.
fn marker(reader: &mut Reader<'_>) -> Result<u8, Unread> {
    if reader.u8()? != 0xff {
        return Err(Unread::Flaw(Flaw::Corrupt));
    }
    loop {
        match reader.u8()? {
            0xff => {}
            0 => return Err(Unread::Flaw(Flaw::Corrupt)),
            marker => return Ok(marker),
        }
    }
}

/// Whether the marker begins a frame: all from 0xc0 to 0xcf but the tables of Huffman (c4) and arithmetic (cc) coding and an
/// extension (c8).
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

fn read_frame(marker: u8, inside: &mut Reader<'_>) -> Result<Header, Unread> {
    let precision = inside.u8()?;
    let (height, width) = (inside.u16_be()?, inside.u16_be()?);
    let components = inside.u8()?;
    // Baseline, extended and progressive, of 8 bits. A height that follows after the scan is as rare as the others.
    if !matches!(marker, 0xc0..=0xc2) || precision != 8 || height == 0 {
        return Err(Unread::Unsupported);
    }
    let size = (width.into(), height.into());
    Ok(Header {
        progressive: marker == 0xc2,
        foreign_colours: components == 4,
        ..Header::still(Format::Jpeg, size, components.max(1))
    })
}
