//! The files that both proxies serve, every one with the same time of its last change.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::certs::Identity;
use crate::message::pattern;

/// When every file was changed last.
pub(super) const CHANGED: u64 = 1_700_000_000;
/// [`CHANGED`] as HTTP writes it.
pub(super) const CHANGED_TEXT: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
/// A second earlier.
pub(super) const EARLIER: &str = "Tue, 14 Nov 2023 22:13:19 GMT";
/// A second later.
pub(super) const LATER: &str = "Tue, 14 Nov 2023 22:13:21 GMT";
/// Years later.
pub(super) const MUCH_LATER: &str = "Wed, 01 Jan 2025 00:00:00 GMT";

/// A folder that stands for `/srv`, and for what else the configurations name.
pub(super) struct Tree {
    folder: TempDir,
}

/// The text of most files: long enough for ranges, and different for every one.
fn text_of(path: &str) -> Vec<u8> {
    let line = format!("This is line 0123456789 of {path}.\n");
    line.repeat(20).into_bytes()
}

/// Text files of this site by their path below `/srv`.
const TEXTS: &[&str] = &[
    "www/index.html",
    "www/404.html",
    "www/about.html",
    "www/style.css",
    "www/feed.xml",
    "www/robots.txt",
    "www/data.json",
    "www/image.svg",
    "www/page.shtml",
    "www/note.md",
    "www/module.mjs",
    "www/code.wasm",
    "www/table.csv",
    "www/web.webmanifest",
    "www/noext",
    "www/UPPER.HTML",
    "www/strange.xyz",
    "www/dot.",
    "www/space name.txt",
    "www/plus+plus.txt",
    "www/semi;colon.txt",
    "www/quote'\".txt",
    "www/100%.txt",
    "www/question?.txt",
    "www/ünicode.txt",
    "www/.hidden",
    "www/.git/config",
    "www/.well-known/security.txt",
    "www/.well-known/acme-challenge/token",
    "www/docs/index.html",
    "www/docs/guide.html",
    "www/docs/.secret",
    "www/docs/deep/er/page.html",
    "www/assets/app.3f2a.js",
    "www/assets/site.css",
    "www/images/logo.svg",
    "www/errors/404.html",
    "www/errors/50x.html",
    "www/errors/maintenance.html",
    "www/secret/plan.html",
    "www/with space/page.html",
    "app/index.html",
    "app/favicon.ico",
    "app/service-worker.js",
    "app/assets/main.81c4.js",
    "app/assets/logo.svg",
    "app/logo.svg",
    "app/deep/page.html",
    "app/robots.txt",
    "uploads/one.txt",
    "uploads/folder/two.txt",
    "downloads/readme.txt",
    "downloads/files/a.txt",
    "downloads/files/b & c.txt",
    "downloads/files/d<e>.txt",
    "downloads/files/ünicode.txt",
    "downloads/files/a-name-that-is-longer-than-the-fifty-columns-of-a-listing.txt",
    "downloads/files/sub/inner.txt",
    "downloads/packed/script.js",
    "downloads/packed/plain.css",
    "downloads/api/one.txt",
    "downloads/api/two \"quoted\".txt",
    "downloads/attached/page.html",
    "downloads/text/server.log",
    "downloads/text/page.html",
    "tenants/acme.sites.example/index.html",
    "tenants/acme.sites.example/only-acme.html",
    "tenants/globex.sites.example/index.html",
    "tenants/shop/index.html",
    "tenants/themes/plain/style.css",
    "tenants/themes/red/style.css",
    "tenants/themes/blue/style.css",
    "tenants/themes/green/style.css",
];

/// Folders with nothing in them.
const EMPTY: &[&str] = &["www/empty", "downloads/files/nothing", "downloads/api/sub"];

impl Tree {
    /// Everything in place.
    pub(super) fn new() -> Self {
        let tree = Self { folder: TempDir::new().expect("a temporary folder") };
        for path in TEXTS {
            tree.write(path, &text_of(path));
        }
        tree.write("www/empty.txt", b"");
        tree.write("www/one-byte.txt", b"x");
        tree.write("www/large.bin", &pattern(300_000));
        tree.write("www/archive.tar.gz", &pattern(1000));
        tree.write("www/image.png", &pattern(777));
        tree.write("downloads/big.iso", &pattern(2_000_000));
        // Not what their names say: nobody unpacks them here.
        tree.write("downloads/packed/script.js.gz", &pattern(333));
        tree.write("downloads/packed/alone.js.gz", &pattern(222));
        for path in EMPTY {
            fs::create_dir_all(tree.srv().join(path)).expect("a temporary folder takes folders");
        }
        symlink("about.html", tree.srv().join("www/link.html")).expect("a folder takes links");
        symlink("../uploads", tree.srv().join("www/outside")).expect("a folder takes links");
        tree.write_etc();
        age(tree.folder.path());
        tree
    }

    fn write_etc(&self) {
        let etc = self.etc();
        fs::create_dir_all(&etc).expect("a temporary folder takes folders");
        let identity = Identity::self_signed(&["example.org", "www.example.org"]);
        let files = [
            ("site.pem", identity.certificate_pem().to_owned()),
            ("site.key", identity.key_pem()),
            ("reports.htpasswd", "ann:{PLAIN}secret\n".to_owned()),
        ];
        for (name, text) in files {
            fs::write(etc.join(name), text).expect("a temporary folder takes files");
        }
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.srv().join(path);
        let parent = path.parent().expect("a file lies in a folder");
        fs::create_dir_all(parent).expect("a temporary folder takes folders");
        fs::write(path, content).expect("a temporary folder takes files");
    }

    /// What stands for `/srv`.
    pub(super) fn srv(&self) -> PathBuf {
        self.folder.path().join("srv")
    }

    /// Where certificates and passwords are.
    pub(super) fn etc(&self) -> PathBuf {
        self.folder.path().join("etc")
    }

    /// The tag that nginx gives a file: its time and its size.
    pub(super) fn etag(size: usize) -> String {
        format!("\"{CHANGED:x}-{size:x}\"")
    }
}

/// The size of a text file.
pub(super) fn size_of(path: &str) -> usize {
    text_of(path).len()
}

/// Gives everything below `folder` its time, and lets everybody read it: nginx's workers are somebody else.
fn age(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder that was made here").flatten() {
        let kind = entry.file_type().expect("an entry has a type");
        if kind.is_dir() {
            age(&entry.path());
        } else if kind.is_file() {
            touch(&entry.path());
        }
    }
    fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("a folder of our own");
    touch(folder);
}

fn touch(path: &Path) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(CHANGED);
    let touched = File::open(path).and_then(|file| file.set_modified(time));
    touched.unwrap_or_else(|error| panic!("no time for {}: {error}", path.display()));
}
