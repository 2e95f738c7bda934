//! From bytes to pixels, by decoders of safe Rust alone.

use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};
use std::iter::Take;

use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::LoopCount;
use image::{AnimationDecoder, DynamicImage, Frames, ImageDecoder, ImageError};

use crate::canvas::{Canvas, Unshown};
use crate::outcome::Refusal;
use crate::raster::Raster;
use crate::{Alarm, Flaw, Format, Header, Job, Reason, colour};

/// A still picture, upright, and the profile that has to go with it.
pub(crate) struct Still {
    pub(crate) raster: Raster,
    pub(crate) profile: Option<Vec<u8>>,
}

/// Decodes a still picture and turns it upright.
pub(crate) fn still(job: &Job, header: &Header, alarm: &Alarm) -> Result<Still, Refusal> {
    if !header.is_whole(&job.source) {
        return Err(Flaw::Truncated.into());
    }
    let failed = |error: ImageError| refusal(&error, alarm);
    let source = Watched::new(&job.source, alarm);
    let mut decoder = open(source, header.format, &limits(job)).map_err(failed)?;
    if decoder.dimensions() != (header.width, header.height) {
        return Err(Flaw::Corrupt.into());
    }
    let profile = colour::kept(decoder.icc_profile().map_err(failed)?)?;
    let orientation = decoder.orientation().map_err(failed)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(failed)?;
    alarm.check()?;
    picture.apply_orientation(orientation);
    Ok(Still { raster: Raster::new(picture), profile })
}

/// A moving picture, of which one frame is decoded at a time.
pub(crate) struct Moving<'a> {
    frames: MovingFrames<'a>,
    alarm: &'a Alarm,
    /// How often it is shown; 0 is for ever.
    pub(crate) loops: u32,
    pub(crate) profile: Option<Vec<u8>>,
}

enum MovingFrames<'a> {
    Gif(Take<Frames<'a>>),
    WebP(Canvas<'a>),
}

/// Decodes a moving picture, frame by frame.
pub(crate) fn moving<'a>(
    job: &'a Job,
    header: &Header,
    alarm: &'a Alarm,
) -> Result<Moving<'a>, Refusal> {
    let failed = |error: ImageError| refusal(&error, alarm);
    let source = Watched::new(&job.source, alarm);
    let size = (header.width, header.height);
    match header.format {
        Format::Gif => {
            let mut decoder = GifDecoder::new(source).map_err(failed)?;
            decoder.set_limits(limits(job)).map_err(failed)?;
            let (loops, profile) = about(&mut decoder, size, alarm)?;
            // The head has counted them; after the last one many files just end, which the decoder takes for an error.
            let count = usize::try_from(header.frames).unwrap_or(usize::MAX);
            let frames = MovingFrames::Gif(decoder.into_frames().take(count));
            Ok(Moving { frames, alarm, loops, profile })
        }
        Format::WebP => {
            let mut decoder = WebPDecoder::new(source).map_err(failed)?;
            let (loops, profile) = about(&mut decoder, size, alarm)?;
            let frames = MovingFrames::WebP(Canvas::new(&job.source, size));
            Ok(Moving { frames, alarm, loops, profile })
        }
        // APNG: its decoder knows 8 bits alone.
        Format::Jpeg | Format::Png => Err(Reason::Animation.into()),
    }
}

/// How often an animation is shown, and the profile that has to go with it.
fn about<'a, D>(
    decoder: &mut D,
    size: (u32, u32),
    alarm: &Alarm,
) -> Result<(u32, Option<Vec<u8>>), Refusal>
where
    D: ImageDecoder + AnimationDecoder<'a>,
{
    if decoder.dimensions() != size {
        return Err(Flaw::Corrupt.into());
    }
    let profile = decoder.icc_profile().map_err(|error| refusal(&error, alarm))?;
    let loops = match decoder.loop_count() {
        LoopCount::Infinite => 0,
        LoopCount::Finite(times) => times.get(),
    };
    Ok((loops, colour::kept(profile)?))
}

