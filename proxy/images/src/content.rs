//! Whether a picture was drawn or photographed: what was drawn suffers where something is lost, and is small without.

use crate::raster::Raster;

/// Rows that are looked at, evenly spread: enough to tell, and few in a large picture.
const ROWS: u32 = 512;
/// As many as a palette holds: certainly drawn.
const FEW: usize = 256;
/// More than text on gradients has, smoothed; fewer than a photo.
const SOME: usize = 4096;

/// Whether it has few colours, or some, mostly in runs of the same.
pub(crate) fn is_drawn(raster: &Raster) -> bool {
    let Seen { colours, runs, pairs } = look(raster);
    colours <= FEW || (colours <= SOME && runs * 2 >= pairs)
}

/// What the rows that are looked at hold.
struct Seen {
    /// Different colours, counted up to one more than [`SOME`].
    colours: usize,
    /// Neighbours in a row that are of one colour.
    runs: u64,
    /// All neighbours in a row.
    pairs: u64,
}

fn look(raster: &Raster) -> Seen {
    let mut seen = Seen { colours: 0, runs: 0, pairs: 0 };
    let mut palette = Palette::new();
    let row = raster.width() as usize * raster.channels();
    let step = raster.height().div_ceil(ROWS).max(1) as usize;
    for row in raster.samples().chunks_exact(row.max(1)).step_by(step) {
        let mut before = None;
        for pixel in row.chunks_exact(raster.channels()) {
            let colour = packed(pixel);
            let is_run = before == Some(colour);
            seen.pairs += u64::from(before.is_some());
            seen.runs += u64::from(is_run);
            if !is_run {
                palette.insert(colour);
            }
            before = Some(colour);
        }
        if palette.len > SOME {
            break;
        }
    }
    seen.colours = palette.len;
    seen
}

/// One number per colour; whatever is transparent is of one.
fn packed(pixel: &[u8]) -> u32 {
    match *pixel {
        [red, green, blue] => u32::from_be_bytes([255, red, green, blue]),
        [_, _, _, 0] => 0,
        [red, green, blue, alpha] => u32::from_be_bytes([alpha, red, green, blue]),
        _ => 0,
    }
}

/// A set of colours of fixed size: open addressing in a table that never gets more than a quarter full.
struct Palette {
    slots: Vec<Option<u32>>,
    len: usize,
}

impl Palette {
    const BITS: u32 = 14;

    fn new() -> Self {
        Self { slots: vec![None; 1 << Self::BITS], len: 0 }
    }

    fn insert(&mut self, colour: u32) {
        if self.len > SOME {
            return;
        }
        let mut at = (colour.wrapping_mul(0x9e37_79b1) >> (32 - Self::BITS)) as usize;
        while let Some(slot) = self.slots.get_mut(at) {
            match slot {
                Some(known) if *known == colour => return,
                Some(_) => at = (at + 1) % (1 << Self::BITS),
                None => {
                    *slot = Some(colour);
                    self.len += 1;
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, Rgb, RgbImage};

    use super::{Palette, SOME, is_drawn, look};
    use crate::raster::Raster;

    fn raster(width: u32, height: u32, colour: impl Fn(u32, u32) -> [u8; 3]) -> Raster {
        let picture = RgbImage::from_fn(width, height, |x, y| Rgb(colour(x, y)));
        Raster::new(DynamicImage::ImageRgb8(picture))
    }

    fn noise(x: u32, y: u32) -> [u8; 3] {
        let [a, b, c, _] = (x * 7919 + y * 104_729).wrapping_mul(0x9e37_79b1).to_le_bytes();
        [a, b, c]
    }

    #[test]
    fn few_colours_are_drawn_however_they_lie() {
        let checks = raster(300, 300, |x, y| [if (x + y) % 2 == 0 { 255 } else { 0 }; 3]);
        assert!(is_drawn(&checks));
        let greys = raster(300, 300, |x, y| [noise(x, y)[0]; 3]);
        assert_eq!(look(&greys).colours, 256);
        assert!(is_drawn(&greys));
    }

    #[test]
    fn some_colours_are_drawn_only_in_runs() {
        let blocks = raster(640, 480, |x, y| noise(x / 16, y / 16));
        assert!(look(&blocks).colours > 256 && is_drawn(&blocks));
        let grain = raster(640, 480, |x, y| noise(x % 40, y % 40));
        assert!(look(&grain).colours <= SOME && !is_drawn(&grain));
    }

    #[test]
    fn many_colours_are_a_photo_even_on_a_white_ground() {
        let photo = raster(640, 480, |x, y| if x < 500 { [255; 3] } else { noise(x, y) });
        assert!(!is_drawn(&photo));
    }

    #[test]
    fn a_palette_counts_each_colour_once_and_stops() {
        let mut palette = Palette::new();
        (0..1000).chain(0..1000).for_each(|colour| palette.insert(colour));
        assert_eq!(palette.len, 1000);
        (0..100_000).for_each(|colour| palette.insert(colour));
        assert_eq!(palette.len, SOME + 1);
    }
}
