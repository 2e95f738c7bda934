//! Bodies that are too large for memory as they arrive, and more of them than memory has room for.

use switchback_integration::{
    Answer, Client, Config, Deadline, Gate, H2Client, H2Origin, H2Request, Origin, Proxy, Reply,
    Step, eventually, get, pattern, request, site,
};
use tempfile::TempDir;

const MIB: usize = 1024 * 1024;
/// More than the memory of a zone takes of one body.
const LARGE: usize = 3 * MIB;

/// A site whose cache has 8 MiB of memory: 1 MiB for one body, and 2 MiB for all that arrive.
fn config(origin: &Origin, disk: &str) -> Config {
    site().route("/*", "proxy = \"app\"\ncache = \"main\"").upstream("app", &[origin], "").toml(
        format_args!(
            "[zones.main]\nmemory = \"8MiB\"\npurge = {{ allow = [\"127.0.0.0/8\"] }}\n{disk}"
        ),
    )
}

fn on_disk(origin: &Origin, folder: &TempDir, size: &str) -> Config {
    let path = folder.path().join("cache");
    let path = path.display();
    config(
        origin,
        &format!("disk = {{ path = \"{path}\", size = \"{size}\", min_free = \"1MiB\" }}"),
    )
}

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

/// A body that may be stored: half of it, and the rest when the gate opens.
fn halves(body: &[u8], gate: &Gate) -> Answer {
    let (first, rest) = body.split_at(body.len() / 2);
    let head = format!(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nETag: \"1\"\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Answer::Script(vec![
        Step::ReadBody,
        Step::send(head),
        Step::Send(first.to_vec()),
        Step::Wait(gate.clone()),
        Step::Send(rest.to_vec()),
        Step::Next,
    ])
}

fn fresh(body: impl Into<Vec<u8>>) -> Reply {
    Reply::ok(body).header("Cache-Control", "max-age=600")
}

/// A client that has asked for this.
fn asks(proxy: &Proxy, path: &str) -> Client {
    let mut client = proxy.client();
    client.send(get(path).to_bytes());
    client
}

/// The same, once the head is there.
fn gets(proxy: &Proxy, path: &str) -> Client {
    let mut client = asks(proxy, path);
    client.response_head().expect_status(200);
    client
}

fn metric(proxy: &Proxy, name: &str) -> usize {
    let text = proxy.control("GET", "/metrics", None).text();
    let line = text.lines().find(|line| !line.starts_with('#') && line.contains(name));
    let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in {text}"))
}

#[test]
fn whoever_comes_while_a_large_body_arrives_reads_what_has_come_of_it() {
    let (folder, gate, body) = (folder(), Gate::new(), pattern(LARGE));
    let origin = Origin::start().serve("/large", halves(&body, &gate));
    let proxy = Proxy::start(&on_disk(&origin, &folder, "64MiB"));
    let mut clients: Vec<_> = (0..5).map(|_| gets(&proxy, "/large")).collect();
    for client in &mut clients {
        assert!(client.read_exactly(LARGE / 2) == body[..LARGE / 2]);
    }
    let mut part = proxy.client();
    part.send(get("/large").header("Range", "bytes=1000000-2999999").to_bytes());
    part.response_head().expect_status(206);
    assert!(part.read_exactly(500_000) == body[1_000_000..1_500_000]);
    gate.pass();
    for client in &mut clients {
        assert!(client.read_exactly(LARGE / 2) == body[LARGE / 2..]);
    }
    assert!(part.read_exactly(1_500_000) == body[1_500_000..3_000_000]);
    assert!(proxy.get("/large").body == body);
    assert_eq!(origin.heads(), 1);
}

#[test]
fn a_slow_client_holds_back_neither_the_disk_nor_who_reads_with_it() {
    const LENGTH: usize = 48 * MIB;
    let (folder, body) = (folder(), pattern(LENGTH));
    let origin = Origin::start().serve("/big", fresh(body.clone()));
    let proxy = Proxy::start(&on_disk(&origin, &folder, "256MiB"));
    let before = proxy.stats().resident_kib;
    let mut slow = asks(&proxy, "/big");
    origin.wait_for_heads(1);
    assert!(proxy.get("/big").body == body);
    let grown = proxy.stats().resident_kib.saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB more");
    assert!(slow.response().expect_status(200).body == body);
    assert_eq!(origin.heads(), 1);
}

