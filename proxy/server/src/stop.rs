//! From the first wish to stop until the last thread has ended.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use switchback_engine::control::StopMode;
use switchback_engine::{Drained, Engine};
use tracing::{info, warn};

use crate::control_thread::ControlThread;
use crate::live::Live;
use crate::pid_file::PidFile;

/// What moves a stop forward.
pub(crate) enum Event {
    /// Somebody wants it.
    Asked(StopMode),
    /// The graceful drain has come to its end.
    Drained(Drained),
}

/// The stop's events: where they are sent, and where the supervisor takes them.
pub(crate) fn channel() -> (Sender<Event>, Stops) {
    let (sender, receiver) = mpsc::channel();
    (sender.clone(), Stops { sender, receiver })
}

/// The supervisor's end.
pub(crate) struct Stops {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
}

/// What the supervisor ends, in the order of its end.
pub(crate) struct Supervised {
    pub(crate) live: Arc<Live>,
    pub(crate) stops: Stops,
    pub(crate) control: ControlThread,
    pub(crate) pid_file: Option<PidFile>,
}

/// Waits on a thread of its own for the stop, and sees it through.
pub(crate) fn supervise(supervised: Supervised) -> io::Result<JoinHandle<Drained>> {
    thread::Builder::new().name("switchback-stop".into()).spawn(move || {
        let Supervised { live, stops, control, pid_file } = supervised;
        let drained = stops.see_through(live.engine(), &|| live.shutdown_timeout());
        live.stopped();
        control.close();
        drop(pid_file);
        match drained {
            Drained::Clean => info!("stopped"),
            Drained::Forced { connections } => {
                warn!(connections, "stopped, connections were dropped")
            }
        }
        live.flush_log();
        drained
    })
}

impl Stops {
    /// Blocks until the engine is drained: gracefully within the time-out, or at once when a fast stop is asked for.
    fn see_through(&self, engine: &Arc<Engine>, timeout: &dyn Fn() -> Duration) -> Drained {
        if self.next_mode() == StopMode::Fast {
            return engine.drain(Duration::ZERO);
        }
        self.drain_aside(engine, timeout());
        loop {
            match self.receiver.recv() {
                Ok(Event::Drained(drained)) => return drained,
                Ok(Event::Asked(StopMode::Graceful)) => {}
                Ok(Event::Asked(StopMode::Fast)) | Err(_) => return engine.drain(Duration::ZERO),
            }
        }
    }

    fn next_mode(&self) -> StopMode {
        match self.receiver.recv() {
            Ok(Event::Asked(mode)) => mode,
            // Nobody is left who could ask for anything gentler.
            Ok(Event::Drained(_)) | Err(_) => StopMode::Fast,
        }
    }

    /// Drains on a thread of its own, so that a fast stop can be asked for meanwhile.
    fn drain_aside(&self, engine: &Arc<Engine>, timeout: Duration) {
        let (engine, sender) = (Arc::clone(engine), self.sender.clone());
        let drain = move || {
            let drained = engine.drain(timeout);
            // After a fast stop nobody waits for this any more.
            let _ = sender.send(Event::Drained(drained));
        };
        if thread::Builder::new().name("switchback-drain".into()).spawn(drain).is_err() {
            warn!("no thread to drain on, stopping fast");
            let _ = self.sender.send(Event::Asked(StopMode::Fast));
        }
    }
}
