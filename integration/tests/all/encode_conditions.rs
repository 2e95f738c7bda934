//! Tags, conditions and ranges of answers that are encoded, and answers that are decoded.

use std::sync::Arc;

use switchback_integration::{
    Answer, Choice, Config, Deadline, H2Client, H2Request, Origin, Proxy, Received, Reply, Request,
    Response, Step, config, eventually, get, request,
};
use switchback_variant::{Coding, encode_whole};

use crate::encode::{decoded, page, text};

const ZONE: &str = "[zones.main]\nmemory = \"64MiB\"";
const CHANGED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// A site whose one route has these lines.
fn encoding(origin: &Origin, lines: &str) -> Config {
    let route = format!("proxy = \"app\"\n{lines}");
    let config = config().web("h2c = true").site("").route("/*", route);
    let config = config.upstream("app", &[origin], "");
    if lines.contains("cache") { config.toml(ZONE) } else { config }
}

fn asked(fields: &[(&str, &str)]) -> Request {
    fields.iter().fold(get("/x"), |asked, (name, value)| asked.header(name, value))
}

fn coding(response: &Response) -> Option<&str> {
    response.headers.get("content-encoding")
}

/// An origin that judges conditions and ranges itself, of a text whose tag is `"v1"`.
fn judge(body: Vec<u8>, content_type: &'static str) -> Origin {
    let body = Arc::new(body);
    let choice = Choice::new(move |received: &Received| {
        let said = |name: &str| received.headers.get(name).unwrap_or_default().to_owned();
        let is_v1 = |name: &str| ["", "\"v1\""].contains(&said(name).as_str());
        let since = said("if-none-match").is_empty() && said("if-modified-since") == CHANGED;
        let (start, body) = if !is_v1("if-match") {
            ("412 Other\r\nContent-Length: 0".to_owned(), &body[..0])
        } else if since || said("if-none-match").contains("\"v1\"") {
            ("304 Same".to_owned(), &body[..0])
        } else if !said("range").is_empty() && is_v1("if-range") {
            let range = format!("Content-Range: bytes 0-9/{}", body.len());
            (format!("206 Part\r\n{range}\r\nContent-Length: 10"), &body[..10])
        } else {
            (format!("200 OK\r\nContent-Length: {}", body.len()), &body[..])
        };
        let head = format!(
            "HTTP/1.1 {start}\r\nETag: \"v1\"\r\nLast-Modified: {CHANGED}\r\nContent-Type: {content_type}\r\nCache-Control: max-age=60\r\n\r\n"
        );
        vec![Step::Send([head.as_bytes(), body].concat()), Step::Next]
    });
    Origin::start().serve("/x", Answer::Chosen(choice))
}