#[test]
fn a_disk_that_is_full_in_the_middle_is_nobodys_error() {
    const LENGTH: usize = 8 * MIB;
    let (folder, gate, body) = (folder(), Gate::new(), pattern(LENGTH));
    let origin = Origin::start().serve("/large", halves(&body, &gate));
    let proxy = Proxy::start(&on_disk(&origin, &folder, "5MiB"));
    let mut clients: Vec<_> = (0..3).map(|_| gets(&proxy, "/large")).collect();
    assert!(clients[0].read_exactly(LENGTH / 2) == body[..LENGTH / 2]);
    gate.pass();
    // The others have read nothing yet, and the disk does not take it to its end.
    std::thread::scope(|threads| {
        for (at, client) in clients.iter_mut().enumerate() {
            let rest = if at == 0 { &body[LENGTH / 2..] } else { &body[..] };
            threads.spawn(move || assert!(client.read_exactly(rest.len()) == rest));
        }
    });
    assert_eq!(origin.heads(), 1);
    gate.pass();
    assert!(proxy.get("/large").body == body);
    assert_eq!(origin.heads(), 2, "it is not stored");
}

#[test]
fn whoever_comes_when_it_is_not_stored_after_all_asks_for_itself() {
    const LENGTH: usize = 8 * MIB;
    let sizes = [("64MiB", "max_object = \"2MiB\"\n"), ("2MiB", "")];
    for (size, limit) in sizes {
        let (folder, gate, body) = (folder(), Gate::new(), pattern(LENGTH));
        let chunk =
            |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        let (first, second) = body.split_at(LENGTH / 2);
        let origin = Origin::start().serve(
            "/large",
            [
                Step::ReadBody,
                Step::send("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nTransfer-Encoding: chunked\r\n\r\n"),
                Step::Send(chunk(first)),
                Step::Wait(gate.clone()),
                Step::Send(chunk(second)),
                Step::send("0\r\n\r\n"),
                Step::Next,
            ],
        );
        let path = folder.path().join("cache");
        let disk = format!(
            "disk = {{ path = \"{}\", size = \"{size}\", min_free = \"1MiB\" }}",
            path.display()
        );
        let proxy = Proxy::start(&config(&origin, &format!("{limit}{disk}")));
        let mut one = gets(&proxy, "/large");
        // Chunks are as the proxy likes them: so much is beyond the limit, whatever they are.
        one.read_exactly(LENGTH / 2);
        let mut other = asks(&proxy, "/large");
        origin.wait_for_heads(2);
        gate.pass();
        gate.pass();
        assert!(other.response().expect_status(200).body == body);
    }
}

#[test]
fn what_is_purged_while_it_arrives_is_for_those_alone_who_came_before() {
    for large in [LARGE, 1000] {
        let (folder, gate) = (folder(), Gate::new());
        let (old, new) = (vec![b'o'; large], vec![b'n'; large]);
        let origin = Origin::start().serve("/large", halves(&old, &gate));
        let proxy = Proxy::start(&on_disk(&origin, &folder, "64MiB"));
        let mut before = gets(&proxy, "/large");
        assert!(before.read_exactly(large / 2) == old[..large / 2]);
        origin.now_serve("/large", fresh(new.clone()));
        proxy.ask(&request("PURGE", "/large")).expect_status(200);
        assert!(proxy.get("/large").body == new);
        gate.pass();
        assert!(before.read_exactly(large / 2) == old[large / 2..]);
        assert!(proxy.get("/large").body == new);
        assert_eq!(origin.heads(), 2);
    }
}

