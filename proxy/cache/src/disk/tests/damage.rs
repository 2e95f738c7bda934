//! Flipped, cut, torn: whatever happened to a file, what comes out of it is what was stored, or nothing.

use super::*;
use crate::disk::{ReadError, Updated};

/// What is found in a directory whose only file was changed to `bytes`.
async fn found(rig: &Rig, bytes: &[u8]) -> Option<(Stored, Vec<u8>)> {
    // A file that was dropped as broken is put back by the writing.
    std::fs::write(rig.path_of_one(), bytes).unwrap();
    let stored = load(&rig.disk_of_one(), &key("/")).await?;
    let mut all = Vec::new();
    loop {
        match stored.body.read(all.len() as u64, 1 << 20).await {
            Ok(piece) if piece.is_empty() => return Some((stored, all)),
            Ok(piece) => all.extend_from_slice(&piece),
            Err(error) => {
                assert_eq!(error, ReadError::Corrupt);
                return None;
            }
        }
    }
}

/// One entry whose file is rewritten again and again.
struct One {
    rig: Rig,
    path: PathBuf,
}

impl std::ops::Deref for One {
    type Target = Rig;

    fn deref(&self) -> &Rig {
        &self.rig
    }
}

impl Rig {
    fn path_of_one(&self) -> PathBuf {
        let name = crate::disk::name::Name::of(&meta("/"));
        self.path().join(name.key.shard().to_string()).join(name.to_string())
    }

    /// The tier, which believes that the entry is there.
    fn disk_of_one(&self) -> Disk {
        self.disk.tier.index.add_name(crate::disk::name::Name::of(&meta("/")));
        self.disk.clone()
    }
}

async fn one(size: usize) -> (One, Vec<u8>) {
    let rig = Rig::new().ignores_births();
    rig.store(&meta("/"), &body(size)).await;
    let path = rig.only_file();
    let bytes = std::fs::read(&path).unwrap();
    (One { rig, path }, bytes)
}

#[tokio::test]
async fn a_small_entry_with_any_bit_flipped_is_absent() {
    let (one, sound) = one(500).await;
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(found(&one, &bytes).await.is_none(), "byte {at} of {}", sound.len());
        assert!(!one.path.exists(), "it is dropped: byte {at}");
    }
    let stats = one.disk.stats();
    assert_eq!(stats.corrupt + stats.old, sound.len() as u64);
    assert_eq!(stats.old, 2, "the two bytes of the version");
    let (stored, all) = found(&one, &sound).await.unwrap();
    assert_is(&stored, &meta("/"), &all).await;
}

#[tokio::test]
async fn a_small_entry_cut_anywhere_is_absent() {
    let (one, sound) = one(500).await;
    for length in 0..sound.len() {
        assert!(found(&one, &sound[..length]).await.is_none(), "cut to {length}");
        assert!(!one.path.exists(), "it is dropped: cut to {length}");
    }
    // Zeroes in the place of what the disk did not get: a file that was made longer before it was written.
    for length in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[length..].fill(0);
        if bytes != sound {
            assert!(found(&one, &bytes).await.is_none(), "zeroes from {length} on");
        }
    }
}

#[tokio::test]
async fn bytes_behind_an_entry_change_nothing() {
    let (one, sound) = one(500).await;
    for more in [1, 15, 16, 17, 4096, 10_000, 100_000] {
        for fill in [0, 0xff, b'P'] {
            let bytes = [sound.clone(), vec![fill; more]].concat();
            let (stored, all) = found(&one, &bytes).await.unwrap();
            assert_is(&stored, &meta("/"), &all).await;
            assert!(all == body(500));
        }
    }
}

#[tokio::test]
async fn a_large_entry_damaged_anywhere_never_gives_a_wrong_byte() {
    let (one, sound) = one(200_000).await;
    let ends = 0..1000;
    let middle = (1000..sound.len() - 100).step_by(997);
    for at in ends.chain(middle).chain(sound.len() - 100..sound.len()) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x10;
        assert!(found(&one, &bytes).await.is_none(), "byte {at}");
        assert!(found(&one, &sound[..at]).await.is_none(), "cut to {at}");
    }
}

