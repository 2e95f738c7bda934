//! Fills that are written to disk as they arrive.

use std::collections::HashSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::disk::{Disk, DiskLimits, Settings, Writer};

const MIB: usize = 1024 * 1024;

/// A fill, and the disk that it is written to.
struct Rig {
    _folder: TempDir,
    table: Table,
    filling: Filling<&'static str>,
    /// `None` once it has failed.
    writer: Option<Writer>,
}

/// Bytes of which no two pieces are alike.
fn body(length: usize) -> Bytes {
    static ALL: LazyLock<Bytes> = LazyLock::new(|| {
        (0..8 * MIB as u64).map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8).collect::<Vec<_>>().into()
    });
    ALL.slice(..length)
}

impl Rig {
    /// A fill of which memory takes so much, and its first reader.
    fn start(most: u64, budget: Option<Arc<Budget>>) -> (Self, Reader<&'static str>) {
        let folder = tempfile::tempdir().unwrap();
        let limits = DiskLimits { size: 1 << 30, min_free: 0, largest: 1 << 30, variants: 4 };
        let settings = Settings { path: folder.path().join("cache"), limits, threads: 2 };
        let disk = Disk::open(&settings).unwrap();
        let table = Table::default();
        let (mut filling, first) = lead(&table);
        let arrived = stored(&[]);
        let writer = disk.writer(Meta::clone(arrived.stored.as_ref().unwrap()), None).unwrap();
        filling.arrive(arrived, Holding { most, budget, file: Some(writer.reader()) });
        (Self { _folder: folder, table, filling, writer: Some(writer) }, first)
    }

    /// As the engine does: readers first, then the disk.
    async fn write(&mut self, bytes: Bytes) {
        self.filling.write(bytes.clone()).await.unwrap();
        if let Some(writer) = &mut self.writer {
            writer.write(bytes).await.unwrap();
        }
    }

    fn lose_disk(&mut self) {
        self.writer = None;
        self.filling.lose_file();
    }

    async fn finish(self) {
        if let Some(writer) = self.writer {
            writer.finish().await.unwrap();
        }
        self.filling.finish();
    }
}

#[tokio::test]
async fn what_memory_does_not_hold_is_read_from_disk_by_whoever_comes() {
    let (mut rig, mut first) = Rig::start(1000, None);
    let whole = body(5 * MIB);
    for piece in whole.chunks(100_000) {
        rig.write(whole.slice_ref(piece)).await;
        assert!(rig.filling.held() <= WINDOW + 4 * 262_144, "{}", rig.filling.held());
    }
    let mut late = follow(&rig.table, &HeaderMap::new()).expect("it is on disk for all");
    assert_eq!(rig.filling.body(), None);
    first.skip_to(4_000_001);
    rig.finish().await;
    assert_eq!(late.held(), 0, "nothing is held for those who have yet to read");
    assert!(rest(&mut late).await.unwrap() == whole);
    assert!(rest(&mut first).await.unwrap() == whole[4_000_001..]);
}

#[tokio::test]
async fn the_last_bytes_are_told_of_when_the_disk_has_them_too() {
    let (mut rig, mut first) = Rig::start(0, None);
    let next = first.next();
    tokio::pin!(next);
    let mut waiting = watched(next.as_mut());
    assert!(waiting.poll().is_pending());
    rig.filling.write_last(Bytes::from("ab")).await.unwrap();
    assert!(!waiting.is_woken());
    rig.finish().await;
    assert!(waiting.is_woken());
}

#[tokio::test]
async fn a_body_that_is_cut_is_cut_for_those_who_are_behind_too() {
    let (mut rig, mut first) = Rig::start(0, None);
    rig.write(body(3 * MIB)).await;
    drop(rig);
    assert_eq!(rest(&mut first).await, Err(Broken));
}

#[tokio::test]
async fn a_disk_that_fails_leaves_its_readers_what_it_had_and_a_window_of_the_rest() {
    let (mut rig, mut slow) = Rig::start(0, None);
    let whole = body(6 * MIB);
    let pieces: Vec<_> = whole.chunks(MIB / 2).map(|piece| whole.slice_ref(piece)).collect();
    for piece in &pieces[..6] {
        rig.write(piece.clone()).await;
    }
    rig.lose_disk();
    assert!(follow(&rig.table, &HeaderMap::new()).is_none(), "others ask for themselves");
    assert_eq!(rig.table.count(), 0, "and do not come across it");
    let mut read = Vec::new();
    for piece in &pieces[6..] {
        while !writes_at_once(&mut rig.filling, piece).await {
            assert!(rig.filling.held() >= WINDOW && rig.filling.held() < 3 * WINDOW);
            read.extend_from_slice(&slow.next().await.unwrap().unwrap());
        }
    }
    assert!(read.len() > 3 * MIB, "it has waited for the slowest: {}", read.len());
    rig.finish().await;
    read.extend_from_slice(&rest(&mut slow).await.unwrap());
    assert!(read == whole);
}

