//! Does it hold together: a harness that speaks bytes, and the proxy as a process of its own.
//!
//! Origin and client here use no HTTP library: a conforming one repairs what a test needs to send broken. The proxy runs
//! as its own process, so that its descriptors, threads and memory are its own. Nothing sleeps and no port is fixed: every
//! wait is for an event and has a deadline.

#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "a harness speaks to its tests by panicking with a sentence"
)]

mod certs;
mod client;
mod command;
mod config;
mod counted;
mod dns;
mod expectation;
mod fuzz_targets;
mod gate;
mod grammar;
mod guard;
mod h2;
mod load;
mod message;
mod mutation;
mod notify;
mod openssl;
mod origin;
mod patience;
mod peer;
mod plugin_module;
mod proc_stats;
mod proxy;
mod scenario;
mod show;
mod stream;
mod wire;
mod witness;

pub use certs::{Authority, Identity};
pub use client::{Client, Trust};
pub use command::{Finished, switchback, switchback_binary};
pub use config::{Config, config, site, text};
pub use dns::{NameServer, Says, Service};
pub use fuzz_targets::{TARGETS, Target, fuzz};
pub use gate::Gate;
pub use grammar::{ByteStream, Intended, Random, fingerprint};
pub use h2::{
    Frame, FrameClient, H2Client, H2Origin, H2Received, H2Request, H2Response, H2Stream, PREFACE,
    Silence, encode_fields, get_fields,
};
pub use load::{Load, Questions, Seen, generation};
pub use message::{Reply, Request, Response, get, pattern, post, request};
pub use mutation::{Mutation, mutations};
pub use openssl::{OpenSsl, Session};
pub use origin::{Answer, Choice, Endpoint, Origin, Received, Step};
pub use patience::{Deadline, eventually};
pub use peer::{Peer, Tool};
pub use plugin_module::{PluginModule, compiled};
pub use proc_stats::ProcessStats;
pub use proxy::{Listener, Proxy, Refusal, Verdict};
pub use scenario::{
    Agreement, Figures, Moved, beside_nginx, ip_hash_beside_nginx, mapping_figures,
};
pub use scenario::{
    AtHits, NativeGrowth, PluginCost, SwapPlan, Swapped, Swaps, hit_cost, native_growth,
    plugin_cost, swaps,
};
pub use scenario::{Balancer, Failure, FailureCost, one_of_ten};
pub use scenario::{
    Bomb, Browsed, Giant, Matrix, NextBundle, OtherHand, PICTURES, Passed, Saved, UNPACK, Unpacked,
    bombs, browse, giant_through_proxy, matrix, next_bundle, pass_zeros, refuse_giant,
    saved_of_pictures, saved_of_texts, unpack, unpack_file,
};
pub use scenario::{
    Cache, CacheTests, CaseVerdict, Change, ChangePlan, Changes, ComparePlan, Compared, Cost,
    Count, Downloads, Effort, Escapes, Everyday, Feature, Filtered, Fit, Fragments, GIVEN_BACK,
    H2Conformance, H2Hostile, H2spec, Herd, IdleFound, IdleOne, IdleOnePlan, IdlePlan, IdleStep,
    Kind, Latency, List, LogTools, Mutated, Need, NotPlayed, Outage, OutagePlan, Played, Positions,
    ReadLog, Reloads, Sites, Slow, SlowLogs, SlowPlan, SlowRun, Smuggling, Successor, Tally,
    Traffic, cache_tests, case_faults, changes, compare, cut_everywhere, escapes, everyday,
    fragments, h2_conformance, h2_hostile, h2spec, herd, hold, idle_connections,
    idle_in_one_process, latency, many_sites, many_sites_config, median, mutated, needs,
    nginx_twice, open_websocket, outage, play_cases, positions, reloads, report, rotation,
    slow_clients, slow_logs, smuggling, traffic,
};
pub use scenario::{Faulted, PluginFault, plugin_fault};
pub use scenario::{Faults, Resharded, resharded};
pub use scenario::{GzipPlan, Gzipped, HitPath, gzip, hit_path};
pub use scenario::{Heat, Overloaded, Storm, heat, overload, storm};
pub use scenario::{HedgeCost, Hedged, hedge_cost, hedged};
pub use scenario::{
    KillsPlan, LoopMount, Million, MillionPlan, NoMount, PowerCutsPlan, Survived, kills, million,
    power_cuts, tier_process,
};
pub use show::Show;
pub use wire::{Headers, WireError};