/// The ways by which the same text comes to a client: passed on, passed on as an inner request, from a cache, from a file.
fn lanes() -> [(&'static str, Proxy, Option<Origin>); 4] {
    let body = text(20_000);
    let origin = || judge(body.clone(), "text/plain");
    let (passed, inner, cached) = (origin(), origin(), origin());
    let one = Proxy::start(&encoding(&passed, "encode = \"on\""));
    let buffering = "proxy = { upstream = \"app\", buffer_request = true }\nencode = \"on\"";
    let two = config().web("h2c = true").site("").route("/*", buffering);
    let two = Proxy::start(&two.upstream("app", &[&inner], ""));
    let three = Proxy::start(&encoding(&cached, "encode = \"on\"\ncache = \"main\""));
    let files = config().web("h2c = true").site("encode = \"on\"");
    let files = files.route("/x", "files = { root = \"www\", try = [\"/x.txt\"] }");
    let four = Proxy::start(&files.file("www/x.txt", String::from_utf8(body).unwrap()));
    [
        ("passed", one, Some(passed)),
        ("inner", two, Some(inner)),
        ("cached", three, Some(cached)),
        ("file", four, None),
    ]
}

fn tag(answer: &Response) -> String {
    answer.headers.get("etag").unwrap().to_owned()
}

#[test]
fn each_coding_has_a_tag_of_its_own_which_a_304_names_again() {
    for (lane, proxy, _origin) in lanes() {
        let original = tag(proxy.ask(&asked(&[])).expect_status(200));
        let mut seen = vec![original.clone()];
        for coding in ["br", "zstd", "gzip"] {
            let whole = proxy.ask(&asked(&[("Accept-Encoding", coding)]));
            whole.expect_status(200).expect_header("Content-Encoding", coding);
            let made = tag(&whole);
            let start = format!("{};{coding};", original.trim_end_matches('"'));
            assert!(made.starts_with(&start), "{lane}: {made} of {original}");
            let fields = [("Accept-Encoding", "gzip, br, zstd"), ("If-None-Match", &*made)];
            let same = proxy.ask(&asked(&fields));
            same.expect_status(304).expect_header("ETag", &made);
            same.expect_header("Vary", "accept-encoding").expect_no_header("Content-Encoding");
            let mut h2 = H2Client::cleartext(proxy.address("web"));
            let asked = H2Request::new("GET", "/x").header("accept-encoding", coding);
            let same = h2.ask(&asked.header("if-none-match", &made));
            assert_eq!((same.status, same.headers.get("etag")), (304, Some(&*made)), "{lane}");
            seen.push(made);
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 4, "{lane}");
        // What is not encoded keeps its tag, for clients that encode as for others.
        let fields = [("Accept-Encoding", "br"), ("If-None-Match", &*original)];
        let same = proxy.ask(&asked(&fields));
        same.expect_status(304).expect_header("ETag", &original);
    }
}

#[test]
fn a_copy_that_the_client_could_not_decode_is_not_confirmed() {
    for (lane, proxy, _origin) in lanes() {
        let made = tag(&proxy.ask(&asked(&[("Accept-Encoding", "br")])));
        let since = ("If-Modified-Since", CHANGED);
        let fields = [("Accept-Encoding", "gzip"), ("If-None-Match", &*made), since];
        let whole = proxy.ask(&asked(&fields));
        whole.expect_status(200).expect_header("Content-Encoding", "gzip");
        assert_eq!(decoded(Some("gzip"), &whole.body), text(20_000), "{lane}");
    }
}

#[test]
fn a_304_names_the_original_that_was_sent_to_who_would_rather_have_had_another() {
    let origin = judge(text(20), "text/plain");
    let proxy = Proxy::start(&encoding(&origin, "encode = \"on\""));
    for accept in ["identity;q=0, gzip", "*;q=0"] {
        let known = asked(&[("Accept-Encoding", accept)]);
        proxy.ask(&known).expect_status(200).expect_header("ETag", "\"v1\"");
        let answer = proxy.ask(&known.header("If-None-Match", "\"v1\""));
        answer.expect_status(304).expect_header("ETag", "\"v1\"");
    }
}

#[test]
fn a_304_to_a_date_names_no_tag_that_would_be_wrong() {
    let origin = judge(text(20_000), "text/plain");
    let proxy = Proxy::start(&encoding(&origin, "encode = \"on\""));
    let since = ("If-Modified-Since", CHANGED);
    let same = proxy.ask(&asked(&[("Accept-Encoding", "br"), since]));
    same.expect_status(304).expect_no_header("ETag");
    proxy.ask(&asked(&[since])).expect_status(304).expect_header("ETag", "\"v1\"");
}

#[test]
fn whoever_changes_what_was_seen_encoded_means_the_original() {
    let origin = judge(text(20_000), "text/plain");
    let lines = "encode = \"on\"\nrequest_headers = { set = { X-Said = \"$http_if_match\" } }";
    let proxy = Proxy::start(&encoding(&origin, lines));
    let made = tag(&proxy.ask(&asked(&[("Accept-Encoding", "br")])));
    let put = |tag: &str| request("PUT", "/x").header("If-Match", tag).body("new");
    proxy.ask(&put(&made)).expect_status(200);
    let received = &origin.requests("/x")[1];
    assert_eq!(received.headers.get("if-match"), Some("\"v1\""));
    assert_eq!(received.headers.get("x-said"), Some(&*made));
    proxy.ask(&put("\"v2;br;00000000\"")).expect_status(412);
}

#[test]
fn ranges_are_never_joined_to_what_was_encoded() {
    for (lane, proxy, _origin) in lanes() {
        let original = tag(&proxy.ask(&asked(&[])));
        let whole = proxy.ask(&asked(&[("Accept-Encoding", "br")]));
        let made = tag(&whole);
        let range = ("Range", "bytes=0-9");
        let part = |accept: &str, condition: &str| {
            let fields = [("Accept-Encoding", accept), range, ("If-Range", condition)];
            proxy.ask(&asked(&fields))
        };
        let of_made = part("br", &made);
        if of_made.status == 206 {
            // It is stored, and these are bytes of the very same making.
            assert_eq!((lane, coding(&of_made)), ("cached", Some("br")));
            of_made.expect_header("ETag", &made).expect_body(&whole.body[..10]);
        } else {
            assert_eq!(decoded(Some("br"), &of_made.expect_status(200).body), text(20_000));
        }
        let another = format!("{};br;00000000\"", original.trim_end_matches('"'));
        for condition in [&*another, CHANGED] {
            let whole = part("br", condition);
            whole.expect_status(200).expect_header("Content-Encoding", "br");
            assert_eq!(decoded(Some("br"), &whole.body), text(20_000), "{lane} {condition}");
        }
        for answer in [part("br", &original), proxy.ask(&asked(&[range]))] {
            answer.expect_status(206).expect_body(&text(20_000)[..10]);
            answer.expect_header("ETag", &original).expect_no_header("Content-Encoding");
        }
    }
}

#[test]
fn what_is_not_encoded_keeps_its_conditions_and_ranges() {
    let origin = judge(text(20_000), "image/png");
    let proxy = Proxy::start(&encoding(&origin, "encode = \"on\""));
    let accept = ("Accept-Encoding", "br, gzip");
    proxy.ask(&asked(&[accept])).expect_status(200).expect_header("ETag", "\"v1\"");
    let same = proxy.ask(&asked(&[accept, ("If-None-Match", "\"v1\"")]));
    same.expect_status(304).expect_header("ETag", "\"v1\"");
    let part = proxy.ask(&asked(&[accept, ("Range", "bytes=0-9"), ("If-Range", "\"v1\"")]));
    part.expect_status(206).expect_header("ETag", "\"v1\"");
}

#[test]
fn what_breaks_in_a_cache_is_cut_too() {
    let whole = packed("gzip", &text(50_000));
    let reply = page(&whole[..whole.len() / 2]).header("Content-Encoding", "gzip");
    let origin = Origin::start().serve("/x", reply.header("Cache-Control", "max-age=60"));
    let proxy = Proxy::start(&encoding(&origin, "encode = \"on\"\ncache = \"main\""));
    for failures in 1..=3 {
        let answer = proxy.client().try_ask(&asked(&[]));
        assert!(answer.is_err(), "it has a proper end");
        let line = format!("switchback_encode_failures_total {failures}\n");
        eventually("it is counted", Deadline::soon(), || {
            proxy.control("GET", "/metrics", None).text().contains(&line).then_some(())
        });
    }
    // A bomb goes off at the pace of whoever wants it.
    let bomb = page(packed("br", &vec![0; 100_000_000])).header("Content-Encoding", "br");
    origin.now_serve("/bomb", bomb.header("Cache-Control", "max-age=60"));
    let before = proxy.stats().resident_kib;
    assert_eq!(proxy.get("/bomb").body.len(), 100_000_000);
    assert!(proxy.stats().resident_kib < before + 64 * 1024);
}

fn packed(coding: &str, body: &[u8]) -> Vec<u8> {
    encode_whole(Coding::named(coding.as_bytes()).unwrap(), 5, body, None).unwrap()
}

/// An answer that was encoded before anybody asked for that.
fn unasked(coding: &str, body: &[u8]) -> Reply {
    page(packed(coding, body)).header("Content-Encoding", coding).header("ETag", "\"v1\"")
}

#[test]
fn who_lacks_the_coding_of_an_answer_gets_it_decoded() {
    let body = text(300_000);
    for coding in ["br", "zstd", "gzip"] {
        let other = if coding == "gzip" { "br" } else { "gzip" };
        for lines in
            ["encode = \"on\"", "encode = \"on\"\ncache = { zone = \"main\", key = \"$uri\" }"]
        {
            let reply = unasked(coding, &body).header("Cache-Control", "max-age=60");
            let origin = Origin::start().serve("/x", reply);
            let proxy = Proxy::start(&encoding(&origin, lines));
            let plain = proxy.ask(&asked(&[]));
            plain.expect_status(200).expect_no_header("Content-Encoding");
            plain.expect_header("Vary", "accept-encoding").expect_header("ETag", "W/\"v1\"");
            assert!(plain.body == body, "{coding} {lines}");
            let own = proxy.ask(&asked(&[("Accept-Encoding", coding)]));
            own.expect_header("Content-Encoding", coding).expect_header("ETag", "\"v1\"");
            own.expect_header("Vary", "accept-encoding").expect_body(packed(coding, &body));
            let accept = format!("identity;q=0, {other}");
            let anew = proxy.ask(&asked(&[("Accept-Encoding", &accept)]));
            anew.expect_header("Content-Encoding", other);
            assert!(decoded(Some(other), &anew.body) == body, "{coding} to {other} {lines}");
            let mut h2 = H2Client::cleartext(proxy.address("web"));
            let answer = h2.ask(&H2Request::new("GET", "/x"));
            assert!(answer.body == body, "{coding} {lines} over HTTP/2");
        }
    }
}

#[test]
fn nothing_is_decoded_where_that_is_said_or_forbidden() {
    let body = text(3_000);
    let origin = Origin::start().serve("/x", unasked("gzip", &body));
    let proxy = Proxy::start(&encoding(&origin, "encode = { decode = false }"));
    assert_eq!(coding(&proxy.ask(&asked(&[]))), Some("gzip"));
    let reply = unasked("gzip", &body).header("Cache-Control", "no-transform");
    let origin = Origin::start().serve("/x", reply);
    let proxy = Proxy::start(&encoding(&origin, "encode = \"on\""));
    assert_eq!(coding(&proxy.ask(&asked(&[]))), Some("gzip"));
}

#[test]
fn broken_bodies_are_cut() {
    let whole = packed("gzip", &text(50_000));
    let half = whole[..whole.len() / 2].to_vec();
    let broken = [("gzip", half), ("zstd", text(5_000)), ("br", b"\xff".repeat(99))];
    for (coding, body) in broken {
        let origin = Origin::start().serve("/x", page(body).header("Content-Encoding", coding));
        let proxy = Proxy::start(&encoding(&origin, "encode = \"on\""));
        let before = proxy.stats().resident_kib;
        let answer = proxy.client().try_ask(&asked(&[]));
        let is_told = answer.as_ref().map_or(true, |answer| answer.status == 502);
        assert!(is_told, "{coding} has a proper end: {answer:?}");
        assert!(proxy.stats().resident_kib < before + 64 * 1024, "{coding} takes memory");
        proxy.get("/none").expect_status(200);
        let metrics = proxy.control("GET", "/metrics", None).text();
        assert!(metrics.contains("switchback_encode_failures_total 1\n"), "{metrics}");
    }
}

#[test]
fn logs_and_metrics_tell_what_was_sent_in_what() {
    let body = text(10_000);
    let origin =
        Origin::start().serve("/x", page(body.clone())).serve("/p", unasked("gzip", &body));
    let config = encoding(&origin, "encode = \"on\"").respond("/off", "plain").toml(
        "[[log.access]]\nfile = \"access.log\"\nformat = \"$uri $content_coding $segment $segment_worker\"\n",
    );
    let proxy = Proxy::start(&config);
    let browser = [("User-Agent", "Mozilla/5.0"), ("Sec-Fetch-Dest", "serviceworker")];
    let br = proxy.ask(&asked(&[("Accept-Encoding", "br"), browser[0], browser[1]]));
    proxy.ask(&asked(&[]));
    proxy.get("/p").expect_body(&body);
    let log = proxy.folder().join("access.log");
    let mut lines = eventually("three lines", Deadline::soon(), || {
        let text = std::fs::read_to_string(&log).ok()?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() == 3).then_some(lines)
    });
    lines.sort();
    assert_eq!(lines, ["/p identity none none", "/x br modern service", "/x identity none none"]);
    let made = br.body.len();
    // What was decoded is counted when the decoder goes, which is after the line.
    for line in [
        "encode_answers_total{coding=\"br\"} 1".to_owned(),
        "encode_answers_total{coding=\"identity\"} 2".to_owned(),
        "encode_bytes_total{coding=\"br\",side=\"in\"} 10000".to_owned(),
        format!("encode_bytes_total{{coding=\"br\",side=\"out\"}} {made}"),
        "decode_bytes_total{coding=\"gzip\",side=\"out\"} 10000".to_owned(),
        "encoders 0".to_owned(),
    ] {
        let line = format!("switchback_{line}\n");
        eventually(&line, Deadline::soon(), || {
            proxy.control("GET", "/metrics", None).text().contains(&line).then_some(())
        });
    }
}