async fn writes_at_once(filling: &mut Filling<&'static str>, piece: &Bytes) -> bool {
    let writing = filling.write(piece.clone());
    tokio::pin!(writing);
    futures::poll!(&mut writing).is_ready()
}

#[tokio::test]
async fn a_disk_that_fails_is_nothing_to_a_body_that_memory_holds() {
    let (mut rig, mut first) = Rig::start(10 * MIB as u64, None);
    rig.write(body(2 * MIB)).await;
    rig.lose_disk();
    let mut late = follow(&rig.table, &HeaderMap::new()).expect("it is in memory for all");
    assert_eq!(rig.filling.body().unwrap().concat().len(), 2 * MIB);
    rig.finish().await;
    assert!(rest(&mut first).await.unwrap() == rest(&mut late).await.unwrap());
}

#[tokio::test]
async fn a_body_that_outgrows_memory_after_the_disk_failed_waits_for_its_readers() {
    let (mut rig, mut first) = Rig::start(2 * MIB as u64, None);
    rig.write(body(MIB)).await;
    rig.lose_disk();
    rig.write(body(MIB)).await;
    assert!(!writes_at_once(&mut rig.filling, &body(1)).await);
    assert!(follow(&rig.table, &HeaderMap::new()).is_none(), "others ask for themselves");
    rig.finish().await;
    assert_eq!(rest(&mut first).await.unwrap().len(), 2 * MIB);
}

#[tokio::test]
async fn where_fills_hold_all_they_may_the_disk_holds_the_next() {
    let budget = Budget::new(2 * MIB as u64);
    let (mut one, mut of_one) = Rig::start(10 * MIB as u64, Some(Arc::clone(&budget)));
    one.write(body(2 * MIB)).await;
    let (mut other, mut of_other) = Rig::start(10 * MIB as u64, Some(Arc::clone(&budget)));
    other.write(body(65_536)).await;
    assert!(other.filling.body().is_some(), "what is small is held all the same");
    for _ in 0..20 {
        other.write(body(100_000)).await;
    }
    assert!(budget.claimed() <= 2 * MIB as u64 && other.filling.held() < MIB as u64);
    assert!(one.filling.body().is_some() && other.filling.body().is_none());
    assert!(follow(&other.table, &HeaderMap::new()).is_some(), "the disk has it for all");
    one.finish().await;
    assert_eq!(rest(&mut of_one).await.unwrap().len(), 2 * MIB);
    other.finish().await;
    assert_eq!(rest(&mut of_other).await.unwrap().len(), 2_065_536);
    assert_eq!(budget.claimed(), 0);
}

#[tokio::test]
async fn where_fills_hold_all_they_may_and_there_is_no_disk_the_next_waits_for_its_readers() {
    let budget = Budget::new(2 * MIB as u64);
    let holding =
        || Holding { most: 10 * MIB as u64, budget: Some(Arc::clone(&budget)), file: None };
    let (one, other) = (Table::default(), Table::default());
    let (mut one, _first) = lead(&one);
    one.arrive(stored(&[]), holding());
    one.write(body(2 * MIB)).await.unwrap();
    let (mut filling, mut reader) = lead(&other);
    filling.arrive(stored(&[]), holding());
    filling.write(body(65_536)).await.unwrap();
    assert!(!writes_at_once(&mut filling, &body(1)).await);
    assert!(follow(&other, &HeaderMap::new()).is_none(), "others ask for themselves");
    assert_eq!(reader.next().await.unwrap().unwrap().len(), 65_536);
    assert!(writes_at_once(&mut filling, &body(65_536)).await);
    assert!(!writes_at_once(&mut filling, &body(1)).await, "no more than it may unasked");
    drop(one);
    assert!(writes_at_once(&mut filling, &body(1)).await, "there is room again");
    assert_eq!(filling.body(), None, "but not for all of it");
}

