//! What is not ours in the directory is neither opened, followed nor removed.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::disk::OpenError;
use crate::disk::name::Name;

impl Rig {
    fn path_of(&self, meta: &Meta) -> PathBuf {
        let name = Name::of(meta);
        self.path().join(name.key.shard().to_string()).join(name.to_string())
    }
}

#[tokio::test]
async fn a_link_in_the_place_of_an_entry_is_not_followed() {
    let rig = Rig::new();
    rig.store(&meta("/real"), b"secret").await;
    // A sound entry, outside; under its own name, but for the link.
    let outside = rig.folder.path().join("outside");
    std::fs::rename(rig.path_of(&meta("/real")), &outside).unwrap();
    symlink(&outside, rig.path_of(&meta("/real"))).unwrap();
    let before = std::fs::read(&outside).unwrap();
    for disk in [rig.disk.clone(), rig.again()] {
        assert!(load(&disk, &key("/real")).await.is_none());
        disk.update_head(meta("/real").times, meta("/real")).await;
        disk.sweep(|_| true).await;
        wait_until("it is counted", || disk.stats().foreign >= 1).await;
    }
    assert_eq!(std::fs::read(&outside).unwrap(), before);
    // What is stored takes the place of the link, not of what it leads to.
    rig.store(&meta("/real"), b"new").await;
    assert_is(&load(&rig.disk, &key("/real")).await.unwrap(), &meta("/real"), b"new").await;
    assert_eq!(std::fs::read(&outside).unwrap(), before);
}

#[tokio::test]
async fn what_has_another_kind_or_another_name_too_is_not_read() {
    let rig = Rig::new();
    rig.store(&meta("/linked"), b"x").await;
    std::fs::hard_link(rig.path_of(&meta("/linked")), rig.folder.path().join("other name"))
        .unwrap();
    folder(&rig.path_of(&meta("/folder")));
    let pipe = rig.path_of(&meta("/pipe"));
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for disk in [rig.disk.clone(), rig.again()] {
        for path in ["/linked", "/folder", "/pipe"] {
            disk.tier.index.add_name(Name::of(&meta(path)));
            assert!(load(&disk, &key(path)).await.is_none(), "{path}");
        }
        assert_eq!(disk.stats().errors, 0, "{:?}", disk.stats());
        assert!(disk.stats().foreign >= 3, "{:?}", disk.stats());
    }
    assert!(pipe.exists() && rig.path_of(&meta("/folder")).exists());
    assert!(rig.path_of(&meta("/linked")).exists());
}

#[tokio::test]
async fn a_file_of_another_user_is_not_read() {
    let rig = Rig::new();
    rig.store(&meta("/"), b"x").await;
    if std::os::unix::fs::chown(rig.path_of(&meta("/")), Some(4711), None).is_err() {
        eprintln!("SKIPPED: a file of another user was not planted, because chown needs root");
        return;
    }
    assert!(load(&rig.disk, &key("/")).await.is_none());
    assert!(rig.path_of(&meta("/")).exists());
    assert!(rig.disk.stats().foreign >= 1, "the rebuilding of the index may count it too");
}

#[tokio::test]
async fn names_that_are_not_ours_keep_their_place() {
    let rig = Rig::new();
    rig.store(&meta("/"), b"x").await;
    let shard = rig.path().join("00");
    for name in ["README", "t-notdigits", "0000000000000000-0000000", "t-0000000000000000x"] {
        std::fs::write(shard.join(name), name).unwrap();
    }
    folder(&shard.join("t-0000000000000001"));
    let again = rig.again();
    again.sweep(|_| true).await;
    wait_until("they are counted", || again.stats().foreign == 5).await;
    assert_eq!(std::fs::read_dir(&shard).unwrap().count(), 5);
    assert_eq!(again.stats().errors, 0);
}

