//! Animations: the same frames at the same times, as often.

use std::io::Cursor;

use image::metadata::LoopCount;
use image::{AnimationDecoder, DynamicImage, Frame, ImageFormat, Rgba, RgbaImage};
use switchback_images::{Flaw, Job, Limits, Reason, Target};

use crate::outcomes::{chunks, decoder, flaw, job, likeness, made, reason, seen};
use crate::samples::{animation, encoded, logo};

fn frames(webp: &switchback_images::Made) -> Vec<Frame> {
    decoder(webp).into_frames().collect_frames().unwrap()
}

fn shown(frame: &Frame) -> u32 {
    let (numerator, denominator) = frame.delay().numer_denom_ms();
    numerator / denominator
}

#[test]
fn an_animation_keeps_its_frames_times_and_repetitions() {
    let source = animation(160, 100, 6);
    let original = image::codecs::gif::GifDecoder::new(Cursor::new(&source)).unwrap();
    let original = original.into_frames().collect_frames().unwrap();
    let made = made(&job(source));
    assert_eq!(made.facts.frames, 6);
    let LoopCount::Finite(times) = decoder(&made).loop_count() else { panic!("it ends") };
    assert_eq!(times.get(), 3);
    let frames = frames(&made);
    let times: Vec<_> = frames.iter().map(shown).collect();
    assert_eq!(times, [50, 50, 50, 50, 50, 400]);
    assert_eq!(made.facts.quality, None);
    for (made, original) in frames.iter().zip(&original) {
        // The decoder's own blending is off by one.
        let mut pairs = made.buffer().iter().zip(original.buffer().iter());
        assert!(pairs.all(|(made, original)| made.abs_diff(*original) <= 1));
    }
}

#[test]
fn an_animation_is_narrowed_in_all_its_frames() {
    let made = made(&Job { width: Some(160), ..job(animation(320, 200, 4)) });
    assert_eq!((made.facts.width, made.facts.height, made.facts.frames), (160, 100, 4));
    let frames = frames(&made);
    assert!(frames.iter().all(|frame| frame.buffer().dimensions() == (160, 100)));
    let original =
        image::codecs::gif::GifDecoder::new(Cursor::new(animation(320, 200, 4))).unwrap();
    let last = original.into_frames().collect_frames().unwrap().remove(3).into_buffer();
    let last =
        DynamicImage::from(last).resize_exact(160, 100, image::imageops::FilterType::Lanczos3);
    let likeness = likeness(&frames[3].buffer().clone().into(), &last);
    assert!(likeness > 32.0, "{likeness} dB");
}

#[test]
fn frames_shown_for_no_time_are_shown_as_browsers_show_them() {
    let mut source = animation(160, 100, 5);
    // The delays of graphic control extensions: 0x21 0xf9, length, flags, hundredths of a second.
    let found = source.windows(3).enumerate().filter(|(_, bytes)| *bytes == [0x21, 0xf9, 4]);
    let places: Vec<_> = found.map(|(at, _)| at + 4).collect();
    places.iter().for_each(|&at| source[at..at + 2].fill(0));
    let made = made(&job(source));
    assert_eq!(frames(&made).iter().map(shown).collect::<Vec<_>>(), [100; 5]);
}

#[test]
fn an_animated_webp_that_keeps_its_size_is_left_alone() {
    assert_eq!(reason(&job(made_of_photos())), Reason::Format);
}

#[test]
fn an_animated_webp_of_photos_is_narrowed_as_photos_are() {
    let made = made(&Job { width: Some(120), ..job(made_of_photos()) });
    assert!(made.facts.quality.is_some() && made.saved() > 50, "{} %", made.saved());
    let frames = frames(&made);
    assert_eq!(frames.iter().map(shown).collect::<Vec<_>>(), [50, 51, 52]);
    assert_eq!(frames[2].buffer().dimensions(), (120, 90));
    assert_eq!(chunks(&made.bytes)[..2], ["VP8X", "ANIM"]);
}

fn made_of_photos() -> Vec<u8> {
    let frames = (0..3_u8).map(|number| {
        let mut picture = crate::samples::photo(200, 150);
        picture.pixels_mut().for_each(|pixel| pixel.0.rotate_left(number.into()));
        let picture = DynamicImage::from(picture).to_rgba8();
        Part { place: (0, 0), picture, shown: 50 + number, flags: 0 }
    });
    animated(200, 150, frames)
}

/// What is laid over what was there, and stays.
const BLENDED: u8 = 0;
/// What takes the place of what was there.
const INSTEAD: u8 = 2;
/// What is taken away after it was shown.
const CLEARED: u8 = 1;

/// One frame of an animated WebP.
struct Part {
    place: (u8, u8),
    picture: RgbaImage,
    shown: u8,
    flags: u8,
}

