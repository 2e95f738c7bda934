//! What runs plugins sees of them: the same of each kind.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::exchange::Exchange;
use crate::flow::{Cause, Flow};
use crate::hook::{Hook, Hooks};
use crate::setup::{BuildError, Services};

/// How a plugin came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Compiled into the program.
    Linked,
    /// A shared library with the C interface.
    Native,
    /// A Wasm module with the proxy-wasm interface.
    Wasm,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linked => "linked",
            Self::Native => "native",
            Self::Wasm => "wasm",
        })
    }
}

/// A plugin that is not configured yet.
pub trait Module: Send + Sync {
    /// The name by which configurations use it.
    fn name(&self) -> &str;

    /// Its version, for people.
    fn version(&self) -> &str;

    /// How it came here.
    fn kind(&self) -> Kind;

    /// The JSON Schema of its options, where it tells one.
    fn schema(&self) -> Option<String>;

    /// The hooks it has.
    fn hooks(&self) -> Hooks;

    /// Makes an instance with `options`, a JSON object.
    ///
    /// # Errors
    ///
    /// What is wrong with the options, and where.
    fn build(
        &self,
        options: &str,
        services: &mut dyn Services,
    ) -> Result<Arc<dyn Instance>, BuildError>;
}

/// What an instance remembers of one request.
pub type State = Box<dyn Any + Send>;

/// A configured plugin.
pub trait Instance: Send + Sync {
    /// The hooks it is to be called at: those of its module or fewer.
    fn hooks(&self) -> Hooks;

    /// The hooks that never wait: [`call`](Self::call) is [`Called::Done`] there. They are called faster.
    fn immediate(&self) -> Hooks {
        Hooks::NONE
    }

    /// Whether it remembers nothing of a request: at hooks where it never waits, any [`State`] is as good as its own.
    fn is_stateless(&self) -> bool {
        false
    }

    /// What it remembers of a request that begins. Dropped when the request has ended, or was given up.
    fn start(&self) -> State;

    /// Calls one hook. `state` is one that [`start`](Self::start) of this instance made.
    ///
    /// A panic of the plugin may come through, also while the future is polled: what runs it catches it, and drops the state.
    fn call<'a>(
        &'a self,
        hook: Hook,
        state: &'a mut State,
        exchange: &'a mut (dyn Exchange + 'a),
    ) -> Called<'a>;

    /// Calls one hook where it never waits, if it is [stateless](Self::is_stateless): what [`call`](Self::call) does, for less.
    fn answer(&self, hook: Hook, exchange: &mut dyn Exchange) -> Flow {
        // That of another is as good, and what is nothing takes nothing from the heap.
        match self.call(hook, &mut (Box::new(()) as State), exchange) {
            Called::Done(flow) => flow,
            Called::Waits(_) => waited(),
        }
    }

    /// Whether it ends calls by itself that take too much of a processor's time, as [`Cause::Spin`](crate::Cause). The watchdog leaves its
    /// calls alone then.
    fn is_bounded(&self) -> bool {
        false
    }

    /// What the plugin has to say about itself to an operator: instances alive, memory. Empty as a rule.
    fn report(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

#[cold]
pub(crate) fn waited() -> Flow {
    Flow::broken(Cause::Waited, "a hook that is said never to wait did")
}

/// How a call of a hook began.
#[must_use]
pub enum Called<'a> {
    /// It ended at once.
    Done(Flow),
    /// It waits.
    Waits(std::pin::Pin<Box<dyn Future<Output = Flow> + Send + 'a>>),
}
