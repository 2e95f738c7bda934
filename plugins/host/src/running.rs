//! What the plugins of one request remember.

use std::fmt;

use smallvec::SmallVec;
use switchback_plugin::{Exchange, Flow, Hook, Instance, State};

use crate::guard::{self, Began};

/// What the plugins of one request remember, each from the first hook that it is asked at. Of one chain: the one that
/// [started](crate::Chain::start) it.
#[derive(Default)]
pub struct Running {
    /// By number; as long as the chain, or empty.
    memories: SmallVec<[Memory; 4]>,
    /// Whether the request goes nowhere any more.
    pub(crate) is_over: bool,
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
    /// What the plugin of that number remembers, in a chain of so many; `None` where that is not so simple.
    #[inline]
    pub(crate) fn state(
        &mut self,
        (number, count): (usize, usize),
        instance: &dyn Instance,
    ) -> Option<&mut State> {
        if !matches!(self.memories.get(number), Some(Memory::Some(_))) {
            self.begin((number, count), instance);
        }
        match self.memories.get_mut(number) {
            Some(Memory::Some(state)) => Some(state),
            _ => None,
        }
    }

    /// Has a plugin that was not asked yet begin.
    #[inline(never)]
    fn begin(&mut self, (number, count): (usize, usize), instance: &dyn Instance) {
        self.make_room(count);
        if let Some(memory @ Memory::None) = self.memories.get_mut(number)
            && let Ok(state) = guard::start(instance)
        {
            *memory = Memory::Some(state);
        }
    }

    fn make_room(&mut self, count: usize) {
        // Each as long as it is, and all at once: so much of it is a plain loop.
        while self.memories.len() < count {
            self.memories.push(Memory::None);
        }
    }

    /// Calls a hook of the plugin of that number, in a chain of so many.
    pub(crate) fn call<'a>(
        &'a mut self,
        (number, count): (usize, usize),
        instance: &'a dyn Instance,
        hook: Hook,
        exchange: &'a mut (dyn Exchange + 'a),
    ) -> Began<'a> {
        self.make_room(count);
        let Some(memory) = self.memories.get_mut(number) else {
            return Began::Done(Flow::Continue);
        };
        if matches!(memory, Memory::None) {
            match guard::start(instance) {
                Ok(state) => *memory = Memory::Some(state),
                Err(failure) => return Began::Done(Flow::Fail(failure)),
            }
        }
        match memory {
            Memory::Some(state) => guard::call(instance, hook, state, exchange),
            Memory::None | Memory::Lost => Began::Done(Flow::Continue),
        }
    }

    /// Whether what the plugin of that number remembered was lost, and is not made anew.
    #[inline]
    pub(crate) fn is_lost(&self, number: usize) -> bool {
        matches!(self.memories.get(number), Some(Memory::Lost))
    }

    /// Drops what a plugin remembers; `anew` if it may begin once more.
    #[cold]
    pub(crate) fn forget(&mut self, number: usize, anew: bool) {
        if let Some(memory) = self.memories.get_mut(number) {
            let next = if anew { Memory::None } else { Memory::Lost };
            guard::forget(std::mem::replace(memory, next));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for memory in self.memories.drain(..) {
            if matches!(memory, Memory::Some(_)) {
                guard::forget(memory);
            }
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}