/// An animated WebP of lossless frames, written by hand: GIF has too few colours for a photo.
fn animated(width: u8, height: u8, parts: impl IntoIterator<Item = Part>) -> Vec<u8> {
    let (w, h) = (width - 1, height - 1);
    let mut file = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x12\0\0\0".to_vec();
    file.extend_from_slice(&[w, 0, 0, h, 0, 0]);
    file.extend_from_slice(b"ANIM\x06\0\0\0\0\0\0\0\0\0");
    for Part { place: (x, y), picture, shown, flags } in parts {
        let still = encoded(picture.clone(), ImageFormat::WebP);
        let (w, h) = (picture.width() as u8 - 1, picture.height() as u8 - 1);
        file.extend_from_slice(b"ANMF");
        file.extend_from_slice(&(still.len() as u32 - 12 + 16).to_le_bytes());
        file.extend_from_slice(&[x / 2, 0, 0, y / 2, 0, 0, w, 0, 0, h, 0, 0, shown, 0, 0, flags]);
        file.extend_from_slice(&still[12..]);
    }
    let length = file.len() as u32 - 8;
    file[4..8].copy_from_slice(&length.to_le_bytes());
    file
}

#[test]
fn nothing_laid_over_a_photo_many_times_leaves_it_as_it_is() {
    let photo = DynamicImage::from(crate::samples::photo(200, 150)).to_rgba8();
    let part =
        |picture, number: u8| Part { place: (0, 0), picture, shown: 50 + number, flags: BLENDED };
    let clear = (1..40).map(|number| part(RgbaImage::new(200, 150), number));
    let source = animated(200, 150, std::iter::once(part(photo.clone(), 0)).chain(clear));
    let made = made(&Job { width: Some(100), ..job(source) });
    assert_eq!(made.facts.frames, 1, "frames that change nothing are left out");
    let expected = DynamicImage::from(photo);
    let expected = expected.resize_exact(100, 75, image::imageops::FilterType::Lanczos3);
    let likeness = likeness(&seen(&made), &expected);
    assert!(likeness > 30.0, "{likeness} dB");
}

#[test]
fn frames_are_laid_over_instead_and_taken_away_as_they_say() {
    let plain = |side, colour| RgbaImage::from_pixel(side, side, Rgba(colour));
    let (red, green) = ([200, 0, 0, 255], [0, 200, 0, 255]);
    let blue_veil = [0, 0, 200, 128];
    let part = |place, picture, flags| Part { place, picture, shown: 50, flags };
    let ground = DynamicImage::from(crate::samples::photo(120, 120)).to_rgba8();
    let source = animated(
        120,
        120,
        [
            part((0, 0), ground, BLENDED),
            part((0, 0), plain(120, red), BLENDED),
            part((60, 60), plain(60, green), CLEARED),
            part((0, 0), plain(60, blue_veil), BLENDED),
            part((0, 0), plain(60, blue_veil), INSTEAD),
        ],
    );
    let made = made(&Job { width: Some(118), ..job(source) });
    let seen: Vec<_> = frames(&made)
        .iter()
        .map(|frame| [(20, 20), (90, 90)].map(|(x, y)| frame.buffer().get_pixel(x, y).0))
        .collect();
    let expected = [[red, red], [red, green], [[100, 0, 100, 255], [0; 4]], [blue_veil, [0; 4]]];
    for (seen, expected) in seen[1..].iter().flatten().zip(expected.iter().flatten()) {
        let far = seen.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(far <= Some(6) || expected[3] == 0 && seen[3] == 0, "{seen:?} for {expected:?}");
    }
}

#[test]
fn a_frame_beyond_the_canvas_is_broken() {
    let picture = DynamicImage::from(crate::samples::photo(100, 100)).to_rgba8();
    let part = |place| Part { place, picture: picture.clone(), shown: 50, flags: BLENDED };
    let source = animated(100, 100, [part((0, 0)), part((2, 0))]);
    assert_eq!(flaw(&Job { width: Some(50), ..job(source) }), Flaw::Corrupt);
}

#[test]
fn too_many_frames_or_too_large_ones_leave_the_original() {
    let source = animation(160, 100, 9);
    let frames = Limits { frames: 8, ..Limits::default() };
    assert_eq!(reason(&Job { limits: frames, ..job(source.clone()) }), Reason::Frames);
    let pixels = Limits { pixels: 9 * 160 * 100 - 1, ..Limits::default() };
    assert_eq!(reason(&Job { limits: pixels, ..job(source) }), Reason::Pixels);
}

#[test]
fn animations_that_nothing_here_can_keep_are_left_alone() {
    let gif = Job { target: Target::Avif, ..job(animation(100, 100, 3)) };
    let expected = if Target::Avif.is_built() { Reason::Animation } else { Reason::NotBuilt };
    assert_eq!(reason(&gif), expected);
    // An animation control chunk before the pixels makes it an APNG.
    let png = encoded(RgbaImage::from(logo(64)), ImageFormat::Png);
    let control = b"\0\0\0\x08acTL\0\0\0\x05\0\0\0\0crc!";
    let apng = [&png[..33], control, &png[33..]].concat();
    assert_eq!(reason(&job(apng)), Reason::Animation);
}
