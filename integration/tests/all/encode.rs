//! Answers are encoded as their clients can decode them: which coding, of what, and bytes that programs of other hands decode.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use switchback_integration::{
    Authority, Client, Config, Gate, H2Client, H2Origin, H2Request, Origin, Proxy, Reply, Response,
    Step, Tool, Trust, config, get, pattern, request,
};
use switchback_variant::{Coding, Decoder, Limits, Step as Decoded, encode_whole};

/// A site over HTTP/1 and plain HTTP/2 whose one route has these lines.
fn encoding(origin: &Origin, lines: &str) -> Config {
    let config = config().web("h2c = true").site("");
    let route = format!("proxy = \"app\"\n{lines}");
    config.route("/*", route).upstream("app", &[origin], "")
}

fn on(origin: &Origin) -> Proxy {
    Proxy::start(&encoding(origin, "encode = \"on\""))
}

/// Lines that are like each other, and never the same.
pub(crate) fn text(length: usize) -> Vec<u8> {
    let line =
        |at: usize| format!("line {at} of a text that says {}\n", at.wrapping_mul(7919) % 97);
    let mut text: Vec<u8> = (0..).map(line).flat_map(String::into_bytes).take(length).collect();
    text.truncate(length);
    text
}

pub(crate) fn page(body: impl Into<Vec<u8>>) -> Reply {
    Reply::ok(body).header("Content-Type", "text/html; charset=utf-8")
}

/// Decodes with the program of that coding, which minds how a body ends.
pub(crate) fn decoded(coding: Option<&str>, body: &[u8]) -> Vec<u8> {
    let program = match coding {
        None => return body.to_vec(),
        Some("gzip") => "gzip",
        Some("br") => "brotli",
        Some("zstd") => "zstd",
        Some(other) => panic!("{other} was not asked for"),
    };
    let mut child = Command::new(program)
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("installed by integration/setup.sh");
    let mut stdin = child.stdin.take().unwrap();
    let body = body.to_vec();
    let writing = thread::spawn(move || drop(stdin.write_all(&body)));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success(), "{program} refuses it");
    output.stdout
}

fn coding(response: &Response) -> Option<&str> {
    response.headers.get("content-encoding")
}

/// What clients say, and what they are sent where `zstd`, `br` and `gzip` are offered in this order.
const CLIENTS: [(Option<&str>, Option<&str>); 16] = [
    (None, None),
    (Some(""), None),
    (Some("gzip, deflate, br, zstd"), Some("zstd")),
    (Some("gzip, deflate, br"), Some("br")),
    (Some("gzip"), Some("gzip")),
    (Some("x-gzip"), Some("gzip")),
    (Some("GZIP;Q=0.5"), Some("gzip")),
    (Some("zstd;q=0.5, br;q=0.8, gzip;q=0.9"), Some("gzip")),
    (Some("zstd;q=0, br;q=0, gzip"), Some("gzip")),
    (Some("gzip;q=0"), None),
    (Some("*"), Some("zstd")),
    (Some("*;q=0.1, zstd;q=0"), Some("br")),
    (Some("identity;q=0, gzip;q=0.001"), Some("gzip")),
    (Some("identity, gzip;q=0.5"), None),
    (Some("deflate"), None),
    (Some("br;q=2, gzip;q=x"), None),
];

fn asked(target: &str, accept: Option<&str>) -> switchback_integration::Request {
    let asked = get(target);
    match accept {
        Some(accept) => asked.header("Accept-Encoding", accept),
        None => asked,
    }
}

#[test]
fn every_client_gets_what_it_likes_best_and_the_same_bytes() {
    let body = text(40_000);
    let origin = Origin::start()
        .serve("/length", page(body.clone()))
        .serve("/chunks", page(body.clone()).chunked(1_000))
        .serve("/close", page(body.clone()).until_close());
    let proxy = on(&origin);
    let mut client = proxy.client();
    for (accept, sent) in CLIENTS {
        for target in ["/length", "/chunks", "/close"] {
            let answer = client.ask(&asked(target, accept));
            answer.expect_status(200).expect_header("Vary", "accept-encoding");
            assert_eq!(coding(&answer), sent, "{accept:?}");
            assert_eq!(decoded(sent, &answer.body), body, "{accept:?} {target}");
            let is_told = sent.is_some() && answer.headers.get("content-length").is_some();
            assert!(!is_told, "{accept:?} is told the length of what was");
        }
    }
}