#[tokio::test]
async fn a_damaged_block_is_noticed_by_those_who_read_it_and_the_entry_goes() {
    let (one, mut bytes) = one(300_000).await;
    let begins = bytes.len() - 300_000 - 5 * 8;
    bytes[begins + 150_000] ^= 1;
    std::fs::write(&one.path, &bytes).unwrap();
    let stored = load(&one.disk, &key("/")).await.unwrap();
    let sound = stored.body.read(100, 65_000).await.unwrap();
    assert_eq!(sound, body(300_000)[100..65_100]);
    assert_eq!(stored.body.read(131_072, 10).await, Err(ReadError::Corrupt));
    assert!(load(&one.disk, &key("/")).await.is_none());
    assert!(one.disk.stats().corrupt >= 1);
}

#[tokio::test]
async fn a_torn_renewal_leaves_the_head_before_it() {
    let (one, _) = one(500).await;
    let first = meta("/");
    let second = renewed(&first, 10);
    let third = renewed(&second, 20);
    assert_eq!(one.disk.update_head(first.times, second.clone()).await, Updated::Stored);
    let with_second = std::fs::read(&one.path).unwrap();
    assert_eq!(one.disk.update_head(second.times, third.clone()).await, Updated::Stored);
    let with_third = std::fs::read(&one.path).unwrap();
    // The third was written before the second, or behind it; wherever it is, half of it is as good as nothing.
    let differs = |at: &usize| with_second.get(*at) != with_third.get(*at);
    let places: Vec<_> = (0..with_third.len()).filter(differs).collect();
    assert!(!places.is_empty());
    for cut in &places {
        let mut torn = with_third.clone();
        for place in places.iter().filter(|place| *place >= cut) {
            torn[*place] = with_second.get(*place).copied().unwrap_or(0);
        }
        let (stored, all) = found(&one, &torn).await.unwrap();
        assert_eq!(stored.meta.times, second.times, "torn at {cut}");
        assert!(all == body(500));
    }
    let (stored, _) = found(&one, &with_third).await.unwrap();
    assert_eq!(stored.meta.times, third.times);
}

fn renewed(meta: &Meta, seconds: u64) -> Meta {
    let times = Times { request: at(seconds), response: at(seconds + 1) };
    Meta { times, ..meta.clone() }
}

#[tokio::test]
async fn an_entry_under_the_name_of_another_is_not_taken_for_it() {
    let rig = Rig::new().ignores_births();
    rig.store(&meta("/a"), b"a").await;
    let of_a = rig.only_file();
    rig.store(&meta("/b"), b"b").await;
    let of_b = rig.files().into_iter().find(|path| *path != of_a).unwrap();
    std::fs::copy(&of_a, &of_b).unwrap();
    assert!(load(&rig.disk, &key("/b")).await.is_none());
}

#[tokio::test]
async fn the_same_bytes_in_another_file_are_absent() {
    let rig = Rig::new();
    for size in [500, 200_000] {
        rig.store(&meta("/"), &body(size)).await;
        let path = rig.only_file();
        let removed = std::fs::read(&path).unwrap();
        rig.disk.remove(&key("/")).await.unwrap();
        // As a power cut may leave it: a new file, and in its blocks what they held before.
        std::fs::write(&path, removed).unwrap();
        assert!(load(&rig.again(), &key("/")).await.is_none(), "{size} bytes have come back");
        assert!(!path.exists(), "it is dropped");
    }
}

#[tokio::test]
async fn a_head_of_another_file_behind_this_one_is_none_of_it() {
    let (one, first) = one(500).await;
    rewrite(&one).await;
    let update = renewed(&meta("/"), 10);
    assert_eq!(one.disk.update_head(meta("/").times, update).await, Updated::Stored);
    let with_tail = std::fs::read(&one.path).unwrap();
    let mixed = [&first, &with_tail[first.len()..]].concat();
    let (stored, _) = found(&one, &mixed).await.unwrap();
    assert_eq!(stored.meta.times, meta("/").times, "blocks that the disk kept from another file");
}

/// The like of it once more, with another body of the same bytes.
async fn rewrite(one: &One) {
    let another = BodyId::numbered(8);
    one.store(&Meta { body: another, ..meta("/") }, &body(500)).await;
}
