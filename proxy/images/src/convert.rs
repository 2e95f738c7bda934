//! One job, from the first look at its bytes to the decision whether what was made is worth sending.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use bytes::Bytes;

use crate::outcome::Refusal;
use crate::webp::Encoded;
use crate::{
    Alarm, Facts, Format, Header, Job, Limits, Made, Outcome, Reason, Target, decode, webp,
};

/// What is made has to be smaller than the original by this much, in percent: less is not worth a second form.
const WORTH: u64 = 5;

/// Does the job on this thread, for as long as the alarm does not ring.
///
/// Nothing in a source makes it fail or panic: whatever is too large, broken or not understood is told in the outcome, and what
/// is over a limit before a pixel is read. A panic in a decoder ends the job alone.
pub fn convert(job: &Job, alarm: &Alarm) -> Outcome {
    match catch_unwind(AssertUnwindSafe(|| attempt(job, alarm))) {
        Ok(Ok(made)) => Outcome::Made(made),
        Ok(Err(refusal)) => refusal.into(),
        Err(_) => Outcome::Original(Reason::Panicked),
    }
}

fn attempt(job: &Job, alarm: &Alarm) -> Result<Made, Refusal> {
    let begun = Instant::now();
    let header = admit(job)?;
    alarm.check()?;
    let room = room(job.source.len());
    let encoded = if header.frames > 1 {
        webp::moving(job, &header, decode::moving(job, &header, alarm)?, alarm)?
    } else {
        let still = decode::still(job, &header, alarm)?;
        match job.target {
            Target::WebP => webp::still(job, &header, still, room, alarm)?,
            Target::Avif => avif(job, still)?,
        }
    };
    if encoded.bytes.len() > room {
        return Err(Reason::Size.into());
    }
    alarm.check()?;
    Ok(made(job, &header, encoded, begun))
}

/// As many bytes as are worth sending instead of so many.
fn room(source: usize) -> usize {
    let room = source as u64 * (100 - WORTH) / 100;
    usize::try_from(room).unwrap_or(source)
}

/// What can be said without a pixel: whether the job is one, and within its limits.
fn admit(job: &Job) -> Result<Header, Refusal> {
    let limits = &job.limits;
    let over =
        |is_over: bool, reason| if is_over { Err(Refusal::Original(reason)) } else { Ok(()) };
    over(!job.target.is_built(), Reason::NotBuilt)?;
    over(job.source.len() as u64 > limits.bytes, Reason::Bytes)?;
    let header = Header::read(&job.source)?;
    over(job.declared.is_some_and(|declared| declared != header.format), Reason::Mislabelled)?;
    over(header.frames > limits.frames, Reason::Frames)?;
    over(header.pixels() > limits.pixels, Reason::Pixels)?;
    over(header.frames > 1 && !may_move(&header, job.target), Reason::Animation)?;
    over(header.foreign_colours, Reason::Colours)?;
    over(is_made_already(job, &header), Reason::Format)?;
    over(!fits(job, &header), Reason::Dimensions)?;
    over(job.memory(&header) > limits.memory, Reason::Memory)?;
    Ok(header)
}

/// Whether an animation stays one.
fn may_move(header: &Header, target: Target) -> bool {
    matches!((header.format, target), (Format::Gif | Format::WebP, Target::WebP))
}

/// Whether nothing would be done but lose once more: it has the format, and keeps its size. Who saves data loses gladly.
fn is_made_already(job: &Job, header: &Header) -> bool {
    let is_narrowed = job.width.is_some_and(|width| width > 0 && width < header.width);
    (header.format, job.target) == (Format::WebP, Target::WebP)
        && !is_narrowed
        && (header.lossless || job.save_data.is_none())
}

/// Whether the target can say such sides, lying or upright: an orientation is not known yet.
fn fits(job: &Job, header: &Header) -> bool {
    let (width, height) = (header.width, header.height);
    [(width, height), (height, width)].into_iter().any(|size| {
        let (width, height) = Header::fitted(size, job.width);
        width.max(height) <= job.target.longest_side()
    })
}

/// What [`convert`] promises of any bytes, for the fuzzer: no panic, nothing larger than 95 % of the source, and what is made can
/// be read, in the size that is told.
///
/// # Panics
/// When a promise is broken.
pub fn check_conversion(data: &[u8]) {
    let mut job = Job::new(Bytes::copy_from_slice(data), Target::WebP);
    job.width = Some(20);
    job.limits = Limits { pixels: 1 << 16, frames: 4, memory: 16 << 20, ..Limits::default() };
    match convert(&job, &Alarm::never()) {
        Outcome::Made(made) => {
            assert!(made.bytes.len() * 100 <= data.len() * 95);
            let header = Header::read(&made.bytes);
            let size = header.map(|header| (header.format, header.width, header.height));
            assert_eq!(size, Ok((Format::WebP, made.facts.width, made.facts.height)));
        }
        outcome @ Outcome::Original(Reason::Panicked | Reason::Encoder) => {
            assert!(matches!(outcome, Outcome::Broken(_)), "{outcome}");
        }
        Outcome::Original(_) | Outcome::Broken(_) => {}
    }
}

#[cfg(feature = "avif")]
fn avif(job: &Job, still: decode::Still) -> Result<Encoded, Refusal> {
    crate::avif::still(job, still)
}

#[cfg(not(feature = "avif"))]
fn avif(_job: &Job, _still: decode::Still) -> Result<Encoded, Refusal> {
    Err(Reason::NotBuilt.into())
}

fn made(job: &Job, header: &Header, encoded: Encoded, begun: Instant) -> Made {
    let (width, height) = encoded.size;
    let facts = Facts {
        from: header.format,
        source_bytes: job.source.len(),
        width,
        height,
        frames: encoded.frames,
        quality: encoded.quality,
        profile: encoded.profile,
        took: begun.elapsed(),
    };
    Made { bytes: encoded.bytes.into(), target: job.target, facts }
}
