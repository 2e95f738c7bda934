//! What comes into a full memory tier.

/// Remembers what came lately, so that what comes once and never again displaces nothing.
///
/// A response smaller than two fifths of the mean comes in at once: it displaces little. A larger one comes in when it comes for
/// the second time within so many as several times the responses that are held. Against W-TinyLFU, which also weighs how often
/// something is asked for once it is in, this costs a hit nothing, and `benches/hit_ratio` finds it no worse.
///
/// Where more of what is turned away than chance brings about comes again so soon that it would still have been there, as news does,
/// everything comes in at once; a sixteenth of all is held to the rule nevertheless, to see whether that is still so.
#[derive(Debug, Default)]
pub(super) struct Admission {
    /// By hash, what came last: another part of the hash, and when.
    came: Vec<u32>,
    /// How many came in all.
    clock: u64,
    probe: Probe,
}

/// What became of those that were turned away, of a sixteenth of all.
#[derive(Debug, Default)]
struct Probe {
    turned_away: u32,
    came_soon: u32,
}

impl Admission {
    /// Notes that something came, and says whether it is let in; `mean` is the weight of the `held` others.
    pub(super) fn admits(&mut self, hash: u64, weight: u64, mean: u64, held: usize) -> bool {
        self.grow(held);
        self.clock += 1;
        let now = (self.clock * STEPS / (held as u64).max(STEPS)) as u32 & AGES;
        let place = (hash >> 32) as usize & (self.came.len() - 1);
        let Some(came) = self.came.get_mut(place) else { return true };
        let name = hash as u32 & !AGES;
        let before = std::mem::replace(came, name | now);
        let (came_lately, age) = (before & !AGES == name, now.wrapping_sub(before) & AGES);
        if weight * 5 < mean * 2 {
            return true;
        }
        let is_probe = hash >> 60 == 0;
        if is_probe {
            self.probe.note(came_lately.then_some(age));
        }
        came_lately || !is_probe && self.probe.is_promising()
    }

    /// Four to eight places for each response that is held, as they double; what it knew is forgotten when it grows.
    fn grow(&mut self, held: usize) {
        let wanted = held.saturating_mul(4).clamp(LEAST, MOST);
        if self.came.len() < wanted {
            self.came = vec![0; wanted.next_power_of_two()];
        }
    }
}

impl Probe {
    /// Something came; for the second time, so long after the first.
    fn note(&mut self, age: Option<u32>) {
        match age {
            None => self.turned_away += 1,
            Some(age) if age <= SOON => self.came_soon += 1,
            Some(_) => {}
        }
        if self.turned_away >= 8 * LEAST_SEEN {
            self.turned_away /= 2;
            self.came_soon /= 2;
        }
    }

    /// Whether more than one in sixteen came again soon: one to four in a hundred do where requests are independent.
    fn is_promising(&self) -> bool {
        self.turned_away >= LEAST_SEEN && self.came_soon * 16 > self.turned_away
    }
}

/// Places that are always there.
const LEAST: usize = 1024;

/// Places that are enough: 16 MiB.
const MOST: usize = 1 << 22;

/// The bits of a place that say when something came.
const AGES: u32 = 0x3ff;

/// So many of these pass while as many come as are held.
const STEPS: u64 = 32;

/// What comes again within so many would still be among the newcomers, which have a tenth of the room.
const SOON: u32 = 3;

/// Fewer say nothing.
const LEAST_SEEN: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: usize = 1000;

    fn mixed(number: u64) -> u64 {
        let mixed = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
    }

    /// How many of the first comings are let in, in hundredths, of responses that come again after `gap` others.
    fn let_in(admission: &mut Admission, gap: u64) -> u64 {
        let mut first = |number| admission.admits(mixed(number), 100, 100, HELD);
        let count = 50_000;
        let mut let_in = 0;
        for number in 0..count {
            let_in += u64::from(first(number));
            if number >= gap {
                first(number - gap);
            }
        }
        let_in * 100 / count
    }

    #[test]
    fn what_comes_for_the_second_time_comes_in_and_small_ones_at_once() {
        let mut admission = Admission::default();
        assert!(!admission.admits(mixed(1), 100, 100, HELD));
        assert!(admission.admits(mixed(1), 100, 100, HELD));
        assert!(admission.admits(mixed(2), 39, 100, HELD));
        assert!(!admission.admits(mixed(3), 40, 100, HELD));
    }

    #[test]
    fn where_what_was_turned_away_comes_again_soon_all_but_a_few_come_in_at_once() {
        let found = let_in(&mut Admission::default(), 20);
        assert!((85..=95).contains(&found), "{found}");
    }

    #[test]
    fn what_comes_again_late_or_never_lets_nothing_else_in() {
        assert_eq!(let_in(&mut Admission::default(), 500), 0);
        assert_eq!(let_in(&mut Admission::default(), u64::MAX), 0);
    }

    #[test]
    fn when_it_no_longer_comes_again_the_rule_holds_again() {
        let mut admission = Admission::default();
        let_in(&mut admission, 20);
        // Others, so that none is known.
        let later = |number: u64| mixed(number + (1 << 40));
        let last = (0..50_000).map(|number| admission.admits(later(number), 100, 100, HELD));
        assert_eq!(last.skip(40_000).filter(|is_in| *is_in).count(), 0);
    }
}