#[test]
fn more_than_memory_takes_of_what_arrives_is_on_disk_instead() {
    let (folder, gate, body) = (folder(), Gate::new(), pattern(MIB));
    let paths = ["/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7"];
    let origin =
        paths.iter().fold(Origin::start(), |origin, path| origin.serve(path, halves(&body, &gate)));
    let proxy = Proxy::start(&on_disk(&origin, &folder, "64MiB"));
    let mut clients = paths.map(|path| [gets(&proxy, path), gets(&proxy, path)]);
    for client in clients.iter_mut().flatten() {
        assert!(client.read_exactly(MIB / 2) == body[..MIB / 2]);
    }
    let claimed = metric(&proxy, "cache_arriving_bytes");
    assert!((MIB..=2 * MIB).contains(&claimed), "{claimed} bytes");
    paths.iter().for_each(|_| gate.pass());
    for client in clients.iter_mut().flatten() {
        assert!(client.read_exactly(MIB / 2) == body[MIB / 2..]);
    }
    eventually("all are on disk", Deadline::soon(), || {
        (metric(&proxy, "cache_disk_stored_total") == paths.len()).then_some(())
    });
    for path in paths {
        assert!(proxy.get(path).body == body);
    }
    assert_eq!(origin.heads(), paths.len());
    wait_for_nothing_claimed(&proxy);
}

#[test]
fn more_than_memory_takes_of_what_arrives_is_sent_and_not_stored() {
    let (gate, body) = (Gate::new(), pattern(MIB));
    let paths = ["/0", "/1", "/2", "/3"];
    let origin = paths
        .iter()
        .fold(Origin::start(), |origin, path| origin.serve(path, halves(&body, &gate)))
        .serve("/small", fresh(pattern(60_000)));
    let proxy = Proxy::start(&config(&origin, ""));
    let mut clients = paths.map(|path| gets(&proxy, path));
    for client in &mut clients {
        assert!(client.read_exactly(MIB / 2) == body[..MIB / 2]);
    }
    let claimed = metric(&proxy, "cache_arriving_bytes");
    assert_eq!(claimed, 2 * MIB);
    for _ in 0..2 {
        assert!(proxy.get("/small").body == pattern(60_000));
    }
    assert_eq!(origin.requests("/small").len(), 1, "what is small is stored all the same");
    paths.iter().for_each(|_| gate.pass());
    for client in &mut clients {
        assert!(client.read_exactly(MIB / 2) == body[MIB / 2..]);
    }
    wait_for_nothing_claimed(&proxy);
    wait_for_stored(&proxy, 1 + 2);
    assert_eq!(metric(&proxy, "cache_stored_total"), 1 + 2, "there was room for two");
    // By now there is room for each.
    for path in paths {
        gate.pass();
        assert!(proxy.get(path).body == body);
    }
    wait_for_stored(&proxy, 1 + 4);
}

fn wait_for_stored(proxy: &Proxy, count: usize) {
    eventually("they are stored", Deadline::soon(), || {
        (metric(proxy, "cache_stored_total") >= count).then_some(())
    });
}

fn wait_for_nothing_claimed(proxy: &Proxy) {
    eventually("all is given back", Deadline::soon(), || {
        (metric(proxy, "cache_arriving_bytes") == 0).then_some(())
    });
}

#[test]
fn what_follows_a_body_reaches_who_reads_it_as_it_arrives_and_nobody_later() {
    let origin = H2Origin::start();
    let cached = "proxy = \"rpc\"\ncache = { zone = \"main\", ttl = { 200 = \"1h\" } }";
    let config = switchback_integration::config()
        .web("h2c = true")
        .site("")
        .route("/*", cached)
        .endpoints("rpc", &[origin.address().to_string()], "protocol = \"h2\"")
        .toml("[zones.main]");
    let proxy = Proxy::start(&config);
    let mut client = H2Client::cleartext(proxy.address("web"));
    let asked = H2Request::new("GET", "/a").header("te", "trailers");
    let first = client.ask(&asked);
    assert_eq!(first.expect_status(200).trailers.get("grpc-status"), Some("0"));
    let again = client.ask(&asked);
    assert!(again.expect_status(200).trailers.0.is_empty(), "{:?}", again.trailers);
    assert_eq!(again.headers.get("content-length"), Some("0"));
    assert_eq!(origin.requests().len(), 1);
    // Nor does what speaks HTTP/1.1 know of them.
    proxy.ask(&get("/b").header("TE", "trailers")).expect_status(200).expect_body("");
}
