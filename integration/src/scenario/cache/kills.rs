//! Processes killed while they write into a small cache, one after the other in the same directory.

use std::time::Duration;

use super::tier::{Claims, Survived, Working, mixed};

/// How often, and when.
#[derive(Clone, Copy, Debug)]
pub struct KillsPlan {
    /// How many processes are killed.
    pub kills: usize,
    /// How long the longest-lived of them works.
    pub longest: Duration,
    /// What chance begins with.
    pub seed: u64,
}

/// Kills (`SIGKILL`) at a random moment, and looks at what a new process finds.
///
/// # Panics
/// When the helper does not start.
#[must_use]
pub fn kills(plan: &KillsPlan) -> Survived {
    let folder = tempfile::tempdir().expect("a directory");
    let (mut survived, mut claims) = (Survived::default(), Claims::default());
    let mut random = plan.seed;
    for round in 0..plan.kills {
        random = mixed(random);
        let mut working = Working::start(folder.path(), (round as u64 + 1) << 32);
        std::thread::sleep(part_of(plan.longest, random));
        working.kill();
        working.listen(&mut claims);
        survived.check(folder.path(), &claims);
    }
    survived
}

/// A random part of it.
pub(super) fn part_of(longest: Duration, random: u64) -> Duration {
    longest.mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)
}
