//! Answers that come to far more than what was sent: they are decoded as their clients take them, on whatever way they pass.

use std::fs;

use switchback_integration::{
    Answer, Client, Config, Deadline, H2Client, H2Origin, H2Request, Origin, Proxy, Step, config,
    eventually, get,
};
use switchback_variant::{Coding, encode_whole};

use crate::encode::{page, text};

const ZEROS: usize = 50_000_000;
/// What it may take of memory, in KiB: windows, what is in flight, and code that had not run before.
const MOST: u64 = 3 * 1024;

pub(crate) fn packed(coding: &str, body: &[u8]) -> Vec<u8> {
    encode_whole(Coding::named(coding.as_bytes()).unwrap(), 1, body, None).unwrap()
}

/// A site whose one route has these lines.
fn decoding(origin: &Origin, lines: &str) -> Config {
    let config =
        config().web("h2c = true").site("").route("/*", format!("{lines}\nencode = \"on\""));
    let config = config.upstream("app", &[origin], "");
    if lines.contains("cache") { config.toml("[zones.main]\nmemory = \"1MiB\"") } else { config }
}

/// Ways by which an answer passes.
const WAYS: [&str; 3] = [
    "proxy = \"app\"",
    "proxy = { upstream = \"app\", buffer_request = true }",
    "proxy = \"app\"\ncache = \"main\"",
];

fn zeros(piece: &[u8]) -> usize {
    piece.iter().filter(|byte| **byte == 0).count()
}

/// How many zeros come over HTTP/1, and whether the end is a proper one.
fn drawn(client: &mut Client) -> (usize, bool) {
    client.send(get("/bomb").to_bytes());
    client.response_head().expect_status(200).expect_no_header("Content-Encoding");
    let (mut came, mut last) = (0, Vec::new());
    while !last.ends_with(b"0\r\n\r\n") {
        let Ok(piece) = client.try_read() else { return (came, false) };
        if piece.is_empty() {
            return (came, false);
        }
        came += zeros(&piece);
        last = [&last[last.len().saturating_sub(5)..], &piece].concat();
    }
    (came, true)
}

fn peak(proxy: &Proxy) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim_end_matches(" kB").trim().parse().unwrap()
}

#[test]
fn a_bomb_comes_whole_and_takes_little_memory_on_every_way() {
    for coding in ["gzip", "br", "zstd"] {
        let bomb = page(packed(coding, &vec![0; ZEROS])).header("Content-Encoding", coding);
        let origin = Origin::start()
            .serve("/bomb", bomb.header("Cache-Control", "max-age=60"))
            .serve("/x", page(packed(coding, &text(300_000))).header("Content-Encoding", coding));
        for way in WAYS {
            let proxy = Proxy::start(&decoding(&origin, way));
            for _ in 0..20 {
                assert!(proxy.get("/x").body == text(300_000), "{coding} {way}");
            }
            let mut h2 = H2Client::cleartext(proxy.address("web"));
            for _ in 0..5 {
                assert!(h2.ask(&H2Request::new("GET", "/x")).body == text(300_000));
            }
            fs::write(format!("/proc/{}/clear_refs", proxy.pid()), "5").unwrap();
            let before = proxy.stats().resident_kib;
            let mut client = proxy.client();
            assert_eq!(drawn(&mut client), (ZEROS, true), "{coding} {way}");
            // The connection goes on.
            assert!(client.ask(&get("/x")).body == text(300_000), "{coding} {way}");
            let mut stream = h2.open(&H2Request::new("GET", "/bomb"));
            stream.end();
            assert_eq!(stream.status(), 200);
            let mut came = 0;
            while let Some(piece) = Some(stream.receive()).filter(|piece| !piece.is_empty()) {
                came += zeros(&piece);
            }
            assert_eq!(came, ZEROS, "{coding} {way} over HTTP/2");
            let took = peak(&proxy).saturating_sub(before);
            assert!(took < MOST, "{coding} {way}: {took} KiB");
        }
    }
}

/// Bytes that no coding makes shorter.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let words = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(length / 8).flatten().collect()
}

#[test]
fn who_reads_slowly_holds_the_origin_back() {
    // More than all kernels on the way take by themselves.
    let body = noise(64_000_000);
    let coded = packed("gzip", &body);
    for way in &WAYS[..2] {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            coded.len()
        );
        let all = [head.as_bytes(), &coded].concat();
        // Counted when it has sent all.
        let steps = vec![Step::Send(all), Step::ReadBody, Step::Next];
        let origin = Origin::start().serve("/x", Answer::Script(steps));
        let proxy = Proxy::start(&decoding(&origin, way));
        let mut client = proxy.client();
        client.send(get("/x").to_bytes());
        origin.wait_for_heads(1);
        for _ in 0..300 {
            proxy.get("/none");
        }
        assert!(origin.requests("/x").is_empty(), "{way}: all of it was taken from the origin");
        let came = client.response();
        assert!(came.body == body, "{way}: {} bytes", came.body.len());
    }
}

