//! What was purged stays purged: in memory, on disk, after a restart, and after a kill.

use switchback_integration::{Origin, Proxy, get, post};
use tempfile::TempDir;

use crate::cache_disk::{ROOMY, config, folder, fresh, start, wait_for_stored};

/// A page, and what is said at the command line to purge it and none of the others.
struct Page {
    host: &'static str,
    path: &'static str,
    purge: &'static [&'static str],
}

/// Pages that share an origin, each the only one of its tag or group.
const PAGES: [Page; 7] = [
    Page { host: "localhost", path: "/url", purge: &["http://localhost/url"] },
    Page { host: "localhost", path: "/in/it", purge: &["--prefix", "http://localhost/in/"] },
    Page { host: "b.example", path: "/host", purge: &["--host", "b.example"] },
    Page { host: "localhost", path: "/tag", purge: &["--tag", "red"] },
    Page { host: "localhost", path: "/soft", purge: &["--soft", "--tag", "blue"] },
    Page { host: "localhost", path: "/group", purge: &["--group", "http://localhost", "one"] },
    // By what is sent to the origin.
    Page { host: "localhost", path: "/sent", purge: &[] },
];

/// What none of them bears on.
const OTHER: Page = Page { host: "localhost", path: "/other", purge: &[] };

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
            .serve("/group", fresh("x").header("Cache-Groups", "\"one\""));
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
            if page.purge.is_empty() {
                proxy.ask(&post(page.path, "x").host(page.host)).expect_status(200);
            } else {
                purge(proxy, page.purge);
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
