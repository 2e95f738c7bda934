//! WebP (RFC 9649): the container and the heads of its two codings.

use super::bytes::Reader;
use super::{Header, Unread};
use crate::{Flaw, Format};

/// `RIFF`, its length, `WEBP`.
const SIGNATURE: usize = 12;
/// In the flags of an extended file: it moves.
const ANIMATION: u8 = 0x02;
/// And: some of it is transparent.
const ALPHA: u8 = 0x10;

pub(super) fn read(bytes: &[u8]) -> Result<Header, Unread> {
    let length = Reader::new(bytes, 4).u32_le()?;
    let end = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(8);
    let whole = bytes.get(..end).ok_or(Unread::Flaw(Flaw::Truncated))?;
    let mut reader = Reader::new(whole, SIGNATURE);
    let (name, mut inside) = chunk(&mut reader)?;
    let header = match &name {
        b"VP8 " => lossy(&mut inside),
        b"VP8L" => lossless(&mut inside),
        b"VP8X" => extended(&mut inside, reader),
        _ => Err(Unread::Flaw(Flaw::Corrupt)),
    }?;
    Ok(Header { pixels_at: SIGNATURE, ..header })
}

/// Name and content of the next chunk; its content has an even length.
fn chunk<'a>(reader: &mut Reader<'a>) -> Result<([u8; 4], Reader<'a>), Unread> {
    let name = reader.array()?;
    let length = usize::try_from(reader.u32_le()?).unwrap_or(usize::MAX);
    let content = reader.take(length)?;
    if length % 2 == 1 && !reader.is_done() {
        reader.skip(1)?;
    }
    Ok((name, Reader::new(content, 0)))
}

/// The frame header of VP8 (RFC 6386, section 9.1).
fn lossy(inside: &mut Reader<'_>) -> Result<Header, Unread> {
    let is_inter = inside.u24_le()? & 1 == 1;
    if is_inter || inside.array()? != [0x9d, 0x01, 0x2a] {
        return Err(Unread::Flaw(Flaw::Corrupt));
    }
    // The two bits above are for scaling, which nobody does.
    let size = (u32::from(inside.u16_le()? & 0x3fff), u32::from(inside.u16_le()? & 0x3fff));
    Ok(Header::still(Format::WebP, size, 3))
}

/// The header of VP8L (RFC 9649, section 3.4).
fn lossless(inside: &mut Reader<'_>) -> Result<Header, Unread> {
    if inside.u8()? != 0x2f {
        return Err(Unread::Flaw(Flaw::Corrupt));
    }
    let bits = inside.u32_le()?;
    let size = ((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1);
    Ok(Header { lossless: true, ..Header::still(Format::WebP, size, 4) })
}

/// Place, size, duration and flags of a frame.
const FRAME: usize = 16;

/// A frame of an animation.
pub(crate) struct WebPFrame<'a> {
    pub(crate) place: (u32, u32),
    pub(crate) size: (u32, u32),
    /// For how many milliseconds it is shown.
    pub(crate) shown: u32,
    /// Whether it is laid over what is there, else instead of it.
    pub(crate) is_blended: bool,
    /// Whether its place is cleared after it.
    pub(crate) is_cleared: bool,
    /// The chunks of the picture in it.
    pub(crate) image: &'a [u8],
}

/// The frames of an animation (RFC 9649, section 2.7.1.1), as far as they can be told.
pub(crate) fn frames(bytes: &[u8]) -> impl Iterator<Item = WebPFrame<'_>> {
    let mut reader = Reader::new(bytes, SIGNATURE);
    let chunks = std::iter::from_fn(move || chunk(&mut reader).ok());
    chunks.filter(|(name, _)| name == b"ANMF").filter_map(|(_, content)| frame(content).ok())
}

fn frame(mut content: Reader<'_>) -> Result<WebPFrame<'_>, Unread> {
    let place = (content.u24_le()? * 2, content.u24_le()? * 2);
    let size = (content.u24_le()? + 1, content.u24_le()? + 1);
    let shown = content.u24_le()?;
    let flags = content.u8()?;
    Ok(WebPFrame {
        place,
        size,
        shown,
        is_blended: flags & 0x02 == 0,
        is_cleared: flags & 0x01 != 0,
        image: content.rest(),
    })
}

/// The canvas of an extended file, and the frames in it.
fn extended(inside: &mut Reader<'_>, mut rest: Reader<'_>) -> Result<Header, Unread> {
    let flags = inside.u8()?;
    inside.skip(3)?;
    let size = (inside.u24_le()? + 1, inside.u24_le()? + 1);
    let channels = if flags & ALPHA == 0 { 3 } else { 4 };
    let mut header = Header::still(Format::WebP, size, channels);
    let (mut frames, mut lossy) = (0_u32, 0_u32);
    while !rest.is_done() {
        let (name, mut content) = chunk(&mut rest)?;
        match &name {
            b"VP8 " => lossy += 1,
            b"ANMF" => {
                frames = frames.saturating_add(1);
                content.skip(FRAME)?;
                // A frame that loses something may have its alpha before it.
                lossy = lossy.saturating_add(u32::from(&content.array()? != b"VP8L"));
            }
            _ => {}
        }
    }
    header.lossless = lossy == 0;
    if flags & ANIMATION != 0 {
        header.frames = frames;
    }
    Ok(header)
}
