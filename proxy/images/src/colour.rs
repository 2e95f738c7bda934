//! Which colour profiles go along: those of other spaces than sRGB, without which colours would change.

use moxcms::{ColorProfile, Layout, TransformOptions};

use crate::Reason;

/// Larger profiles cost more than a picture saves.
const MOST: usize = 512 << 10;
/// How far a sample may be off before a profile counts as another: rounding of tables.
const NEAR: u8 = 2;
/// The levels of each channel at which profiles are compared.
const LEVELS: [u8; 5] = [0, 40, 96, 168, 255];

/// A profile that has to go along, or `None`: sRGB is what is meant where none is told.
///
/// # Errors
/// It is not of red, green and blue, or cannot be read: what is seen could be something else.
pub(crate) fn kept(profile: Option<Vec<u8>>) -> Result<Option<Vec<u8>>, Reason> {
    let Some(profile) = profile else { return Ok(None) };
    if profile.len() > MOST {
        return Err(Reason::Colours);
    }
    let known = match profile.get(16..20) {
        Some(b"RGB ") => is_srgb(&profile),
        Some(b"GRAY") => is_srgb_grey(&profile),
        _ => None,
    };
    match known {
        Some(true) => Ok(None),
        Some(false) if profile.get(16..20) == Some(b"RGB ") => Ok(Some(profile)),
        _ => Err(Reason::Colours),
    }
}

/// Whether all of a coarse grid of colours are the same in sRGB.
fn is_srgb(profile: &[u8]) -> Option<bool> {
    let grid = LEVELS.map(|red| LEVELS.map(|green| LEVELS.map(|blue| [red, green, blue])));
    let samples = grid.as_flattened().as_flattened().as_flattened();
    let mut seen = vec![0; samples.len()];
    to_srgb(profile, Layout::Rgb, samples, &mut seen)?;
    Some(samples.iter().zip(&seen).all(|(&sample, &seen)| sample.abs_diff(seen) <= NEAR))
}

/// Whether all greys are the same in sRGB.
fn is_srgb_grey(profile: &[u8]) -> Option<bool> {
    let samples: Vec<u8> = (0..=255).collect();
    let mut seen = vec![0; samples.len() * 3];
    to_srgb(profile, Layout::Gray, &samples, &mut seen)?;
    let wanted = samples.iter().flat_map(|&sample| [sample; 3]);
    Some(wanted.zip(&seen).all(|(sample, &seen)| sample.abs_diff(seen) <= NEAR))
}

fn to_srgb(profile: &[u8], layout: Layout, samples: &[u8], seen: &mut [u8]) -> Option<()> {
    let profile = ColorProfile::new_from_slice(profile).ok()?;
    let srgb = ColorProfile::new_srgb();
    let options = TransformOptions::default();
    let transform = profile.create_transform_8bit(layout, &srgb, Layout::Rgb, options).ok()?;
    transform.transform(samples, seen).ok()
}

#[cfg(test)]
mod tests {
    use moxcms::ColorProfile;

    use super::kept;
    use crate::Reason;

    #[test]
    fn srgb_is_left_out_and_wider_spaces_go_along() {
        assert_eq!(kept(None), Ok(None));
        let srgb = ColorProfile::new_srgb().encode().unwrap();
        assert_eq!(kept(Some(srgb)), Ok(None));
        for wide in [ColorProfile::new_display_p3(), ColorProfile::new_adobe_rgb()] {
            let wide = wide.encode().unwrap();
            assert_eq!(kept(Some(wide.clone())), Ok(Some(wide)));
        }
    }

    #[test]
    fn a_profile_that_cannot_be_read_or_kept_leaves_the_original() {
        let mut cmyk = ColorProfile::new_srgb().encode().unwrap();
        cmyk[16..20].copy_from_slice(b"CMYK");
        let mut cut = ColorProfile::new_display_p3().encode().unwrap();
        cut.truncate(130);
        let large = vec![0; super::MOST + 1];
        for profile in [cmyk, cut, large, Vec::new(), b"nonsense".to_vec()] {
            assert_eq!(kept(Some(profile)), Err(Reason::Colours));
        }
    }

    #[test]
    fn greys_of_another_gamma_leave_the_original() {
        let grey = |gamma| ColorProfile::new_gray_with_gamma(gamma).encode().unwrap();
        assert_eq!(kept(Some(grey(1.0))), Err(Reason::Colours));
    }
}
