//! How long requests wait for the fetch of another, and what becomes of them when that dies.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use switchback_integration::{
    Answer, Choice, Client, Config, Deadline, Gate, Origin, Proxy, Reply, Step, eventually, get,
    site,
};

use crate::workers::wait_for_worker_threads;

/// Every path cached, with these lines beside the zone's name.
fn cached(origin: &Origin, settings: &str) -> Config {
    site()
        .route("/*", format_args!("proxy = \"app\"\ncache = {{ zone = \"main\"{settings} }}"))
        .upstream("app", &[origin], "")
        .toml("[zones.main]")
}

/// The whole of an answer that may be stored.
fn fresh(body: &str) -> Step {
    let length = body.len();
    Step::send(format!(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: {length}\r\n\r\n{body}"
    ))
}

/// Answers the first request for each path when `gate` lets it, and all others at once.
fn first_held(gate: &Gate) -> Answer {
    let (gate, seen) = (gate.clone(), Arc::new(Mutex::new(HashSet::new())));
    Answer::Chosen(Choice::new(move |request| {
        if seen.lock().insert(request.target.clone()) {
            vec![Step::Wait(gate.clone()), fresh("first"), Step::Next]
        } else {
            vec![fresh("second"), Step::Next]
        }
    }))
}

fn asking(proxy: &Proxy, path: &str) -> Client {
    let mut client = proxy.client();
    client.send(get(path).to_bytes());
    client
}

#[test]
fn whoever_has_waited_long_enough_fetches_by_itself() {
    let gate = Gate::new();
    let origin = Origin::start().serve("*", first_held(&gate));
    let proxy = Proxy::start(&cached(&origin, ", lock = { wait = \"300ms\", age = \"60s\" }"));
    let mut leader = asking(&proxy, "/a");
    origin.wait_for_heads(1);
    for fetched in [2, 3] {
        let began = Instant::now();
        proxy.get("/a").expect_status(200).expect_body("second");
        assert!(began.elapsed() >= Duration::from_millis(300), "it has not waited");
        // What it has fetched is its own: the next one waits as long.
        assert_eq!(origin.heads(), fetched);
    }
    gate.pass();
    leader.response().expect_status(200).expect_body("first");
    proxy.get("/a").expect_body("first");
    assert_eq!(origin.heads(), 3);
}

#[test]
fn a_fetch_that_is_too_old_holds_nobody_back() {
    const AGE: Duration = Duration::from_millis(100);
    let gate = Gate::new();
    let origin = Origin::start().serve("*", first_held(&gate));
    let lock = format!(", lock = {{ wait = \"1h\", age = \"{}ms\" }}", AGE.as_millis());
    let proxy = Proxy::start(&cached(&origin, &lock));
    let mut leader = asking(&proxy, "/a");
    origin.wait_for_heads(1);
    let asked = Instant::now();
    eventually("it is too old", Deadline::soon(), || (asked.elapsed() > AGE).then_some(()));
    proxy.get("/a").expect_status(200).expect_body("second");
    // That one was stored, as long as the old one is still on its way.
    proxy.get("/a").expect_status(200).expect_body("second");
    assert_eq!(origin.heads(), 2);
    gate.pass();
    leader.response().expect_status(200).expect_body("first");
}

#[test]
fn without_a_lock_each_fetches() {
    let gate = Gate::new();
    let steps = [Step::ReadBody, Step::Wait(gate.clone()), fresh("x"), Step::Next];
    let origin = Origin::start().serve("*", steps);
    let proxy = Proxy::start(&cached(&origin, ", lock = \"off\""));
    let mut clients: Vec<_> = (0..5).map(|_| asking(&proxy, "/a")).collect();
    origin.wait_for_heads(5);
    clients.iter().for_each(|_| gate.pass());
    for client in &mut clients {
        client.response().expect_status(200).expect_body("x");
    }
    proxy.get("/a").expect_body("x");
    assert_eq!(origin.heads(), 5);
}

