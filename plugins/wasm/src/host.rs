//! What stands beside the memory of an instance: what host functions read and write.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use switchback_plugin::{
    Answer, BuildError, Exchange, Hook, HttpResponse, Level, OperationId, Refused, Services,
};
use wasmtime::{Memory, ResourceLimiter, TypedFunc};

use crate::call::Landing;
use crate::lent::Lent;
use crate::limits::{Budget, Work};
use crate::plan::Plan;
use crate::status::{Failed, Status};

/// The context of the plugin itself, beside those of requests.
pub(crate) const ROOT: u32 = 1;
/// Lines of the log that one call may write, and how long each may be.
const MAX_LINES: u32 = 100;
const MAX_LINE: usize = 8 << 10;
/// Requests of its own that a context may have under way.
pub(crate) const MAX_CALLS: usize = 32;

/// What host functions read and write.
pub(crate) struct Host {
    pub(crate) plan: Arc<Plan>,
    pub(crate) memory: Option<Memory>,
    pub(crate) allocate: Option<TypedFunc<u32, u32>>,
    /// Where a module of our own SDK has room for what it is given.
    pub(crate) landing: Option<Landing>,
    pub(crate) lent: Lent,
    /// The context that host functions mean.
    pub(crate) current: u32,
    pub(crate) contexts: HashMap<u32, Context, BuildHasherDefault<ById>>,
    /// The last number that a context was given.
    last_context: u32,
    /// The last number that a request of the plugin's own was given.
    pub(crate) last_call: u32,
    /// Bytes on their way into the memory; empty otherwise.
    pub(crate) scratch: Vec<u8>,
    /// What the module made of the piece of a body at hand.
    pub(crate) piece: Option<Bytes>,
    /// The response that the module is told of.
    pub(crate) response: Option<HttpResponse>,
    /// How often it wants to be called, without a request.
    pub(crate) period: Option<Duration>,
    /// Queues that it wants to be told of.
    pub(crate) queues: Vec<u32>,
    /// Whether the virtual machine is being started, not the plugin configured.
    pub(crate) is_starting: bool,
    /// How much of its time the call at hand has used.
    pub(crate) budget: Budget,
    /// Whether it has wanted more memory than it may have.
    pub(crate) is_out_of_memory: bool,
    /// Why a hook of a plugin of our own SDK failed.
    pub(crate) failure: Option<String>,
    /// What a panic of a plugin of our own SDK said.
    pub(crate) panic: Option<String>,
    /// Why the exchange did not do what was wanted last.
    pub(crate) refused: Option<Refused>,
    /// What is wrong with the options, in its words.
    pub(crate) refusal: Option<BuildError>,
    /// Contexts that lingered, and are needed no more.
    pub(crate) done: Vec<u32>,
    /// What a context that has just ended had under way.
    pub(crate) given_up: Vec<OperationId>,
    /// When it was called without a request last, in nanoseconds.
    last_tick: Option<u64>,
    /// How many linger.
    pub(crate) lingering: usize,
    lines: u32,
}

/// What is known of one request, or of the plugin itself.
#[derive(Default)]
pub(crate) struct Context {
    /// Whether the module has not been told of it yet.
    pub(crate) is_new: bool,
    /// Whether the module wants the request, or the response, to go on after it had them wait.
    pub(crate) goes_on: [bool; 2],
    pub(crate) answer: Option<Box<Answer>>,
    pub(crate) is_closed: bool,
    /// Requests of its own that are under way: the module's number for each, and the exchange's.
    pub(crate) calls: Vec<(u32, OperationId)>,
    /// Who waits for this context.
    pub(crate) waker: Option<Waker>,
    /// The request has ended, and the module has yet to say that it needs nothing of it any more.
    pub(crate) lingers: bool,
    /// What the module has set beside what there is.
    pub(crate) properties: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Context {
    /// Wakes whoever waits for it.
    pub(crate) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Numbers of contexts are given by us, one after the other: nobody can have many of them fall into one place.
#[derive(Default)]
pub(crate) struct ById(u64);

impl Hasher for ById {
    fn finish(&self) -> u64 {
        // The upper bits choose among the groups of the table.
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 << 8) | u64::from(*byte);
        }
    }

    fn write_u32(&mut self, id: u32) {
        self.0 = u64::from(id);
    }
}

