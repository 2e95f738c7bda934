//! Clients that send what they were given, in the pieces they were given, and read until the proxy closes.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// What one connection carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Played {
    /// All of its bytes.
    pub(super) bytes: Vec<u8>,
    /// Where they are cut into pieces, in rising order.
    pub(super) cuts: Vec<usize>,
    /// Whether the client says at once that nothing more comes.
    pub(super) ends_at_once: bool,
    /// Whether the listener is asked that tolerates everything.
    pub(super) is_tolerant: bool,
}

/// How long an answer is awaited before the client says that nothing more comes.
const QUIET: Duration = Duration::from_secs(3);
/// How long the proxy may take to end the connection after that.
const PATIENCE: Duration = Duration::from_secs(20);

/// Plays all that `next` gives, so many at a time. Returns how many connections the proxy did not end.
pub(super) fn play(
    folder: &Path,
    clients: usize,
    next: impl FnMut() -> Option<Played> + 'static,
) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let next = Rc::new(RefCell::new(next));
    let sockets: [PathBuf; 2] = [folder.join("strict.sock"), folder.join("tolerant.sock")];
    let stuck = Rc::new(RefCell::new(0));
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..clients {
            let (next, sockets, stuck) = (Rc::clone(&next), sockets.clone(), Rc::clone(&stuck));
            tasks.spawn_local(async move {
                loop {
                    let Some(played) = (next.borrow_mut())() else { return };
                    if !one(&sockets[usize::from(played.is_tolerant)], &played).await {
                        *stuck.borrow_mut() += 1;
                    }
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    });
    stuck.take()
}

/// Whether the proxy ended the connection.
async fn one(socket: &Path, played: &Played) -> bool {
    let mut stream = loop {
        match UnixStream::connect(socket).await {
            Ok(stream) => break stream,
            // The queue of connections is full for the moment.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Err(error) => panic!("cannot connect: {error}"),
        }
    };
    let mut from = 0;
    for cut in played.cuts.iter().copied().chain([played.bytes.len()]) {
        // The proxy may have refused it already.
        let _sent = stream.write_all(&played.bytes[from..cut]).await;
        from = cut;
        if from < played.bytes.len() {
            tokio::task::yield_now().await;
        }
    }
    if played.ends_at_once {
        let _shut = stream.shutdown().await;
    }
    let mut scratch = [0; 4096];
    let mut patience = QUIET;
    loop {
        match tokio::time::timeout(patience, stream.read(&mut scratch)).await {
            Ok(Ok(read)) if read > 0 => {}
            Ok(_) => return true,
            Err(_) if patience == PATIENCE => return false,
            Err(_) => {
                let _shut = stream.shutdown().await;
                patience = PATIENCE;
            }
        }
    }
}
