//! What comes into a full memory tier.

/// Remembers what came lately, so that what comes once and never again displaces nothing.
///
/// A response smaller than two fifths of the mean comes in at once: it displaces little. A larger one comes in when it comes for
/// the second time within so many as several times the responses that are held. Against W-TinyLFU, which also weighs how often
/// something is asked for once it is in, this costs a hit nothing, and `benches/hit_ratio` finds it no worse.
#[derive(Debug, Default)]
pub(super) struct Admission {
    /// By hash, what came last: the other half of the hash.
    came: Vec<u32>,
}

impl Admission {
    /// Notes that something came, and says whether it is let in; `mean` is the weight of the `held` others.
    pub(super) fn admits(&mut self, hash: u64, weight: u64, mean: u64, held: usize) -> bool {
        self.grow(held);
        let place = (hash >> 32) as usize & (self.came.len() - 1);
        let Some(came) = self.came.get_mut(place) else { return true };
        let came_lately = std::mem::replace(came, hash as u32) == hash as u32;
        came_lately || weight * 5 < mean * 2
    }

    /// Four to eight places for each response that is held, as they double; what it knew is forgotten when it grows.
    fn grow(&mut self, held: usize) {
        let wanted = held.saturating_mul(4).clamp(LEAST, MOST);
        if self.came.len() < wanted {
            self.came = vec![0; wanted.next_power_of_two()];
        }
    }
}

/// Places that are always there.
const LEAST: usize = 1024;

/// Places that are enough: 16 MiB.
const MOST: usize = 1 << 22;
