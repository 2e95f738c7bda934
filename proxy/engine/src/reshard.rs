//! Giving keys to other shards while requests are served.

use std::path::PathBuf;

use switchback_conf::Diagnostic;
use switchback_conf::plan::UpstreamPlan;

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reshard {
    /// Of which upstream.
    pub upstream: String,
    /// What is to be done.
    pub action: ReshardAction,
    /// The file that says the next shards; `None` is the configuration's.
    pub to: Option<PathBuf>,
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
    Start(Box<UpstreamPlan>),
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
    /// All shards, old and new.
    pub shards: Vec<ShardStatus>,
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
    /// The next mapping is wrong.
    #[error("{}", switchback_conf::report(.0))]
    Wrong(Vec<Diagnostic>),
}