impl Moving<'_> {
    /// The next frame, whole, and for how many milliseconds it is shown.
    pub(crate) fn next(&mut self) -> Result<Option<(Raster, u32)>, Refusal> {
        self.alarm.check()?;
        let failed = |error: &ImageError| refusal(error, self.alarm);
        let (picture, shown) = match &mut self.frames {
            MovingFrames::Gif(frames) => {
                let Some(frame) = frames.next() else { return Ok(None) };
                let frame = frame.map_err(|error| failed(&error))?;
                let (numerator, denominator) = frame.delay().numer_denom_ms();
                (frame.into_buffer(), numerator / denominator.max(1))
            }
            MovingFrames::WebP(canvas) => {
                let Some(frame) = canvas.next() else { return Ok(None) };
                frame.map_err(|unshown| match unshown {
                    Unshown::Misplaced => Flaw::Corrupt.into(),
                    Unshown::Undecoded(error) => failed(&error),
                })?
            }
        };
        Ok(Some((Raster::new(DynamicImage::ImageRgba8(picture)), shown)))
    }
}

fn open<'a>(
    source: Watched<'a>,
    format: Format,
    limits: &image::Limits,
) -> Result<Box<dyn ImageDecoder + 'a>, ImageError> {
    let mut decoder: Box<dyn ImageDecoder + 'a> = match format {
        Format::Jpeg => Box::new(JpegDecoder::new(source)?),
        Format::Png => Box::new(PngDecoder::with_limits(source, limits.clone())?),
        Format::Gif => Box::new(GifDecoder::new(source)?),
        Format::WebP => Box::new(WebPDecoder::new(source)?),
    };
    decoder.set_limits(limits.clone())?;
    Ok(decoder)
}

fn limits(job: &Job) -> image::Limits {
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(job.limits.memory);
    limits
}

/// What a decoder's error means.
fn refusal(error: &ImageError, alarm: &Alarm) -> Refusal {
    if let Err(stopped) = alarm.check() {
        return stopped;
    }
    match error {
        ImageError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Flaw::Truncated.into()
        }
        ImageError::Limits(_) => Reason::Memory.into(),
        ImageError::Unsupported(_) => Reason::Unsupported.into(),
        _ => Flaw::Corrupt.into(),
    }
}

/// A source that ends with an error when the alarm rings.
struct Watched<'a> {
    source: Cursor<&'a [u8]>,
    alarm: &'a Alarm,
}

impl<'a> Watched<'a> {
    /// What is read between two looks at the alarm.
    const PIECE: usize = 64 << 10;

    fn new(source: &'a [u8], alarm: &'a Alarm) -> Self {
        Self { source: Cursor::new(source), alarm }
    }

    fn look(&self) -> io::Result<()> {
        let rings = self.alarm.rings().is_some();
        if rings { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.look()?;
        self.source.read(buffer)
    }
}

impl BufRead for Watched<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.look()?;
        let left = self.source.fill_buf()?;
        Ok(left.get(..Self::PIECE).unwrap_or(left))
    }

    fn consume(&mut self, amount: usize) {
        self.source.consume(amount);
    }
}

impl Seek for Watched<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.source.seek(position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, Read};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::Watched;
    use crate::Alarm;

    #[test]
    fn a_source_is_read_no_further_when_the_alarm_rings() {
        let bytes = vec![7; 3 * Watched::PIECE];
        let abandoned = Arc::new(AtomicBool::new(false));
        let alarm = Alarm::after(Duration::MAX, Arc::clone(&abandoned));
        let mut watched = Watched::new(&bytes, &alarm);
        assert_eq!(watched.fill_buf().unwrap().len(), Watched::PIECE);
        watched.consume(Watched::PIECE);
        abandoned.store(true, Ordering::Relaxed);
        assert!(watched.fill_buf().is_err() && watched.read(&mut [0; 9]).is_err());
    }
}
