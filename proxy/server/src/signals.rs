//! What signals mean. Only for whoever asks: the binary does.

use std::io;
use std::sync::Arc;

use switchback_engine::control::{Control, StopMode};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task;
use tracing::info;

use crate::live::Live;

/// Whose meaning the process's signals have.
///
/// HUP reloads, QUIT stops gracefully, USR1 opens logs again, USR2 upgrades: in both, as nginx has it, except that the old
/// process ends by itself once the new one serves. A second INT or TERM stops at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signals {
    /// The process's own; this server takes none.
    Untouched,
    /// TERM and INT stop gracefully.
    Native,
    /// TERM and INT stop at once, as nginx does.
    Nginx,
}

/// Installed handlers; signals that arrive before [`follow`](Watch::follow) are kept for it.
pub(crate) struct Watch {
    hangup: Signal,
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
    user1: Signal,
    user2: Signal,
    /// What the next INT or TERM does.
    ends: StopMode,
}

impl Watch {
    /// Installs handlers unless signals are to stay untouched. Must be called inside a runtime.
    pub(crate) fn install(signals: Signals) -> io::Result<Option<Self>> {
        let ends = match signals {
            Signals::Untouched => return Ok(None),
            Signals::Native => StopMode::Graceful,
            Signals::Nginx => StopMode::Fast,
        };
        Ok(Some(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            ends,
        }))
    }

    /// Acts on signals for as long as it is polled. Reloads run aside, so that a slow one does not hold up a stop.
    pub(crate) async fn follow(mut self, live: &Arc<Live>) {
        loop {
            tokio::select! {
                Some(()) = self.hangup.recv() => {
                    info!("HUP: reloading");
                    let live = Arc::clone(live);
                    // Its verdict is logged where it is reached.
                    task::spawn_blocking(move || drop(live.reload()));
                }
                Some(()) = self.user1.recv() => {
                    let live = Arc::clone(live);
                    task::spawn_blocking(move || live.reopen_logs());
                }
                Some(()) = self.user2.recv() => {
                    info!("USR2: upgrading");
                    let live = Arc::clone(live);
                    // What becomes of it is logged where it is decided.
                    task::spawn_blocking(move || drop(live.upgrade()));
                }
                Some(()) = self.quit.recv() => live.stop(StopMode::Graceful),
                Some(()) = self.interrupt.recv() => self.end(live),
                Some(()) = self.terminate.recv() => self.end(live),
                else => return,
            }
        }
    }

    fn end(&mut self, live: &Live) {
        live.stop(self.ends);
        self.ends = StopMode::Fast;
    }
}
