//! What is around the requests of a test: time, upstreams, what plugins keep and count.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::exchange::{Level, Refused};
use crate::operation::{
    HttpRequest, HttpResponse, Operation, OperationError, Outcome, StoreOperation,
};
use crate::setup::{Carried, Meter, MetricKind, Services};
use crate::store::Change;
use crate::testing::scene::Line;

/// What a plugin finds around it when it is made.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The name by which it is configured; its own if absent.
    pub name: Option<String>,
    /// Upstreams that there are; `None`: each that is asked for.
    pub upstreams: Option<Vec<String>>,
    /// Variables that there are; `None`: each that is asked for.
    pub variables: Option<Vec<String>>,
    /// The folder of the configuration file.
    pub folder: Option<PathBuf>,
}

impl Surroundings {
    pub(super) fn has_upstream(&self, name: &str) -> bool {
        has(self.upstreams.as_deref(), name)
    }
}

fn has(known: Option<&[String]>, name: &str) -> bool {
    known.is_none_or(|known| known.iter().any(|one| one == name))
}

/// What a request of a plugin's own is answered with.
pub(super) type Responder =
    Box<dyn FnMut(&HttpRequest) -> Result<HttpResponse, OperationError> + Send>;

/// What is around the requests of a test.
pub struct World {
    pub(super) around: Surroundings,
    pub(super) clock: Arc<Clock>,
    pub(super) responders: Vec<(String, Duration, Responder)>,
    pub(super) names: BTreeMap<String, Vec<IpAddr>>,
    pub(super) asked: Vec<HttpRequest>,
    pub(super) stored: HashMap<(String, Bytes), (Bytes, Option<u64>)>,
    pub(super) under_way: BTreeMap<u32, UnderWay>,
    pub(super) given_up: usize,
    begun: u32,
}

/// Nanoseconds since 1970, which pass when a test says so.
pub(super) struct Clock {
    pub(super) now: AtomicU64,
    /// When the first operation that is waited for is done.
    pub(super) due: AtomicU64,
}

pub(super) struct UnderWay {
    pub(super) due: u64,
    pub(super) result: Result<Outcome, OperationError>,
}

/// 2026-01-01, so that what is older than the epoch does not come into it.
const BEGIN: u64 = 1_767_225_600_000_000_000;

impl Default for World {
    fn default() -> Self {
        Self::new(Surroundings::default())
    }
}

impl World {
    /// How many operations were given up.
    #[must_use]
    pub fn given_up(&self) -> usize {
        self.given_up
    }

    /// How many operations are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Lets time pass.
    pub fn advance(&mut self, time: Duration) {
        let now = self.now().saturating_add(nanoseconds(time));
        self.clock.now.store(now, Ordering::Relaxed);
    }