#[test]
fn http2_and_tls_carry_the_same() {
    let authority = Authority::new();
    let identity = authority.identity(&["edge.example"]);
    let body = text(200_000);
    let origin = Origin::start().serve("/x", page(body.clone()));
    let config = config()
        .file("edge.pem", identity.certificate_pem())
        .file("edge.key", identity.key_pem())
        .web("tls = { certificate = \"edge.pem\", key = \"edge.key\" }")
        .site("encode = \"on\"")
        .proxy_to(&origin);
    let proxy = Proxy::start(&config);
    let trust = Trust::Authority(&authority);
    let mut h2 = H2Client::tls(proxy.address("web"), "edge.example", &trust);
    let mut h1 = proxy.tls_client("edge.example", &trust);
    for coding in ["br", "zstd", "gzip"] {
        let answer = h2.ask(&H2Request::new("GET", "/x").header("accept-encoding", coding));
        assert_eq!(answer.headers.get("content-encoding"), Some(coding));
        assert_eq!(answer.headers.get("content-length"), None);
        assert_eq!(decoded(Some(coding), &answer.body), body, "{coding} over HTTP/2");
        let answer = h1.ask(&asked("/x", Some(coding)));
        answer.expect_header("Content-Encoding", coding);
        assert_eq!(decoded(Some(coding), &answer.body), body, "{coding} over TLS");
    }
}

#[test]
fn curl_decodes_what_it_asks_for() {
    let Some(_) = Tool::Curl.command() else { return };
    let body = text(300_000);
    let origin = Origin::start().serve("/x", page(body.clone()).chunked(9_000));
    let proxy = on(&origin);
    let url = format!("http://{}/x", proxy.address("web"));
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        for accept in ["br", "zstd", "gzip", "gzip, deflate, br, zstd"] {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--show-error", "--fail", "--compressed", version, &url]);
            let output = curl.args(["-H", &format!("Accept-Encoding: {accept}")]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && output.stdout == body, "{version} {accept}: {said}");
        }
    }
}

