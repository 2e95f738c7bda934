//! What plugins await: begun when they say so, done while somebody waits, given up when nobody does any more.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use switchback_plugin::{Operation, OperationError, OperationId, Outcome, Refused};
use tokio::sync::Semaphore;

use super::client::{self, Client};
use super::steering;
use crate::resolve;
use crate::snapshot::Snapshot;
use crate::snapshot::resident::Resident;

/// What one hook has begun.
#[derive(Default)]
pub(super) struct Operations {
    running: Vec<(OperationId, Running)>,
    last: u32,
}

type Running = Pin<Box<dyn Future<Output = Result<Outcome, OperationError>> + Send>>;

/// The most at once.
const MOST: usize = 64;

/// What operations are done with.
pub(super) struct Host<'h> {
    pub(super) snapshot: &'h Arc<Snapshot>,
    pub(super) resident: &'h Arc<Resident>,
    pub(super) client: Option<&'h Arc<Client>>,
}

impl Operations {
    /// Begins one that needs nothing of a request.
    pub(super) fn begin(
        &mut self,
        operation: Operation,
        host: &Host<'_>,
    ) -> Result<OperationId, Refused> {
        let running: Running = match operation {
            Operation::Http(request) => {
                let client = host.client.ok_or(Refused::Unsupported)?;
                steering::upstream(&request.upstream, host.snapshot).ok_or(Refused::Unknown)?;
                let (client, snapshot) = (Arc::clone(client), Arc::clone(host.snapshot));
                Box::pin(client::ask(client, snapshot, Arc::clone(host.resident), request))
            }
            Operation::Sleep(time) => Box::pin(async move {
                tokio::time::sleep(time).await;
                Ok(Outcome::Done)
            }),
            Operation::Store(operation) => {
                let done = host.resident.plugins.store.run(&operation, Instant::now());
                Box::pin(std::future::ready(done))
            }
            Operation::Blocking(work) => {
                let room = Arc::clone(&host.resident.plugins.threads.0);
                Box::pin(beside(work, room))
            }
            Operation::Resolve(name) => {
                let servers = Arc::clone(&host.snapshot.resolvers);
                Box::pin(async move {
                    let found = resolve::addresses(&name, &servers).await;
                    found.map(Outcome::Addresses).map_err(|_| OperationError::Failed)
                })
            }
            Operation::ResolveAddress(address) => {
                let servers = Arc::clone(&host.snapshot.resolvers);
                Box::pin(async move {
                    let found = resolve::names_of(address, &servers).await;
                    found.map(Outcome::Names).map_err(|_| OperationError::Failed)
                })
            }
            _ => return Err(Refused::Unsupported),
        };
        self.add(running)
    }

    /// Has `running` be one of them.
    pub(super) fn add(&mut self, running: Running) -> Result<OperationId, Refused> {
        if self.running.len() >= MOST {
            return Err(Refused::Full);
        }
        self.last = self.last.wrapping_add(1);
        let id = OperationId(self.last);
        self.running.push((id, running));
        Ok(id)
    }

    pub(super) fn poll(
        &mut self,
        id: OperationId,
        context: &mut Context<'_>,
    ) -> Poll<Result<Outcome, OperationError>> {
        let Some(at) = self.running.iter().position(|(own, _)| *own == id) else {
            return Poll::Ready(Err(OperationError::Cancelled));
        };
        let Some((_, running)) = self.running.get_mut(at) else { return Poll::Pending };
        let done = running.as_mut().poll(context);
        if done.is_ready() {
            drop(self.running.swap_remove(at));
        }
        done
    }

    pub(super) fn cancel(&mut self, id: OperationId) {
        self.running.retain(|(own, _)| *own != id);
    }

    pub(super) fn cancel_all(&mut self) {
        self.running.clear();
    }
}

/// Threads that plugins may hold up, all together.
#[derive(Debug)]
pub(crate) struct Threads(Arc<Semaphore>);

impl Default for Threads {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new((2 * cores).max(4))))
    }
}

/// Does work that takes long where it holds up nobody.
async fn beside(
    work: Box<dyn FnOnce() + Send>,
    room: Arc<Semaphore>,
) -> Result<Outcome, OperationError> {
    let turn = room.acquire_owned().await.map_err(|_| OperationError::Cancelled)?;
    let working = tokio::task::spawn_blocking(move || {
        work();
        // What nobody waits for any more has its thread until it is done.
        drop(turn);
    });
    working.await.map_err(|_| OperationError::Failed)?;
    Ok(Outcome::Done)
}
