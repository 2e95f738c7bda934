mod on_disk;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::*;
use crate::entry::Times;
use crate::key::{Address, Key, KeyBuilder};
use crate::policy::Freshness;

type Table = Arc<Fills<&'static str>>;

fn upto(most: u64) -> Holding {
    Holding { most, ..Holding::default() }
}

fn key() -> Key {
    let address = Address { scheme: b"", host: b"", port: b"80", path: b"/a", query: b"" };
    KeyBuilder::new(b"", address).build()
}

fn head() -> Head {
    Head { status: StatusCode::OK, headers: HeaderMap::new() }
}

fn stored(vary: &[&'static str]) -> Arrived {
    let now = SystemTime::UNIX_EPOCH;
    let vary: Box<[_]> = vary.iter().map(|name| HeaderName::from_static(name)).collect();
    let meta = Meta {
        key: key(),
        head: head(),
        times: Times { request: now, response: now },
        freshness: Freshness::default(),
        selected_by: crate::policy::selecting(&vary, &language("de")),
        vary,
        tags: Box::default(),
        generation: 0,
        body: crate::BodyId::fresh(),
    };
    Arrived { head: head(), stored: Some(Arc::new(meta)), length: None }
}

fn not_stored() -> Arrived {
    Arrived { head: head(), stored: None, length: None }
}

fn join_as(table: &Table, request: &HeaderMap) -> Joined<&'static str> {
    let age = Duration::from_secs(5);
    table.join(Wish { zone: 1, key: &key(), request, age })
}

fn lead(table: &Table) -> (Filling<&'static str>, Reader<&'static str>) {
    match join_as(table, &HeaderMap::new()) {
        Joined::Leader(filling, reader) => (filling, reader),
        Joined::Follower(_) => panic!("there is a fill already"),
    }
}

fn follow(table: &Table, request: &HeaderMap) -> Option<Reader<&'static str>> {
    match join_as(table, request) {
        Joined::Leader(..) => None,
        Joined::Follower(reader) => Some(reader),
    }
}

fn language(value: &'static str) -> HeaderMap {
    [(http::header::ACCEPT_LANGUAGE, HeaderValue::from_static(value))].into_iter().collect()
}

/// A future that tells whether it was woken.
struct Watched<'f, F> {
    future: std::pin::Pin<&'f mut F>,
    woken: Arc<Flag>,
}

#[derive(Default)]
struct Flag(std::sync::atomic::AtomicBool);

impl std::task::Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

fn watched<F: Future>(future: std::pin::Pin<&mut F>) -> Watched<'_, F> {
    Watched { future, woken: Arc::default() }
}

