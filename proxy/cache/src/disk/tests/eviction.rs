//! The bounds are kept, and what is asked for often stays.

use super::*;

/// A file of one body of 10,000 bytes takes three units.
const TAKES: u64 = 3 * 4096;

#[tokio::test]
async fn the_files_never_take_more_than_allowed() {
    let limits = DiskLimits { size: 20 * TAKES, ..LIMITS };
    let rig = Rig::with(limits);
    for number in 0..100 {
        rig.store(&meta(&format!("/{number}")), &body(10_000)).await;
        let stats = rig.disk.stats();
        assert!(stats.bytes <= limits.size, "{stats:?}");
        assert_eq!(rig.files().len() as u64, stats.entries);
    }
    let stats = rig.disk.stats();
    assert_eq!((stats.entries, stats.evicted), (20, 80));
    assert!(load(&rig.disk, &key("/99")).await.is_some());
}

#[tokio::test]
async fn what_is_asked_for_outlives_what_passes_by() {
    let rig = Rig::with(DiskLimits { size: 20 * TAKES, ..LIMITS });
    // What the rebuilding of the index comes upon is queued as if nobody had asked for it yet.
    wait_until("the index is rebuilt", || rig.disk.stats().is_indexed).await;
    for number in 0..10 {
        rig.store(&meta(&format!("/hot/{number}")), &body(10_000)).await;
    }
    for number in 0..200 {
        rig.store(&meta(&format!("/once/{number}")), &body(10_000)).await;
        let hot = key(&format!("/hot/{}", number % 10));
        // From here or, as far as this tier knows, from memory.
        if number % 2 == 0 {
            assert!(load(&rig.disk, &hot).await.is_some(), "{number}");
        } else {
            assert!(rig.disk.may_have(&hot), "{number}");
            rig.disk.touch(&hot);
        }
    }
}

#[tokio::test]
async fn what_is_larger_than_the_tier_is_given_up_and_leaves_nothing() {
    let rig = Rig::with(DiskLimits { size: 20 * TAKES, ..LIMITS });
    let mut writer = rig.disk.writer(meta("/"), None).unwrap();
    let mut outcome = Ok(());
    for _ in 0..20 {
        outcome = outcome.and(writer.write(body(100_000).into()).await);
    }
    assert!(outcome.is_err() && writer.finish().await.is_err());
    wait_until("nothing is left", || rig.files().is_empty()).await;
    rig.store(&meta("/small"), &body(10_000)).await;
}

#[tokio::test]
async fn room_is_left_for_others() {
    let rig = Rig::new();
    rig.store(&meta("/a"), b"a").await;
    rig.store(&meta("/b"), b"b").await;
    rig.disk.set_limits(DiskLimits { min_free: u64::MAX, ..LIMITS });
    wait_until("all is evicted", || rig.files().is_empty()).await;
    let writer = rig.disk.writer(meta("/c"), None).unwrap();
    assert!(writer.finish().await.is_err(), "no room");
    rig.disk.set_limits(LIMITS);
    rig.store(&meta("/d"), b"d").await;
}

#[tokio::test]
async fn a_smaller_limit_is_kept_without_being_asked() {
    let rig = Rig::new();
    for number in 0..50 {
        rig.store(&meta(&format!("/{number}")), &body(10_000)).await;
    }
    rig.disk.set_limits(DiskLimits { size: 10 * TAKES, ..LIMITS });
    wait_until("it is", || rig.disk.stats().bytes <= 10 * TAKES).await;
    assert_eq!(rig.files().len(), 10);
}

#[tokio::test]
async fn after_a_restart_what_was_used_last_stays_longest() {
    let rig = Rig::new();
    for number in 0..50 {
        rig.store(&meta(&format!("/{number}")), &body(10_000)).await;
    }
    let old = std::fs::FileTimes::new().set_modified(UNIX_EPOCH).set_accessed(UNIX_EPOCH);
    let names: Vec<_> = (0..25).map(|number| meta(&format!("/{number}"))).collect();
    for meta in &names {
        let name = crate::disk::name::Name::of(meta);
        let path = rig.path().join(name.key.shard().to_string()).join(name.to_string());
        std::fs::File::options().write(true).open(path).unwrap().set_times(old).unwrap();
    }
    let again = rig.again();
    wait_until("all lengths are known", || again.stats().bytes == 50 * TAKES).await;
    wait_until("it is in order", || again.tier.index.is_queued()).await;
    again.set_limits(DiskLimits { size: 25 * TAKES, ..LIMITS });
    wait_until("it is", || again.stats().bytes <= 25 * TAKES).await;
    assert!(names.iter().all(|meta| !again.may_have(&meta.key)), "the old ones went");
}
