//! Several processes on one directory, as during an upgrade.

use super::*;
use crate::disk::Updated;

#[tokio::test]
async fn a_successor_finds_what_was_stored_before_it_looked() {
    let rig = Rig::new();
    for number in 0..500 {
        rig.store(&meta(&format!("/{number}")), format!("body {number}").as_bytes()).await;
    }
    let successor = rig.again();
    // At once, whether the keeper has been there or not.
    for number in (0..500).rev() {
        let path = format!("/{number}");
        let stored = load(&successor, &key(&path)).await.unwrap();
        assert_is(&stored, &meta(&path), format!("body {number}").as_bytes()).await;
    }
    wait_until("all is indexed", || successor.stats().is_indexed).await;
    assert_eq!(successor.stats().entries, 500);
    assert!(!successor.may_have(&key("/unknown")));
    wait_until("all lengths are known", || successor.stats().bytes == rig.disk.stats().bytes).await;
}

#[tokio::test]
async fn what_one_removes_the_other_finds_absent() {
    let rig = Rig::new();
    rig.store(&meta("/"), b"x").await;
    let other = rig.again();
    assert!(load(&other, &key("/")).await.is_some());
    rig.disk.remove(&key("/")).await.unwrap();
    assert!(load(&other, &key("/")).await.is_none());
    assert_eq!((other.stats().entries, other.stats().errors), (0, 0));
}

#[tokio::test]
async fn both_write_the_same_entry_and_each_reads_one_that_is_whole() {
    let rig = Rig::new();
    let other = rig.again();
    for round in 0..50 {
        let (mine, theirs) = (body(90_000 + round), body(30_000 + round));
        let plain = meta("/");
        tokio::join!(store(&rig.disk, &plain, &mine), store(&other, &plain, &theirs));
        for disk in [&rig.disk, &other] {
            let stored = load(disk, &key("/")).await.unwrap();
            let whole = read(&stored.body).await;
            assert!(whole == mine || whole == theirs, "round {round}");
        }
    }
    assert_eq!(rig.disk.stats().corrupt + other.stats().corrupt, 0);
}

#[tokio::test]
async fn both_renew_the_same_head_and_it_stays_readable() {
    let rig = Rig::new();
    let other = rig.again();
    rig.store(&meta("/"), b"body").await;
    let mut now = meta("/");
    for round in 1..50 {
        let mut mine = now.clone();
        mine.times = Times { request: at(round * 10), response: at(round * 10 + 1) };
        let mut theirs = now.clone();
        theirs.times = Times { request: at(round * 10), response: at(round * 10 + 2) };
        let update = |disk: &Disk, meta: &Meta| {
            let (disk, meta, old) = (disk.clone(), meta.clone(), now.times);
            async move { disk.update_head(old, meta).await }
        };
        let both = tokio::join!(update(&rig.disk, &mine), update(&other, &theirs));
        if let Some(stored) = load(&rig.disk, &key("/")).await {
            let times = stored.meta.times;
            assert!(times == mine.times || times == theirs.times, "{both:?}");
            assert_eq!(stored.body.whole().unwrap(), "body");
            now = stored.meta;
        } else {
            assert_ne!(both, (Updated::Stored, Updated::Stored), "round {round}");
            rig.store(&now, b"body").await;
        }
    }
    assert_eq!(rig.disk.stats().corrupt + other.stats().corrupt, 0);
}

#[tokio::test]
async fn a_comparison_learns_what_the_other_wrote_and_removed() {
    let rig = Rig::new();
    rig.store(&meta("/removed"), b"x").await;
    let other = rig.again();
    wait_until("it is in order", || other.tier.index.is_queued() && other.stats().is_indexed).await;
    rig.disk.remove(&key("/removed")).await.unwrap();
    rig.store(&meta("/written"), &body(9000)).await;
    assert!(!other.may_have(&key("/written")));
    other.tier.compare_now();
    assert!(!other.may_have(&key("/removed")));
    assert!(load(&other, &key("/written")).await.is_some());
    assert_eq!((other.stats().entries, other.stats().bytes), (1, 3 * 4096));
    assert!(other.tier.index.is_queued(), "what was learned can be evicted in its turn");
}
