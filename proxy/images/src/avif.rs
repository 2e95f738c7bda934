//! AVIF out, by libaom: dearer than WebP by far, so nothing that somebody waits for.

use libavif::{Encoder, RgbPixels, YuvFormat};

use crate::decode::Still;
use crate::outcome::Refusal;
use crate::webp::Encoded;
use crate::{Effort, Header, Job, Reason, Target};

/// Encodes a still picture in the size asked for.
///
/// It cannot be stopped half-way, and writes no profile: a picture that needs one is left alone.
pub(crate) fn still(job: &Job, still: Still) -> Result<Encoded, Refusal> {
    if still.profile.is_some() {
        return Err(Reason::Colours.into());
    }
    let size = Header::fitted(still.raster.size(), job.width);
    if size.0.max(size.1) > Target::Avif.longest_side() {
        return Err(Reason::Dimensions.into());
    }
    let raster = still.raster.resized(size)?;
    let failed = |_| Reason::Encoder;
    let pixels = RgbPixels::new(size.0, size.1, raster.samples()).map_err(failed)?;
    let quality = job.applied_quality();
    let mut encoder = Encoder::new();
    encoder
        .set_max_threads(1)
        .set_quality(quality.get())
        .set_alpha_quality(quality.get())
        .set_speed(if job.effort == Effort::Quick { 9 } else { 6 });
    let mut bytes = encoder.encode(&pixels.to_image(YuvFormat::Yuv420)).map_err(failed)?.to_vec();
    name_colours(&mut bytes);
    Ok(Encoded { bytes, size, frames: 1, quality: Some(quality), profile: false })
}

/// Names the colours (ITU-T H.273) where the encoder leaves them unspecified: sRGB, turned to YUV as BT.601 does.
fn name_colours(avif: &mut [u8]) {
    const UNSPECIFIED: &[u8] = b"colrnclx\0\x02\0\x02\0\x02";
    const SRGB: &[u8] = b"colrnclx\0\x01\0\x0d\0\x06";
    // The properties come before the picture, so that no chance bytes of it are met first.
    let Some(at) = memchr::memmem::find(avif, UNSPECIFIED) else { return };
    if let Some(place) = avif.get_mut(at..at + SRGB.len()) {
        place.copy_from_slice(SRGB);
    }
}
