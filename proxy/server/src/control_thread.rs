//! The control thread: a runtime of its own for the control socket and for signals, so that neither waits for traffic.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use switchback_admin::ControlSocket;
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;
use tracing::error;

use crate::live::Live;
use crate::signals::{Signals, Watch};

/// For a reload that is still under way when the process ends.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// The thread before there is a server: signals that arrive now are kept for it.
pub(crate) struct Prepared {
    begin: mpsc::Sender<(Arc<Live>, Option<ControlSocket>)>,
    thread: ControlThread,
}

/// The running thread.
pub(crate) struct ControlThread {
    close: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl ControlThread {
    /// Starts it. When this returns, signals have their new meaning.
    pub(crate) fn prepare(signals: Signals) -> io::Result<Prepared> {
        let (close, closed) = oneshot::channel();
        let (prepared, preparing) = mpsc::sync_channel(1);
        let (begin, begun) = mpsc::channel();
        let thread = thread::Builder::new().name("switchback-control".into()).spawn(move || {
            let (runtime, watch) = match prepare(signals) {
                Ok(ready) => ready,
                Err(error) => {
                    let _ = prepared.send(Err(error));
                    return;
                }
            };
            let _ = prepared.send(Ok(()));
            // Nothing comes when the start has failed elsewhere.
            if let Ok((live, socket)) = begun.recv() {
                runtime.block_on(control(live, socket, watch, closed));
                runtime.shutdown_timeout(LAST_CALLS);
            }
        })?;
        preparing
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the control thread has died")))?;
        Ok(Prepared { begin, thread: Self { close, thread } })
    }

    /// Ends it, after the answers under way have left.
    pub(crate) fn close(self) {
        drop(self.close);
        if self.thread.join().is_err() {
            error!("the control thread has panicked");
        }
    }
}

impl Prepared {
    /// Hands the server over: from now on the socket answers and signals act.
    pub(crate) fn begin(self, live: &Arc<Live>, socket: Option<ControlSocket>) -> ControlThread {
        // It fails only when the thread has panicked, which is told when it is closed.
        let _ = self.begin.send((Arc::clone(live), socket));
        self.thread
    }
}

fn prepare(signals: Signals) -> io::Result<(Runtime, Option<Watch>)> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let watch = {
        let _inside = runtime.enter();
        Watch::install(signals)?
    };
    Ok((runtime, watch))
}

async fn control(
    live: Arc<Live>,
    socket: Option<ControlSocket>,
    watch: Option<Watch>,
    mut closed: oneshot::Receiver<()>,
) {
    let signals = async {
        match watch {
            Some(watch) => watch.follow(&live).await,
            None => pending().await,
        }
    };
    let answers = async {
        let Some(socket) = socket else {
            // Nothing to answer on: only the end is waited for.
            let _ = (&mut closed).await;
            return;
        };
        let until = async { drop((&mut closed).await) };
        if let Err(error) = socket.serve(live.clone(), until).await {
            error!(%error, "the control socket cannot be served");
        }
    };
    tokio::select! {
        () = signals => {}
        () = answers => {}
    }
}
