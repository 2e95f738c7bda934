//! Giving keys to other shards, over the control socket.

use std::path::PathBuf;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use switchback_engine::reshard::{self, ReshardError};
use tokio::task;

use crate::routes::{LARGEST_BODY, Shared, failure, json, receive};

/// Body of `POST /reshard`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reshard {
    /// The upstream.
    pub upstream: String,
    /// What is to be done.
    pub action: ReshardAction,
    /// The file with the next shards: a configuration, or as much of one as `[upstreams.NAME]`. Without it, the file that the
    /// process runs from, as it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<PathBuf>,
    /// With `start`: of which part of the reads of keys that move, from 0 to 1, both shards are asked, and their answers compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<f64>,
}

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReshardAction {
    /// Tells what would move.
    Plan,
    /// Begins: keys that move are read from the next shard and, where it does not have them, from the old one.
    Start,
    /// Tells how it stands.
    Status,
    /// Puts the next mapping in force.
    Cutover,
    /// Goes back to the mapping before.
    Abort,
}

/// Answer to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resharding {
    /// The upstream.
    pub upstream: String,
    /// The number of the mapping in force.
    pub epoch: u64,
    /// Of the next one, while keys move.
    pub next_epoch: Option<u64>,
    /// Whether the configuration still says another mapping than the one in force: a restart would go back to it.
    pub is_ahead_of_configuration: bool,
    /// The part of all keys that moves.
    pub moved: f64,
    /// The least part that could.
    pub ideal: f64,
    /// Different keys that were seen since it began, about.
    pub keys_seen: u64,
    /// Those of them that move.
    pub keys_moved: u64,
    /// Reads that next shards were asked for.
    pub reads: u64,
    /// Those of them that the old shard had to answer.
    pub misses: u64,
    /// Requests of keys that move which went to the old shard at once.
    pub kept: u64,
    /// Bytes of bodies that next shards have answered.
    pub bytes: u64,
    /// What came of comparing, where that is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
    /// All shards, old and new.
    pub shards: Vec<Shard>,
}

/// Answers of both shards that a key has while it moves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shard {
    /// Its name.
    pub name: String,
    /// The part of all keys that it has.
    pub share: f64,
    /// The part that it is to have.
    pub next_share: Option<f64>,
    /// While keys move: different keys that were seen since it began and that it has, about.
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

/// Takes a step.
pub(crate) async fn step(State(control): Shared, body: Body) -> Response {
    let body = match receive(body, LARGEST_BODY).await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let asked = match serde_json::from_slice::<Reshard>(&body) {
        Ok(asked) => reshard::Reshard::from(asked),
        Err(error) => return failure(StatusCode::BAD_REQUEST, error.to_string()),
    };
    match task::spawn_blocking(move || control.reshard(&asked)).await {
        Ok(Ok(told)) => json(StatusCode::OK, &Resharding::from(told)),
        Ok(Err(error)) => {
            let status = match error {
                ReshardError::UnknownUpstream(_) => StatusCode::NOT_FOUND,
                ReshardError::Wrong(_)
                | ReshardError::NoPart(_)
                | ReshardError::ComparesAtStart => StatusCode::UNPROCESSABLE_ENTITY,
                _ => StatusCode::CONFLICT,
            };
            failure(status, error.to_string())
        }
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

impl From<Reshard> for reshard::Reshard {
    fn from(Reshard { upstream, action, to, compare }: Reshard) -> Self {
        let action = match action {
            ReshardAction::Plan => reshard::ReshardAction::Plan,
            ReshardAction::Start => reshard::ReshardAction::Start,
            ReshardAction::Status => reshard::ReshardAction::Status,
            ReshardAction::Cutover => reshard::ReshardAction::Cutover,
            ReshardAction::Abort => reshard::ReshardAction::Abort,
        };
        Self { upstream, action, to, compare }
    }
}

impl From<reshard::ReshardStatus> for Resharding {
    fn from(told: reshard::ReshardStatus) -> Self {
        let shard = |shard: reshard::ShardStatus| Shard {
            name: shard.name,
            share: shard.share,
            next_share: shard.next_share,
            keys_seen: shard.keys_seen,
            next_keys_seen: shard.next_keys_seen,
            requests: shard.requests,
            failures: shard.failures,
            bytes: shard.bytes,
        };
        Self {
            upstream: told.upstream,
            epoch: told.epoch,
            next_epoch: told.next_epoch,
            is_ahead_of_configuration: told.is_ahead_of_configuration,
            moved: told.moved,
            ideal: told.ideal,
            keys_seen: told.keys_seen,
            keys_moved: told.keys_moved,
            reads: told.reads,
            misses: told.misses,
            kept: told.kept,
            bytes: told.bytes,
            compared: told.compared.map(|told| Compared {
                share: told.share,
                equal: told.equal,
                different: told.different,
                failed: told.failed,
                skipped: told.skipped,
            }),
            shards: told.shards.into_iter().map(shard).collect(),
        }
    }
}
