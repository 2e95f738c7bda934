//! The clients, each a loop that ends when all are to stop.

use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::backend::PIECES;
use super::http1::{Answer, Connection};
use super::http2;
use super::state::{Failure, Guests, Kind, State};
use crate::message::{get, pattern, post};

/// Between two connections of their own, and after a failure: whoever is refused does not ask again at once.
const PAUSE: Duration = Duration::from_millis(1);

/// One client of this kind.
pub(super) async fn run(kind: Kind, state: Rc<State>) {
    match kind {
        Kind::Kept | Kind::KeptTls => kept(kind, &state, &Asked::mixed()).await,
        Kind::Upload => kept(kind, &state, &[Asked::upload()]).await,
        Kind::Download => kept(kind, &state, &[Asked::download()]).await,
        Kind::Fresh | Kind::FreshTls => {
            repeat(&state, kind, async || fresh(kind, &state).await).await;
        }
        Kind::WebSocket => repeat(&state, kind, async || websocket(&state).await).await,
        Kind::Http2 => http2::run(&state).await,
        Kind::Guest => guest(&state).await,
    }
}

/// A request and the only right answer to it.
pub(super) struct Asked {
    request: Vec<u8>,
    body: Vec<u8>,
}

/// What the fixed answer begins with; the number of the configuration that gave it follows.
pub(super) const FIXED: &[u8] = b"generation ";

impl Asked {
    fn fixed() -> Self {
        Self { request: get("/fixed").to_bytes(), body: FIXED.to_vec() }
    }

    /// Most answers are the proxy's own; one in eight comes from the origin, and each of these is another one.
    fn mixed() -> Vec<Self> {
        let asked = |number: usize| {
            if !number.is_multiple_of(8) {
                return Self::fixed();
            }
            let target = format!("/app/{number}");
            Self { request: get(&target).to_bytes(), body: target.into_bytes() }
        };
        (0..256).map(asked).collect()
    }

    fn upload() -> Self {
        let body = pattern(16 * 1024);
        Self { request: post("/app/upload", body.as_slice()).to_bytes(), body }
    }

    fn download() -> Self {
        Self { request: get("/app/download").to_bytes(), body: pattern(PIECES * 1000) }
    }

    /// Whether this is the right answer.
    fn judge(&self, answer: &Answer<'_>) -> Result<(), Failure> {
        let right = match self.body == FIXED {
            true => answer.body.starts_with(FIXED),
            false => answer.body == self.body,
        };
        if answer.status == 200 && right {
            return Ok(());
        }
        let start = String::from_utf8_lossy(answer.body.get(..80).unwrap_or(answer.body));
        Err(format!("status {}, {} bytes: {start:?}", answer.status, answer.body.len()))
    }
}

async fn open(kind: Kind, state: &State) -> Result<Connection, Failure> {
    match kind {
        Kind::KeptTls | Kind::FreshTls => Connection::tls(state.tls, &state.http1).await,
        _ => Connection::plain(state.plain).await,
    }
}

/// Asks again and again on one connection, until an answer says that it ends.
async fn kept(kind: Kind, state: &State, asked: &[Asked]) {
    let mut connection = None;
    for asked in asked.iter().cycle() {
        if state.is_stopping() {
            return;
        }
        let opened = match connection.take() {
            Some(open) => Ok(open),
            None => open(kind, state).await,
        };
        let outcome = match opened {
            Ok(mut open) => ask(&mut open, asked).await.map(|closes| {
                connection = (!closes).then_some(open);
            }),
            Err(failure) => Err(failure),
        };
        let failed = outcome.is_err();
        state.count(kind, outcome);
        if failed {
            sleep(PAUSE).await;
        }
    }
}

/// Whether the right answer, if it came, said that it was the last.
async fn ask(open: &mut Connection, asked: &Asked) -> Result<bool, Failure> {
    let answer = open.ask(&asked.request).await?;
    asked.judge(&answer)?;
    Ok(answer.closes)
}

async fn repeat<F: Future<Output = Result<(), Failure>>>(
    state: &State,
    kind: Kind,
    once: impl Fn() -> F,
) {
    while !state.is_stopping() {
        state.count(kind, once().await);
        sleep(PAUSE).await;
    }
}

/// One request on a connection of its own, which the proxy closes.
async fn fresh(kind: Kind, state: &State) -> Result<(), Failure> {
    let mut connection = open(kind, state).await?;
    let asked = Asked { request: get("/fixed").close().to_bytes(), body: FIXED.to_vec() };
    if !ask(&mut connection, &asked).await? {
        return Err("the connection is kept although the request said not to".to_owned());
    }
    connection.ended().await
}

/// A conversation of two seconds: shorter than any drain, so that it must be whole.
async fn websocket(state: &State) -> Result<(), Failure> {
    let mut connection = Connection::plain(state.plain).await?;
    let request = get("/app/socket")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    connection.upgrade(&request.to_bytes()).await?;
    for number in 0..40 {
        connection.echo(format!("message {number}").as_bytes()).await?;
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Asks where guests are sent, and where it stays until it is told that the connection ends.
async fn guest(state: &State) {
    let mut sent = state.guests.subscribe();
    let mut at: Option<Visit<'_>> = None;
    let asked = Asked::fixed();
    while !state.is_stopping() {
        let to = *sent.borrow_and_update();
        at = at.filter(|visit| match to {
            Guests::At(address) => visit.address == address,
            Guests::Stay => true,
            Guests::Home => false,
        });
        let arrived = match (at.take(), to) {
            (Some(visit), _) => Ok(visit),
            (None, Guests::At(address)) => Visit::begin(state, address).await,
            (None, Guests::Stay | Guests::Home) => {
                // The sender lives as long as the state.
                let _changed = sent.changed().await;
                continue;
            }
        };
        let outcome = match arrived {
            Ok(mut visit) => ask(&mut visit.connection, &asked).await.map(|closes| {
                at = (!closes).then_some(visit);
            }),
            Err(failure) => Err(failure),
        };
        let failed = outcome.is_err();
        state.count(Kind::Guest, outcome);
        if failed {
            sleep(PAUSE).await;
        }
    }
}

/// A guest's connection, counted while it is there.
struct Visit<'a> {
    address: SocketAddr,
    connection: Connection,
    state: &'a State,
}

impl<'a> Visit<'a> {
    async fn begin(state: &'a State, address: SocketAddr) -> Result<Self, Failure> {
        state.arriving.set(state.arriving.get() + 1);
        let opened = Connection::plain(address).await;
        state.arriving.set(state.arriving.get() - 1);
        let connection = opened?;
        state.visiting.set(state.visiting.get() + 1);
        Ok(Self { address, connection, state })
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.state.visiting.set(self.state.visiting.get() - 1);
    }
}
