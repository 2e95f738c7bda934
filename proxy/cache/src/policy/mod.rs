//! What may be stored and used (RFC 9111), as pure functions for a shared cache.
//!
//! On the way in: [`asks`] and [`may_use_cache`] of the request; [`selects`] finds the stored response; [`judge`] says what it
//! may be used for. On the way back: [`storable`] says whether the response may be kept, [`to_store`] makes the head to keep;
//! [`belongs`] and [`renew`] are for the 304 of a validation, [`by_head`] for the answer to a HEAD, [`partial`] for 206, and
//! [`invalidate`] for what follows on an unsafe method. Where several readings of a field are allowed, the one that stores
//! less and validates more is taken.

mod accel;
mod control;
mod date;
mod fields;
mod freshness;
pub mod groups;
pub mod invalidate;
mod judge;
mod merge;
pub mod partial;
mod rules;
pub mod search;
mod status;
mod store;
mod structured;
mod tags;
#[cfg(test)]
mod tests;
mod vary;

pub use date::http_date;
pub use fields::{is_unkeyed, strip, to_store};
pub use freshness::{Freshness, Stale, age};
pub use judge::{Asks, QUERY_FIELDS, Use, asks, judge, judge_purged, may_use_cache};
pub use merge::{HeadSays, belongs, by_head, merge, renew, select_304};
pub use rules::Rules;
pub use status::{CacheStatus, Forwarded};
pub use store::{Asked, Storable, Unstorable, storable, storable_as_get, storable_part};
pub use tags::{hide_tags, tags};
pub use vary::{Vary, selecting, selecting_answer, selects, vary};
