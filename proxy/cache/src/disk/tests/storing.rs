//! What is stored is found, as it was.

use super::*;
use crate::disk::{GivenUp, Updated};

const SIZES: [usize; 9] = [0, 1, 5000, 65_535, 65_536, 65_537, 262_144, 300_000, 1_000_000];

#[tokio::test]
async fn what_was_stored_is_found_now_and_after_a_restart() {
    let rig = Rig::new();
    for size in SIZES {
        let meta = meta(&format!("/{size}"));
        let stored = rig.store(&meta, &body(size)).await;
        assert_is(&stored, &meta, &body(size)).await;
    }
    for disk in [rig.disk.clone(), rig.again()] {
        for size in SIZES {
            let meta = meta(&format!("/{size}"));
            assert!(disk.may_have(&meta.key));
            let stored = load(&disk, &meta.key).await.unwrap();
            assert_is(&stored, &meta, &body(size)).await;
        }
        assert!(load(&disk, &key("/other")).await.is_none());
    }
    assert_eq!(rig.disk.stats().stored, SIZES.len() as u64);
    assert_eq!(rig.disk.stats().errors, 0, "{:?}", rig.disk.stats());
}

#[tokio::test]
async fn any_range_is_read_without_the_rest() {
    let rig = Rig::new();
    let whole = body(700_001);
    rig.store(&meta("/"), &whole).await;
    let stored = load(&rig.disk, &key("/")).await.unwrap();
    assert!(stored.body.whole().is_none());
    for (offset, most) in [
        (0, 1),
        (0, 700_001),
        (1, 65_535),
        (65_535, 2),
        (65_536, 65_536),
        (262_143, 2),
        (300_000, 262_144),
        (655_360, 44_641),
        (700_000, 1),
        (700_000, 1000),
    ] {
        let piece = stored.body.read(offset as u64, most).await.unwrap();
        assert!(!piece.is_empty() && piece.len() <= most, "{offset}, {most}: {}", piece.len());
        assert!(whole[offset..].starts_with(&piece), "{offset}, {most}");
    }
    for nothing in [(700_001, 1), (u64::MAX, 1), (5, 0)] {
        assert!(stored.body.read(nothing.0, nothing.1).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_small_body_comes_with_its_head_and_a_large_one_stays_in_its_file() {
    let rig = Rig::new();
    rig.store(&meta("/small"), &body(65_536)).await;
    rig.store(&meta("/large"), &body(65_537)).await;
    assert!(load(&rig.disk, &key("/small")).await.unwrap().body.whole().is_some());
    assert!(load(&rig.disk, &key("/large")).await.unwrap().body.whole().is_none());
}

#[tokio::test]
async fn followers_read_what_is_written_while_it_is_written() {
    let rig = Rig::new();
    let whole = body(900_000);
    let mut writer = rig.disk.writer(meta("/"), None).unwrap();
    let growing = writer.reader();
    let mut seen = Vec::new();
    for piece in whole.chunks(33_333) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
        writer.flush().await.unwrap();
        while seen.len() < usize::try_from(growing.written()).unwrap() {
            seen.extend_from_slice(&growing.read(seen.len() as u64, 50_000).await.unwrap());
        }
        assert!(whole.starts_with(&seen));
    }
    assert_eq!(seen.len(), whole.len());
    let stored = writer.finish().await.unwrap();
    assert_is(&stored, &meta("/"), &whole).await;
    assert_eq!(growing.read(899_999, 5).await.unwrap(), whole[899_999..]);
    let after_restart = load(&rig.again(), &key("/")).await.unwrap();
    assert_is(&after_restart, &meta("/"), &whole).await;
}

#[tokio::test]
async fn the_disk_holds_the_writer_back() {
    let rig = Rig::new();
    let mut writer = rig.disk.writer(meta("/"), None).unwrap();
    for _ in 0..100 {
        writer.write(Bytes::from(vec![7; 100_000])).await.unwrap();
        let held = writer.taken() - writer.reader().written();
        assert!(held <= 2 * (262_144 + 100_000), "{held} bytes wait");
    }
}

#[tokio::test]
async fn what_is_not_finished_is_not_there_and_leaves_nothing() {
    let rig = Rig::new();
    let mut writer = rig.disk.writer(meta("/"), None).unwrap();
    writer.write(body(300_000).into()).await.unwrap();
    writer.flush().await.unwrap();
    assert_eq!(rig.files().len(), 1);
    let growing = writer.reader();
    drop(writer);
    wait_until("the file is gone", || rig.files().is_empty()).await;
    assert!(load(&rig.disk, &key("/")).await.is_none());
    assert_eq!(growing.read(0, 10).await.unwrap(), body(300_000)[..10], "whoever reads, reads on");
    assert_eq!(rig.disk.tier.unfinished.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_promised_is_not_stored() {
    let rig = Rig::new();
    for (came, has_begun) in [(9, false), (9, true), (0, false)] {
        let mut writer = rig.disk.writer(meta("/"), Some(10)).unwrap();
        writer.write(body(came).into()).await.unwrap();
        if has_begun {
            writer.flush().await.unwrap();
        }
        assert_eq!(writer.finish().await.unwrap_err(), GivenUp);
    }
    let mut writer = rig.disk.writer(meta("/"), Some(10)).unwrap();
    assert_eq!(writer.write(body(11).into()).await, Err(GivenUp));
    assert_eq!(writer.finish().await.unwrap_err(), GivenUp);
    wait_until("nothing is left", || rig.files().is_empty()).await;
    assert!(load(&rig.disk, &key("/")).await.is_none());
}

#[tokio::test]
async fn a_body_larger_than_allowed_is_not_stored() {
    let rig = Rig::with(DiskLimits { largest: 1000, ..LIMITS });
    assert!(rig.disk.writer(meta("/"), Some(1001)).is_none());
    let mut writer = rig.disk.writer(meta("/"), None).unwrap();
    writer.write(body(1000).into()).await.unwrap();
    assert_eq!(writer.write(body(1).into()).await, Err(GivenUp));
    assert!(rig.disk.writer(meta("/"), Some(1000)).is_some());
}

#[tokio::test]
async fn a_head_larger_than_a_mebibyte_is_not_stored() {
    let rig = Rig::new();
    let mut large = meta("/");
    for _ in 0..11 {
        let value = HeaderValue::from_bytes(&[b'x'; 100_000]).unwrap();
        large.head.headers.append("x-large", value);
    }
    assert!(rig.disk.writer(large.clone(), None).is_none());
    large.head.headers.remove("x-large");
    large.head.headers.insert("x-large", HeaderValue::from_bytes(&[b'x'; 200_000]).unwrap());
    rig.store(&large, b"body").await;
    let stored = load(&rig.disk, &large.key).await.unwrap();
    assert_is(&stored, &large, b"body").await;
}

#[tokio::test]
async fn each_variant_is_stored_and_the_newest_that_is_wanted_is_found() {
    let rig = Rig::new();
    let newest = Meta { times: Times { request: at(5), response: at(6) }, ..variant("/", "gzip") };
    rig.store(&newest, b"gzip").await;
    rig.store(&variant("/", "br"), b"brotli").await;
    for disk in [rig.disk.clone(), rig.again()] {
        let stored =
            disk.load(&key("/"), |meta| meta.selected_by.values().any(|v| v == "br")).await;
        assert_is(&stored.unwrap(), &variant("/", "br"), b"brotli").await;
        assert_is(&load(&disk, &key("/")).await.unwrap(), &newest, b"gzip").await;
        assert!(disk.load(&key("/"), |_| false).await.is_none());
    }
}

#[tokio::test]
async fn what_has_variants_and_what_has_none_take_each_others_place() {
    let rig = Rig::new();
    rig.store(&variant("/", "br"), b"br").await;
    rig.store(&variant("/", "gzip"), b"gzip").await;
    rig.store(&meta("/"), b"plain").await;
    assert_eq!(rig.files().len(), 1);
    // A tier that has not read the names yet, and one that has.
    let again = rig.again();
    rig.store(&variant("/", "br"), b"br").await;
    assert_eq!(rig.files().len(), 1);
    store(&again, &meta("/"), b"plain").await;
    wait_until("it knows all", || again.stats().is_indexed).await;
    store(&again, &variant("/", "gzip"), b"gzip").await;
    assert_is(&load(&again, &key("/")).await.unwrap(), &variant("/", "gzip"), b"gzip").await;
}

#[tokio::test]
async fn a_key_has_no_more_variants_than_allowed() {
    let rig = Rig::new();
    let codings = ["a", "b", "c", "d", "e", "f"];
    for coding in codings {
        rig.store(&variant("/", coding), coding.as_bytes()).await;
    }
    assert_eq!(rig.files().len(), LIMITS.variants);
    let last = rig.disk.load(&key("/"), |meta| meta.selected_by.values().any(|v| v == "f")).await;
    assert_is(&last.unwrap(), &variant("/", "f"), b"f").await;
}

#[tokio::test]
async fn a_new_response_takes_the_place_of_the_old_one() {
    let rig = Rig::new();
    rig.store(&meta("/"), &body(200_000)).await;
    let old = load(&rig.disk, &key("/")).await.unwrap();
    rig.store(&meta("/"), b"new").await;
    assert_is(&load(&rig.disk, &key("/")).await.unwrap(), &meta("/"), b"new").await;
    assert_is(&old, &meta("/"), &body(200_000)).await;
    assert_eq!(rig.files().len(), 1);
    assert_eq!((rig.disk.stats().entries, rig.disk.stats().bytes), (1, 4096));
}

#[tokio::test]
async fn a_validation_renews_the_head_and_keeps_the_body() {
    let rig = Rig::new();
    for size in [0, 3, 65_536, 200_000] {
        let mut now = meta("/");
        rig.store(&now, &body(size)).await;
        for round in 1..8 {
            let old = now.times;
            now.times = Times { request: at(round * 10), response: at(round * 10 + 1) };
            now.head.headers.insert("x-round", HeaderValue::from(round));
            assert_eq!(rig.disk.update_head(old, now.clone()).await, Updated::Stored);
            for disk in [rig.disk.clone(), rig.again()] {
                assert_is(&load(&disk, &key("/")).await.unwrap(), &now, &body(size)).await;
            }
        }
    }
    let length = std::fs::metadata(rig.only_file()).unwrap().len();
    assert!(length < 220_000, "heads do not pile up: {length}");
}

#[tokio::test]
async fn a_validation_of_what_is_no_longer_stored_changes_nothing() {
    let rig = Rig::new();
    rig.store(&meta("/"), b"one").await;
    let another = Times { request: at(3), response: at(4) };
    let new = Meta { generation: 9, ..meta("/") };
    assert_eq!(rig.disk.update_head(another, new.clone()).await, Updated::Absent);
    assert_eq!(rig.disk.update_head(new.times, variant("/", "br")).await, Updated::Absent);
    let other = Meta { key: key("/other"), ..new };
    assert_eq!(rig.disk.update_head(other.times, other).await, Updated::Absent);
    assert_is(&load(&rig.disk, &key("/")).await.unwrap(), &meta("/"), b"one").await;
}

#[tokio::test]
async fn a_renewed_head_that_does_not_fit_its_place_costs_the_entry() {
    let rig = Rig::new();
    rig.store(&meta("/"), b"one").await;
    let mut large = meta("/");
    large.head.headers.insert("x-large", HeaderValue::from_bytes(&[b'x'; 9000]).unwrap());
    assert_eq!(rig.disk.update_head(large.times, large).await, Updated::Absent);
    assert!(load(&rig.disk, &key("/")).await.is_none() && rig.files().is_empty());
}

#[tokio::test]
async fn what_is_removed_is_gone() {
    let rig = Rig::new();
    rig.store(&variant("/", "gzip"), b"gzip").await;
    rig.store(&variant("/", "br"), b"br").await;
    rig.store(&meta("/other"), b"other").await;
    rig.disk.remove(&key("/")).await.unwrap();
    for disk in [rig.disk.clone(), rig.again()] {
        assert!(load(&disk, &key("/")).await.is_none());
        assert!(load(&disk, &key("/other")).await.is_some());
    }
    assert!(!rig.disk.may_have(&key("/")));
    assert_eq!(rig.files().len(), 1);
}

#[tokio::test]
async fn a_sweep_removes_what_was_purged_and_nothing_else() {
    let rig = Rig::new();
    for number in 0..100 {
        let tag = if number % 3 == 0 { "old" } else { "new" };
        let meta = Meta { tags: [tag.into()].into(), ..meta(&format!("/{number}")) };
        rig.store(&meta, b"x").await;
    }
    let swept = rig.disk.sweep(|meta| meta.tags.iter().any(|tag| &**tag == "old")).await;
    assert_eq!((swept.seen, swept.removed), (100, 34));
    assert_eq!(rig.files().len(), 66);
    assert!(load(&rig.disk, &key("/3")).await.is_none());
    assert!(load(&rig.disk, &key("/4")).await.is_some());
}