#[tokio::test]
async fn what_outgrows_memory_gives_back_what_it_had_of_it() {
    let budget = Budget::new(8 * MIB as u64);
    let (mut rig, mut first) = Rig::start(4 * MIB as u64, Some(Arc::clone(&budget)));
    rig.write(body(4 * MIB)).await;
    assert_eq!(budget.claimed(), 4 * MIB as u64);
    for _ in 0..20 {
        rig.write(body(100_000)).await;
    }
    assert!(budget.claimed() <= WINDOW + MIB as u64, "{}", budget.claimed());
    rig.finish().await;
    assert_eq!(rest(&mut first).await.unwrap().len(), 4 * MIB + 2_000_000);
}

#[test]
fn a_crowd_that_is_behind_shares_what_is_read() {
    // Not in a task of tokio: all of them ask before the disk has answered the first.
    futures::executor::block_on(async {
        let (mut rig, first) = Rig::start(0, None);
        rig.write(body(4 * MIB)).await;
        rig.finish().await;
        let reader = |_| Reader::new(Arc::clone(first.shared()), false);
        let read = async |mut reader: Reader<_>| reader.next().await.unwrap().unwrap();
        let crowd: Vec<_> = (0..5000).map(reader).collect();
        let pieces = futures::future::join_all(crowd.into_iter().map(read)).await;
        assert!(pieces.iter().all(|piece| body(4 * MIB).starts_with(piece)));
        let different: HashSet<_> = pieces.iter().map(|piece| piece.as_ptr()).collect();
        assert!(different.len() <= 4, "{} readings", different.len());
    });
}

/// What happens to a fill, in any order.
#[derive(Clone, Copy, Debug)]
enum Event {
    Write(usize),
    Join,
    Read(usize),
    Leave(usize),
    Flush,
    LoseDisk,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (1..200_000_usize).prop_map(Event::Write),
        2 => Just(Event::Join),
        6 => any::<usize>().prop_map(Event::Read),
        1 => any::<usize>().prop_map(Event::Leave),
        2 => Just(Event::Flush),
        1 => Just(Event::LoseDisk),
    ]
}

/// Does as the events say, and sees to it that each reader reads what was written.
async fn play(most: u64, budget: u64, events: &[Event]) {
    let (mut rig, first) = Rig::start(most, Some(Budget::new(budget)));
    let mut readers = vec![(first, 0)];
    let (whole, mut written) = (body(8 * MIB), 0);
    for event in events {
        match *event {
            Event::Write(length) => {
                let piece = whole.slice(written..written + length);
                while !writes_at_once(&mut rig.filling, &piece).await {
                    let slowest = readers.iter_mut().min_by_key(|(_, position)| *position);
                    let slowest = slowest.expect("it waits for nobody");
                    assert!(slowest.1 < written, "it waits for one who has all");
                    read(slowest, &whole).await;
                }
                if let Some(writer) = &mut rig.writer {
                    writer.write(piece).await.unwrap();
                }
                written += length;
            }
            Event::Join => {
                readers.extend(follow(&rig.table, &HeaderMap::new()).map(|reader| (reader, 0)));
            }
            Event::Read(which) if !readers.is_empty() => {
                let at = which % readers.len();
                if readers[at].1 < written {
                    read(&mut readers[at], &whole).await;
                }
            }
            Event::Leave(which) if !readers.is_empty() => {
                readers.swap_remove(which % readers.len());
            }
            Event::Flush => {
                if let Some(writer) = &mut rig.writer {
                    writer.flush().await.unwrap();
                }
            }
            Event::LoseDisk => rig.lose_disk(),
            Event::Read(_) | Event::Leave(_) => {}
        }
    }
    rig.finish().await;
    for (mut reader, position) in readers {
        assert!(rest(&mut reader).await.unwrap() == whole[position..written]);
    }
}

/// Reads a piece, which is there.
async fn read(reader: &mut (Reader<&'static str>, usize), whole: &[u8]) {
    let (reader, position) = reader;
    let piece = reader.next().await.unwrap().unwrap();
    assert!(whole[*position..].starts_with(&piece));
    *position += piece.len();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn readers_read_what_is_written_whatever_happens(
        most in prop_oneof![Just(0), Just(300_000), Just(30_000_000)],
        budget in prop_oneof![Just(0), Just(1_100_000), Just(1 << 40)],
        events in proptest::collection::vec(event(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(most, budget, &events));
    }
}