#[test]
fn trailers_follow_what_was_decoded() {
    let origin = H2Origin::start();
    let endpoint = origin.address().to_string();
    let lines = "proxy = \"rpc\"\nencode = \"on\"\nresponse_headers = { set = { content-encoding = \"gzip\" } }";
    let config = config().web("h2c = true").site("").route("/*", lines);
    let proxy = Proxy::start(&config.endpoints("rpc", &[endpoint], "protocol = \"h2\""));
    let mut client = H2Client::cleartext(proxy.address("web"));
    // What the origin sends back comes to more than is kept for a client that has not read yet.
    let body = text(2_000_000);
    let coded = packed("gzip", &body);
    let (one, other) = coded.split_at(coded.len() / 2);
    for te in [None, Some("trailers")] {
        let asked = H2Request::new("POST", "/x").frame(one).frame(other);
        let asked = te.iter().fold(asked, |asked, te| asked.header("te", te));
        let answer = client.ask(&asked.trailer("x-checksum", "abc"));
        answer.expect_status(200);
        assert_eq!(answer.headers.get("content-encoding"), None);
        assert!(answer.body == body, "{te:?}: {} bytes", answer.body.len());
        assert_eq!(answer.trailers.get("x-checksum"), te.map(|_| "abc"), "{te:?}");
    }
    // Half of it is no whole, whatever follows.
    let asked = H2Request::new("POST", "/x").frame(one).header("te", "trailers");
    assert!(client.try_ask(&asked.trailer("x-checksum", "abc")).is_err());
}

#[test]
fn what_breaks_on_its_way_has_no_proper_end_anywhere() {
    let coded = packed("gzip", &text(3_000_000));
    let half = page(&coded[..coded.len() / 2]).header("Content-Encoding", "gzip");
    let origin = Origin::start().serve("/x", half);
    for way in WAYS {
        let log = "[[log.access]]\nfile = \"access.log\"\nformat = \"$status $body_bytes_sent\"\n";
        let proxy = Proxy::start(&decoding(&origin, way).toml(log));
        assert!(proxy.client().try_ask(&get("/x")).is_err(), "{way}");
        let mut old = proxy.client();
        old.send("GET /x HTTP/1.0\r\nHost: localhost\r\n\r\n");
        assert!(old.try_response_to("GET").is_err(), "{way} over HTTP/1.0");
        let mut h2 = H2Client::cleartext(proxy.address("web"));
        assert!(h2.try_ask(&H2Request::new("GET", "/x")).is_err(), "{way} over HTTP/2");
        eventually("each is counted", Deadline::soon(), || {
            let metrics = proxy.control("GET", "/metrics", None).text();
            metrics.contains("switchback_encode_failures_total 3\n").then_some(())
        });
        eventually("what was sent is told", Deadline::soon(), || {
            let lines = fs::read_to_string(proxy.folder().join("access.log")).ok()?;
            let sent = |line: &str| line.strip_prefix("200 ")?.parse::<usize>().ok();
            let sent: Vec<usize> = lines.lines().filter_map(sent).collect();
            (sent.len() == 3 && sent.iter().all(|sent| *sent > 1_000_000)).then_some(())
        });
    }
}

#[test]
fn logs_tell_how_much_the_client_was_sent() {
    let body = text(500_000);
    let packed = page(packed("br", &body)).header("Content-Encoding", "br");
    let origin = Origin::start().serve("/x", packed);
    for way in WAYS {
        let log = "[[log.access]]\nfile = \"access.log\"\nformat = \"$body_bytes_sent\"\n";
        let proxy = Proxy::start(&decoding(&origin, way).toml(log));
        assert!(proxy.get("/x").body == body);
        let mut old = proxy.client();
        old.send("GET /x HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n");
        let answer = old.response();
        answer.expect_no_header("Transfer-Encoding").expect_header("Connection", "close");
        assert!(answer.body == body, "{way} over HTTP/1.0");
        let mut h2 = H2Client::cleartext(proxy.address("web"));
        assert!(h2.ask(&H2Request::new("GET", "/x")).body == body);
        eventually("all tell the same", Deadline::soon(), || {
            let lines = fs::read_to_string(proxy.folder().join("access.log")).ok()?;
            (lines == "500000\n".repeat(3)).then_some(())
        });
    }
}
