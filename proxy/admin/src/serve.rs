//! The accept loop of the control socket.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use switchback_engine::control::Control;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time;
use tracing::{debug, warn};

use crate::routes::router;
use crate::socket::ControlSocket;

/// Connections at once; more wait in the backlog.
const CONNECTIONS: usize = 64;
/// For a whole request head, and between requests.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// For a connection, whatever it does.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(600);
/// For the answers that are under way when the socket closes.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// After an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl ControlSocket {
    /// Answers until `until` is ready, lets the answers under way leave, then removes the socket's file.
    ///
    /// Runs on the caller's tokio runtime, which needs its I/O and time drivers; calls of `control` that may block run
    /// on its blocking pool.
    ///
    /// # Errors
    /// The runtime cannot watch the socket.
    pub async fn serve(
        self,
        control: Arc<dyn Control>,
        until: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let (listener, file, mut left) = self.into_parts();
        let listener = UnixListener::from_std(listener)?;
        let router = router(control);
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        let (closing, closed) = watch::channel(());
        let mut connections = JoinSet::new();
        let mut until = pin!(until);
        loop {
            tokio::select! {
                // Nothing is accepted once somebody else answers.
                biased;
                () = &mut until => break,
                Ok(_) = left.wait_for(|left| *left) => {
                    drop(listener);
                    // Whoever has asked for that is still to be answered.
                    until.await;
                    last_answers(closing, connections).await;
                    return Ok(());
                }
                accepted = accept(&listener, &slots) => {
                    let Some((stream, slot)) = accepted else { continue };
                    connections.spawn(connection(stream, router.clone(), closed.clone(), slot));
                }
                Some(_) = connections.join_next() => {}
            }
        }
        last_answers(closing, connections).await;
        drop(file);
        Ok(())
    }
}

async fn last_answers(closing: watch::Sender<()>, mut connections: JoinSet<()>) {
    drop(closing);
    let all_left = async { while connections.join_next().await.is_some() {} };
    // Whoever has not read their answer by now does not want it.
    let _ = time::timeout(LAST_ANSWERS, all_left).await;
}

async fn accept(
    listener: &UnixListener,
    slots: &Arc<Semaphore>,
) -> Option<(UnixStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            warn!(%error, "the control socket cannot accept, trying again");
            time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(
    stream: UnixStream,
    router: Router,
    mut closed: watch::Receiver<()>,
    _slot: OwnedSemaphorePermit,
) {
    let serving = async {
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_DEADLINE)
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        );
        tokio::select! {
            ended = connection.as_mut() => return ended,
            _ = closed.changed() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    };
    match time::timeout(CONNECTION_DEADLINE, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "control connection broken"),
        Err(_) => debug!("control connection closed at its deadline"),
    }
}
