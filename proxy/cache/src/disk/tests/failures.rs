//! A disk that fails costs what is stored, never a request.

use rustix::process::{Resource, Rlimit};

use super::*;
use crate::disk::health::Action;
use crate::disk::{GivenUp, Updated};

/// A file system of its own; `None`, said loudly, where this user may not have one.
struct Small {
    folder: TempDir,
}

impl Small {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=0700"), "tmpfs"]);
        let mounted = mount.arg(folder.path()).status().is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("SKIPPED: a full disk was not played, because mounting a tmpfs needs root");
            // Nothing to unmount.
            return None;
        }
        Some(Self { folder })
    }
}

impl Small {
    fn make_read_only(&self) {
        let mut mount = std::process::Command::new("mount");
        let mounted = mount.args(["-o", "remount,ro"]).arg(self.folder.path()).status();
        assert!(mounted.unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

#[tokio::test]
async fn a_disk_that_others_filled_is_evicted_from_and_written_again() {
    let Some(small) = Small::mount("2m") else { return };
    let disk = Disk::open(&settings(small.folder.path(), LIMITS)).unwrap();
    let mut stored = 0;
    for number in 0..200 {
        let meta = meta(&format!("/{number}"));
        let Some(mut writer) = disk.writer(meta, None) else { continue };
        if writer.write(body(50_000).into()).await.is_ok() && writer.finish().await.is_ok() {
            stored += 1;
        }
    }
    assert!(stored > 20, "{stored} of 200: {:?}", disk.stats());
    let mut whole = 0;
    for number in 0..200 {
        let meta = meta(&format!("/{number}"));
        if let Some(stored) = load(&disk, &meta.key).await {
            assert_is(&stored, &meta, &body(50_000)).await;
            whole += 1;
        }
    }
    assert!(whole > 0 && disk.stats().corrupt == 0, "{:?}", disk.stats());
}

/// Of this thread's children alone: a limit of the whole process would bear on other tests.
#[test]
fn a_file_size_limit_is_no_error_of_a_request() {
    let name = "disk::tests::failures::under_a_file_size_limit";
    let this = std::env::current_exe().unwrap();
    // What is too large is to be an error and no signal; what is ignored stays so in what is started.
    let mut child = std::process::Command::new("sh");
    child.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(this);
    child.args(["--exact", name, "--ignored", "--nocapture"]);
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
#[ignore = "a part of `a_file_size_limit_is_no_error_of_a_request`, in a process of its own"]
async fn under_a_file_size_limit() {
    let rig = Rig::new();
    rig.store(&meta("/before"), b"before").await;
    let limit = Rlimit { current: Some(100_000), maximum: Some(100_000) };
    rustix::process::setrlimit(Resource::Fsize, limit).unwrap();
    let mut writer = rig.disk.writer(meta("/large"), None).unwrap();
    let _ = writer.write(body(300_000).into()).await;
    assert_eq!(writer.finish().await.unwrap_err(), GivenUp);
    wait_until("nothing is left of it", || rig.files().len() == 1).await;
    let stats = rig.disk.stats();
    assert!(stats.errors > 0 && stats.is_paused, "{stats:?}");
    assert!(load(&rig.disk, &key("/before")).await.is_some(), "a full disk is still read");
}

#[tokio::test]
async fn errors_in_a_row_make_the_tier_rest_and_requests_do_not_notice() {
    let rig = Rig::new();
    for number in 0..10 {
        rig.store(&meta(&format!("/{number}")), b"x").await;
    }
    for _ in 0..3 {
        let broken = std::io::Error::from(rustix::io::Errno::IO);
        assert!(rig.disk.tier.noted::<()>(Action::Read, Err(broken)).is_none());
    }
    assert!(load(&rig.disk, &key("/1")).await.is_none(), "it rests");
    assert!(rig.disk.writer(meta("/new"), None).is_none());
    assert_eq!(rig.disk.update_head(meta("/1").times, meta("/1")).await, Updated::Absent);
    let stats = rig.disk.stats();
    assert!(stats.is_paused && stats.refused >= 2 && stats.errors == 3, "{stats:?}");
    wait_until("it is asked again", || !rig.disk.stats().is_paused).await;
    assert!(load(&rig.disk, &key("/1")).await.is_some());
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_still_read() {
    let Some(small) = Small::mount("2m") else { return };
    let disk = Disk::open(&settings(small.folder.path(), LIMITS)).unwrap();
    store(&disk, &meta("/"), &body(100)).await;
    small.make_read_only();
    let writer = disk.writer(meta("/new"), None).unwrap();
    assert_eq!(writer.finish().await.unwrap_err(), GivenUp);
    let again = Disk::open(&settings(small.folder.path(), LIMITS)).unwrap();
    for disk in [&disk, &again] {
        assert_is(&load(disk, &key("/")).await.unwrap(), &meta("/"), &body(100)).await;
    }
    assert!(disk.stats().last_error.unwrap().contains("Read-only"));
    assert!(disk.remove(&key("/")).await.is_err(), "whoever purges hears of it");
}
