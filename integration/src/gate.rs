//! A door in a script that the test opens.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::patience::Deadline;

/// Lets a script go on, one step per [`pass`](Self::pass), so that a test decides the order of events between processes.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<usize>, Condvar)>);

impl Gate {
    /// A closed one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets one waiter through, now or when it comes.
    pub fn pass(&self) {
        let (permits, changed) = &*self.0;
        *permits.lock() += 1;
        changed.notify_all();
    }

    /// Waits to be let through; `false` when nobody did before the deadline.
    #[must_use]
    pub fn wait(&self, deadline: Deadline) -> bool {
        let (permits, changed) = &*self.0;
        let mut permits = permits.lock();
        while *permits == 0 {
            if changed.wait_until(&mut permits, deadline.instant()).timed_out() {
                return false;
            }
        }
        *permits -= 1;
        true
    }
}
