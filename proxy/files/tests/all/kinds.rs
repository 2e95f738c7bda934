//! What is no regular file, and what may not be read.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, FileType, Mode, makedev};
use rustix::thread::{CapabilitySet, CapabilitySets};
use switchback_files::{Autoindex, Candidate, Kind, Settings};

use crate::folder::{Folder, Got, ask};

/// Fails by never ending where an open waits for the other end.
#[test]
fn neither_fifo_nor_socket_is_a_file_or_waited_for() {
    let folder = Folder::new().with("a.txt", "a");
    let root = folder.root();
    rustix::fs::mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _listener = UnixListener::bind(root.join("socket")).unwrap();
    for path in ["/fifo", "/socket"] {
        assert_eq!(ask(&folder.settings()).get(path), Got::Missing, "{path}");
        let candidates = [path, "/a.txt"].map(|path| Candidate::new(path.as_bytes(), Kind::File));
        assert_eq!(ask(&folder.settings()).try_each(path.as_bytes(), candidates).body(), "a");
    }
}

#[test]
fn a_device_is_no_file() {
    let folder = Folder::new();
    let zero = folder.root().join("zero");
    let made =
        rustix::fs::mknodat(CWD, &zero, FileType::CharacterDevice, Mode::RWXU, makedev(1, 5));
    match made {
        Ok(()) => assert_eq!(ask(&folder.settings()).get("/zero"), Got::Missing),
        // Only root may make one; the directory of devices has one ready.
        Err(error) => {
            let _ =
                writeln!(std::io::stderr(), "no device made here ({error}): asking for /dev/zero");
        }
    }
    let settings = Settings { root: "/dev".into(), ..folder.settings() };
    assert_eq!(ask(&settings).get("/zero"), Got::Missing);
    assert_eq!(ask(&settings).get("/null"), Got::Missing);
}

#[test]
fn what_may_not_be_read_is_forbidden() {
    let folder = Folder::new()
        .with("locked.txt", "x")
        .with("passage/index.html", "index")
        .with("passage/a.txt", "a")
        .with("closed/a.txt", "a");
    let lock = |path: &str, mode| {
        fs::set_permissions(folder.root().join(path), Permissions::from_mode(mode)).unwrap();
    };
    lock("locked.txt", 0o000);
    lock("passage", 0o311);
    lock("closed", 0o000);
    obey_permissions();
    let settings = Settings { autoindex: Some(Autoindex::Html), ..folder.settings() };
    assert_eq!(ask(&settings).get("/locked.txt"), Got::Forbidden);
    assert_eq!(ask(&settings).get("/closed/a.txt"), Got::Forbidden);
    assert_eq!(ask(&settings).get("/closed/"), Got::Forbidden);
    // To be passed through, but not to be read.
    assert_eq!(ask(&settings).get("/passage"), Got::AddSlash("/passage/".into()));
    assert_eq!(ask(&settings).get("/passage/").body(), "index");
    assert_eq!(ask(&settings).get("/passage/a.txt").body(), "a");
    let unlisted = Settings { index: [].into(), ..settings };
    assert_eq!(ask(&unlisted).get("/passage/"), Got::Forbidden);
    lock("closed", 0o700);
    lock("passage", 0o700);
}

/// Takes from this thread, and so from this test alone, what lets root read everything.
fn obey_permissions() {
    let own = rustix::thread::capabilities(None).unwrap();
    let all = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
    let effective = own.effective - all;
    rustix::thread::set_capabilities(None, CapabilitySets { effective, ..own }).unwrap();
}

#[test]
fn hidden_names_are_missing_unless_shown() {
    let folder = Folder::new()
        .with(".env", "secret")
        .with(".git/config", "secret")
        .with("a/.htpasswd", "secret")
        .with(".well-known/security.txt", "contact");
    let hiding = folder.settings();
    let showing = Settings { hidden: true, ..folder.settings() };
    for path in ["/.env", "/.git/config", "/a/.htpasswd", "/.git", "/.git/"] {
        assert_eq!(ask(&hiding).get(path), Got::Missing, "{path}");
        assert_ne!(ask(&showing).get(path), Got::Missing, "{path}");
    }
    assert_eq!(ask(&hiding).get("/.well-known/security.txt").body(), "contact");
}

#[test]
fn a_root_that_is_no_directory_holds_nothing() {
    let folder = Folder::new().with("a.txt", "a");
    for root in [folder.root().join("none"), folder.root().join("a.txt")] {
        let settings = Settings { root: root.into(), ..folder.settings() };
        assert_eq!(ask(&settings).get("/"), Got::Missing);
    }
}