    pub(super) fn new(around: Surroundings) -> Self {
        let clock = Clock { now: AtomicU64::new(BEGIN), due: AtomicU64::new(u64::MAX) };
        Self {
            around,
            clock: Arc::new(clock),
            responders: Vec::new(),
            names: BTreeMap::new(),
            asked: Vec::new(),
            stored: HashMap::new(),
            under_way: BTreeMap::new(),
            given_up: 0,
            begun: 0,
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.now.load(Ordering::Relaxed)
    }

    /// Begins an operation; `body` is that of the request at hand.
    pub(super) fn begin(&mut self, operation: Operation, body: &[Bytes]) -> Result<u32, Refused> {
        let mut time = Duration::ZERO;
        let result = match operation {
            Operation::Http(request) => {
                if !self.around.has_upstream(&request.upstream) {
                    return Err(Refused::Unknown);
                }
                let answered = self.answer(&request);
                let limit = request.timeout;
                let size = request.body_limit;
                self.asked.push(*request);
                let (taken, result) = answered;
                time = taken;
                match limit {
                    Some(limit) if taken > limit => {
                        time = limit;
                        Err(OperationError::Timeout)
                    }
                    _ if result.as_ref().is_ok_and(|response| response.body.len() > size) => {
                        Err(OperationError::TooLarge)
                    }
                    _ => result.map(|response| Outcome::Http(Box::new(response))),
                }
            }
            Operation::Sleep(length) => {
                time = length;
                Ok(Outcome::Done)
            }
            Operation::Store(operation) => self.store(&operation),
            Operation::Body { limit } => {
                let body = body.concat();
                if body.len() > limit {
                    Err(OperationError::TooLarge)
                } else {
                    Ok(Outcome::Value(body.into()))
                }
            }
            Operation::Blocking(work) => {
                work();
                Ok(Outcome::Done)
            }
            Operation::Resolve(name) => {
                Ok(Outcome::Addresses(self.names.get(&name).cloned().unwrap_or_default()))
            }
            Operation::ResolveAddress(address) => Ok(Outcome::Names(
                self.names
                    .iter()
                    .filter(|(_, addresses)| addresses.contains(&address))
                    .map(|(name, _)| name.clone())
                    .collect(),
            )),
        };
        self.begun += 1;
        let due = self.now().saturating_add(nanoseconds(time));
        self.under_way.insert(self.begun, UnderWay { due, result });
        Ok(self.begun)
    }

    fn answer(
        &mut self,
        request: &HttpRequest,
    ) -> (Duration, Result<HttpResponse, OperationError>) {
        let responder =
            self.responders.iter_mut().rev().find(|(upstream, ..)| *upstream == request.upstream);
        match responder {
            Some((_, time, responder)) => (*time, responder(request)),
            None => (Duration::ZERO, Err(OperationError::Failed)),
        }
    }

    pub(super) fn store(&mut self, operation: &StoreOperation) -> Result<Outcome, OperationError> {
        let now = self.now();
        let key = (operation.store.clone(), operation.key.clone());
        self.stored.retain(|_, (_, until)| until.is_none_or(|until| until > now));
        let there = self.stored.get(&key);
        let (change, outcome) = operation.action.apply(there.map(|(value, _)| value))?;
        match change {
            Change::None => {}
            Change::Put(value, ttl) => {
                let until = ttl.map(|ttl| now.saturating_add(nanoseconds(ttl)));
                self.stored.insert(key, (value, until));
            }
            Change::Replace(value) => {
                let until = there.and_then(|(_, until)| *until);
                self.stored.insert(key, (value, until));
            }
            Change::Remove => drop(self.stored.remove(&key)),
        }
        Ok(outcome)
    }
}

pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What a plugin asks for while it is made.
pub(super) struct Making<'a> {
    pub(super) around: &'a Surroundings,
    pub(super) name: &'a str,
    pub(super) period: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) metrics: &'a mut Vec<Metric>,
    pub(super) lines: std::cell::RefCell<Vec<Line>>,
    /// By the one before.
    pub(super) left: &'a Estate,
    pub(super) estate: Estate,
}

/// What a plugin leaves to the one that takes its place.
pub(super) type Estate = HashMap<String, Carried>;

/// A metric that a plugin has defined.
pub(super) struct Metric {
    kind: MetricKind,
    pub(super) name: String,
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: Arc<Amount>,
}

/// The sum of a counter or a histogram, or what a gauge shows.
#[derive(Default)]
pub(super) struct Amount(AtomicU64);

impl Amount {
    pub(super) fn value(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Meter for Amount {
    fn add(&self, value: f64) {
        let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

impl Services for Making<'_> {
    fn define(
        &mut self,
        kind: MetricKind,
        name: &str,
        _help: &str,
        labels: &[(&str, &str)],
    ) -> Result<Arc<dyn Meter>, Refused> {
        let labels: Vec<(String, String)> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let same = |metric: &&Metric| metric.name == name && metric.labels == labels;
        if let Some(metric) = self.metrics.iter().find(same) {
            if metric.kind != kind {
                return Err(Refused::Invalid);
            }
            return Ok(Arc::clone(&metric.value) as Arc<dyn Meter>);
        }
        let value = Arc::<Amount>::default();
        self.metrics.push(Metric {
            kind,
            name: name.to_owned(),
            labels,
            value: Arc::clone(&value),
        });
        Ok(value)
    }

    fn every(&mut self, period: Duration) {
        self.period = Some(period.max(Duration::from_millis(10)));
    }

    fn timeout(&mut self, timeout: Duration) {
        self.timeout = Some(timeout);
    }

    fn has_upstream(&self, name: &str) -> bool {
        self.around.has_upstream(name)
    }

    fn has_variable(&self, name: &str) -> bool {
        has(self.around.variables.as_deref(), name)
    }

    fn folder(&self) -> Option<&Path> {
        self.around.folder.as_deref()
    }

    fn instance_name(&self) -> &str {
        self.name
    }

    fn log(&self, level: Level, message: &str) {
        self.lines.borrow_mut().push(Line { level, message: message.to_owned() });
    }

    fn left(&self, key: &str) -> Option<Carried> {
        self.left.get(key).cloned()
    }

    fn leave(&mut self, key: &str, carried: Carried) {
        self.estate.insert(key.to_owned(), carried);
    }
}
