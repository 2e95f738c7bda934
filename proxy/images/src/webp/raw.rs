//! Calls of libwebp. Everything unsafe is in this file.

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};
use std::slice;

use libwebp_sys as sys;

use super::Coding;
use crate::outcome::Refusal;
use crate::raster::Raster;
use crate::{Alarm, Effort, Reason};

/// The version of the encoder, as `0xMMmmrr`.
pub(crate) fn version() -> u32 {
    // SAFETY: it takes nothing and reads a constant.
    let version = unsafe { sys::WebPGetEncoderVersion() };
    version.unsigned_abs()
}

/// Encodes a still picture. Stops when the alarm rings, or when there are more than `room` bytes.
pub(super) fn still(
    raster: &Raster,
    coding: Coding,
    room: usize,
    alarm: &Alarm,
) -> Result<Vec<u8>, Refusal> {
    let config = config(coding)?;
    // What loses something is coded in YUV anyway: importing it so saves four bytes per pixel.
    let mut picture = Picture::import(raster, coding.quality.is_none())?;
    let mut sink = Sink { bytes: Vec::new(), room, is_full: false };
    picture.0.writer = Some(write);
    picture.0.custom_ptr = (&raw mut sink).cast();
    picture.0.progress_hook = Some(go_on);
    picture.0.user_data = ptr::from_ref(alarm).cast_mut().cast();
    // SAFETY: `config` was validated, and `picture` holds planes of its own. The two pointers given to the callbacks are to
    // values that live and are not touched otherwise until the call returns; the callbacks do not unwind.
    let done = unsafe { sys::WebPEncode(&raw const config, &raw mut picture.0) };
    alarm.check()?;
    match done {
        _ if sink.is_full => Err(Reason::Size.into()),
        0 => Err(Reason::Encoder.into()),
        _ => Ok(sink.bytes),
    }
}

/// Where an encoder writes.
struct Sink {
    bytes: Vec<u8>,
    room: usize,
    is_full: bool,
}

/// Takes what the encoder has written, or tells it to stop.
extern "C" fn write(data: *const u8, length: usize, picture: *const sys::WebPPicture) -> c_int {
    // SAFETY: libwebp passes the picture that it was given; `still` made its pointer point to a sink, which nobody else
    // uses meanwhile.
    let sink = unsafe { &mut *(*picture).custom_ptr.cast::<Sink>() };
    if length == 0 {
        return 1;
    }
    if length > sink.room.saturating_sub(sink.bytes.len()) {
        sink.is_full = true;
        return 0;
    }
    // SAFETY: libwebp passes `length` initialised bytes, which stay until we return.
    sink.bytes.extend_from_slice(unsafe { slice::from_raw_parts(data, length) });
    1
}

/// Whether the encoder shall go on: asked by it now and then.
extern "C" fn go_on(_percent: c_int, picture: *const sys::WebPPicture) -> c_int {
    // SAFETY: libwebp passes the picture that it was given, or a copy; its pointer is to an alarm that outlives the call.
    let alarm = unsafe { &*(*picture).user_data.cast::<Alarm>() };
    c_int::from(alarm.rings().is_none())
}

/// A picture that owns its planes.
struct Picture(sys::WebPPicture);

impl Picture {
    /// Copies the pixels: as they are, or turned to YUV.
    fn import(raster: &Raster, as_argb: bool) -> Result<Self, Reason> {
        let mut picture = Self(sys::WebPPicture::new().map_err(|()| Reason::Encoder)?);
        picture.0.use_argb = as_argb.into();
        picture.0.width = side(raster.width())?;
        picture.0.height = side(raster.height())?;
        let row = raster.channels() * raster.width() as usize;
        if raster.samples().len() != row * raster.height() as usize {
            return Err(Reason::Encoder);
        }
        let row = c_int::try_from(row).map_err(|_| Reason::Encoder)?;
        let import =
            if raster.has_alpha() { sys::WebPPictureImportRGBA } else { sys::WebPPictureImportRGB };
        // SAFETY: the samples are `height` rows of `row` bytes, as was just checked, and are only read; the picture was
        // initialised, and takes a copy into planes that it allocates and that `drop` frees.
        let done = unsafe { import(&raw mut picture.0, raster.samples().as_ptr(), row) };
        if done == 0 { Err(Reason::Encoder) } else { Ok(picture) }
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        // SAFETY: it was initialised, and is freed once.
        unsafe { sys::WebPPictureFree(&raw mut self.0) }
    }
}

