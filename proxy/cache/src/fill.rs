//! A response that is being received: one writes it, any number read it while it arrives.
//!
//! [`Fills`] has the fill of each key. Whoever asks first leads: the [`Filling`] is where the response is written, and all, the
//! first one too, have a [`Reader`]. A reader learns first what came of it ([`Outcome`]), then takes the body piece by piece.
//!
//! A fill that may be kept holds its body until it is whole. What is too large for that, or for what all fills may hold together
//! ([`Budget`]), is read from the file that it is written to by those who are behind, and waits for the disk alone. Without a
//! disk, or if it is not kept, a window of it is held, and it waits for the slowest reader.

mod behind;
mod budget;
mod pieces;
mod reader;
mod shared;
mod table;

use std::sync::Arc;

use crate::disk::Growing;
use crate::entry::{Entry, Head, Meta};

pub use budget::{Budget, LEAST};
pub use reader::{Broken, Reader};
pub use shared::{Abandoned, Filling};
pub use table::{Fills, Joined, Wish};

/// A body that is not kept is at most so far ahead of its slowest reader, in bytes.
pub const WINDOW: u64 = 1024 * 1024;

/// The head of a response whose body arrives.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// What it says.
    pub head: Head,
    /// What it is stored with, where it may be stored; its head is then the one to send.
    pub stored: Option<Arc<Meta>>,
    /// The length of the body, where that is known.
    pub length: Option<u64>,
}

/// How a body is held as it arrives.
#[derive(Debug, Default)]
pub struct Holding {
    /// Up to so many bytes in memory, for all who come while it arrives.
    pub most: u64,
    /// What fills may hold together, this one among them.
    pub budget: Option<Arc<Budget>>,
    /// The file that it is written to: whoever writes it there waits for that, piece by piece, and tells when it takes no more
    /// ([`Filling::lose_file`]).
    pub file: Option<Growing>,
}

impl Arrived {
    /// What its readers are sent of its head.
    #[must_use]
    pub fn to_send(&self) -> &Head {
        self.stored.as_ref().map_or(&self.head, |meta| &meta.head)
    }
}

/// What came of a fill, as far as its readers are told.
#[derive(Clone, Debug)]
pub enum Outcome<F> {
    /// A response; its body is read from the same reader. One that is not stored is for the first reader alone.
    Arrived(Arc<Arrived>),
    /// What was stored is good: it was validated.
    Validated(Arc<Entry>),
    /// A response came that is the first reader's alone.
    NotShared,
    /// There is none, and why.
    Failed(F),
    /// Whoever received it is gone, and nothing is known.
    Lost,
}

#[cfg(test)]
mod tests;
