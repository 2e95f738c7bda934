//! A cache directory that takes nothing: from the beginning, or from some moment on.

use std::path::PathBuf;
use std::process::Command;

use switchback_integration::{Config, Deadline, Finished, Origin, Proxy, eventually, site};
use tempfile::TempDir;

use crate::cache_disk::{ROOMY, config, folder, fresh, metric, start, tier, wait_for_stored};

/// A folder in a file system of its own, which can be made read-only also for root.
struct Small {
    folder: TempDir,
}

impl Small {
    /// `None`, said loudly, where this user may not have one.
    fn mount() -> Option<Self> {
        let folder = folder();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs"]);
        if mount.arg(folder.path()).status().is_ok_and(|status| status.success()) {
            return Some(Self { folder });
        }
        eprintln!("SKIPPED: an unwritable directory was not played: mounting a tmpfs needs root");
        None
    }

    /// Nothing can be written from now on, or again.
    fn set_writable(&self, is_writable: bool) {
        let how = if is_writable { "remount,rw" } else { "remount,ro" };
        // It is refused while a file is open for writing, which none is for long.
        eventually("the file system is remounted", Deadline::soon(), || {
            let mut mount = Command::new("mount");
            let done = mount.args(["-o", how]).arg(self.folder.path()).output();
            done.is_ok_and(|done| done.status.success()).then_some(())
        });
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

/// Pages that say their names.
fn origin() -> Origin {
    ["a", "b", "c", "d", "e"]
        .iter()
        .fold(Origin::start(), |origin, page| origin.serve(&format!("/{page}"), fresh(*page)))
}

fn purge(proxy: &Proxy, what: &str) -> Finished {
    proxy.run(&["purge", "--control", "switchback.sock", what])
}

/// Each is answered, and from what is stored once it was fetched.
fn expect_cached(proxy: &Proxy, origin: &Origin, page: &str) {
    let before = origin.requests(page).len();
    for _ in 0..3 {
        proxy.get(page).expect_status(200).expect_body(page.trim_start_matches('/'));
    }
    assert!(origin.requests(page).len() <= before + 1, "{page}");
}

#[test]
fn a_directory_that_can_be_read_alone_is_read() {
    let Some(small) = Small::mount() else { return };
    let origin = origin();
    let config = config(&origin, &small.folder, ROOMY);
    let proxy = start(&small.folder, &config);
    proxy.get("/a").expect_body("a");
    wait_for_stored(&proxy, 1);
    proxy.stop();
    small.set_writable(false);

    let proxy = Proxy::start(&config);
    // However often something cannot be written.
    for page in ["/b", "/c", "/d", "/e"] {
        expect_cached(&proxy, &origin, page);
    }
    eventually("it was tried", Deadline::soon(), || {
        (metric(&proxy, "cache_disk_errors_total") > 0).then_some(())
    });
    let stored = proxy.get("/a");
    stored.expect_status(200).expect_body("a");
    assert_eq!((tier(&stored), origin.requests("/a").len()), (Some("disk"), 1));
    // A purge holds, and whoever asked for it is told that it may not for ever.
    let purged = purge(&proxy, "http://localhost/a");
    assert_eq!(purged.code, Some(1), "{purged:?}");
    assert!(purged.stderr.contains("purged, but not for good"), "{purged:?}");
    proxy.get("/a").expect_body("a");
    assert_eq!(origin.requests("/a").len(), 2);
    expect_cached(&proxy, &origin, "/a");
    assert_eq!(origin.requests("/a").len(), 2);
}

#[test]
fn a_directory_that_becomes_unwritable_is_nobodys_error_and_is_used_again_later() {
    let Some(small) = Small::mount() else { return };
    let origin = origin();
    let proxy = start(&small.folder, &config(&origin, &small.folder, ROOMY));
    proxy.get("/a").expect_body("a");
    wait_for_stored(&proxy, 1);
    small.set_writable(false);
    for page in ["/a", "/b"] {
        expect_cached(&proxy, &origin, page);
    }
    assert_eq!((origin.requests("/a").len(), origin.requests("/b").len()), (1, 1));
    assert_eq!(purge(&proxy, "http://localhost/b").code, Some(1));
    expect_cached(&proxy, &origin, "/b");
    assert_eq!(origin.requests("/b").len(), 2);
    small.set_writable(true);
    // After some errors it is left alone for a while.
    eventually("purges are recorded again", Deadline::soon(), || {
        (purge(&proxy, "http://localhost/b").code == Some(0)).then_some(())
    });
    eventually("responses are stored there again", Deadline::soon(), || {
        assert_eq!(purge(&proxy, "http://localhost/b").code, Some(0));
        proxy.get("/b").expect_status(200).expect_body("b");
        (metric(&proxy, "cache_disk_stored_total") >= 2).then_some(())
    });
}

/// A site whose cache has its disk at `path`.
fn at(path: &PathBuf, origin: &Origin) -> Config {
    site()
        .route("/*", "proxy = \"app\"\ncache = \"main\"")
        .upstream("app", &[origin], "")
        .toml(format_args!("[zones.main]\ndisk = {{ path = {path:?}, size = \"64MiB\" }}"))
}

#[test]
fn a_directory_that_cannot_be_made_is_done_without_until_it_can() {
    let folder = folder();
    // A file where its parent should be; and one that nobody can write into, be it root.
    std::fs::write(folder.path().join("file"), "no folder").expect("a temporary folder");
    for path in [folder.path().join("file/cache"), PathBuf::from("/proc/cache")] {
        let origin = origin();
        let proxy = Proxy::start(&at(&path, &origin));
        proxy.wait_for_stderr("is in memory alone");
        expect_cached(&proxy, &origin, "/a");
        assert_eq!(purge(&proxy, "http://localhost/a").code, Some(0));
        expect_cached(&proxy, &origin, "/a");
        assert_eq!(origin.requests("/a").len(), 2);
    }
}