#[test]
fn of_those_who_wait_for_what_comes_to_nothing_one_fetches_once_more() {
    let gate = Gate::new();
    let stale = Reply::ok("old").header("Cache-Control", "max-age=0").header("ETag", "\"1\"");
    let origin = Origin::start().serve("/a", stale);
    let proxy = Proxy::start(&cached(&origin, ", lock = { wait = \"60s\", age = \"60s\" }"));
    proxy.get("/a").expect_body("old");
    let held = gate.clone();
    let of_another = "HTTP/1.1 304 Not Modified\r\nETag: \"2\"\r\n\r\n";
    let answer = Choice::new(move |request| match request.headers.get("if-none-match") {
        Some(_) => vec![Step::Wait(held.clone()), Step::send(of_another), Step::Next],
        None => vec![fresh("new"), Step::Next],
    });
    origin.now_serve("/a", Answer::Chosen(answer));
    let mut clients: Vec<_> = (0..50).map(|_| asking(&proxy, "/a")).collect();
    origin.wait_for_requests("/a", 2);
    for client in &mut clients {
        client.wait_until_read();
    }
    // One that has been read and comes to wait too late validates for itself.
    (0..50).for_each(|_| gate.pass());
    for client in &mut clients {
        client.response().expect_status(200).expect_body("new");
    }
    let asked = origin.requests("/a");
    let whole = asked.iter().filter(|asked| asked.headers.get("if-none-match").is_none());
    assert_eq!(whole.count(), 2, "the first, and one for all");
}

/// What becomes of fetches when their worker is dropped while they run.
struct Dropped {
    origin: Origin,
    proxy: Proxy,
    gate: Gate,
}

impl Dropped {
    const PAGES: usize = 16;

    fn config(origin: &Origin, workers: usize) -> Config {
        cached(origin, ", lock = { wait = \"60s\", age = \"60s\" }")
            .top(format!("workers = {workers}"))
            .top("shutdown_timeout = \"1ms\"")
    }

    fn start() -> Self {
        let gate = Gate::new();
        let origin = Origin::start().serve("*", first_held(&gate));
        let proxy = Proxy::start(&Self::config(&origin, 1));
        Self { origin, proxy, gate }
    }

    fn workers(&self, count: usize) {
        self.proxy.reload(&Self::config(&self.origin, count)).expect_accepted();
        wait_for_worker_threads(&self.proxy, count);
    }

    /// Has one worker of two end while fetches run on both. How many fetches ended with it: each was begun once more, by one
    /// who waited for it on the other worker.
    fn round(&self, number: usize) -> usize {
        let pages: Vec<_> = (0..Self::PAGES).map(|page| format!("/{number}/{page}")).collect();
        // All on the worker that stays, two for each page.
        let mut waiting: Vec<_> =
            pages.iter().map(|_| [(); 2].map(|()| self.proxy.client())).collect();
        for client in waiting.iter_mut().flatten() {
            client.send(get(&format!("/{number}")).to_bytes());
        }
        self.gate.pass();
        for client in waiting.iter_mut().flatten() {
            client.response().expect_status(200).expect_body("first");
        }
        self.workers(2);
        let before = self.origin.heads();
        let mut first: Vec<_> = pages.iter().map(|page| asking(&self.proxy, page)).collect();
        self.origin.wait_for_heads(before + Self::PAGES);
        for (clients, page) in waiting.iter_mut().zip(&pages) {
            for client in clients {
                client.send(get(page).to_bytes()).wait_until_read();
            }
        }
        self.workers(1);
        pages.iter().for_each(|_| self.gate.pass());
        let mut cut = 0;
        for ((first, waiting), page) in first.iter_mut().zip(&mut waiting).zip(&pages) {
            let is_cut = first.try_response_to("GET").is_err();
            let (body, fetches) = if is_cut { ("second", 2) } else { ("first", 1) };
            for client in waiting {
                client.response().expect_status(200).expect_body(body);
            }
            assert_eq!(self.origin.requests(page).len(), fetches, "{page}");
            cut += usize::from(is_cut);
        }
        cut
    }
}

#[test]
fn a_fetch_that_ends_with_its_worker_is_begun_once_more_by_one_who_waits() {
    let dropped = Dropped::start();
    // The kernel may give the worker that goes nothing to do.
    let cut = (0..10).map(|number| dropped.round(number)).find(|cut| *cut > 0);
    assert!(cut.is_some());
}