impl<F: Future> Watched<'_, F> {
    fn poll(&mut self) -> std::task::Poll<F::Output> {
        let waker = Arc::clone(&self.woken).into();
        self.future.as_mut().poll(&mut std::task::Context::from_waker(&waker))
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

async fn rest(reader: &mut Reader<&'static str>) -> Result<Vec<u8>, Broken> {
    let mut all = Vec::new();
    while let Some(piece) = reader.next().await? {
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

#[tokio::test]
async fn followers_read_all_from_the_beginning_while_it_arrives() {
    let table = Table::default();
    let (mut filling, mut first) = lead(&table);
    let mut waiting = follow(&table, &HeaderMap::new()).unwrap();
    filling.arrive(stored(&[]), upto(1000));
    filling.write(Bytes::from("ab")).await.unwrap();
    let mut late = follow(&table, &HeaderMap::new()).unwrap();
    for reader in [&mut first, &mut waiting, &mut late] {
        assert!(matches!(reader.outcome().await, Outcome::Arrived(_)));
        assert_eq!(reader.next().await.unwrap().unwrap(), "ab");
        assert!(reader.try_next().is_none());
    }
    filling.write(Bytes::from("cd")).await.unwrap();
    assert_eq!(filling.body().unwrap().concat(), b"abcd");
    filling.finish();
    for reader in [&mut first, &mut waiting, &mut late] {
        assert_eq!(rest(reader).await.unwrap(), b"cd");
    }
    assert_eq!(table.count(), 0);
}

#[tokio::test]
async fn nobody_is_woken_for_the_last_bytes_before_all_is_stored() {
    let table = Table::default();
    let (mut filling, mut first) = lead(&table);
    filling.arrive(stored(&[]), upto(1000));
    let next = first.next();
    tokio::pin!(next);
    let mut waiting = watched(next.as_mut());
    assert!(waiting.poll().is_pending());
    filling.write_last(Bytes::from("ab")).await.unwrap();
    assert!(!waiting.is_woken());
    filling.finish();
    assert!(waiting.is_woken());
    drop(waiting);
    assert_eq!(next.await.unwrap().unwrap(), "ab");
}

#[tokio::test]
async fn one_that_ends_early_is_never_whole() {
    let table = Table::default();
    let (mut filling, mut first) = lead(&table);
    filling.arrive(stored(&[]), upto(1000));
    filling.write(Bytes::from("ab")).await.unwrap();
    drop(filling);
    assert_eq!(rest(&mut first).await, Err(Broken));
}

#[tokio::test]
async fn whoever_waits_for_a_leader_that_dies_is_told() {
    let table = Table::default();
    let (filling, first) = lead(&table);
    let waiting = follow(&table, &HeaderMap::new()).unwrap();
    drop(filling);
    assert!(matches!(first.outcome().await, Outcome::Lost));
    assert!(matches!(waiting.outcome().await, Outcome::Lost));
    assert!(follow(&table, &HeaderMap::new()).is_none(), "one of them leads");
}

#[tokio::test]
async fn what_is_not_stored_is_for_the_first_reader_alone() {
    let table = Table::default();
    let (mut filling, mut first) = lead(&table);
    let waiting = follow(&table, &HeaderMap::new()).unwrap();
    filling.arrive(not_stored(), upto(1000));
    assert!(matches!(waiting.outcome().await, Outcome::NotShared));
    assert!(matches!(first.outcome().await, Outcome::Arrived(_)));
    assert_eq!(table.count(), 0, "nobody else finds it");
    drop(waiting);
    filling.write(Bytes::from("ab")).await.unwrap();
    assert_eq!(first.next().await.unwrap().unwrap(), "ab");
    drop(first);
    assert_eq!(filling.write(Bytes::from("cd")).await, Err(Abandoned));
}

#[tokio::test]
async fn what_is_stored_goes_on_when_all_readers_have_left() {
    let table = Table::default();
    let (mut filling, first) = lead(&table);
    filling.arrive(stored(&[]), upto(1000));
    drop(first);
    filling.write(Bytes::from("ab")).await.unwrap();
    assert_eq!(filling.body().unwrap().concat(), b"ab");
}

#[tokio::test]
async fn a_body_too_large_to_hold_waits_for_its_slowest_reader() {
    let table = Table::default();
    let (mut filling, mut first) = lead(&table);
    let mut slow = follow(&table, &HeaderMap::new()).unwrap();
    filling.arrive(stored(&[]), upto(1000));
    let half = Bytes::from(vec![7; WINDOW as usize / 2]);
    filling.write(half.clone()).await.unwrap();
    assert!(follow(&table, &HeaderMap::new()).is_none(), "others ask for themselves");
    assert_eq!(table.count(), 0, "and do not come across it");
    filling.write(half.clone()).await.unwrap();
    while first.try_next().is_some() {}
    {
        let write = filling.write(half.clone());
        tokio::pin!(write);
        assert!(futures::poll!(&mut write).is_pending(), "the slow one has read nothing");
        slow.next().await.unwrap();
        write.await.unwrap();
    }
    assert_eq!(filling.body(), None);
    filling.finish();
    assert_eq!(rest(&mut first).await.unwrap().len(), half.len());
    assert_eq!(rest(&mut slow).await.unwrap().len(), 2 * half.len());
}

#[tokio::test]
async fn a_reader_that_leaves_does_not_hold_back_the_rest() {
    let table = Table::default();
    let (mut filling, mut first) = lead(&table);
    filling.arrive(not_stored(), upto(0));
    filling.write(Bytes::from(vec![7; WINDOW as usize])).await.unwrap();
    {
        let write = filling.write(Bytes::from("x"));
        tokio::pin!(write);
        assert!(futures::poll!(&mut write).is_pending());
        first.next().await.unwrap();
        write.await.unwrap();
    }
    let gone = filling.abandoned();
    tokio::pin!(gone);
    assert!(futures::poll!(&mut gone).is_pending());
    drop(first);
    assert_eq!(gone.await, Abandoned);
}

#[tokio::test]
async fn another_variant_is_fetched_apart() {
    let table = Table::default();
    let Joined::Leader(mut filling, _first) = join_as(&table, &language("de")) else {
        panic!("there is no fill")
    };
    assert!(follow(&table, &language("en")).is_some(), "nothing is known of variants yet");
    filling.arrive(stored(&["accept-language"]), upto(1000));
    assert!(follow(&table, &language("de")).is_some());
    let Joined::Leader(_english, _) = join_as(&table, &language("en")) else {
        panic!("it is another variant")
    };
    let Joined::Leader(_french, _) = join_as(&table, &language("fr")) else {
        panic!("by now it is known that it is another")
    };
    assert!(follow(&table, &language("en")).is_some());
}

#[tokio::test]
async fn a_fill_without_a_head_holds_others_for_a_time() {
    let table = Table::default();
    let (_filling, _first) = lead(&table);
    let request = HeaderMap::new();
    let wish = Wish { zone: 1, key: &key(), request: &request, age: Duration::ZERO };
    assert!(matches!(table.join(wish), Joined::Leader(..)));
    let wish = Wish { zone: 2, age: Duration::from_secs(5), ..wish };
    assert!(table.refresh(wish).is_some(), "another cache has fills of its own");
    assert!(follow(&table, &HeaderMap::new()).is_some());
}

#[tokio::test]
async fn many_small_pieces_become_few() {
    let table = Table::default();
    let (mut filling, mut first) = lead(&table);
    filling.arrive(stored(&[]), upto(100_000_000));
    let body: Vec<u8> = (0..50_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    for byte in &body {
        filling.write(Bytes::copy_from_slice(&[*byte])).await.unwrap();
    }
    let mut reads = 0;
    let mut read = Vec::new();
    while let Some(Ok(Some(piece))) = first.try_next() {
        read.extend_from_slice(&piece);
        reads += 1;
    }
    assert_eq!(read, body);
    assert!(reads < 50, "{reads} pieces");
    filling.write(Bytes::from(vec![1; 3_000_000])).await.unwrap();
    let whole = filling.body().unwrap();
    assert!(whole.iter().all(|piece| piece.len() <= 1024 * 1024));
    assert_eq!(whole.concat().len(), 3_050_000);
    filling.finish();
    assert_eq!(rest(&mut first).await.unwrap().len(), 3_000_000);
}

#[tokio::test]
async fn what_follows_the_body_is_for_all_who_read_it_as_it_arrives() {
    let table = Table::default();
    let (mut filling, mut first) = lead(&table);
    let mut follower = follow(&table, &HeaderMap::new()).unwrap();
    filling.arrive(stored(&[]), upto(1000));
    filling.write(Bytes::from("ab")).await.unwrap();
    filling.set_trailers(language("de"));
    filling.finish();
    for reader in [&mut first, &mut follower] {
        assert_eq!(rest(reader).await.unwrap(), b"ab");
        assert_eq!(reader.trailers(), Some(language("de")));
    }
}

#[tokio::test]
async fn a_reader_may_go_on_further_ahead() {
    let table = Table::default();
    let (mut filling, mut first) = lead(&table);
    filling.arrive(stored(&[]), upto(1000));
    filling.write(Bytes::from("abcdef")).await.unwrap();
    first.skip_to(4);
    filling.finish();
    assert_eq!(rest(&mut first).await.unwrap(), b"ef");
}

#[tokio::test]
async fn a_fill_that_is_forgotten_goes_on_for_those_who_have_it() {
    let table = Table::default();
    let (mut filling, mut first) = lead(&table);
    filling.arrive(stored(&[]), upto(1000));
    let follower = follow(&table, &HeaderMap::new()).unwrap();
    let request = HeaderMap::new();
    let wish = Wish { zone: 1, key: &key(), request: &request, age: Duration::from_secs(5) };
    table.forget(wish, &follower);
    assert_eq!(table.count(), 0);
    let (_next, _) = lead(&table);
    filling.write(Bytes::from("ab")).await.unwrap();
    filling.finish();
    assert_eq!(rest(&mut first).await.unwrap(), b"ab");
    assert_eq!(table.count(), 1, "the next one is another's");
}
