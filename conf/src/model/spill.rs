//! Requests that go to another service because there is no room.

use super::define::model;
use super::text::{Count, Name, Short};
use crate::at::At;

model! {
    /// Where requests go that an upstream has no room for: the base load stays on machines of one's own, and peaks go elsewhere.
    /// There is no room when all endpoints have as many requests as `max_connections` says, or the upstream has as many as
    /// `concurrency` does; then nobody waits in its `queue`. Endpoints of other zones and backups come first: they are endpoints of
    /// the same upstream. A request of which something was sent stays where it is. Where only `to` is written, it alone will do.
    pub struct Spill {
        /// The upstream that has them instead. It speaks the same protocol, and has no shards and no `shuffle`; where it has no room itself, it may have a
        /// `spill` in turn.
        pub to: At<Name>,
        /// How many requests its endpoints have in flight together, those of a shard where there are shards, before others go there.
        /// Without it, as many as there is room for.
        pub at: Option<At<Count<1, 1_000_000>>> = None,
        /// Whether requests go there also when none of its endpoints can be asked: none can be connected to, all fail, or no name of
        /// them stands for anything.
        pub unavailable: bool = false,
    }
}

impl Short for Spill {
    type Key = Name;

    fn from_key(to: At<Name>) -> Self {
        Self { to, at: None, unavailable: false }
    }

    fn as_key(&self) -> Option<&Name> {
        (self.at.is_none() && !self.unavailable).then_some(&self.to.value)
    }
}
