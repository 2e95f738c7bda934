//! Giving keys to other shards while requests are served.

use std::path::PathBuf;

use switchback_conf::Diagnostic;
use switchback_conf::plan::UpstreamPlan;

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Reshard {
    /// Of which upstream.
    pub upstream: String,
    /// What is to be done.
    pub action: ReshardAction,
    /// The file that says the next shards; `None` is the configuration's.
    pub to: Option<PathBuf>,
    /// For a start: of which part of the reads of keys that move, from 0 to 1, the answers of both shards are compared.
    pub compare: Option<f64>,
}

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReshardAction {
    /// Tells what would move.
    Plan,
    /// Begins.
    Start,
    /// Tells how it stands.
    Status,
    /// Puts the next mapping in force.
    Cutover,
    /// Goes back.
    Abort,
}

/// A step of a resharding.
#[derive(Clone, Debug)]
pub enum Step {
    /// Tells what would move, and does nothing.
    Plan(Box<UpstreamPlan>),
    /// Begins: keys that move are read from both.
    Start {
        /// The next shards.
        to: Box<UpstreamPlan>,
        /// Of which part of these reads, from 0 to 1, both answers are compared.
        compare: f64,
    },
    /// Tells how it stands.
    Status,
    /// Puts the next mapping in force.
    Cutover,
    /// Goes back to the mapping that was in force before.
    Abort,
}

/// How the shards of an upstream stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReshardStatus {
    /// The upstream.
    pub upstream: String,
    /// Which mapping is in force.
    pub epoch: u64,
    /// Which is to be, while keys move.
    pub next_epoch: Option<u64>,
    /// Whether it is in force although the configuration still says another one.
    pub is_ahead_of_configuration: bool,
    /// The part of all keys that moves.
    pub moved: f64,
    /// The part that would do.
    pub ideal: f64,
    /// Different keys that were seen since it began, about.
    pub keys_seen: u64,
    /// Those of them that move, about.
    pub keys_moved: u64,
    /// Reads that the next shard was asked for.
    pub reads: u64,
    /// Those of them that it could not answer, and the old one did.
    pub misses: u64,
    /// Requests of keys that move which went to the old shard at once.
    pub kept: u64,
    /// Bytes of bodies that next shards have answered.
    pub bytes: u64,
    /// What came of comparing, where that is done.
    pub compared: Option<Compared>,
    /// All shards, old and new.
    pub shards: Vec<ShardStatus>,
}

/// What came of comparing the answers of both shards that a key has while it moves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Compared {
    /// Of which part of the reads of keys that move.
    pub share: f64,
    /// Those that were alike: by status and body.
    pub equal: u64,
    /// Those that were not.
    pub different: u64,
    /// Those that the shard which has the key did not give.
    pub failed: u64,
    /// Those that told nothing: too many at once, a client that went away, a key that was written meanwhile.
    pub skipped: u64,
}

/// How a shard stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShardStatus {
    /// Its name.
    pub name: String,
    /// The part of all keys that it has.
    pub share: f64,
    /// The part that it is to have, while keys move.
    pub next_share: Option<f64>,
    /// Different keys that were seen since keys move and that it has, about.
    pub keys_seen: Option<u64>,
    /// Those that it is to have.
    pub next_keys_seen: Option<u64>,
    /// Requests that it was sent.
    pub requests: u64,
    /// Those that it has not answered, or with a status from 500 on.
    pub failures: u64,
    /// Bytes of bodies that it has answered.
    pub bytes: u64,
}

/// Why a step cannot be taken.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReshardError {
    /// There is no such upstream.
    #[error("upstream `{0}` is not defined")]
    UnknownUpstream(String),
    /// It has no shards.
    #[error("upstream `{0}` has no shards")]
    NoShards(String),
    /// Keys move already.
    #[error("keys of `{0}` move already: `reshard cutover` or `reshard abort` ends that")]
    InProgress(String),
    /// Nothing moves.
    #[error("no keys of `{0}` move: nothing was started")]
    NotStarted(String),
    /// The next mapping is the one in force.
    #[error("the next mapping of `{0}` is the one in force")]
    NothingChanges(String),
    /// Another key would be another thing.
    #[error("`shard_by` of `{0}` is another: resharding changes who has a key, not what it is")]
    OtherKey(String),
    /// No part of something.
    #[error("`compare` is {0}, and a part is from 0 to 1")]
    NoPart(f64),
    /// Comparing is said too late or too early.
    #[error("`compare` is said when keys begin to move")]
    ComparesAtStart,
    /// The next mapping is wrong.
    #[error("{}", switchback_conf::report(.0))]
    Wrong(Vec<Diagnostic>),
}