impl Host {
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        let budget = Budget::new(plan.limits.time(Work::Start));
        Self {
            plan,
            memory: None,
            allocate: None,
            landing: None,
            lent: Lent::default(),
            current: ROOT,
            contexts: HashMap::default(),
            last_context: ROOT,
            last_call: 0,
            scratch: Vec::new(),
            piece: None,
            response: None,
            period: None,
            queues: Vec::new(),
            is_starting: false,
            budget,
            is_out_of_memory: false,
            failure: None,
            panic: None,
            refused: None,
            refusal: None,
            done: Vec::new(),
            given_up: Vec::new(),
            last_tick: None,
            lingering: 0,
            lines: 0,
        }
    }

    /// A number for a context that begins.
    pub(crate) fn next_context(&mut self) -> u32 {
        loop {
            self.last_context = self.last_context.checked_add(1).unwrap_or(ROOT + 1);
            if !self.contexts.contains_key(&self.last_context) {
                return self.last_context;
            }
        }
    }

    /// What is borrowed begins, for `context`.
    pub(crate) fn begin(&mut self, lent: Lent, context: u32) {
        self.lent = lent;
        self.current = context;
        self.lines = 0;
    }

    /// What was borrowed goes back.
    pub(crate) fn end(&mut self) {
        self.lent = Lent::default();
        self.current = ROOT;
        // As a rule there is neither, and to look is cheaper than to drop.
        if self.piece.is_some() || self.response.is_some() {
            (self.piece, self.response) = (None, None);
        }
    }

    /// The exchange of the context that is meant.
    pub(crate) fn exchange(&mut self) -> Option<&mut (dyn Exchange + '_)> {
        self.lent.exchange_of(self.current)
    }

    /// The hook at hand, if it is that of the context that is meant.
    pub(crate) fn hook(&self) -> Option<Hook> {
        self.lent.hook_of(self.current)
    }

    /// Who makes the instance, while it is made.
    pub(crate) fn services(&mut self) -> Option<&mut (dyn Services + '_)> {
        self.lent.services_at_hand()
    }

    /// The context that is meant.
    pub(crate) fn context(&mut self) -> Option<&mut Context> {
        self.contexts.get_mut(&self.current)
    }

    /// Remembers why something was refused, for a plugin of our own SDK, which asks for it.
    pub(crate) fn noted<T>(&mut self, done: Result<T, Failed>) -> Result<T, Status> {
        done.map_err(|failed| {
            self.refused = match failed {
                Failed::Refused(refused) => Some(refused),
                Failed::Says(_) => None,
            };
            failed.into()
        })
    }

    /// Whether a context has requests of its own under way.
    pub(crate) fn is_waiting_for_calls(&self, context: u32) -> bool {
        self.contexts.get(&context).is_some_and(|entry| !entry.calls.is_empty())
    }

    /// Whether it is time to call the module without a request; then that counts as done.
    pub(crate) fn is_due(&mut self, now: u64) -> bool {
        let Some(period) = self.period else { return false };
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        // Who calls is never quite on time: half of what is shortest is near enough.
        let is_due =
            self.last_tick.is_none_or(|last| now.saturating_sub(last) + 5_000_000 >= period);
        if is_due {
            self.last_tick = Some(now);
        }
        is_due
    }

    /// Nanoseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        if let Some(exchange) = self.lent.any_exchange() {
            return exchange.now();
        }
        // No request is at hand whose clock could be asked.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Writes a line to the log: not too long, not too many, and none that looks like two.
    pub(crate) fn log(&mut self, level: Level, message: &[u8]) {
        self.lines = self.lines.saturating_add(1);
        if self.lines > MAX_LINES {
            return;
        }
        let cut = message.get(..MAX_LINE).unwrap_or(message);
        let text = String::from_utf8_lossy(cut);
        let text = text.trim_end_matches(['\r', '\n', '\0']);
        let text: String =
            text.chars().map(|sign| if sign.is_control() { ' ' } else { sign }).collect();
        if let Some(exchange) = self.lent.any_exchange() {
            exchange.log(level, &text);
        } else if let Some(services) = self.lent.services_at_hand() {
            services.log(level, &text);
        }
    }
}

/// Entries of a table, and how many of them there may be.
const MAX_TABLE: usize = 100_000;
const MAX_TABLES: usize = 8;

impl ResourceLimiter for Host {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let may = desired as u64 <= self.plan.limits.memory;
        self.is_out_of_memory |= !may;
        Ok(may)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE)
    }

    fn instances(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }
}
