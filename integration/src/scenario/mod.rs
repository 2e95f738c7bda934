//! What both the tests and the shows play through: tests with little, the shows with all of it.

mod cache;
mod downloads;
mod edge;
mod escapes;
mod everyday;
mod fragments;
mod latency;
mod log_tools;
mod mutated;
mod plugins;
mod reloads;
mod sites;
mod slow_logs;
mod upstreams;
mod variants;

pub use cache::{
    Cache, CacheTests, CaseVerdict, Count, Kind, List, Played, cache_tests, case_faults, play_cases,
};
pub use cache::{ComparePlan, Compared, Herd, Outage, OutagePlan, compare, herd, outage};
pub use cache::{
    KillsPlan, LoopMount, Million, MillionPlan, NoMount, PowerCutsPlan, Survived, kills, million,
    power_cuts, tier_process,
};
pub use downloads::{Cost, Downloads};
pub use edge::{
    Change, ChangePlan, Changes, Effort, Feature, Fit, GIVEN_BACK, H2Conformance, H2Hostile,
    H2spec, IdleFound, IdleOne, IdleOnePlan, IdlePlan, IdleStep, Need, NotPlayed, Positions, Slow,
    SlowPlan, SlowRun, Smuggling, Successor, Tally, Traffic, changes, cut_everywhere,
    h2_conformance, h2_hostile, h2spec, hold, idle_connections, idle_in_one_process, median, needs,
    positions, report, slow_clients, smuggling, traffic,
};
pub use escapes::{Escapes, escapes};
pub use everyday::{Everyday, everyday, nginx_twice};
pub use fragments::{Fragments, fragments};
pub use latency::{Latency, latency};
pub use log_tools::{Filtered, LogTools, ReadLog, rotation};
pub use mutated::{Mutated, mutated};
pub use plugins::{
    AtHits, Faulted, NativeGrowth, PluginCost, PluginFault, SwapPlan, Swapped, Swaps, hit_cost,
    native_growth, plugin_cost, plugin_fault, swaps,
};
pub use reloads::{Reloads, open_websocket, reloads};
pub use sites::{Sites, many_sites, many_sites_config};
pub use slow_logs::{SlowLogs, slow_logs};
pub use upstreams::{
    Agreement, Balancer, Failure, FailureCost, Faults, Figures, Heat, HedgeCost, Hedged, Moved,
    Overloaded, Resharded, Storm, beside_nginx, heat, hedge_cost, hedged, ip_hash_beside_nginx,
    mapping_figures, one_of_ten, overload, resharded, storm,
};
pub use variants::{
    Bomb, Browsed, Giant, GzipPlan, Gzipped, HitPath, Matrix, NextBundle, OtherHand, PICTURES,
    Passed, Saved, UNPACK, Unpacked, bombs, browse, giant_through_proxy, gzip, hit_path, matrix,
    next_bundle, pass_zeros, refuse_giant, saved_of_pictures, saved_of_texts, unpack, unpack_file,
};
