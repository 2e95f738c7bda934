//! An endpoint with a simulated service time, which can be made to fail.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::net::listen;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::failures::Failure;

/// How long an endpoint takes for an answer.
pub(super) const SERVICE: Duration = Duration::from_millis(10);

/// One endpoint.
#[derive(Clone)]
pub(super) struct Simulated {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// 0 is well.
    mode: AtomicU8,
    changed: Notify,
    /// When it had requests; for one that is unreachable, nobody knows who tried.
    asked: Mutex<Vec<Instant>>,
}

impl Simulated {
    pub(super) fn start(runtime: &Runtime) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("a bound socket");
        let state = Arc::<State>::default();
        runtime.spawn(accept(listener, Arc::clone(&state)));
        Self { address, state }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn fail(&self, failure: Failure) {
        self.become_(failure as u8 + 1);
    }

    pub(super) fn recover(&self) {
        self.become_(0);
    }

    fn become_(&self, mode: u8) {
        self.state.mode.store(mode, Ordering::Release);
        self.state.changed.notify_one();
    }

    /// When it had requests since a moment.
    pub(super) fn asked_since(&self, began: Instant) -> Vec<Duration> {
        let asked = self.state.asked.lock();
        let since = asked.iter().filter_map(|at| at.checked_duration_since(began));
        since.collect()
    }
}

impl State {
    fn is(&self, failure: Failure) -> bool {
        self.mode.load(Ordering::Acquire) == failure as u8 + 1
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        if state.is(Failure::Unreachable) {
            let _full = fill(&listener).await;
            while state.is(Failure::Unreachable) {
                state.changed.notified().await;
            }
            let _room = listen(&listener, 1024);
        }
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { return };
                tokio::spawn(serve(stream, Arc::clone(&state)));
            }
            () = state.changed.notified() => {}
        }
    }
}

/// Takes all room of the queue of those who connect: further ones hear nothing.
async fn fill(listener: &TcpListener) -> Vec<TcpStream> {
    let mut filling = Vec::new();
    let (Ok(()), Ok(address)) = (listen(listener, 0), listener.local_addr()) else {
        return filling;
    };
    let patience = Duration::from_millis(50);
    while let Ok(Ok(stream)) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
        filling.push(stream);
    }
    filling
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let _sent_at_once = stream.set_nodelay(true);
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(length) = stream.read(&mut piece).await {
        if length == 0 {
            return;
        }
        head.extend_from_slice(&piece[..length]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        if head.starts_with(b"GET / ") {
            state.asked.lock().push(Instant::now());
        }
        head.clear();
        if state.is(Failure::Silent) || state.is(Failure::Unreachable) {
            // It never will, even when it is well again.
            continue;
        }
        let status = if state.is(Failure::Failing) { "500 Off" } else { "200 On" };
        if state.is(Failure::Slow) {
            tokio::time::sleep(SERVICE * 10).await;
        } else if !state.is(Failure::Failing) {
            tokio::time::sleep(SERVICE).await;
        }
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
