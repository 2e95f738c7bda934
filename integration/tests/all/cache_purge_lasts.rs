//! What was purged stays purged: in memory, on disk, after a restart, and after a kill.

use switchback_integration::{Origin, Proxy, get, post};
use tempfile::TempDir;

use crate::cache_disk::{ROOMY, config, folder, fresh, start, wait_for_stored};

/// A page, and by what it is purged, and none of the others.
struct Page {
    host: &'static str,
    path: &'static str,
    by: By,
}

enum By {
    /// What is said at the command line.
    Command(&'static [&'static str]),
    /// A request to it with an unsafe method.
    Request,
    /// What that makes invalid beside.
    Answer,
    Nothing,
}

const fn page(path: &'static str, by: By) -> Page {
    Page { host: "localhost", path, by }
}

/// Pages of one origin and one more, each the only one of its tag or group.
const PAGES: [Page; 8] = [
    page("/url", By::Command(&["http://localhost/url"])),
    page("/in/it", By::Command(&["--prefix", "http://localhost/in/"])),
    Page { host: "b.example", path: "/host", by: By::Command(&["--host", "b.example"]) },
    page("/tag", By::Command(&["--tag", "red"])),
    page("/soft", By::Command(&["--soft", "--tag", "blue"])),
    page("/group", By::Command(&["--group", "http://localhost", "one"])),
    page("/sent", By::Request),
    page("/joined", By::Answer),
];

/// What none of them bears on.
const OTHER: Page = page("/other", By::Nothing);

/// How a process ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Stopped,
    Killed,
}

struct Rig {
    folder: TempDir,
    origin: Origin,
    end: End,
}

impl Rig {
    fn new(end: End) -> Self {
        let origin = Origin::start()
            .serve("*", fresh("x"))
            .serve("/tag", fresh("x").header("xkey", "red"))
            .serve("/soft", fresh("x").header("xkey", "blue"))
            .serve("/group", fresh("x").header("Cache-Groups", "\"one\""))
            .serve("/sent", fresh("x").header("Cache-Group-Invalidation", "\"two\""))
            .serve("/joined", fresh("x").header("Cache-Groups", "\"two\""));
        Self { folder: folder(), origin, end }
    }

    fn start(&self) -> Proxy {
        start(&self.folder, &config(&self.origin, &self.folder, ROOMY))
    }

    fn end(&self, mut proxy: Proxy) {
        if self.end == End::Stopped {
            return proxy.stop();
        }
        proxy.signal("KILL");
        proxy.wait();
    }

    /// How often the origin was asked to send a page, when it was asked for once more.
    fn fetches(&self, proxy: &Proxy, page: &Page) -> usize {
        proxy.ask(&get(page.path).host(page.host)).expect_status(200).expect_body("x");
        let asked = self.origin.requests(page.path);
        asked.iter().filter(|asked| asked.method == "GET").count()
    }

    /// Each page has been fetched so often, the other one once.
    #[track_caller]
    fn expect(&self, proxy: &Proxy, fetches: usize) {
        for page in &PAGES {
            assert_eq!(self.fetches(proxy, page), fetches, "{}", page.path);
        }
        assert_eq!(self.fetches(proxy, &OTHER), 1, "nobody has purged it");
    }

    fn purge_each(proxy: &Proxy) {
        for page in &PAGES {
            match page.by {
                By::Command(arguments) => purge(proxy, arguments),
                By::Request => {
                    let asked = post(page.path, "x").host(page.host);
                    proxy.ask(&asked).expect_status(200);
                }
                By::Answer | By::Nothing => {}
            }
        }
    }
}

fn purge(proxy: &Proxy, arguments: &[&str]) {
    let done = proxy.run(&[&["purge", "--control", "switchback.sock"], arguments].concat());
    assert_eq!(done.code, Some(0), "{arguments:?}: {done:?}");
}

/// Purges by everything that can be purged by, with processes that end so between them.
fn purges_hold(end: End) {
    let rig = Rig::new(end);
    let count = PAGES.len() as u64;
    let proxy = rig.start();
    rig.expect(&proxy, 1);
    wait_for_stored(&proxy, count + 1);
    Rig::purge_each(&proxy);
    rig.end(proxy);

    // What the process before has purged is not on disk, and what is purged now is neither in memory nor there.
    let proxy = rig.start();
    rig.expect(&proxy, 2);
    rig.expect(&proxy, 2);
    wait_for_stored(&proxy, count);
    Rig::purge_each(&proxy);
    rig.expect(&proxy, 3);
    wait_for_stored(&proxy, 2 * count);
    rig.end(proxy);

    // What was fetched after a purge is none of its business.
    let proxy = rig.start();
    rig.expect(&proxy, 3);
    purge(&proxy, &["--all"]);
    rig.end(proxy);
    let proxy = rig.start();
    for page in &PAGES {
        assert_eq!(rig.fetches(&proxy, page), 4, "{}", page.path);
    }
    assert_eq!(rig.fetches(&proxy, &OTHER), 2);
}

#[test]
fn what_was_purged_by_whatever_name_stays_so_after_a_restart() {
    purges_hold(End::Stopped);
}

#[test]
fn what_was_purged_by_whatever_name_stays_so_after_a_kill() {
    purges_hold(End::Killed);
}
