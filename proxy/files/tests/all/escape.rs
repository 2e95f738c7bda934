//! Nothing outside the root is ever opened.

use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags};
use switchback_files::{Settings, Symlinks};

use crate::folder::{Folder, Got, ask, write};

fn folder() -> Folder {
    let folder = Folder::new().with("a.txt", "inside").with("dir/b.txt", "inside");
    write(&folder.outside().join("secret"), "outside");
    write(&folder.outside().join("away/b.txt"), "outside");
    folder
}

#[test]
fn no_spelling_leads_upwards() {
    let folder = folder();
    let absolute = folder.outside().join("secret");
    let paths: [&[u8]; 16] = [
        b"/../secret",
        b"../secret",
        b"..//secret",
        b"./../secret",
        b"/dir/../../secret",
        b"dir/./../../secret",
        b"/dir/../a.txt",
        b"/.../../secret",
        b"/..",
        b"/../",
        b"/a.txt\0/../../secret",
        b"\0/../secret",
        b"..\\secret",
        b"%2e%2e/secret",
        b"..%2fsecret",
        absolute.as_os_str().as_encoded_bytes(),
    ];
    for path in paths {
        for hidden in [true, false] {
            let settings = Settings { hidden, ..folder.settings() };
            let got = ask(&settings).get_bytes(path);
            assert_eq!(got, Got::Missing, "{}", path.escape_ascii());
        }
    }
}

#[test]
fn links_that_stay_inside_are_followed_unless_none_is() {
    let folder = folder();
    let root = folder.root();
    for (target, link) in [
        ("a.txt", "link.txt"),
        ("link.txt", "chained.txt"),
        ("../a.txt", "dir/up.txt"),
        ("dir", "linked"),
        ("dir/../dir/../a.txt", "winding.txt"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    let beneath = folder.settings();
    let never = Settings { symlinks: Symlinks::Never, ..folder.settings() };
    for path in ["/link.txt", "/chained.txt", "/dir/up.txt", "/linked/b.txt", "/winding.txt"] {
        assert_eq!(ask(&beneath).get(path).body(), "inside", "{path}");
        assert_eq!(ask(&never).get(path), Got::Forbidden, "{path}");
    }
    assert_eq!(ask(&never).get("/dir/b.txt").body(), "inside");
    assert_eq!(ask(&beneath).get("/linked"), Got::AddSlash("/linked/".into()));
    assert_eq!(ask(&never).get("/linked"), Got::Forbidden);
}

#[test]
fn links_that_lead_outside_are_forbidden() {
    let folder = folder();
    let root = folder.root();
    for (target, link) in [
        (folder.outside().join("secret"), "absolute"),
        (root.join("a.txt"), "absolute-inside"),
        ("../secret".into(), "relative"),
        ("relative".into(), "chained"),
        ("../away".into(), "linked"),
        ("dir/../../secret".into(), "winding"),
        ("../site/a.txt".into(), "out-and-in"),
        ("/proc/self/root/etc/passwd".into(), "magic"),
        ("loop".into(), "loop"),
        ("../away".into(), "dir/index.html"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    for path in [
        "/absolute",
        "/absolute-inside",
        "/relative",
        "/chained",
        "/linked",
        "/linked/",
        "/linked/b.txt",
        "/winding",
        "/out-and-in",
        "/magic",
        "/loop",
        "/dir/",
    ] {
        for symlinks in [Symlinks::Beneath, Symlinks::Never] {
            let settings = Settings { symlinks, ..folder.settings() };
            assert_eq!(ask(&settings).get(path), Got::Forbidden, "{path}");
        }
    }
    symlink("nowhere", root.join("broken")).unwrap();
    assert_eq!(ask(&folder.settings()).get("/broken"), Got::Missing);
}

#[test]
fn a_root_that_is_proc_gives_no_way_out() {
    let folder = folder();
    let settings = Settings { root: "/proc/self".into(), ..folder.settings() };
    for path in ["/root/etc/passwd", "/cwd/Cargo.toml", "/fd/0", "/exe"] {
        assert_eq!(ask(&settings).get(path), Got::Forbidden, "{path}");
    }
}

/// Whoever may write beneath the root swaps links, and a directory for a link, as fast as they can.
#[test]
fn links_swapped_during_requests_never_lead_outside() {
    let folder = folder();
    let root = folder.root();
    symlink("../secret", root.join("swapped")).unwrap();
    symlink("dir/../a.txt", root.join("other")).unwrap();
    symlink("../away", root.join("away")).unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let swap = |one: &str, other: &str| {
                let (one, other) = (root.join(one), root.join(other));
                rustix::fs::renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
            };
            while !is_done.load(Ordering::Relaxed) {
                swap("swapped", "other");
                swap("dir", "away");
            }
        });
        let settings = folder.settings();
        let (mut rounds, mut inside, mut refused) = (0, 0, 0);
        let mut wrong = Vec::new();
        while wrong.is_empty() && (rounds < 5000 || inside == 0 || refused == 0) {
            rounds += 1;
            for path in ["/swapped", "/dir/b.txt", "/away/b.txt"] {
                match ask(&settings).get(path) {
                    Got::Answer(reply) if reply.body == "inside" => inside += 1,
                    // So much was renamed that the kernel did not come to an end: refused all the same.
                    Got::Forbidden | Got::Missing | Got::Failed(_) => refused += 1,
                    other => wrong.push(other),
                }
            }
        }
        // Before anything can fail: whoever swaps ends with this.
        is_done.store(true, Ordering::Relaxed);
        assert_eq!(wrong, []);
    });
}
