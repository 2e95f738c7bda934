//! Where keys come from, and when they are fetched again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use switchback_plugin::{Background, HttpRequest, Level, Operating};

use super::algorithm::Algorithm;
use super::key_set::KeySet;
use crate::watched::Watched;

/// What tokens are verified with.
pub(super) enum Keys {
    /// Of a file, which is read again when it changes.
    File(Watched<KeySet>),
    /// Of a service.
    Service(Box<Service>),
}

/// A service that publishes its keys.
pub(super) struct Service {
    pub(super) upstream: String,
    pub(super) path: String,
    pub(super) algorithms: Vec<Algorithm>,
    /// How long a set is used before it is fetched again.
    pub(super) refresh: Duration,
    /// How long no other try is made.
    pub(super) pause: Duration,
    pub(super) timeout: Duration,
    pub(super) current: ArcSwapOption<KeySet>,
    pub(super) fetched: Mutex<Fetched>,
    pub(super) is_fetching: AtomicBool,
}

/// When keys were fetched, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fetched {
    tried: Option<u64>,
    succeeded: Option<u64>,
}

impl Keys {
    /// Those that are there; `None` before a service has told any.
    pub(super) fn current(&self) -> Option<Arc<KeySet>> {
        match self {
            Self::File(file) => Some(Arc::clone(&file.current())),
            Self::Service(service) => service.current.load_full(),
        }
    }

    /// Fetches keys for a token that is of none that are there, unless that was tried a moment ago. Says whether there may be others now.
    pub(super) async fn renew(&self, view: &mut impl Operating) -> bool {
        match self {
            Self::File(_) => false,
            Self::Service(service) => service.renew(view).await,
        }
    }

    /// What is due.
    pub(super) async fn tick(&self, background: &mut Background<'_>) {
        match self {
            Self::File(file) => drop(file.refresh(background).await),
            Self::Service(service) => {
                if service.is_due(background.now()) {
                    service.fetch(background).await;
                }
            }
        }
    }
}

/// How often one that waits for another's fetch looks, and how many times.
const LOOK: Duration = Duration::from_millis(20);

impl Service {
    fn is_due(&self, now: u64) -> bool {
        let fetched = *self.fetched.lock();
        let is_old = fetched.succeeded.is_none_or(|then| has_passed(then, now, self.refresh));
        is_old && self.may_try(fetched, now)
    }

    fn may_try(&self, fetched: Fetched, now: u64) -> bool {
        fetched.tried.is_none_or(|then| has_passed(then, now, self.pause))
    }

    async fn renew(&self, view: &mut impl Operating) -> bool {
        let before = self.fetched.lock().succeeded;
        if !self.is_fetching.load(Ordering::Acquire) {
            let fetched = *self.fetched.lock();
            return self.may_try(fetched, view.now()) && self.fetch(view).await;
        }
        let mut waited = Duration::ZERO;
        while self.is_fetching.load(Ordering::Acquire) && waited < self.timeout {
            if view.sleep(LOOK).await.is_err() {
                return false;
            }
            waited += LOOK;
        }
        self.fetched.lock().succeeded != before
    }

    async fn fetch(&self, view: &mut impl Operating) -> bool {
        // One at a time, also when this one is given up.
        let Some(_turn) = Turn::take(&self.is_fetching) else { return false };
        let now = view.now();
        self.fetched.lock().tried = Some(now);
        let request = HttpRequest::get(&self.upstream, &self.path)
            .with_header("accept", "application/jwk-set+json, application/json")
            .with_timeout(self.timeout);
        let keys = match view.http(request).await {
            Ok(response) if response.status == http::StatusCode::OK => {
                KeySet::parse(&response.body, &self.algorithms)
            }
            Ok(response) => Err(format!("answered with {}", response.status.as_u16())),
            Err(error) => Err(error.to_string()),
        };
        match keys {
            Ok(keys) => {
                self.current.store(Some(Arc::new(keys)));
                self.fetched.lock().succeeded = Some(now);
                true
            }
            Err(why) => {
                let kept =
                    if self.current.load().is_some() { "; those from before stay" } else { "" };
                let message =
                    format!("keys of upstream `{}`, {}: {why}{kept}", self.upstream, self.path);
                view.log(Level::Warn, &message);
                false
            }
        }
    }
}

/// Also when the clock was set back beyond `then`.
fn has_passed(then: u64, now: u64, time: Duration) -> bool {
    now < then || Duration::from_nanos(now - then) >= time
}

/// The turn of whoever fetches; given back when dropped.
struct Turn<'t>(&'t AtomicBool);

impl<'t> Turn<'t> {
    fn take(is_taken: &'t AtomicBool) -> Option<Self> {
        (!is_taken.swap(true, Ordering::AcqRel)).then_some(Self(is_taken))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
