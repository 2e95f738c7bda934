//! What is stored on disk: there before the process and after it, and no client's trouble when it fails.

use std::path::Path;

use switchback_integration::{
    Answer, Config, Deadline, Gate, Origin, Proxy, Reply, Response, Step, eventually, get, pattern,
    request, site,
};
use tempfile::TempDir;

const MIB: usize = 1024 * 1024;
/// More than the memory of a zone takes of one body.
const LARGE: usize = 3 * MIB;

/// A site whose cache has its disk in `folder`; `limits` are of the disk.
pub(crate) fn config(origin: &Origin, folder: &TempDir, limits: &str) -> Config {
    let path = folder.path().join("cache");
    site()
        .route(
            "/*",
            "proxy = \"app\"\ncache = \"main\"\nresponse_headers = { set = { x-tier = \"$upstream_cache_tier\" } }",
        )
        .upstream("app", &[origin], "")
        .toml(format_args!(
            "[zones.main]\nmemory = \"8MiB\"\npurge = {{ allow = [\"127.0.0.0/8\"] }}\n\
             disk = {{ path = \"{}\", {limits} }}",
            path.display()
        ))
}

pub(crate) const ROOMY: &str = "size = \"64MiB\", min_free = \"1MiB\"";

/// A proxy that has told its disk that it is there: what it stores from now on outlives it.
pub(crate) fn start(folder: &TempDir, config: &Config) -> Proxy {
    let records = || std::fs::read(folder.path().join("cache/v1/purges")).unwrap_or_default();
    let before = records();
    let proxy = Proxy::start(config);
    eventually("purges are recorded", Deadline::soon(), || (records() != before).then_some(()));
    proxy
}

pub(crate) fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

pub(crate) fn fresh(body: impl Into<Vec<u8>>) -> Reply {
    Reply::ok(body).header("Cache-Control", "max-age=600")
}

/// A large body that may be stored, without word of its length.
fn large(pause: Option<&Gate>) -> Answer {
    let body = pattern(LARGE);
    let (first, rest) = body.split_at(LARGE / 2);
    let chunk =
        |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nETag: \"1\"\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut steps = vec![Step::ReadBody, Step::send(head), Step::Send(chunk(first))];
    steps.extend(pause.map(|gate| Step::Wait(gate.clone())));
    steps.extend([Step::Send(chunk(rest)), Step::send("0\r\n\r\n"), Step::Next]);
    Answer::Script(steps)
}

/// Entries on disk, as the metrics have them.
fn on_disk(proxy: &Proxy) -> u64 {
    metric(proxy, "cache_disk_stored_total")
}

pub(crate) fn metric(proxy: &Proxy, name: &str) -> u64 {
    let text = proxy.control("GET", "/metrics", None).text();
    let line = text.lines().find(|line| !line.starts_with('#') && line.contains(name));
    let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {text}"))
}

pub(crate) fn wait_for_stored(proxy: &Proxy, count: u64) {
    eventually("it is on disk", Deadline::soon(), || (on_disk(proxy) >= count).then_some(()));
}

pub(crate) fn tier(response: &Response) -> Option<&str> {
    response.headers.get("x-tier")
}

#[test]
fn what_was_stored_is_there_after_a_restart_and_what_is_small_in_memory_then() {
    let folder = folder();
    let origin = Origin::start().serve("/small", fresh("small")).serve("/large", large(None));
    let proxy = start(&folder, &config(&origin, &folder, ROOMY));
    proxy.get("/small").expect_status(200).expect_body("small");
    assert!(proxy.get("/large").expect_status(200).body == pattern(LARGE));
    assert_eq!(tier(&proxy.get("/small")), Some("memory"));
    let again = proxy.get("/large");
    assert!(again.body == pattern(LARGE) && tier(&again) == Some("disk"));
    wait_for_stored(&proxy, 2);
    proxy.stop();
    let proxy = start(&folder, &config(&origin, &folder, ROOMY));
    for expected in ["disk", "memory"] {
        let answer = proxy.get("/small");
        answer.expect_status(200).expect_body("small");
        assert_eq!(tier(&answer), Some(expected));
    }
    for _ in 0..2 {
        let answer = proxy.get("/large");
        assert!(answer.body == pattern(LARGE) && tier(&answer) == Some("disk"));
        answer.expect_header("content-length", &LARGE.to_string());
    }
    assert_eq!(origin.heads(), 2);
}

