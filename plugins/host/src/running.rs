//! What the plugins of one request remember.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;
use switchback_plugin::{Exchange, Flow, Hook, State};

use crate::configured::Configured;
use crate::guard::{self, Began};

/// What the plugins of one request remember, each from the first hook that it is asked at. Of one chain: the one that
/// [started](crate::Chain::start) it.
#[derive(Default)]
pub struct Running {
    /// By number; as long as the chain, or empty.
    memories: Vec<Memory>,
    /// What is to be remembered of plugins that fail. Few do.
    trouble: Option<Box<Trouble>>,
    /// Whether the request goes nowhere any more.
    pub(crate) is_over: bool,
}

#[derive(Default)]
struct Trouble {
    /// Those that failed, by number: a request fails once.
    failed: SmallVec<[u32; 4]>,
    /// Plugins that are left alone and tried with this request.
    trials: SmallVec<[Trial; 1]>,
}

/// A plugin that is left alone, and asked about this request all the same.
struct Trial {
    number: u32,
    plugin: Arc<Configured>,
    /// Whether it is in a hook: a request that is given up then shows nothing.
    is_asked: bool,
}

#[derive(Default)]
enum Memory {
    /// Not asked yet.
    #[default]
    None,
    Some(State),
    /// Broken.
    Lost,
}

impl Running {
    /// Whether nobody remembers anything of the request, and nobody has failed.
    #[inline]
    pub(crate) fn is_blank(&self) -> bool {
        self.memories.is_empty() && self.trouble.is_none()
    }

    /// What the plugin of that number remembers, in a chain of so many; `None` where that is not so simple.
    #[inline]
    pub(crate) fn state(
        &mut self,
        (number, count): (usize, usize),
        plugin: &Configured,
    ) -> Option<&mut State> {
        if !matches!(self.memories.get(number), Some(Memory::Some(_))) {
            self.begin((number, count), plugin);
        }
        match self.memories.get_mut(number) {
            Some(Memory::Some(state)) => Some(state),
            _ => None,
        }
    }

    /// Has a plugin that was not asked yet begin.
    #[inline(never)]
    fn begin(&mut self, (number, count): (usize, usize), plugin: &Configured) {
        self.make_room(count);
        let is_new = !self.has_failed(number);
        if let Some(memory @ Memory::None) = self.memories.get_mut(number)
            && let Ok(state) = guard::start(&*plugin.instance)
        {
            *memory = Memory::Some(state);
            if is_new && plugin.breaker.is_counting() {
                plugin.requests.add();
            }
        }
    }

    fn make_room(&mut self, count: usize) {
        if self.memories.len() < count {
            self.memories.resize_with(count, Memory::default);
        }
    }

    /// Calls a hook of the plugin of that number, in a chain of so many.
    pub(crate) fn call<'a>(
        &'a mut self,
        (number, count): (usize, usize),
        plugin: &'a Configured,
        hook: Hook,
        exchange: &'a mut (dyn Exchange + 'a),
    ) -> Began<'a> {
        self.make_room(count);
        let is_new = !self.has_failed(number);
        let Some(memory) = self.memories.get_mut(number) else {
            return Began::Done(Ok(Flow::Continue));
        };
        if matches!(memory, Memory::None) {
            if is_new && plugin.breaker.is_counting() {
                plugin.requests.add();
            }
            match guard::start(&*plugin.instance) {
                Ok(state) => *memory = Memory::Some(state),
                Err(failure) => return Began::Done(Ok(Flow::Fail(failure))),
            }
        }
        match memory {
            Memory::Some(state) => guard::call(plugin, hook, state, exchange),
            Memory::None | Memory::Lost => Began::Done(Ok(Flow::Continue)),
        }
    }

    /// Whether the plugin of that number failed.
    #[inline]
    fn has_failed(&self, number: usize) -> bool {
        self.trouble
            .as_ref()
            .is_some_and(|trouble| trouble.failed.iter().any(|failed| *failed as usize == number))
    }

    /// The plugin of that number fails. Whether it is for the first time.
    #[cold]
    pub(crate) fn fails(&mut self, number: u32) -> bool {
        let is_first = !self.has_failed(number as usize);
        let trouble = self.trouble.get_or_insert_default();
        trouble.trials.retain(|trial| trial.number != number);
        if is_first {
            trouble.failed.push(number);
        }
        is_first
    }

    /// The plugin of that number, which is left alone, is tried with this request.
    pub(crate) fn tries(&mut self, number: u32, plugin: &Arc<Configured>) {
        let trial = Trial { number, plugin: Arc::clone(plugin), is_asked: true };
        self.trouble.get_or_insert_default().trials.push(trial);
    }

    /// Whether it is; it is asked then.
    #[cold]
    pub(crate) fn asks_on_trial(&mut self, number: u32) -> bool {
        let mut trials = self.trouble.iter_mut().flat_map(|trouble| &mut trouble.trials);
        trials.find(|trial| trial.number == number).is_some_and(|trial| {
            trial.is_asked = true;
            true
        })
    }

    /// A hook of it went well: if it is the one that had failed before, all is well.
    #[cold]
    pub(crate) fn went_well(&mut self, number: u32, hook: Hook) {
        let Some(trouble) = &mut self.trouble else { return };
        trouble.trials.retain(|trial| {
            if trial.number != number {
                return true;
            }
            trial.is_asked = false;
            let is_well = trial.plugin.breaker.was_opened_at(hook);
            if is_well {
                trial.plugin.succeeded();
            }
            !is_well
        });
    }

    /// Whether what the plugin of that number remembered was lost, and is not made anew.
    #[inline]
    pub(crate) fn is_lost(&self, number: usize) -> bool {
        matches!(self.memories.get(number), Some(Memory::Lost))
    }

    /// Drops what a plugin remembers, in a chain of so many; `anew` if it may begin once more.
    #[cold]
    pub(crate) fn forget(&mut self, (number, count): (usize, usize), anew: bool) {
        self.make_room(count);
        if let Some(memory) = self.memories.get_mut(number) {
            let next = if anew { Memory::None } else { Memory::Lost };
            guard::forget(std::mem::replace(memory, next));
        }
    }
}

impl Drop for Trouble {
    /// Whoever was tried and got along with all of the request is well.
    #[cold]
    fn drop(&mut self) {
        for trial in self.trials.drain(..) {
            if !trial.is_asked {
                trial.plugin.succeeded();
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for memory in &mut self.memories {
            if matches!(memory, Memory::Some(_)) {
                guard::forget(std::mem::take(memory));
            }
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}