#[tokio::test]
async fn what_a_dead_writer_left_goes_and_what_a_living_one_writes_stays() {
    let rig = Rig::new();
    let mut writer = rig.disk.writer(meta("/"), None).unwrap();
    writer.write(body(100_000).into()).await.unwrap();
    writer.flush().await.unwrap();
    let dead = rig.only_file().with_file_name("t-0123456789abcdef");
    std::fs::write(&dead, b"half").unwrap();
    let again = rig.again();
    wait_until("it is gone", || !dead.exists()).await;
    writer.finish().await.unwrap();
    assert!(load(&again, &key("/")).await.is_none(), "it does not know of it");
    assert!(load(&rig.again(), &key("/")).await.is_some());
}

#[tokio::test]
async fn who_looks_for_litter_costs_no_writer_its_file() {
    let rig = Rig::new();
    let looks = rig.disk.tier.clone();
    let until = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let done = until.clone();
    let looking = std::thread::spawn(move || {
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            looks.compare_now();
        }
    });
    for _ in 0..300 {
        rig.store(&meta("/"), b"x").await;
    }
    until.store(true, std::sync::atomic::Ordering::Relaxed);
    looking.join().unwrap();
    assert_eq!(rig.disk.stats().errors, 0, "{:?}", rig.disk.stats());
}

#[tokio::test]
async fn entries_of_older_versions_are_dropped_and_what_is_not_ours_beside_them_stays() {
    let rig = Rig::new();
    let old = rig.folder.path().join("cache/v0");
    let newer = rig.folder.path().join("cache/v2");
    for version in [&old, &newer] {
        folder(version);
        folder(&version.join("00"));
        std::fs::write(version.join("00/0000000000000001-00000000"), b"old").unwrap();
    }
    std::fs::write(rig.folder.path().join("cache/notes"), b"mine").unwrap();
    let again = rig.again();
    wait_until("the old one is gone", || !old.exists()).await;
    // Both look, and one of them is the one that drops it.
    let old = || again.stats().old + rig.disk.stats().old;
    wait_until("they are counted", || old() == 1 && again.stats().foreign == 2).await;
    assert!(newer.join("00/0000000000000001-00000000").exists(), "a successor's");
    assert!(rig.folder.path().join("cache/notes").exists());
}

#[tokio::test]
async fn a_file_of_another_version_is_dropped_and_counted() {
    let rig = Rig::new();
    rig.store(&meta("/"), b"x").await;
    let path = rig.path_of(&meta("/"));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] += 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(load(&rig.disk, &key("/")).await.is_none());
    assert!(!path.exists());
    assert_eq!((rig.disk.stats().old, rig.disk.stats().corrupt), (1, 0));
}

#[test]
fn a_directory_that_others_may_write_into_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache");
    for (what, mode) in [("others", 0o707), ("a group", 0o770)] {
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let error = Disk::open(&settings(folder.path(), LIMITS)).unwrap_err();
        assert!(matches!(error, OpenError::Unsafe { .. }), "{what}: {error}");
        assert!(error.to_string().contains("chmod go-w"), "{error}");
    }
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0, "nothing was put into it");
}

#[test]
fn a_link_or_a_file_in_the_place_of_a_directory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    for planted in ["v1", "v1/07"] {
        drop(Disk::open(&settings(folder.path(), LIMITS)).unwrap());
        let path = folder.path().join("cache").join(planted);
        std::fs::remove_dir_all(&path).unwrap();
        symlink(&outside, &path).unwrap();
        let error = Disk::open(&settings(folder.path(), LIMITS)).unwrap_err();
        assert!(error.to_string().contains(planted), "{error}");
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, b"file").unwrap();
        assert!(Disk::open(&settings(folder.path(), LIMITS)).is_err());
        std::fs::remove_file(&path).unwrap();
    }
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn a_directory_without_a_parent_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let error = Disk::open(&settings(&folder.path().join("missing"), LIMITS)).unwrap_err();
    assert!(error.to_string().contains("missing/cache"), "{error}");
}
