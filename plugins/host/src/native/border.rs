//! One call of a hook, as the module's pointer to its exchange sees it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::task::Context;

use switchback_plugin::{Answer, Exchange, Refused, Value};
use switchback_plugin_abi as abi;

use super::operation::Given;

/// What is behind the pointer that a module is given for one call. Lives on the stack of that call.
///
/// A hook runs on one thread at a time, so cells are enough; the module may call from another thread only while the hook's own waits.
pub(super) struct Border<'a> {
    exchange: *mut (dyn Exchange + 'a),
    context: *mut Context<'a>,
    /// What the module was given to look at and nobody else holds.
    kept: RefCell<Vec<Kept>>,
    said: Cell<Option<Box<Said>>>,
    /// Whether something that was polled is not there yet, so that whoever waits is woken.
    waits: Cell<bool>,
    /// Whether fields are being visited: nothing may change under them.
    visits: Cell<bool>,
}

/// What a module was given to look at.
pub(super) enum Kept {
    #[expect(dead_code, reason = "kept so that a pointer to it stays valid")]
    Bytes(Vec<u8>),
    #[expect(dead_code, reason = "kept so that a pointer to it stays valid")]
    Outcome(Box<Given>),
}

/// What is told beside the code that a hook returns.
pub(super) enum Said {
    Answer(Answer),
    Failure(String),
    /// A function of ours panicked.
    Panic(Box<dyn Any + Send>),
}

impl<'a> Border<'a> {
    /// Until it is dropped, `exchange` and `context` are used by nobody else.
    pub(super) fn new(exchange: &'a mut (dyn Exchange + 'a), context: &mut Context<'_>) -> Self {
        Self {
            exchange,
            context: std::ptr::from_mut(context).cast(),
            kept: RefCell::default(),
            said: Cell::new(None),
            waits: Cell::new(false),
            visits: Cell::new(false),
        }
    }

    /// What the module calls it by.
    pub(super) fn pointer(&self) -> *mut abi::Exchange {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// The request, to look at.
    pub(super) fn look(&self) -> &(dyn Exchange + 'a) {
        // SAFETY: lent to this border alone. Changes go through `change`, and none is made while something is looked at: the functions that
        // the module calls end before the next one begins, but for `fields`, which says so in `visits`.
        unsafe { &*self.exchange }
    }

    /// Changes the request, and forgets what was given to look at.
    pub(super) fn change<T>(
        &self,
        change: impl FnOnce(&mut (dyn Exchange + 'a), &mut Context<'a>) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        if self.visits.get() {
            return Err(Refused::NotNow);
        }
        self.kept.borrow_mut().clear();
        // SAFETY: as in `look`: nobody looks at it now.
        let (exchange, context) = unsafe { (&mut *self.exchange, &mut *self.context) };
        change(exchange, context)
    }

    /// Runs `visit` while nothing may change.
    pub(super) fn visiting(&self, visit: impl FnOnce(&(dyn Exchange + 'a))) {
        let outer = self.visits.replace(true);
        visit(self.look());
        self.visits.set(outer);
    }

    /// Gives the module something to look at.
    ///
    /// # Safety
    ///
    /// `to` is null, or may be written to.
    pub(super) unsafe fn give(&self, found: Option<Value<'_>>, to: *mut abi::Bytes) -> i32 {
        if to.is_null() {
            return abi::INVALID;
        }
        let Some(found) = found else { return abi::ABSENT };
        let given = abi::Bytes::of(&found);
        if let Value::Owned(bytes) = found {
            self.kept.borrow_mut().push(Kept::Bytes(bytes));
        }
        // SAFETY: not null, and as whoever called says.
        unsafe { to.write(given) };
        abi::OK
    }

    pub(super) fn keep(&self, kept: Kept) {
        self.kept.borrow_mut().push(kept);
    }

    pub(super) fn say(&self, said: Said) {
        self.said.set(Some(Box::new(said)));
    }

    pub(super) fn take_said(&self) -> Option<Box<Said>> {
        self.said.take()
    }

    pub(super) fn note_waiting(&self) {
        self.waits.set(true);
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waits.get()
    }
}

/// Does what a module asks for. A panic of ours is kept for later: the hook ends first.
///
/// # Safety
///
/// `exchange` is null, or what [`Border::pointer`] gave for the call at hand.
pub(super) unsafe fn asked(
    exchange: *mut abi::Exchange,
    work: impl FnOnce(&Border<'_>) -> Result<i32, Refused>,
) -> i32 {
    let Some(border) = NonNull::new(exchange) else { return abi::INVALID };
    // SAFETY: as whoever called says; a border is only ever shared.
    let border = unsafe { border.cast::<Border<'_>>().as_ref() };
    match catch_unwind(AssertUnwindSafe(|| work(border))) {
        Ok(Ok(code)) => code,
        Ok(Err(refused)) => refused as i32,
        Err(panic) => {
            border.say(Said::Panic(panic));
            abi::UNSUPPORTED
        }
    }
}
