//! The HTTP cache: what it must do, and what was promised of it.

mod compare;
mod conformance;
mod herd;
mod kills;
mod loop_mount;
mod million;
mod outage;
mod power_cuts;
mod suite;
mod tier;
mod wire;

pub use compare::{ComparePlan, Compared, compare};
pub use conformance::{
    Cache, Count, Kind, List, Played, Verdict as CaseVerdict, case_faults, play_cases,
};
pub use herd::{Herd, herd};
pub use kills::{KillsPlan, kills};
pub use loop_mount::{LoopMount, NoMount};
pub use million::{Million, MillionPlan, million};
pub use outage::{Outage, OutagePlan, outage};
pub use power_cuts::{PowerCutsPlan, power_cuts};
pub use suite::{CacheTests, cache_tests};
pub use tier::{Survived, tier_process};
