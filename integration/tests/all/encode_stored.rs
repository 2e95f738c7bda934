//! Encoded forms of what is stored: made once for all, found as any hit, and never older than what they were made of.

use switchback_integration::{
    Answer, Choice, Config, Deadline, Gate, H2Client, H2Request, Origin, Proxy, Received, Reply,
    Request, Response, Step, config, eventually, get, request,
};
use switchback_variant::{Coding, encode_whole};

use crate::cache_disk;
use crate::encode::{decoded, page, text};

/// A site whose one route encodes and stores, under keys of paths alone, and tries no harder later.
fn storing(origin: &Origin, zone: &str) -> Config {
    storing_by(origin, "encode = { best = \"off\" }", zone)
}

/// The same with this `encode`.
fn storing_by(origin: &Origin, encode: &str, zone: &str) -> Config {
    let cache = "cache = { zone = \"main\", key = \"$uri\" }";
    let route = format!("proxy = \"app\"\n{encode}\n{cache}");
    let config = config().web("h2c = true").site("").route("/*", route);
    let purge = "purge = { allow = [\"127.0.0.0/8\"] }";
    let config = config.upstream("app", &[origin], "");
    config.toml(format_args!("[zones.main]\nmemory = \"64MiB\"\n{purge}\n{zone}"))
}

fn fresh(body: Vec<u8>) -> Reply {
    page(body).header("Cache-Control", "max-age=600").header("ETag", "\"v1\"")
}

fn asked(coding: &str) -> Request {
    get("/x").header("Accept-Encoding", coding)
}

fn tag(answer: &Response) -> String {
    answer.headers.get("etag").unwrap_or_default().to_owned()
}

/// Bytes that went into the encoders (or decoders) of a coding.
fn worked(proxy: &Proxy, counter: &str, coding: &str) -> u64 {
    metric(proxy, &format!("{counter}_bytes_total{{coding=\"{coding}\",side=\"in\"}}"))
}

#[test]
fn what_is_stored_is_encoded_once_for_all() {
    for length in [2_000, 300_000] {
        let body = text(length);
        let origin = Origin::start().serve("/x", fresh(body.clone()));
        let proxy = Proxy::start(&storing(&origin, ""));
        let mut client = proxy.client();
        let mut h2 = H2Client::cleartext(proxy.address("web"));
        for coding in ["br", "zstd", "gzip"] {
            let first = client.ask(&asked(coding));
            first.expect_status(200).expect_header("Content-Encoding", coding);
            assert_eq!(decoded(Some(coding), &first.body), body);
            for _ in 0..3 {
                let again = client.ask(&asked(coding));
                again.expect_status(200).expect_header("Content-Encoding", coding);
                again.expect_header("ETag", &tag(&first)).expect_header("Vary", "accept-encoding");
                again.expect_header("Content-Length", &first.body.len().to_string());
                assert!(again.headers.get("age").is_some());
                assert!(again.body == first.body, "{coding} is the same making");
            }
            let asked = H2Request::new("GET", "/x").header("accept-encoding", coding);
            let answer = h2.ask(&asked);
            assert_eq!(answer.headers.get("content-encoding"), Some(coding));
            assert_eq!(answer.headers.get("etag"), Some(&*tag(&first)));
            assert!(answer.body == first.body, "{coding} over HTTP/2");
            let head = proxy.ask(&request("HEAD", "/x").header("Accept-Encoding", coding));
            head.expect_header("Content-Length", &first.body.len().to_string());
            assert_eq!(worked(&proxy, "encode", coding), length as u64, "{coding}");
        }
        client.ask(&get("/x")).expect_header("ETag", "\"v1\"").expect_body(&body);
        assert_eq!(origin.requests("/x").len(), 1);
    }
}

