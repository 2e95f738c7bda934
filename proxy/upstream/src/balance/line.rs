//! Endpoints in a row, each as wide as its weight.

/// Indexes of endpoints, from which one is drawn by weight without allocating.
#[derive(Debug)]
pub(crate) struct Line {
    /// Who is in it, and where each ends. Those without weight are not.
    ends: Box<[(u32, u32)]>,
    total: u32,
    /// The weight that all have, if they have the same.
    even: Option<u32>,
}

impl Line {
    /// Of endpoints and their weights.
    pub(crate) fn new(weights: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let weights: Vec<(u32, u32)> = weights.into_iter().filter(|one| one.1 > 0).collect();
        let mut total = 0_u32;
        let end = |(index, weight): &(u32, u32)| {
            total = total.saturating_add(*weight);
            (*index, total)
        };
        let ends = weights.iter().map(end).collect();
        let first = weights.first().map(|(_, weight)| *weight);
        let even = first.filter(|first| weights.iter().all(|(_, weight)| weight == first));
        Self { ends, total, even }
    }

    /// How many are in it.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// How wide it is.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// The endpoint at this place of the whole width.
    pub(crate) fn at(&self, place: u32) -> Option<usize> {
        let position = match self.even {
            Some(weight) => place.checked_div(weight)? as usize,
            None => self.ends.partition_point(|(_, end)| *end <= place),
        };
        self.ends.get(position).map(|(index, _)| *index as usize)
    }

    /// One drawn by weight.
    pub(crate) fn draw(&self, chance: &mut Chance) -> Option<usize> {
        self.at(chance.below(self.total))
    }

    /// All of them once, from one drawn at random on.
    pub(crate) fn everybody(&self, chance: &mut Chance) -> impl Iterator<Item = usize> + '_ {
        let start = chance.below(u32::try_from(self.len()).unwrap_or(u32::MAX)) as usize;
        let (before, after) = self.ends.split_at(start.min(self.len()));
        after.iter().chain(before).map(|(index, _)| *index as usize)
    }
}

/// Random numbers made of one: a splitmix64 sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// The next one.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// The next one, below `limit`; 0 below 0.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        let high = self.next() >> 32;
        u32::try_from((high * u64::from(limit)) >> 32).unwrap_or(0)
    }
}

/// Every bit of it depends on every bit of `number`.
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_line_has_nobody() {
        for line in [Line::new([]), Line::new([(0, 0), (1, 0)])] {
            assert_eq!(line.draw(&mut Chance(1)), None);
            assert_eq!(line.everybody(&mut Chance(1)).count(), 0);
            assert_eq!((line.len(), line.total()), (0, 0));
        }
    }

    proptest! {
        #[test]
        fn each_is_as_wide_as_its_weight(weights in proptest::collection::vec(0_u32..6, 0..9)) {
            let line = Line::new((0..).zip(weights.iter().copied()));
            let mut widths = vec![0; weights.len()];
            for place in 0..line.total() {
                widths[line.at(place).unwrap()] += 1;
            }
            prop_assert_eq!(line.at(line.total()), None);
            prop_assert_eq!(&widths, &weights);
            let mut all: Vec<usize> = line.everybody(&mut Chance(7)).collect();
            all.sort_unstable();
            let heavy = weights.iter().enumerate().filter(|(_, weight)| **weight > 0);
            prop_assert_eq!(all, heavy.map(|(index, _)| index).collect::<Vec<_>>());
        }
    }

    #[test]
    fn whoever_is_drawn_is_drawn_by_weight() {
        let line = Line::new([(0, 1), (1, 3)]);
        let mut chance = Chance(42);
        let heavy = (0..40_000).filter(|_| line.draw(&mut chance) == Some(1)).count();
        assert!((29_500..30_500).contains(&heavy), "{heavy}");
    }
}
