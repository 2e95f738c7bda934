//! Power cuts: a file system that stops, in the middle of writing, with whatever has reached the disk by then.

use std::time::Duration;

use super::kills::part_of;
use super::loop_mount::{LoopMount, NoMount};
use super::tier::{Claims, Survived, Working, mixed};

/// How often, and when.
#[derive(Clone, Copy, Debug)]
pub struct PowerCutsPlan {
    /// How many cuts.
    pub cuts: usize,
    /// How long the writing goes on at most before one.
    pub longest: Duration,
    /// What chance begins with.
    pub seed: u64,
}

/// What order the file system keeps between names and contents: none of it is what the cache relies on.
const OPTIONS: [&str; 4] = [
    "commit=1",
    "commit=1,data=writeback",
    "commit=1,nodelalloc",
    "commit=1,data=writeback,nodelalloc",
];

/// Cuts the power at a random moment, mounts what is left, and looks at what a new process finds.
///
/// # Errors
/// When this user cannot mount a file system of its own.
///
/// # Panics
/// When the helper does not start, or what was mounted once cannot be again.
pub fn power_cuts(plan: &PowerCutsPlan) -> Result<Survived, NoMount> {
    let mut disk = LoopMount::make("256M", &[])?;
    let (mut survived, mut claims) = (Survived::default(), Claims::default());
    let mut random = plan.seed;
    for round in 0..plan.cuts {
        random = mixed(random);
        disk.mount(OPTIONS[round % OPTIONS.len()])?;
        let mut working = Working::start(disk.folder(), (round as u64 + 1) << 32);
        std::thread::sleep(part_of(plan.longest, random));
        // What it says afterwards, a process on a machine without power does not say.
        working.listen(&mut claims);
        disk.cut_the_power();
        working.kill();
        disk.unmount();
        disk.mount("")?;
        survived.check(disk.folder(), &claims);
        disk.unmount();
    }
    Ok(survived)
}