/// A sample of the metrics.
fn metric(proxy: &Proxy, name: &str) -> u64 {
    let text = proxy.control("GET", "/metrics", None).text();
    let start = format!("switchback_{name} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&*start)?.parse().ok());
    // What is not there is none of what is expected.
    value.unwrap_or(u64::MAX)
}

/// Levels that differ much, and cost little.
const BETTER: &str =
    "encode = { levels = { gzip = 1, zstd = 1 }, best = { gzip = 9, zstd = 19, br = 5 } }";

#[test]
fn what_is_asked_for_again_is_made_as_small_as_can_be() {
    let body = text(60_000);
    let origin = Origin::start().serve("/x", fresh(body.clone()));
    let proxy = Proxy::start(&storing_by(&origin, BETTER, ""));
    for (place, coding) in ["gzip", "zstd"].into_iter().enumerate() {
        let first = proxy.ask(&asked(coding));
        let made = tag(&first);
        // The first hit is none too many.
        proxy.ask(&asked(coding)).expect_header("ETag", &made);
        assert_eq!(metric(&proxy, "encode_improved_total"), place as u64);
        let better = eventually("a better one is stored", Deadline::soon(), || {
            let answer = proxy.ask(&asked(coding));
            answer.expect_status(200).expect_header("Content-Encoding", coding);
            assert!(decoded(Some(coding), &answer.body) == body);
            (tag(&answer) != made).then_some(answer)
        });
        assert!(better.body.len() < first.body.len(), "{coding} is no smaller");
        // What clients have of the first making is good enough.
        let held = proxy.ask(&asked(coding).header("If-None-Match", &made));
        held.expect_status(304).expect_header("ETag", &made);
        for _ in 0..4 {
            proxy.ask(&asked(coding)).expect_header("ETag", &tag(&better));
        }
        assert_eq!(worked(&proxy, "encode", coding), 2 * 60_000);
    }
    assert_eq!(metric(&proxy, "encode_improved_total"), 2);
    assert_eq!(metric(&proxy, "encode_stored_total"), 2);
    assert!(metric(&proxy, "encode_saved_bytes_total") > 100_000);
    assert_eq!(origin.requests("/x").len(), 1);
}

#[test]
fn what_was_made_as_small_as_can_be_stays_so_over_a_restart() {
    let folder = cache_disk::folder();
    let path = folder.path().join("cache");
    let zone = format!("disk = {{ path = \"{}\", {} }}", path.display(), cache_disk::ROOMY);
    let origin = Origin::start().serve("/x", fresh(text(60_000)));
    let config = storing_by(&origin, BETTER, &zone);
    let proxy = cache_disk::start(&folder, &config);
    let made = tag(&proxy.ask(&asked("gzip")));
    let better = eventually("a better one is stored", Deadline::soon(), || {
        let better = tag(&proxy.ask(&asked("gzip")));
        (better != made).then_some(better)
    });
    cache_disk::wait_for_stored(&proxy, 3);
    proxy.stop();
    let proxy = cache_disk::start(&folder, &config);
    for _ in 0..5 {
        proxy.ask(&asked("gzip")).expect_header("ETag", &better);
    }
    assert_eq!(worked(&proxy, "encode", "gzip"), 0);
}

#[test]
fn a_bomb_takes_little_memory_and_ends_with_its_last_reader() {
    let bomb = encode_whole(Coding::Br, 5, &vec![0; 100_000_000], None).unwrap();
    let origin = Origin::start().serve("/x", fresh(bomb).header("Content-Encoding", "br"));
    let proxy = Proxy::start(&storing(&origin, ""));
    proxy.ask(&asked("br")).expect_header("Content-Encoding", "br");
    let before = proxy.stats().resident_kib;
    let mut client = proxy.client();
    client.send(get("/x").to_bytes());
    client.response_head().expect_status(200).expect_no_header("Content-Encoding");
    client.reset();
    eventually("nobody decodes it", Deadline::soon(), || {
        (metric(&proxy, "encoders") == 0).then_some(())
    });
    assert!(proxy.stats().resident_kib < before + 64 * 1024);
    assert_eq!(metric(&proxy, "encode_stored_total"), 0);
}

#[test]
fn what_is_too_short_stays_as_it_is() {
    let origin = Origin::start().serve("/x", fresh(text(200)));
    let proxy = Proxy::start(&storing(&origin, ""));
    for _ in 0..3 {
        proxy.ask(&asked("br")).expect_no_header("Content-Encoding");
    }
}

/// An answer whose second half waits for the gate.
fn halting(body: &[u8], gate: &Gate, end: Step) -> Answer {
    let head = format!(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nETag: \"v1\"\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let (one, other) = body.split_at(body.len() / 2);
    let steps = [Step::send(head), Step::Send(one.to_vec()), Step::Wait(gate.clone())];
    Answer::Script([&steps[..], &[Step::Send(other.to_vec()), end]].concat())
}

#[test]
fn a_form_is_sent_while_what_it_is_made_of_arrives_and_made_once_for_many() {
    let (body, gate) = (text(400_000), Gate::new());
    let origin = Origin::start().serve("/x", halting(&body, &gate, Step::Next));
    let proxy = Proxy::start(&storing(&origin, ""));
    let mut first = proxy.client();
    first.send(asked("br").to_bytes());
    let head = first.response_head();
    head.expect_status(200).expect_header("Content-Encoding", "br");
    // The head and what there is have left before the origin goes on.
    let came = first.try_read().unwrap();
    assert!(!came.is_empty());
    let others: Vec<_> = (0..6)
        .map(|_| {
            let mut client = proxy.client();
            client.send(asked("br").to_bytes());
            client.response_head().expect_header("ETag", &tag(&head));
            client
        })
        .collect();
    gate.pass();
    drop(others);
    let stored = loop {
        let answer = proxy.ask(&asked("br"));
        if answer.headers.get("content-length").is_some() {
            break answer;
        }
    };
    assert_eq!(decoded(Some("br"), &stored.body), body);
    assert_eq!(tag(&stored), tag(&head));
    assert_eq!((worked(&proxy, "encode", "br"), origin.heads()), (400_000, 1));
}

#[test]
fn a_form_of_what_is_cut_is_cut_and_not_stored() {
    let (body, gate) = (text(100_000), Gate::new());
    let Answer::Script(mut steps) = halting(&body, &gate, Step::Next) else { return };
    steps.truncate(3);
    steps.push(Step::Reset);
    let origin = Origin::start().serve("/x", Answer::Script(steps));
    let proxy = Proxy::start(&storing(&origin, ""));
    let mut client = proxy.client();
    client.send(asked("gzip").to_bytes());
    client.response_head().expect_header("Content-Encoding", "gzip");
    gate.pass();
    let rest = loop {
        match client.try_read() {
            Ok(bytes) if bytes.is_empty() => break Vec::new(),
            Ok(bytes) if bytes.ends_with(b"0\r\n\r\n") => break bytes,
            Ok(_) => {}
            Err(_) => break Vec::new(),
        }
    };
    assert!(rest.is_empty(), "it has a proper end");
    origin.now_serve("/x", fresh(body.clone()));
    let whole = proxy.ask(&asked("gzip"));
    assert_eq!(decoded(Some("gzip"), &whole.body), body);
}

#[test]
fn conditions_and_ranges_are_of_the_form() {
    let body = text(50_000);
    let origin = Origin::start().serve("/x", fresh(body.clone()));
    let proxy = Proxy::start(&storing(&origin, ""));
    let whole = proxy.ask(&asked("br"));
    let made = tag(&whole);
    let with = |fields: &[(&str, &str)]| {
        let asked =
            fields.iter().fold(asked("br"), |asked, (name, value)| asked.header(name, value));
        proxy.ask(&asked)
    };
    let same = with(&[("If-None-Match", &made)]);
    same.expect_status(304).expect_header("ETag", &made).expect_header("Vary", "accept-encoding");
    // A copy of another making holds as well, and is named as the client knows it.
    let same = with(&[("If-None-Match", "\"v1;br;00000000\"")]);
    same.expect_status(304).expect_header("ETag", "\"v1;br;00000000\"");
    with(&[("If-None-Match", "\"v1\"")]).expect_status(304).expect_header("ETag", "\"v1\"");
    with(&[("If-None-Match", "\"v0;br;00000000\"")]).expect_status(200).expect_body(&whole.body);
    for condition in [None, Some(("If-Range", &*made))] {
        let range = [&[("Range", "bytes=10-19")][..], condition.as_slice()].concat();
        let part = with(&range);
        part.expect_status(206).expect_header("Content-Encoding", "br");
        part.expect_header("Content-Range", &format!("bytes 10-19/{}", whole.body.len()));
        part.expect_header("ETag", &made).expect_body(&whole.body[10..20]);
    }
    let whole_again = with(&[("Range", "bytes=10-19"), ("If-Range", "\"v1;br;00000000\"")]);
    whole_again.expect_status(200).expect_body(&whole.body);
    let part = with(&[("Range", "bytes=10-19"), ("If-Range", "\"v1\"")]);
    part.expect_status(206).expect_no_header("Content-Encoding").expect_body(&body[10..20]);
    assert_eq!(worked(&proxy, "encode", "br"), 50_000);
}

/// An origin whose text has the tag `"v1"`, and says with each answer how many there were.
fn counting(body: Vec<u8>) -> Origin {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let choice = Choice::new(move |received: &Received| {
        let count = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let is_same = received.headers.get("if-none-match") == Some("\"v1\"");
        let (start, body) = match is_same {
            true => ("304 Same".to_owned(), &body[..0]),
            false => (format!("200 OK\r\nContent-Length: {}", body.len()), &body[..]),
        };
        let head = format!(
            "HTTP/1.1 {start}\r\nETag: \"v1\"\r\nContent-Type: text/html\r\nCache-Control: max-age=600\r\nX-Count: {count}\r\n\r\n"
        );
        vec![Step::Send([head.as_bytes(), body].concat()), Step::Next]
    });
    Origin::start().serve("/x", Answer::Chosen(choice))
}

#[test]
fn one_validation_renews_all_forms() {
    let origin = counting(text(30_000));
    let proxy = Proxy::start(&storing(&origin, ""));
    let codings = ["br", "gzip", "zstd"];
    let first = codings.map(|coding| proxy.ask(&asked(coding)));
    proxy.ask(&get("/x").header("Cache-Control", "no-cache")).expect_header("X-Count", "1");
    for (coding, first) in codings.into_iter().zip(&first) {
        first.expect_header("X-Count", "0");
        for _ in 0..2 {
            let renewed = proxy.ask(&asked(coding));
            renewed.expect_header("X-Count", "1").expect_header("ETag", &tag(first));
            assert!(renewed.body == first.body, "{coding} is the same making");
        }
        assert_eq!(worked(&proxy, "encode", coding), 30_000);
    }
    assert_eq!(origin.requests("/x").len(), 2);
}

#[test]
fn purges_and_new_bodies_leave_no_form_behind() {
    let origin = Origin::start();
    let serve = |state: usize| {
        let body = text(10_000 + state);
        let reply = page(body.clone()).header("Cache-Control", "max-age=600");
        // The origin is careless with its tags.
        origin.now_serve("/x", reply.header("ETag", "\"v1\"").header("Cache-Tag", "all"));
        body
    };
    let proxy = Proxy::start(&storing(&origin, ""));
    let expect = |body: &[u8], what: &str| {
        for coding in ["br", "gzip"] {
            for _ in 0..2 {
                let answer = proxy.ask(&asked(coding));
                assert!(decoded(Some(coding), &answer.body) == body, "{coding} after {what}");
            }
        }
    };
    let first = serve(0);
    expect(&first, "the beginning");
    let second = serve(1);
    expect(&first, "a change that nobody knows of");
    proxy.ask(&request("PURGE", "/x")).expect_status(200);
    expect(&second, "a purge");
    let third = serve(2);
    let tag = request("PURGE", "/").header("Cache-Tag", "all");
    proxy.ask(&tag.header("X-Purge", "soft")).expect_status(200);
    expect(&third, "a soft purge of a tag");
    let fourth = serve(3);
    proxy.ask(&get("/x").header("Cache-Control", "no-cache")).expect_body(&fourth);
    expect(&fourth, "a response that took its place");
}

#[test]
fn what_the_origin_has_encoded_is_decoded_once_for_all() {
    let body = text(200_000);
    let packed = encode_whole(Coding::Br, 5, &body, None).unwrap();
    let size = packed.len() as u64;
    let origin =
        Origin::start().serve("/x", fresh(packed.clone()).header("Content-Encoding", "br"));
    let proxy = Proxy::start(&storing(&origin, ""));
    proxy.ask(&asked("br")).expect_header("ETag", "\"v1\"").expect_body(&packed);
    // Nobody is sent a part of what he cannot decode.
    let whole = proxy.ask(&get("/x").header("Range", "bytes=5-9"));
    whole.expect_status(200).expect_no_header("Content-Encoding").expect_body(&body);
    for _ in 0..3 {
        let plain = proxy.get("/x");
        plain.expect_no_header("Content-Encoding").expect_header("ETag", "W/\"v1\"");
        plain.expect_header("Vary", "accept-encoding").expect_body(&body);
    }
    let part = proxy.ask(&get("/x").header("Range", "bytes=5-9"));
    part.expect_status(206).expect_body(&body[5..10]);
    let fields = get("/x").header("If-None-Match", "W/\"v1\"");
    proxy.ask(&fields).expect_status(304);
    assert_eq!(worked(&proxy, "decode", "br"), size);
    for _ in 0..2 {
        let anew = proxy.ask(&asked("identity;q=0, gzip"));
        anew.expect_header("Content-Encoding", "gzip");
        assert!(decoded(Some("gzip"), &anew.body) == body);
    }
    assert_eq!(worked(&proxy, "encode", "gzip"), size);
    assert_eq!(origin.requests("/x").len(), 1);
}

#[test]
fn forms_outlive_a_restart_with_what_they_were_made_of() {
    let folder = cache_disk::folder();
    let path = folder.path().join("cache");
    let zone = format!("disk = {{ path = \"{}\", {} }}", path.display(), cache_disk::ROOMY);
    let origin = counting(text(40_000));
    let config = storing(&origin, &zone);
    let proxy = cache_disk::start(&folder, &config);
    let first = proxy.ask(&asked("br"));
    proxy.ask(&get("/x").header("Cache-Control", "no-cache")).expect_header("X-Count", "1");
    cache_disk::wait_for_stored(&proxy, 2);
    proxy.stop();
    let proxy = cache_disk::start(&folder, &config);
    for _ in 0..2 {
        let again = proxy.ask(&asked("br"));
        again.expect_header("ETag", &tag(&first)).expect_header("X-Count", "1");
        assert!(again.body == first.body, "the same making");
    }
    assert_eq!(worked(&proxy, "encode", "br"), 0);
    proxy.ask(&request("PURGE", "/x")).expect_status(200);
    proxy.stop();
    let proxy = cache_disk::start(&folder, &config);
    let anew = proxy.ask(&asked("br"));
    anew.expect_header("X-Count", "2");
    assert_ne!(tag(&anew), tag(&first));
    assert_eq!(worked(&proxy, "encode", "br"), 40_000);
}
