//! The tries of one request.

use crate::shard::Members;

/// The tries of one request. Lives on the stack: choosing does not allocate.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    pub(super) made: usize,
    pub(super) tried: [u32; MOST_TRIES],
    /// The most, where that is said of the request.
    pub(super) most: Option<u32>,
    /// Whom it may be given at its pool, where that is not everybody: known once it was given somebody.
    pub(super) among: Option<Members>,
}

/// The most tries that one request may be given, whatever a pool allows.
pub(super) const MOST_TRIES: usize = 16;

impl Attempt {
    /// How many choices were given.
    #[must_use]
    pub fn made(&self) -> usize {
        self.made
    }

    /// Has the request be given at most so many choices, whatever its pools say.
    pub fn limit(&mut self, most: u32) {
        self.most = Some(most.max(1));
    }

    /// The tries of the same request at another pool.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self { most: self.most, ..Self::default() }
    }

    /// Takes the last choice back, because it came to nothing that was the endpoint's fault: a pooled connection that the
    /// endpoint had closed meanwhile. The endpoint may be chosen again.
    pub fn take_back(&mut self) {
        self.made = self.made.saturating_sub(1);
    }

    /// Counts what `other`, a copy of the same request at the same pool, has tried as tried here, too.
    pub fn join(&mut self, other: &Self) {
        self.among = self.among.or(other.among);
        for tried in other.tried.iter().take(other.made) {
            if self.times(*tried as usize) == 0
                && let Some(free) = self.tried.get_mut(self.made)
            {
                *free = *tried;
                self.made += 1;
            }
        }
    }

    pub(super) fn times(&self, endpoint: usize) -> usize {
        self.tried.iter().take(self.made).filter(|tried| **tried as usize == endpoint).count()
    }
}
