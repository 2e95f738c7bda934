//! Five shards, each a store of its own: who has which key by which mapping is reckoned here, not asked of the proxy.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use switchback_upstream::shard::{Mapping, Shard, ShardMap};
use tokio::net::TcpListener;

use super::super::keep_alive::{Connection, Message};

pub(super) const SHARDS: usize = 5;
/// The one that comes.
pub(super) const NEW: usize = SHARDS - 1;
/// All of them are there from the beginning.
pub(super) const KEYS: u32 = 10_000;
/// What a shard takes for a request.
const SERVICE: Duration = Duration::from_millis(4);

/// All shards.
pub(super) struct Shards {
    four: ShardMap,
    five: ShardMap,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The version of each key.
    stores: [HashMap<u32, u32>; SHARDS],
    counts: [Counted; SHARDS],
    /// How often each id of a POST has come.
    ids: HashMap<String, usize>,
    /// Whether the old shards write keys that move to the new one, too.
    mirrors: bool,
    /// Requests of keys that the shard has by neither mapping.
    strays: usize,
}

/// What a shard has had to do.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    pub(super) requests: u64,
    /// Of bodies, but for those that say that there is nothing.
    pub(super) bytes: u64,
    pub(super) missed: u64,
}

impl Shards {
    /// The first four have all keys, in version 1.
    pub(super) fn new() -> Self {
        let map = |count| {
            let shards: Vec<_> = (0..count).map(|number| Shard::new(&name(number), 1)).collect();
            ShardMap::build(&Mapping::Anchor, &shards).expect("shards that differ")
        };
        let shards = Self { four: map(NEW), five: map(SHARDS), state: Mutex::default() };
        for key in 0..KEYS {
            shards.state.lock().stores[shards.owner(key, false)].insert(key, 1);
        }
        shards
    }

    /// Who has a key, among four or among five.
    pub(super) fn owner(&self, key: u32, of_five: bool) -> usize {
        let map = if of_five { &self.five } else { &self.four };
        map.shard(key.to_string().as_bytes()).expect("every key has a shard")
    }

    fn moves(&self, key: u32) -> bool {
        self.owner(key, true) == NEW
    }

    /// Begins to serve; the addresses.
    pub(super) async fn serve(self: &Arc<Self>) -> Vec<String> {
        let mut addresses = Vec::with_capacity(SHARDS);
        for number in 0..SHARDS {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
            addresses.push(listener.local_addr().expect("a bound socket").to_string());
            let shards = Arc::clone(self);
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(Arc::clone(&shards).answer(number, Connection::new(stream)));
                }
            });
        }
        addresses
    }

    async fn answer(self: Arc<Self>, number: usize, mut connection: Connection) {
        while let Ok(Some(asked)) = connection.next().await {
            let answer = match self.version(number, &asked) {
                Some((key, version)) => {
                    let body = format!("{} {version} {}", name(number), "-".repeat(key % 90));
                    self.state.lock().counts[number].bytes += body.len() as u64;
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                }
                None => "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone".to_owned(),
            };
            tokio::time::sleep(SERVICE).await;
            if connection.send(&answer).await.is_err() {
                return;
            }
        }
    }

    /// The key with its version, which a POST makes what its body says.
    fn version(&self, number: usize, asked: &Message) -> Option<(usize, u32)> {
        let key: u32 = asked.word(1).rsplit('/').next()?.parse().ok()?;
        let mut state = self.state.lock();
        state.counts[number].requests += 1;
        let owners = [self.owner(key, false), self.owner(key, true)];
        state.strays += usize::from(!owners.contains(&number));
        if asked.word(0) == "POST" {
            let id = asked.field("x-id").unwrap_or_default().to_owned();
            *state.ids.entry(id).or_default() += 1;
            let version = asked.body.parse().unwrap_or(0);
            state.stores[number].insert(key, version);
            if state.mirrors && self.moves(key) {
                state.stores[NEW].insert(key, version);
            }
        }
        let version = state.stores[number].get(&key).copied();
        state.counts[number].missed += u64::from(version.is_none());
        version.map(|version| (key as usize, version))
    }

    /// Copies what moves, as it is now.
    pub(super) fn copy(&self) {
        let mut state = self.state.lock();
        for key in (0..KEYS).filter(|key| self.moves(*key)) {
            if let Some(version) = state.stores[self.owner(key, false)].get(&key).copied() {
                state.stores[NEW].insert(key, version);
            }
        }
    }

    /// From now on, what is written of keys that move is written twice; and what was written since is copied, too.
    pub(super) fn mirror(&self) {
        self.state.lock().mirrors = true;
        self.copy();
    }

    /// Forgets the copies.
    pub(super) fn forget(&self) {
        self.state.lock().stores[NEW].clear();
    }

    pub(super) fn counts(&self) -> [Counted; SHARDS] {
        self.state.lock().counts
    }

    pub(super) fn strays(&self) -> usize {
        self.state.lock().strays
    }

    /// How often the request of this id has come.
    pub(super) fn times(&self, id: &str) -> usize {
        self.state.lock().ids.get(id).copied().unwrap_or(0)
    }

    /// Ids that have come more than once.
    pub(super) fn twice(&self) -> usize {
        self.state.lock().ids.values().filter(|times| **times > 1).count()
    }
}

pub(super) fn name(number: usize) -> String {
    format!("s{number}")
}
