//! Which widths are made: few, so that a client cannot ask for thousands of forms of one picture.

/// The widths that are made, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ladder {
    rungs: Box<[u32]>,
}

/// What a client says of the room for a picture (Client Hints).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hints {
    /// `Sec-CH-Width`: the width in physical pixels at which the picture is shown.
    pub width: Option<u32>,
    /// `Sec-CH-Viewport-Width`: the width in CSS pixels of the window.
    pub viewport_width: Option<u32>,
    /// `Sec-CH-DPR`: physical pixels per CSS pixel.
    pub dpr: Option<f32>,
}

impl Ladder {
    /// More physical pixels per CSS pixel are not seen, but paid for.
    const MAX_DPR: f32 = 2.0;

    /// A ladder of these widths; zeroes and repetitions are dropped.
    pub fn new(widths: impl IntoIterator<Item = u32>) -> Self {
        let mut rungs: Vec<u32> = widths.into_iter().filter(|&width| width > 0).collect();
        rungs.sort_unstable();
        rungs.dedup();
        Self { rungs: rungs.into() }
    }

    /// The widths, ascending.
    pub fn rungs(&self) -> &[u32] {
        &self.rungs
    }

    /// The lowest rung that is at least `wanted` wide, else the highest; `None` without rungs.
    pub fn snap(&self, wanted: u32) -> Option<u32> {
        let index = self.rungs.partition_point(|&rung| rung < wanted);
        self.rungs.get(index).or(self.rungs.last()).copied()
    }

    /// The rung for what a client says: the width of the picture where it is told, else that of the window times its pixels
    /// per CSS pixel, of which 2 count at most. `None` where nothing is told.
    pub fn for_hints(&self, hints: Hints) -> Option<u32> {
        if let Some(width) = hints.width {
            return self.snap(width);
        }
        let dpr = hints.dpr.filter(|dpr| dpr.is_finite() && *dpr > 0.0).unwrap_or(1.0);
        let wanted = f64::from(hints.viewport_width?) * f64::from(dpr.min(Self::MAX_DPR));
        // What is too wide for the number becomes the widest rung all the same.
        self.snap(wanted.ceil() as u32)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Hints, Ladder};

    #[test]
    fn a_width_goes_up_to_the_next_rung_and_never_beyond_the_last() {
        let ladder = Ladder::new([1280, 320, 640, 640, 0]);
        assert_eq!(ladder.rungs(), [320, 640, 1280]);
        let snapped = [1, 320, 321, 641, 5000].map(|wanted| ladder.snap(wanted));
        assert_eq!(snapped, [320, 320, 640, 1280, 1280].map(Some));
        assert_eq!(Ladder::default().snap(320), None);
    }

    #[test]
    fn the_width_of_the_picture_counts_before_that_of_the_window() {
        let ladder = Ladder::new([320, 640, 1280, 2560]);
        let hints = Hints { width: Some(500), viewport_width: Some(1200), dpr: Some(2.0) };
        assert_eq!(ladder.for_hints(hints), Some(640));
        let window = Hints { width: None, ..hints };
        assert_eq!(ladder.for_hints(window), Some(2560));
        assert_eq!(ladder.for_hints(Hints { dpr: None, ..window }), Some(1280));
        assert_eq!(ladder.for_hints(Hints { dpr: Some(f32::NAN), ..window }), Some(1280));
        assert_eq!(ladder.for_hints(Hints { dpr: Some(1.5), ..Hints::default() }), None);
    }

    #[test]
    fn more_than_two_pixels_per_pixel_are_not_paid_for() {
        let ladder = Ladder::new([320, 640, 960, 1280]);
        let hints = Hints { width: None, viewport_width: Some(320), dpr: Some(4.0) };
        assert_eq!(ladder.for_hints(hints), Some(640));
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_is_a_rung(widths in prop::collection::vec(any::<u32>(), 0..9), wanted: u32, dpr: f32) {
            let ladder = Ladder::new(widths);
            let hints = Hints { width: None, viewport_width: Some(wanted), dpr: Some(dpr) };
            for found in [ladder.snap(wanted), ladder.for_hints(hints)] {
                prop_assert_eq!(found.is_none(), ladder.rungs().is_empty());
                prop_assert!(found.is_none_or(|found| ladder.rungs().contains(&found)));
            }
            let narrower = ladder.rungs().iter().filter(|rung| **rung < wanted).count();
            if narrower < ladder.rungs().len() {
                prop_assert!(ladder.snap(wanted).unwrap() >= wanted);
            }
        }
    }
}
