//! Shuffle sharding: each tenant has a few of all, and hardly two have the same.

use thiserror::Error;

use super::hash;

/// Which few of all a tenant has.
///
/// They are those that bid most for the tenant: one that goes is replaced by one other, where it was, and nothing else changes. Of 32,
/// 4 can be taken in 35,960 ways; as likely as that two tenants have the same four.
#[derive(Clone, Debug)]
pub struct Shuffle {
    names: Box<[u64]>,
    take: usize,
}

/// Why there is nothing to shuffle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ShuffleError {
    /// A tenant would have nobody.
    #[error("a tenant takes at least 1")]
    None,
    /// Everybody would have all, or there are not as many.
    #[error("a tenant takes fewer than there are, which are {all}")]
    All {
        /// How many there are.
        all: usize,
    },
    /// More than fit into what is made per request.
    #[error("a tenant takes at most {most}")]
    TooMany {
        /// How many fit.
        most: usize,
    },
}

impl Shuffle {
    /// The most that a tenant may take.
    pub const MOST: usize = 16;

    /// `take` of these names for each tenant.
    ///
    /// # Errors
    /// `take` is 0, or too much.
    pub fn new<'n>(
        names: impl IntoIterator<Item = &'n str>,
        take: usize,
    ) -> Result<Self, ShuffleError> {
        let names: Box<[u64]> = names.into_iter().map(hash::of_name).collect();
        match take {
            0 => Err(ShuffleError::None),
            _ if take >= names.len() => Err(ShuffleError::All { all: names.len() }),
            _ if take > Self::MOST => Err(ShuffleError::TooMany { most: Self::MOST }),
            _ => Ok(Self { names, take }),
        }
    }

    /// Those of a tenant, by their places among the names. Does not allocate.
    #[must_use]
    pub fn members(&self, tenant: &[u8]) -> Members {
        let mut members = Members { places: [0; Self::MOST], count: 0 };
        let mut bids = [0_u64; Self::MOST];
        let tenant = hash::of_key(tenant);
        for (place, name) in (0..).zip(&self.names) {
            let bid = hash::mix(tenant ^ name);
            members.offer(place, bid, &mut bids, self.take);
        }
        members
    }
}

/// A few places, the one that bid most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Members {
    places: [u32; Shuffle::MOST],
    count: usize,
}

impl Members {
    /// The places.
    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        self.places.get(..self.count).unwrap_or_default()
    }

    /// Whether the one at this place is among them.
    #[must_use]
    pub fn contains(&self, place: usize) -> bool {
        self.as_slice().iter().any(|own| *own as usize == place)
    }

    /// Takes it in before those that bid less, the last of which goes when there are enough.
    fn offer(&mut self, place: u32, bid: u64, bids: &mut [u64; Shuffle::MOST], take: usize) {
        let better = bids.iter().take(self.count).take_while(|other| **other >= bid).count();
        if better >= take {
            return;
        }
        self.count = (self.count + 1).min(take);
        if let (Some(bids), Some(places)) =
            (bids.get_mut(better..self.count), self.places.get_mut(better..self.count))
        {
            bids.rotate_right(1);
            places.rotate_right(1);
            if let (Some(first), Some(first_place)) = (bids.first_mut(), places.first_mut()) {
                (*first, *first_place) = (bid, place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("endpoint-{number}")).collect()
    }

    fn shuffle(names: &[String], take: usize) -> Shuffle {
        Shuffle::new(names.iter().map(String::as_str), take).unwrap()
    }

    fn of(shuffle: &Shuffle, tenant: usize) -> Vec<u32> {
        let members = shuffle.members(format!("tenant-{tenant}").as_bytes());
        let mut places = members.as_slice().to_vec();
        places.sort_unstable();
        places
    }

    #[test]
    fn tenants_have_as_many_as_they_take_and_all_are_taken_alike() {
        let shuffle = shuffle(&names(32), 4);
        let mut taken = vec![0; 32];
        for tenant in 0..10_000 {
            let mut own = of(&shuffle, tenant);
            own.iter().for_each(|place| taken[*place as usize] += 1);
            own.dedup();
            assert_eq!(own.len(), 4);
        }
        // 1,250 each, with a deviation of 33.
        assert!(taken.iter().all(|times| (1080..1420).contains(times)), "{taken:?}");
    }

    #[test]
    fn tenants_seldom_have_the_same() {
        let shuffle = shuffle(&names(32), 4);
        let mut sets: HashMap<Vec<u32>, usize> = HashMap::new();
        for tenant in 0..1000 {
            *sets.entry(of(&shuffle, tenant)).or_default() += 1;
        }
        // Of 499,500 pairs, one in 35,960 is to be alike: 14.
        let alike: usize = sets.values().map(|count| count * (count - 1) / 2).sum();
        assert!(alike < 35, "{alike}");
    }

    #[test]
    fn one_that_goes_is_replaced_by_one() {
        let (all, mut fewer) = (names(32), names(32));
        fewer.pop();
        let (before, after) = (shuffle(&all, 4), shuffle(&fewer, 4));
        for tenant in 0..1000 {
            let (before, after) = (of(&before, tenant), of(&after, tenant));
            let gone = before.iter().filter(|place| !after.contains(place)).count();
            assert_eq!(gone, usize::from(before.contains(&31)));
        }
    }

    #[test]
    fn nothing_is_shuffled_that_cannot_be() {
        let error = |take| Shuffle::new(["a", "b", "c"], take).err();
        assert_eq!(error(0), Some(ShuffleError::None));
        assert_eq!(error(3), Some(ShuffleError::All { all: 3 }));
        assert_eq!(error(2), None);
        let names = names(40);
        let many = Shuffle::new(names.iter().map(String::as_str), 17).err();
        assert_eq!(many, Some(ShuffleError::TooMany { most: 16 }));
        let members = shuffle(&names, 2).members(b"a");
        assert!(members.contains(members.as_slice()[1] as usize));
        assert_eq!((0..40).filter(|place| members.contains(*place)).count(), 2);
    }
}