#[test]
fn a_graceful_stop_leaves_nothing_behind_that_was_sent() {
    let folder = folder();
    let origin = Origin::start().serve("/a", fresh("a"));
    let proxy = start(&folder, &config(&origin, &folder, ROOMY));
    proxy.get("/a").expect_body("a");
    proxy.stop();
    let proxy = start(&folder, &config(&origin, &folder, ROOMY));
    proxy.get("/a").expect_status(200).expect_body("a");
    assert_eq!(origin.heads(), 1);
}

#[test]
fn a_killed_process_leaves_what_was_whole_and_nothing_else() {
    let folder = folder();
    let gate = Gate::new();
    let origin = Origin::start().serve("/a", fresh("a")).serve("/large", large(Some(&gate)));
    let mut proxy = start(&folder, &config(&origin, &folder, ROOMY));
    proxy.get("/a").expect_body("a");
    let mut client = proxy.client();
    client.send(get("/large").to_bytes());
    client.response_head().expect_status(200);
    client.read_exactly(LARGE / 2);
    wait_for_stored(&proxy, 1);
    proxy.signal("KILL");
    proxy.wait();
    gate.pass();
    gate.pass();
    let proxy = start(&folder, &config(&origin, &folder, ROOMY));
    proxy.get("/a").expect_status(200).expect_body("a");
    assert_eq!(origin.requests("/a").len(), 1);
    assert!(proxy.get("/large").expect_status(200).body == pattern(LARGE));
    assert_eq!(origin.requests("/large").len(), 2);
}

#[test]
fn parts_of_what_is_on_disk_are_read_from_there() {
    let folder = folder();
    let origin = Origin::start().serve("/large", large(None));
    let proxy = start(&folder, &config(&origin, &folder, ROOMY));
    proxy.get("/large").expect_status(200);
    wait_for_stored(&proxy, 1);
    let body = pattern(LARGE);
    for range in [0..1, 65_530..65_550, 2_000_000..2_700_000, LARGE - 1..LARGE] {
        let asked = format!("bytes={}-{}", range.start, range.end - 1);
        let part = proxy.ask(&get("/large").header("Range", &asked));
        assert!(part.expect_status(206).body == body[range.clone()], "{range:?}");
        assert_eq!(tier(&part), Some("disk"));
    }
    let several = proxy.ask(&get("/large").header("Range", "bytes=0-1,2000000-2000001"));
    several.expect_status(206);
    assert_eq!(origin.heads(), 1);
}

#[test]
fn what_was_validated_is_fresh_after_a_restart_too() {
    let folder = folder();
    let first = Reply::ok("a").header("Cache-Control", "max-age=0").header("ETag", "\"1\"");
    let origin = Origin::start().serve("/a", first);
    let proxy = start(&folder, &config(&origin, &folder, ROOMY));
    proxy.get("/a").expect_body("a");
    wait_for_stored(&proxy, 1);
    let written = metric(&proxy, "cache_disk_written_bytes_total");
    let good = Reply::ok("").status(304).header("ETag", "\"1\"");
    origin.now_serve("/a", good.header("Cache-Control", "max-age=600").header("X-New", "1"));
    proxy.get("/a").expect_status(200).expect_body("a");
    eventually("the head is on disk", Deadline::soon(), || {
        (metric(&proxy, "cache_disk_written_bytes_total") > written).then_some(())
    });
    proxy.stop();
    let proxy = start(&folder, &config(&origin, &folder, ROOMY));
    let answer = proxy.get("/a");
    answer.expect_status(200).expect_body("a").expect_header("x-new", "1");
    assert_eq!((tier(&answer), origin.heads()), (Some("disk"), 2));
}

