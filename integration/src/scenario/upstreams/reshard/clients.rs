//! Clients that read and write without pause, and know who may answer them.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::super::keep_alive::{Connection, Message};
use super::shards::{Counted, KEYS, NEW, Shards, name};
use crate::grammar::Random;

/// How far the keys are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Before,
    /// They move, and are to come back.
    First,
    /// They came back.
    Aborted,
    /// They move again.
    Second,
    /// The next mapping is asked for, and may be in force.
    Cutting,
    /// It is.
    After,
}

impl Phase {
    /// The mappings by which a request may be answered: the first has four shards, all others five.
    fn epochs(self, is_read: bool) -> &'static [u64] {
        match (self, is_read) {
            (Self::First, true) => &[1, 2],
            (Self::Second, true) | (Self::Cutting, _) => &[1, 3],
            (Self::After, _) => &[3],
            _ => &[1],
        }
    }
}

/// What all clients share.
pub(super) struct Load {
    pub(super) shards: Arc<Shards>,
    pub(super) proxy: SocketAddr,
    phase: Mutex<Phase>,
    /// The last version of each key that was answered to be written.
    acked: Vec<AtomicU32>,
    pub(super) answered: AtomicUsize,
    pub(super) stops: AtomicBool,
    pub(super) found: Mutex<Found>,
}

/// What they found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) posts: usize,
    /// Writes that were answered and that no shard has had, or more than one.
    pub(super) lost: usize,
    /// What was not answered, or with another status than 200.
    pub(super) failed: Vec<(Phase, String)>,
    /// What somebody has answered who does not have the key, or not as it was written last.
    pub(super) wrong: Vec<(Phase, String)>,
    /// Keys, as they were asked for.
    asked_for: Vec<u32>,
}

/// A moment of the play.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// How many keys have been asked for.
    pub(super) asked_for: usize,
    /// What the new shard has had to do.
    pub(super) new: Counted,
}

pub(super) const CLIENTS: u32 = 32;

impl Load {
    pub(super) fn new(shards: Arc<Shards>, proxy: SocketAddr) -> Self {
        Self {
            shards,
            proxy,
            phase: Mutex::new(Phase::Before),
            acked: (0..KEYS).map(|_| AtomicU32::new(1)).collect(),
            answered: AtomicUsize::new(0),
            stops: AtomicBool::new(false),
            found: Mutex::default(),
        }
    }

    pub(super) fn is_in(&self, phase: Phase) {
        *self.phase.lock() = phase;
    }

    /// How it stands just now.
    pub(super) fn moment(&self) -> Moment {
        Moment { asked_for: self.found.lock().asked_for.len(), new: self.shards.counts()[NEW] }
    }

    /// How many different keys have been asked for in this time, of those that `is_meant`.
    pub(super) fn keys(&self, time: Range<usize>, is_meant: impl Fn(u32) -> bool) -> u64 {
        let found = self.found.lock();
        let keys = found.asked_for[time].iter().filter(|key| is_meant(**key));
        keys.collect::<HashSet<_>>().len() as u64
    }

    /// Reads any key, and writes those of its own: every fourth request is a POST.
    pub(super) async fn ask(self: Arc<Self>, client: u32) {
        let mut random = Random::new(u64::from(client) + 1);
        let mut kept = None;
        for number in 0_u32.. {
            if self.stops.load(Ordering::Relaxed) {
                return;
            }
            let drawn = random.below(KEYS as usize) as u32;
            if number.is_multiple_of(4) {
                let own = drawn % (KEYS / CLIENTS) * CLIENTS + client;
                self.write(own, format!("{client}-{number}"), &mut kept).await;
            } else {
                self.read(drawn, &mut kept).await;
            }
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Reads every key, and says who has answered.
    pub(super) async fn read_all(self: &Arc<Self>) -> Vec<(u32, usize)> {
        let each = |client| {
            let load = Arc::clone(self);
            tokio::spawn(async move {
                let (mut owners, mut kept) = (Vec::new(), None);
                for key in (client..KEYS).step_by(CLIENTS as usize) {
                    owners.extend(load.read(key, &mut kept).await.map(|owner| (key, owner)));
                }
                owners
            })
        };
        let all: Vec<_> = (0..CLIENTS).map(each).collect();
        let mut owners = Vec::new();
        for client in all {
            owners.extend(client.await.expect("a client that does not panic"));
        }
        owners
    }

    /// Reads a key, and says who has answered, by its number.
    pub(super) async fn read(&self, key: u32, kept: &mut Option<Connection>) -> Option<usize> {
        let least = self.acked[key as usize].load(Ordering::SeqCst);
        let text = format!("GET /users/{key} HTTP/1.1\r\nHost: app\r\n\r\n");
        let (answer, phases) = self.exchange(key, &text, kept).await?;
        self.judge(key, &answer, (least, true), phases)
    }

    async fn write(&self, key: u32, id: String, kept: &mut Option<Connection>) {
        let version = self.acked[key as usize].load(Ordering::SeqCst) + 1;
        let body = version.to_string();
        let text = format!(
            "POST /users/{key} HTTP/1.1\r\nHost: app\r\nX-Id: {id}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.found.lock().posts += 1;
        let Some((answer, phases)) = self.exchange(key, &text, kept).await else { return };
        self.judge(key, &answer, (version, false), phases);
        self.acked[key as usize].store(version, Ordering::SeqCst);
        self.found.lock().lost += usize::from(self.shards.times(&id) != 1);
    }

    /// The answer, with the phases in which it was asked for and given.
    async fn exchange(
        &self,
        key: u32,
        text: &str,
        kept: &mut Option<Connection>,
    ) -> Option<(Message, [Phase; 2])> {
        let began = *self.phase.lock();
        self.found.lock().asked_for.push(key);
        let answer = async {
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => Connection::open(self.proxy).await?,
            };
            connection.send(text).await?;
            let answer = connection.next().await?;
            std::io::Result::Ok(answer.map(|answer| (answer, connection)))
        };
        let why = match answer.await {
            Ok(Some((answer, connection))) if answer.status() == 200 => {
                let closes = answer.field("connection") == Some("close");
                *kept = (!closes).then_some(connection);
                return Some((answer, [began, *self.phase.lock()]));
            }
            Ok(Some((answer, _))) => answer.head,
            Ok(None) => "closed".to_owned(),
            Err(error) => error.to_string(),
        };
        self.found.lock().failed.push((began, format!("{key}: {why}")));
        None
    }

    /// Whether whoever has answered had the key by the mapping that is told, and by one that may be in force; the number of that one.
    fn judge(
        &self,
        key: u32,
        answer: &Message,
        (least, is_read): (u32, bool),
        phases: [Phase; 2],
    ) -> Option<usize> {
        let told = answer.field("x-shard").and_then(|told| told.split_once(' '));
        let (shard, epoch) = told.unwrap_or_default();
        let epoch: u64 = epoch.parse().unwrap_or(0);
        let owner = self.shards.owner(key, epoch > 1);
        let mut words = answer.body.split(' ');
        let (by, version) = (words.next(), words.next().and_then(|version| version.parse().ok()));
        let may_be = phases.iter().any(|phase| phase.epochs(is_read).contains(&epoch));
        let is_right = may_be
            && shard == name(owner)
            && by == Some(shard)
            && version.is_some_and(|version: u32| version >= least);
        if !is_right {
            let what = format!("{key}: `{}` by `{shard} {epoch}`, not {least}", answer.body);
            self.found.lock().wrong.push((phases[0], what));
        }
        Some(owner)
    }
}
