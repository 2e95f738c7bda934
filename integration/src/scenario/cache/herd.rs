//! A crowd that asks for one object that nobody has yet.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::wire::Asker;
use crate::config::config;
use crate::gate::Gate;
use crate::message::pattern;
use crate::origin::{Origin, Step};
use crate::proxy::Proxy;

/// What came of it.
#[derive(Clone, Debug)]
pub struct Herd {
    /// Clients that asked, each on a connection of its own.
    pub clients: usize,
    /// Those that were given the whole object.
    pub answered: usize,
    /// Those that had its first byte before the origin had sent its last.
    pub streamed: usize,
    /// How often the origin was asked.
    pub fetches: usize,
    /// From the origin's last byte to that of the last client.
    pub tail: Duration,
    /// What went wrong, a few of them.
    pub failures: Vec<String>,
}

/// Bytes of the object, and how many of them come before the origin waits.
const LENGTH: usize = 64 * 1024;
const BEFORE: usize = 16 * 1024;
/// So many fetches are let through.
const FETCHES: usize = 100;

/// Has `clients` ask for the same object at once. The proxy is a process of its own.
///
/// # Panics
/// When the proxy does not start.
#[must_use]
pub fn herd(clients: usize) -> Herd {
    let (asked, first) = (Gate::new(), Gate::new());
    let body = pattern(LENGTH);
    let head = format!(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: {LENGTH}\r\n\r\n"
    );
    let origin = Origin::start().serve(
        "*",
        [
            Step::ReadBody,
            Step::Wait(asked.clone()),
            Step::Send([head.as_bytes(), &body[..BEFORE]].concat()),
            Step::Wait(first.clone()),
            Step::Send(body[BEFORE..].to_vec()),
            Step::Next,
        ],
    );
    let proxy = Proxy::start(
        &config()
            .top("workers = 2")
            .web("socket = { backlog = 16384 }")
            .toml("[zones.main]\nmemory = \"64MiB\"\n")
            .site("")
            .route("/*", "proxy = \"app\"\ncache = \"main\"")
            .upstream("app", &[&origin], ""),
    );
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let crowd = Crowd { address: proxy.address("web"), clients, asked, first };
    let mut found = runtime.block_on(crowd.play());
    found.fetches = origin.requests("*").len();
    found
}

struct Crowd {
    address: SocketAddr,
    clients: usize,
    /// Lets the origin answer.
    asked: Gate,
    /// Lets the origin send the rest.
    first: Gate,
}

impl Crowd {
    async fn play(self) -> Herd {
        let mut failures = Vec::new();
        let mut askers = Vec::with_capacity(self.clients);
        for _ in 0..self.clients {
            match Asker::connect(self.address).await {
                Ok(asker) => askers.push(asker),
                Err(error) => failures.push(format!("connecting: {error}")),
            }
        }
        for asker in &mut askers {
            if let Err(error) = asker.ask("/one").await {
                failures.push(format!("asking: {error}"));
            }
        }
        // A second fetch would be a mistake that is to be counted, not one that hangs.
        (0..FETCHES).for_each(|_| self.asked.pass());
        let mut waiting = JoinSet::new();
        let (begun, mut beginnings) = tokio::sync::mpsc::unbounded_channel();
        for mut asker in askers {
            let begun = begun.clone();
            waiting.spawn(async move {
                let begins = asker.begins().await;
                let _counted = begun.send(());
                begins?;
                asker.answer().await
            });
        }
        drop(begun);
        // Whoever waits for the whole would wait for ever: the origin sends the rest once all have begun, or after a while.
        let streamed = async {
            let mut streamed = 0;
            while beginnings.recv().await.is_some() {
                streamed += 1;
                if streamed == self.clients {
                    break;
                }
            }
            streamed
        };
        let mut counted = 0;
        tokio::select! {
            streamed = streamed => counted = streamed,
            () = tokio::time::sleep(Duration::from_secs(60)) => {}
        }
        let rest = Instant::now();
        (0..FETCHES).for_each(|_| self.first.pass());
        let mut answered = 0;
        while let Some(ended) = waiting.join_next().await {
            match ended {
                Ok(Ok(got)) if got.status == 200 && got.length == LENGTH => answered += 1,
                Ok(Ok(got)) => failures.push(format!("{} and {} bytes", got.status, got.length)),
                Ok(Err(error)) => failures.push(format!("{error}")),
                Err(error) => failures.push(format!("{error}")),
            }
        }
        failures.truncate(5);
        let clients = self.clients;
        Herd { clients, answered, streamed: counted, fetches: 0, tail: rest.elapsed(), failures }
    }
}