#[test]
fn a_disk_that_is_taken_away_is_nobodys_error() {
    let folder = folder();
    let origin = Origin::start()
        .serve("/a", fresh("a"))
        .serve("/b", fresh("b"))
        .serve("/large", large(None));
    let proxy = start(&folder, &config(&origin, &folder, ROOMY));
    proxy.get("/a").expect_body("a");
    wait_for_stored(&proxy, 1);
    let path = folder.path().join("cache");
    std::fs::remove_dir_all(&path).expect("it was there");
    std::fs::write(&path, "no folder").expect("a file in its place");
    for _ in 0..3 {
        proxy.get("/a").expect_status(200).expect_body("a");
        proxy.get("/b").expect_status(200).expect_body("b");
        assert!(proxy.get("/large").expect_status(200).body == pattern(LARGE));
        proxy.ask(&request("PURGE", "/nothing"));
    }
}

#[test]
fn files_that_vanish_or_rot_are_fetched_again() {
    let folder = folder();
    let origin = Origin::start().serve("/large", large(None));
    let proxy = start(&folder, &config(&origin, &folder, ROOMY));
    proxy.get("/large").expect_status(200);
    wait_for_stored(&proxy, 1);
    each_entry(&folder.path().join("cache/v1"), &|file| std::fs::remove_file(file));
    assert!(proxy.get("/large").expect_status(200).body == pattern(LARGE));
    assert_eq!(origin.heads(), 2);
    wait_for_stored(&proxy, 2);
    each_entry(&folder.path().join("cache/v1"), &|file| std::fs::write(file, "rotten"));
    assert!(proxy.get("/large").expect_status(200).body == pattern(LARGE));
    assert_eq!(origin.heads(), 3);
}

fn each_entry(folder: &Path, what: &dyn Fn(&Path) -> std::io::Result<()>) {
    for shard in std::fs::read_dir(folder).expect("a folder").flatten() {
        let Ok(entries) = std::fs::read_dir(shard.path()) else { continue };
        for entry in entries.flatten() {
            what(&entry.path()).expect("it can be done");
        }
    }
}

#[test]
fn a_disk_that_is_too_small_or_full_is_nobodys_error() {
    for limits in
        ["size = \"1MiB\", min_free = \"1MiB\"", "size = \"64MiB\", min_free = \"1000TiB\""]
    {
        let folder = folder();
        let origin = Origin::start().serve("/a", fresh("a")).serve("/large", large(None));
        let proxy = start(&folder, &config(&origin, &folder, limits));
        for _ in 0..3 {
            proxy.get("/a").expect_status(200).expect_body("a");
            assert!(proxy.get("/large").expect_status(200).body == pattern(LARGE));
        }
        assert_eq!((origin.requests("/a").len(), origin.requests("/large").len()), (1, 3));
    }
}

#[test]
fn a_reload_with_other_sizes_holds_at_once() {
    let folder = folder();
    let origin = Origin::start().serve("/large", large(None)).serve("/a", fresh("a"));
    let proxy = start(&folder, &config(&origin, &folder, ROOMY));
    proxy.get("/large").expect_status(200);
    proxy.get("/a").expect_status(200);
    wait_for_stored(&proxy, 2);
    proxy.reload(&config(&origin, &folder, "size = \"1MiB\", min_free = \"1MiB\""));
    eventually("what no longer fits goes", Deadline::soon(), || {
        (metric(&proxy, "cache_disk_bytes") <= 1024 * 1024).then_some(())
    });
    assert!(proxy.get("/large").expect_status(200).body == pattern(LARGE));
    assert_eq!(origin.requests("/large").len(), 2);
    proxy.reload(&config(&origin, &folder, ROOMY));
    // It was marked as not to be had by others for a while.
    proxy.get("/a").expect_status(200).expect_body("a");
    assert_eq!(origin.requests("/a").len(), 1);
}
