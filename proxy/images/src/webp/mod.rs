//! WebP out, by libwebp's encoder: pixels that we decoded go in, bytes come out; none of its decoders is called.

#[expect(
    unsafe_code,
    reason = "libwebp is C, and its one wrapper on the registry cannot be stopped, nor give memory a bound"
)]
mod raw;
pub(crate) mod riff;

use crate::decode::{Moving, Still};
use crate::outcome::Refusal;
use crate::raster::Raster;
use crate::{Alarm, Effort, Header, Job, Quality, Reason, content};

pub(crate) use raw::version;

/// What was encoded.
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) size: (u32, u32),
    pub(crate) frames: u32,
    /// `None` where nothing is lost.
    pub(crate) quality: Option<Quality>,
    pub(crate) profile: bool,
}

/// How pixels are coded.
#[derive(Clone, Copy)]
struct Coding {
    /// `None` where nothing is lost.
    quality: Option<Quality>,
    effort: Effort,
}

impl Coding {
    /// What was drawn, and stored without loss, loses nothing. In another size fine patterns are drawn no more: so it is told
    /// by the pixels that are encoded, of an animation by those of its first frame.
    fn of(job: &Job, header: &Header, resized: &Raster) -> Self {
        let is_lossless = header.lossless && content::is_drawn(resized);
        let quality = (!is_lossless).then(|| job.applied_quality());
        Self { quality, effort: job.effort }
    }
}

/// Encodes a still picture in the size asked for, into at most `room` bytes.
pub(crate) fn still(
    job: &Job,
    header: &Header,
    still: Still,
    room: usize,
    alarm: &Alarm,
) -> Result<Encoded, Refusal> {
    let size = Header::fitted(still.raster.size(), job.width);
    check_sides(size)?;
    let raster = still.raster.resized(size)?;
    alarm.check()?;
    let coding = Coding::of(job, header, &raster);
    let bytes = raw::still(&raster, coding, room, alarm)?;
    finish(bytes, size, still.profile, coding, 1)
}

/// Encodes a moving picture in the size asked for, frame by frame.
pub(crate) fn moving(
    job: &Job,
    header: &Header,
    mut source: Moving<'_>,
    alarm: &Alarm,
) -> Result<Encoded, Refusal> {
    let size = Header::fitted((header.width, header.height), job.width);
    check_sides(size)?;
    let mut encoder = raw::Animation::new(size, source.loops)?;
    let (mut coding, mut frames, mut clock) = (None, 0, 0);
    while let Some((raster, shown)) = source.next()? {
        if frames >= job.limits.frames {
            return Err(Reason::Frames.into());
        }
        let raster = raster.resized(size)?;
        let coding = *coding.get_or_insert_with(|| Coding::of(job, header, &raster));
        encoder.add(&raster, clock, coding)?;
        alarm.check()?;
        frames += 1;
        clock += as_browsers_show(shown);
    }
    let coding = coding.ok_or(crate::Flaw::Truncated)?;
    let bytes = encoder.finish(clock)?;
    // Frames that change nothing are left out.
    let frames = Header::read(&bytes).map_or(frames, |header| header.frames);
    finish(bytes, size, source.profile.take(), coding, frames)
}

/// Frames that are to be shown for 10 ms or less are shown for 100 ms, in GIF by all browsers: it stays so.
fn as_browsers_show(milliseconds: u32) -> i32 {
    if milliseconds <= 10 { 100 } else { i32::try_from(milliseconds).unwrap_or(100).min(1 << 20) }
}

fn check_sides((width, height): (u32, u32)) -> Result<(), Reason> {
    let longest = crate::Target::WebP.longest_side();
    if width.max(height) > longest { Err(Reason::Dimensions) } else { Ok(()) }
}

fn finish(
    bytes: Vec<u8>,
    size: (u32, u32),
    profile: Option<Vec<u8>>,
    coding: Coding,
    frames: u32,
) -> Result<Encoded, Refusal> {
    let has_profile = profile.is_some();
    let bytes = match profile {
        Some(profile) => riff::with_profile(&bytes, &profile, size).ok_or(Reason::Encoder)?,
        None => bytes,
    };
    Ok(Encoded { bytes, size, frames, quality: coding.quality, profile: has_profile })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::time::{Duration, Instant};

    use image::{DynamicImage, Rgb, RgbImage};

    use super::{Coding, raw};
    use crate::outcome::Refusal;
    use crate::raster::Raster;
    use crate::{Alarm, Effort, Quality, Reason};

    /// Noise, on which an encoder works for long.
    fn noise(side: u32) -> Raster {
        let picture = RgbImage::from_fn(side, side, |x, y| {
            let [a, b, c, _] = (x * 7919 + y * 104_729).wrapping_mul(0x9e37_79b1).to_le_bytes();
            Rgb([a, b, c])
        });
        Raster::new(DynamicImage::ImageRgb8(picture))
    }

    fn refusal(reason: Reason) -> Option<Refusal> {
        Some(Refusal::Original(reason))
    }

    #[test]
    fn an_encoder_at_work_stops_when_the_alarm_rings() {
        let coding = Coding { quality: Quality::new(90), effort: Effort::Thorough };
        let raster = noise(1000);
        let begun = Instant::now();
        assert!(raw::still(&raster, coding, usize::MAX, &Alarm::never()).is_ok());
        let whole = begun.elapsed();
        let left = Alarm::after(Duration::MAX, Arc::new(AtomicBool::new(true)));
        let begun = Instant::now();
        let stopped = raw::still(&raster, coding, usize::MAX, &left).err();
        let part = begun.elapsed();
        assert_eq!(stopped, refusal(Reason::Abandoned));
        assert!(part * 3 < whole, "{part:?} of {whole:?}");
    }

    #[test]
    fn an_encoder_keeps_no_more_bytes_than_there_is_room_for() {
        for quality in [Quality::new(90), None] {
            let coding = Coding { quality, effort: Effort::Quick };
            let encode = |room| raw::still(&noise(64), coding, room, &Alarm::never());
            let length = encode(usize::MAX).unwrap().len();
            assert_eq!(encode(length).map(|bytes| bytes.len()), Ok(length));
            assert_eq!(encode(length - 1).err(), refusal(Reason::Size));
        }
    }

    #[test]
    fn frames_of_another_size_are_refused() {
        let coding = Coding { quality: None, effort: Effort::Quick };
        let mut animation = raw::Animation::new((32, 32), 0).unwrap();
        assert_eq!(animation.add(&noise(31), 0, coding), Err(Reason::Encoder));
    }
}