/// An animation that is being encoded; it keeps two canvases and what is coded, not the frames.
pub(super) struct Animation {
    encoder: NonNull<sys::WebPAnimEncoder>,
}

impl Animation {
    /// An animation of this size that is shown `loops` times, 0 for ever.
    pub(super) fn new((width, height): (u32, u32), loops: u32) -> Result<Self, Reason> {
        let none = sys::WebPMuxAnimParams { bgcolor: 0, loop_count: 0 };
        let mut options = sys::WebPAnimEncoderOptions {
            anim_params: none,
            minimize_size: 0,
            kmin: 0,
            kmax: 0,
            allow_mixed: 0,
            verbose: 0,
            padding: [0; 4],
        };
        let abi = sys::WebPGetMuxABIVersion();
        // SAFETY: it writes nothing but the options, which are ours.
        if unsafe { sys::WebPAnimEncoderOptionsInitInternal(&raw mut options, abi) } == 0 {
            return Err(Reason::Encoder);
        }
        // The format has 16 bits for it.
        options.anim_params.loop_count = c_int::from(u16::try_from(loops).unwrap_or(0));
        let (width, height) = (side(width)?, side(height)?);
        // SAFETY: the options were initialised and are copied.
        let encoder =
            unsafe { sys::WebPAnimEncoderNewInternal(width, height, &raw const options, abi) };
        Ok(Self { encoder: NonNull::new(encoder).ok_or(Reason::Encoder)? })
    }

    /// Adds a frame that is shown from `at` on, in milliseconds. It has to have the animation's size, else it is refused.
    pub(super) fn add(&mut self, frame: &Raster, at: i32, coding: Coding) -> Result<(), Reason> {
        let config = config(coding)?;
        let mut picture = Picture::import(frame, true)?;
        let (encoder, picture) = (self.encoder.as_ptr(), &raw mut picture.0);
        // SAFETY: encoder and picture are alive, the configuration was validated; the encoder copies what it keeps, and itself
        // refuses frames of another size.
        let done = unsafe { sys::WebPAnimEncoderAdd(encoder, picture, at, &raw const config) };
        if done == 0 { Err(Reason::Encoder) } else { Ok(()) }
    }

    /// The animation, whose last frame is shown until `end`.
    pub(super) fn finish(self, end: i32) -> Result<Vec<u8>, Reason> {
        let mut file = sys::WebPData { bytes: ptr::null(), size: 0 };
        let encoder = self.encoder.as_ptr();
        // SAFETY: no frame tells the encoder the end; then it writes a file into memory that is ours to free.
        let done = unsafe {
            sys::WebPAnimEncoderAdd(encoder, ptr::null_mut(), end, ptr::null()) != 0
                && sys::WebPAnimEncoderAssemble(encoder, &raw mut file) != 0
        };
        if !done || file.bytes.is_null() {
            return Err(Reason::Encoder);
        }
        // SAFETY: the encoder has set `size` bytes.
        let bytes = unsafe { slice::from_raw_parts(file.bytes, file.size) }.to_vec();
        // SAFETY: allocated by libwebp, freed once, not used after.
        unsafe { sys::WebPFree(file.bytes.cast_mut().cast::<c_void>()) };
        Ok(bytes)
    }
}

impl Drop for Animation {
    fn drop(&mut self) {
        // SAFETY: it is alive and deleted once.
        unsafe { sys::WebPAnimEncoderDelete(self.encoder.as_ptr()) }
    }
}

fn side(pixels: u32) -> Result<c_int, Reason> {
    c_int::try_from(pixels).map_err(|_| Reason::Encoder)
}

/// A validated configuration.
fn config(coding: Coding) -> Result<sys::WebPConfig, Reason> {
    let mut config = sys::WebPConfig::new().map_err(|()| Reason::Encoder)?;
    match coding.quality {
        Some(quality) => {
            config.quality = f32::from(quality.get());
            config.method = if coding.effort == Effort::Quick { 2 } else { 4 };
        }
        None => {
            let level = if coding.effort == Effort::Quick { 3 } else { 6 };
            // SAFETY: the configuration was initialised, and nothing else is written.
            if unsafe { sys::WebPConfigLosslessPreset(&raw mut config, level) } == 0 {
                return Err(Reason::Encoder);
            }
        }
    }
    // SAFETY: it only reads the configuration.
    if unsafe { sys::WebPValidateConfig(&raw const config) } == 0 {
        return Err(Reason::Encoder);
    }
    Ok(config)
}