#[test]
fn sizes_and_pieces_of_all_kinds_come_out_as_they_went_in() {
    for length in [256, 16_384, 65_536, 65_537, 1_000_000] {
        for body in [text(length), pattern(length)] {
            for chunk in [7_000, 65_536] {
                let origin = Origin::start().serve("/x", page(body.clone()).chunked(chunk));
                let proxy = on(&origin);
                for coding in ["br", "zstd", "gzip"] {
                    let answer = proxy.ask(&asked("/x", Some(coding)));
                    answer.expect_header("Content-Encoding", coding);
                    let out = decoded(Some(coding), &answer.body);
                    assert!(out == body, "{length} bytes in {chunk} in {coding}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_worth_it_or_must_not_change_stays_as_it_is() {
    let body = text(2_000);
    let with = |name: &str, value: &str| page(body.clone()).header(name, value);
    let part = page(body.clone()).status(206).header("Content-Range", "bytes 0-1999/9000");
    let origin = Origin::start()
        .serve("/image", Reply::ok(body.clone()).header("Content-Type", "image/png"))
        .serve("/untyped", Reply::ok(body.clone()))
        .serve("/short", page(text(255)))
        .serve("/empty", page(""))
        .serve("/fixed", with("Cache-Control", "max-age=1, no-transform"))
        .serve("/foreign", with("Content-Encoding", "aes128gcm"))
        .serve("/part", part)
        .serve("/none", page("").status(204));
    let proxy = on(&origin);
    for target in ["/image", "/untyped", "/short", "/empty", "/fixed", "/foreign", "/part", "/none"]
    {
        let answer = proxy.ask(&asked(target, Some("br, gzip")));
        let foreign = (target == "/foreign").then_some("aes128gcm");
        assert_eq!(coding(&answer), foreign, "{target}");
        answer.expect_no_header("Vary");
    }
    let asked = asked("/x", Some("br")).header("Cache-Control", "no-transform");
    proxy.ask(&asked).expect_no_header("Content-Encoding");
    // What an origin has encoded is not encoded again.
    let origin = Origin::start().serve("/x", with("Content-Encoding", "gzip"));
    let proxy = on(&origin);
    let answer = proxy.ask(&self::asked("/x", Some("br, gzip")));
    answer.expect_header("Content-Encoding", "gzip").expect_body(&body);
}

#[test]
fn a_head_says_what_the_answer_to_a_get_would() {
    let reply = page(text(5_000)).header("ETag", "\"v1\"").header("Accept-Ranges", "bytes");
    let reply = reply.header("Content-MD5", "x").header("Repr-Digest", "sha-256=:x:");
    let origin = Origin::start().serve("/x", reply);
    let proxy = on(&origin);
    for method in ["HEAD", "GET"] {
        let asked = request(method, "/x").header("Accept-Encoding", "br");
        let answer = proxy.client().ask(&asked);
        answer.expect_status(200).expect_header("Content-Encoding", "br");
        answer.expect_header("Vary", "accept-encoding");
        for gone in ["Content-Length", "Accept-Ranges", "Content-MD5", "Repr-Digest"] {
            answer.expect_no_header(gone);
        }
        let tag = answer.headers.get("etag").unwrap();
        assert!(tag.starts_with("\"v1;br;"), "{tag}");
    }
}

#[test]
fn clients_of_http_1_0_get_what_they_can_read() {
    let body = text(5_000);
    let packed = encode_whole(Coding::Br, 4, &body, None).unwrap();
    let origin = Origin::start()
        .serve("/x", page(body.clone()))
        .serve("/packed", page(packed).header("Content-Encoding", "br"));
    let proxy = on(&origin);
    for target in ["/x", "/packed"] {
        let mut client = proxy.client();
        let fields = "Host: localhost\r\nAccept-Encoding: gzip";
        client.send(format!("GET {target} HTTP/1.0\r\n{fields}\r\n\r\n"));
        let answer = client.response();
        answer.expect_no_header("Content-Encoding").expect_header("Vary", "accept-encoding");
        answer.expect_no_header("Transfer-Encoding").expect_body(&body);
    }
}

/// What a stream of pieces comes to, as far as it has come.
struct Unpacking {
    decoder: Decoder,
    text: Vec<u8>,
}

impl Unpacking {
    fn new(coding: &str) -> Self {
        let coding = Coding::named(coding.as_bytes()).unwrap();
        Self { decoder: Decoder::new(coding, Limits::default()).unwrap(), text: Vec::new() }
    }

    fn push(&mut self, mut piece: &[u8]) {
        while self.decoder.decode(&mut piece, &mut self.text, 1_000).unwrap() == Decoded::Full {}
    }
}

/// An origin that sends two events, each when the gate lets it, and then ends when it is let.
fn two_events(content_type: &str, gate: &Gate) -> Origin {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let steps = [
        Step::ReadBody,
        Step::send(head),
        Step::send("8\r\ndata: 1\n\r\n"),
        Step::Wait(gate.clone()),
        Step::send("8\r\ndata: 2\n\r\n"),
        Step::Wait(gate.clone()),
        Step::send("0\r\n\r\n"),
    ];
    Origin::start().serve("/x", steps)
}

/// Reads both events, each before the origin goes on, and the end. No piece is the end.
fn read_two_events(coding: &str, gate: &Gate, mut next: impl FnMut() -> Vec<u8>) {
    let mut unpacking = Unpacking::new(coding);
    for expected in ["data: 1\n", "data: 1\ndata: 2\n"] {
        while unpacking.text.len() < expected.len() {
            unpacking.push(&next());
        }
        assert_eq!(unpacking.text, expected.as_bytes());
        gate.pass();
    }
    loop {
        match next() {
            piece if piece.is_empty() => break,
            piece => unpacking.push(&piece),
        }
    }
    unpacking.decoder.finish().expect("a proper end");
}

/// The next chunk of a body; empty at its end.
fn next_chunk(client: &mut Client) -> Vec<u8> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.extend(client.read_exactly(1));
    }
    let length = std::str::from_utf8(&line).unwrap().trim();
    let length = usize::from_str_radix(length, 16).unwrap();
    let chunk = client.read_exactly(length);
    client.read_exactly(2);
    chunk
}

#[test]
fn what_an_origin_has_sent_is_not_held_back() {
    let cached = "cache = \"main\"\nencode = \"on\"";
    for (content_type, lines) in [
        ("text/event-stream", "encode = \"on\""),
        ("text/html", "encode = \"on\""),
        ("text/event-stream", cached),
        ("text/html", cached),
    ] {
        for coding in ["br", "zstd", "gzip"] {
            let (first, second) = (Gate::new(), Gate::new());
            let origin = two_events(content_type, &first);
            let config = |origin| encoding(origin, lines).toml("[zones.main]\nmemory = \"64MiB\"");
            let proxy = Proxy::start(&config(&origin));
            let mut client = H2Client::cleartext(proxy.address("web"));
            let asked_h2 = H2Request::new("GET", "/x").header("accept-encoding", coding);
            let mut stream = client.open(&asked_h2);
            stream.end();
            assert_eq!(stream.status(), 200);
            read_two_events(coding, &first, || stream.receive());

            let origin = two_events(content_type, &second);
            let proxy = Proxy::start(&config(&origin));
            let mut client = proxy.client();
            client.send(asked("/x", Some(coding)).to_bytes());
            client.response_head().expect_header("Content-Encoding", coding);
            read_two_events(coding, &second, || next_chunk(&mut client));
        }
    }
}

#[test]
fn event_streams_are_left_alone_where_that_is_said() {
    let events = Reply::ok(text(1_000)).header("Content-Type", "text/event-stream");
    let origin = Origin::start().serve("/x", events).serve("/page", page(text(1_000)));
    let proxy = Proxy::start(&encoding(&origin, "encode = { events = false }"));
    proxy.ask(&asked("/x", Some("br"))).expect_no_header("Content-Encoding");
    proxy.ask(&asked("/page", Some("br"))).expect_header("Content-Encoding", "br");
}

#[test]
fn an_answer_that_breaks_off_is_seen_to() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5000\r\n\r\n";
    for (coding, lines) in [
        ("br", "encode = \"on\""),
        ("zstd", "encode = \"on\""),
        ("gzip", "encode = \"on\""),
        ("gzip", "encode = \"on\"\ncache = \"main\""),
    ] {
        let steps = [Step::ReadBody, Step::send(head), Step::send(text(3_000)), Step::Fin];
        let origin = Origin::start().serve("/x", steps);
        let config = encoding(&origin, lines).toml("[zones.main]\nmemory = \"64MiB\"");
        let proxy = Proxy::start(&config);
        let asked = asked("/x", Some(coding));
        let cut = proxy.client().try_ask(&asked);
        assert!(cut.is_err(), "a cut {coding} has a proper end: {cut:?}");
        let mut client = H2Client::cleartext(proxy.address("web"));
        let asked = H2Request::new("GET", "/x").header("accept-encoding", coding);
        assert!(client.try_ask(&asked).is_err(), "a cut {coding} has a proper end over HTTP/2");
    }
}

#[test]
fn answers_of_http2_origins_are_encoded_to_their_end() {
    let origin = H2Origin::start();
    let endpoint = origin.address().to_string();
    let lines = "proxy = \"rpc\"\nencode = { types = [\"application/grpc\"], min_length = \"0\" }";
    let config = config().web("h2c = true").site("").route("/*", lines);
    let proxy = Proxy::start(&config.endpoints("rpc", &[endpoint], "protocol = \"h2\""));
    let mut client = H2Client::cleartext(proxy.address("web"));
    for coding in ["br", "zstd", "gzip"] {
        for te in [None, Some("trailers")] {
            let asked = H2Request::new("POST", "/x").header("accept-encoding", coding);
            let asked = te.iter().fold(asked, |asked, te| asked.header("te", te));
            let asked = asked.frame(text(30_000)).frame(text(10));
            let answer = client.ask(&asked.trailer("x-checksum", "abc"));
            assert_eq!(answer.headers.get("content-encoding"), Some(coding));
            let checksum = te.map(|_| "abc");
            assert_eq!(answer.trailers.get("x-checksum"), checksum, "{coding} {te:?}");
            assert_eq!(
                decoded(Some(coding), &answer.body),
                [text(30_000), text(10)].concat(),
                "{coding} {te:?}"
            );
        }
    }
    // An answer that ends with its head has nothing to encode.
    let asked = H2Request::new("POST", "/trailers-only").header("accept-encoding", "br");
    let answer = client.ask(&asked);
    assert_eq!((answer.headers.get("content-encoding"), answer.body.len()), (None, 0));
}

#[test]
fn answers_made_here_are_encoded_too() {
    let body = String::from_utf8(text(3_000)).unwrap();
    let large = String::from_utf8(text(500_000)).unwrap();
    let config = config().web("h2c = true").site("encode = \"on\"");
    let config = config.respond("/fixed", &body).respond("/short", "short");
    let config = config.route("/*", "files = { root = \"www\" }");
    let config = config.file("www/large.txt", large.as_str()).file("www/small.html", body.as_str());
    let proxy = Proxy::start(&config.file("www/logo.png", body.as_str()));
    let mut h1 = proxy.client();
    let mut h2 = H2Client::cleartext(proxy.address("web"));
    for coding in ["br", "zstd", "gzip"] {
        for (target, expected) in
            [("/fixed", &body), ("/large.txt", &large), ("/small.html", &body)]
        {
            let answer = h1.ask(&asked(target, Some(coding)));
            answer.expect_status(200).expect_header("Content-Encoding", coding);
            answer.expect_header("Vary", "accept-encoding").expect_no_header("Accept-Ranges");
            assert_eq!(decoded(Some(coding), &answer.body), expected.as_bytes(), "{target}");
            let asked = H2Request::new("GET", target).header("accept-encoding", coding);
            let answer = h2.ask(&asked);
            assert_eq!(answer.headers.get("content-encoding"), Some(coding));
            assert_eq!(decoded(Some(coding), &answer.body), expected.as_bytes(), "{target}");
            let head = request("HEAD", target).header("Accept-Encoding", coding);
            h1.ask(&head).expect_status(200).expect_header("Content-Encoding", coding);
        }
        h1.ask(&asked("/short", Some(coding))).expect_no_header("Vary").expect_body("short");
        h1.ask(&asked("/logo.png", Some(coding))).expect_body(&body);
    }
    h1.ask(&asked("/large.txt", None)).expect_body(&large).expect_header("Vary", "accept-encoding");
}

#[test]
fn siblings_of_files_win_over_encoding() {
    let files = "files = { root = \"www\", precompressed = [\"gzip\"] }";
    let config = config().web("").site("encode = \"on\"").route("/*", files);
    let config = config.file("www/a.txt", String::from_utf8(text(900)).unwrap());
    let proxy = Proxy::start(&config.file("www/a.txt.gz", "as if packed"));
    let answer = proxy.ask(&asked("/a.txt", Some("br, gzip")));
    answer.expect_header("Content-Encoding", "gzip").expect_body("as if packed");
    proxy.ask(&asked("/a.txt", Some("br"))).expect_header("Content-Encoding", "br");
}

#[test]
fn cached_answers_are_encoded_for_each_who_asks() {
    let body = text(300_000);
    let reply = page(body.clone()).header("Cache-Control", "max-age=60");
    let origin = Origin::start().serve("/x", reply);
    let config = encoding(&origin, "cache = \"main\"\nencode = \"on\"");
    let proxy = Proxy::start(&config.toml("[zones.main]\nmemory = \"64MiB\""));
    for accept in [Some("br"), Some("zstd"), None, Some("gzip"), Some("br")] {
        let answer = proxy.ask(&asked("/x", accept));
        assert_eq!(coding(&answer), accept);
        assert_eq!(decoded(accept, &answer.body), body);
        let mut h2 = H2Client::cleartext(proxy.address("web"));
        let asked = H2Request::new("GET", "/x");
        let asked =
            accept.iter().fold(asked, |asked, value| asked.header("accept-encoding", value));
        let answer = h2.ask(&asked);
        assert_eq!(answer.headers.get("content-encoding"), accept);
        assert_eq!(decoded(accept, &answer.body), body);
    }
    assert_eq!(origin.requests("/x").len(), 1);
}

#[test]
fn answers_that_may_be_replaced_are_encoded_once() {
    let body = text(20_000);
    let origin =
        Origin::start().serve("/x", page(body.clone())).serve("/gone", page("no").status(404));
    let lines = "encode = \"on\"\nerrors = { 404 = \"missing\" }";
    let missing =
        "name = \"missing\"\ninternal = true\nrespond = { status = 404, body = \"not here\" }";
    let config = encoding(&origin, lines).toml("");
    let config =
        config.to_toml().replace("[upstreams", &format!("[[sites.routes]]\n{missing}\n[upstreams"));
    let config = switchback_integration::text(config);
    let proxy = Proxy::start(&config);
    let answer = proxy.ask(&asked("/x", Some("br")));
    answer.expect_header("Content-Encoding", "br");
    assert_eq!(decoded(Some("br"), &answer.body), body);
    proxy.ask(&asked("/gone", Some("br"))).expect_status(404).expect_text("not here");
}
