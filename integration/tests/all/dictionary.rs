//! Later versions are encoded against earlier ones that their clients have (RFC 9842).

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use switchback_integration::{
    Answer, Authority, Config, Deadline, H2Client, H2Request, Origin, Proxy, Reply, Request,
    Response, Step, Trust, config, eventually, get, request,
};
use switchback_variant::{Coding, Dictionary, Limits, decode_whole};

use crate::cache_disk::{self, metric};

/// What browsers write that know of dictionaries.
const ALL: &str = "gzip, deflate, br, zstd, dcb, dcz";
const TOLD: &str = "match=\"/app.*.js\"";
const BOTH: &str = "accept-encoding, available-dictionary";

/// A script of which one line in forty is another in each version.
pub(crate) fn version(number: usize) -> Vec<u8> {
    let line = |at: usize| {
        let changed = if at.is_multiple_of(40) { number } else { 0 };
        let name = (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24;
        format!("export const n{name:x} = (value) => value.part{} + {changed};\n", at * 7919 % 1000)
    };
    (0..3000).map(line).collect::<String>().into_bytes()
}

pub(crate) fn script(body: Vec<u8>, tag: &str) -> Reply {
    let reply = Reply::ok(body).header("Content-Type", "text/javascript").header("ETag", tag);
    reply.header("Cache-Control", "max-age=600")
}

/// A site behind a proxy that is believed, whose one route encodes against earlier versions and tries no harder later.
fn site(origin: &Origin) -> Config {
    site_by(origin, "encode = { best = \"off\" }\ndictionary = \"/app.*.js\"", "")
}

fn site_by(origin: &Origin, lines: &str, zone: &str) -> Config {
    let config = config().top("trusted_proxies = [\"127.0.0.0/8\"]").web("h2c = true").site("");
    let route = format!("proxy = \"app\"\ncache = \"main\"\n{lines}");
    let config = config.route("/*", route).upstream("app", &[origin], "");
    let purge = "purge = { allow = [\"127.0.0.0/8\"] }";
    config.toml(format_args!("[zones.main]\nmemory = \"64MiB\"\n{purge}\n{zone}"))
}

/// A request as a browser makes it over HTTPS.
fn secure(target: &str) -> Request {
    secure_as(target, ALL)
}

fn secure_as(target: &str, codings: &str) -> Request {
    plain(target, codings).header("X-Forwarded-Proto", "https")
}

fn plain(target: &str, codings: &str) -> Request {
    get(target).host("app.example").header("Accept-Encoding", codings)
}

fn having(request: Request, dictionary: &[u8]) -> Request {
    request.header("Available-Dictionary", &named(dictionary))
}

/// As clients name a dictionary.
fn named(dictionary: &[u8]) -> String {
    let output = filtered("openssl", &["dgst", "-sha256", "-binary"], dictionary);
    let text = filtered("openssl", &["base64", "-A"], &output);
    format!(":{}:", String::from_utf8(text).unwrap().trim())
}

/// What a program makes of these bytes.
pub(crate) fn filtered(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("installed by integration/setup.sh");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success(), "{program} refuses it");
    output.stdout
}

fn coding(answer: &Response) -> Option<&str> {
    answer.headers.get("content-encoding")
}

fn told(answer: &Response) -> Option<&str> {
    answer.headers.get("use-as-dictionary")
}

/// Takes a body apart that was made with `dictionary`. Zstandard's own program decodes its part; that of Brotli has learnt of
/// dictionaries later than it is distributed.
fn decoded(coding: &str, body: &[u8], dictionary: &[u8]) -> Vec<u8> {
    let digest = filtered("openssl", &["dgst", "-sha256", "-binary"], dictionary);
    match coding {
        "dcz" => {
            assert_eq!(&body[..8], [0x5e, 0x2a, 0x4d, 0x18, 0x20, 0, 0, 0]);
            assert_eq!(&body[8..40], digest);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("dictionary");
            std::fs::write(&path, dictionary).unwrap();
            filtered("zstd", &["-dc", "-D", path.to_str().unwrap()], body)
        }
        "dcb" => {
            assert_eq!(&body[..4], [0xff, 0x44, 0x43, 0x42]);
            assert_eq!(&body[4..36], digest);
            let dictionary = Dictionary::new(dictionary.to_vec().into()).unwrap();
            decode_whole(Coding::Dcb, body, Limits::default(), Some(&dictionary)).unwrap()
        }
        other => panic!("{other} was not asked for"),
    }
}

/// Waits until so many dictionaries are kept.
fn wait_for_kept(proxy: &Proxy, count: u64) {
    eventually("dictionaries are kept", Deadline::soon(), || {
        (metric(proxy, "switchback_dictionaries ") >= count).then_some(())
    });
}

/// Has a client come by the first version, and the proxy keep it.
fn seen(proxy: &Proxy) {
    let first = proxy.ask(&secure("/app.1.js"));
    first.expect_status(200).expect_header("Use-As-Dictionary", TOLD);
    wait_for_kept(proxy, 1);
}

fn origin() -> Origin {
    let origin = Origin::start().serve("/app.1.js", script(version(1), "\"v1\""));
    origin.serve("/app.2.js", script(version(2), "\"v2\""))
}

#[test]
fn a_later_version_is_sent_as_what_has_changed() {
    let origin = origin();
    let proxy = Proxy::start(&site(&origin));
    let first = proxy.ask(&secure("/app.1.js"));
    first.expect_status(200).expect_header("Use-As-Dictionary", TOLD).expect_header("Vary", BOTH);
    assert_eq!(coding(&first), Some("br"), "there is nothing to encode against yet");
    wait_for_kept(&proxy, 1);
    let (old, new) = (version(1), version(2));
    for coding in ["dcb", "dcz"] {
        let asked = secure_as("/app.2.js", &format!("gzip, br, zstd, {coding}"));
        let asked = having(asked, &old);
        let answer = proxy.ask(&asked);
        answer.expect_status(200).expect_header("Content-Encoding", coding);
        answer.expect_header("Vary", BOTH).expect_header("Use-As-Dictionary", TOLD);
        assert!(decoded(coding, &answer.body, &old) == new, "{coding} comes to something else");
        let share = answer.body.len() * 100 / new.len();
        assert!(share < 5, "{coding}: {} bytes of {}", answer.body.len(), new.len());
        let again = proxy.ask(&asked);
        let tag = answer.headers.get("etag").unwrap();
        assert!(tag.starts_with(&format!("\"v2;{coding}-")), "{tag}");
        again.expect_header("Content-Encoding", coding).expect_header("ETag", tag);
        again.expect_header("Content-Length", &answer.body.len().to_string());
        assert!(again.body == answer.body, "{coding} is stored");
        let mut h2 = H2Client::cleartext(proxy.address("web"));
        let asked = H2Request::new("GET", "/app.2.js")
            .authority("app.example")
            .header("x-forwarded-proto", "https")
            .header("accept-encoding", coding)
            .header("available-dictionary", &named(&old));
        let answer = h2.ask(&asked);
        assert_eq!(answer.headers.get("use-as-dictionary"), Some(TOLD));
        assert!(answer.body == again.body, "{coding} over HTTP/2");
    }
    assert_eq!(origin.requests("/app.2.js").len(), 1);
}

#[test]
fn tls_is_secure() {
    let authority = Authority::new();
    let identity = authority.identity(&["app.example"]);
    let origin = origin();
    let config = config()
        .file("edge.pem", identity.certificate_pem())
        .file("edge.key", identity.key_pem())
        .web("tls = { certificate = \"edge.pem\", key = \"edge.key\" }")
        .site(
            "cache = \"main\"\nencode = \"on\"\ndictionary = { match = \"/app.*.js\", id = \"a\" }",
        )
        .proxy_to(&origin)
        .toml("[zones.main]\nmemory = \"64MiB\"");
    let proxy = Proxy::start(&config);
    let mut client = proxy.tls_client("app.example", &Trust::Authority(&authority));
    let first = client.ask(&plain("/app.1.js", ALL));
    first.expect_header("Use-As-Dictionary", "match=\"/app.*.js\", id=\"a\"");
    wait_for_kept(&proxy, 1);
    let asked = having(plain("/app.2.js", ALL), &version(1)).header("Dictionary-ID", "\"a\"");
    let answer = client.ask(&asked);
    answer.expect_status(200).expect_header("Content-Encoding", "dcz");
    assert!(decoded("dcz", &answer.body, &version(1)) == version(2));
}

/// What the second version is sent in to a client that asks so.
fn sent(proxy: &Proxy, request: &Request) -> String {
    let answer = proxy.ask(request);
    answer.expect_status(200);
    coding(&answer).unwrap_or("identity").to_owned()
}

#[test]
fn nothing_is_encoded_so_for_those_who_may_not_have_it() {
    let origin = origin();
    let proxy = Proxy::start(&site(&origin));
    seen(&proxy);
    let old = version(1);
    let new = |request: Request| having(request, &old);
    assert_eq!(sent(&proxy, &new(secure("/app.2.js"))), "dcz");
    for (request, expected) in [
        // It is not over HTTPS, as far as is known.
        (new(plain("/app.2.js", ALL)), "br"),
        (new(plain("/app.2.js", ALL)).header("X-Forwarded-Proto", "http"), "br"),
        // A page of another origin asks.
        (new(secure("/app.2.js")).header("Sec-Fetch-Site", "cross-site"), "br"),
        (new(secure("/app.2.js")).header("Sec-Fetch-Site", "same-site"), "br"),
        (new(secure("/app.2.js")).header("Sec-Fetch-Site", "same-origin"), "dcz"),
        // It is for one user.
        (new(secure("/app.2.js")).header("Authorization", "Basic eDp5"), "br"),
        // It is not wanted, or not as much as another.
        (new(secure_as("/app.2.js", "gzip, br, zstd")), "br"),
        (new(secure_as("/app.2.js", "br;q=0.9, dcb;q=0.8, dcz;q=0")), "br"),
        (new(secure_as("/app.2.js", "br;q=0.7, dcb;q=0.8, dcz;q=0")), "dcb"),
        (new(secure_as("/app.2.js", "*")), "br"),
        (new(secure_as("/app.2.js", "identity, dcz;q=0.5")), "identity"),
        // It is not known here, or no name.
        (having(secure("/app.2.js"), b"another"), "br"),
        (secure("/app.2.js").header("Available-Dictionary", "x"), "br"),
        (new(secure("/app.2.js")).header("Available-Dictionary", &named(&old)), "br"),
    ] {
        assert_eq!(sent(&proxy, &request), expected, "{request:?}");
    }
    let insecure = proxy.ask(&plain("/app.1.js", ALL));
    assert_eq!(insecure.expect_header("Vary", BOTH).headers.get("use-as-dictionary"), None);
    // Whoever knows the hash of what another host has sent learns nothing by it.
    let elsewhere = get("/app.2.js").host("other.example").header("X-Forwarded-Proto", "https");
    let elsewhere = new(elsewhere.header("Accept-Encoding", ALL));
    assert_eq!(sent(&proxy, &elsewhere), "br");
}

#[test]
fn the_machine_of_the_browser_is_secure() {
    let origin = origin();
    let proxy = Proxy::start(&site(&origin));
    for (host, is_told) in [
        ("localhost", true),
        ("app.localhost:8080", true),
        ("127.0.0.2", true),
        ("[::1]:80", true),
        ("192.0.2.1", false),
        ("localhost.example", false),
    ] {
        let answer = proxy.ask(&get("/app.1.js").host(host).header("Accept-Encoding", ALL));
        assert_eq!(told(&answer).is_some(), is_told, "{host}");
    }
}

#[test]
fn what_is_for_one_user_is_no_dictionary_and_needs_none() {
    let private = |name: &str, value: &str| script(version(2), "\"v2\"").header(name, value);
    let origin = origin()
        .serve("/app.cookie.js", private("Set-Cookie", "a=b"))
        .serve("/app.vary.js", private("Vary", "Accept, Cookie"))
        .serve("/app.private.js", private("Cache-Control", "max-age=60, Private"))
        .serve("/app.secret.js", private("Cache-Control", "no-store"))
        .serve("/app.own.js", private("Use-As-Dictionary", "match=\"/own\""))
        .serve("/app.passing.js", private("Vary", "*"))
        .serve("/app.missing.js", private("X", "y").status(404))
        .serve("/other.js", script(version(2), "\"v2\""));
    let lines = "encode = { best = \"off\" }\ndictionary = \"/app.*.js\"";
    let cache = "cache = { zone = \"main\", store_cookies = true, ignore = [\"Cache-Control\"], ttl = { any = \"10m\" } }";
    let config = config().top("trusted_proxies = [\"127.0.0.0/8\"]").web("").site("");
    let config = config.route("/*", format!("proxy = \"app\"\n{cache}\n{lines}"));
    let config = config.upstream("app", &[&origin], "").toml("[zones.main]\nmemory = \"64MiB\"");
    let proxy = Proxy::start(&config);
    seen(&proxy);
    for (path, announced, is_encoded) in [
        ("/app.cookie.js", None, false),
        ("/app.vary.js", None, false),
        ("/app.private.js", None, false),
        ("/app.secret.js", None, false),
        ("/app.own.js", Some("match=\"/own\""), true),
        ("/app.passing.js", None, false),
        ("/other.js", None, false),
    ] {
        for _ in 0..2 {
            let answer = proxy.ask(&having(secure(path), &version(1)));
            answer.expect_status(200);
            assert_eq!(told(&answer), announced, "{path}");
            assert_eq!(coding(&answer) == Some("dcz"), is_encoded, "{path}");
            let varies = answer.headers.get("vary").unwrap();
            let is_concerned = !["/app.passing.js", "/other.js"].contains(&path);
            assert_eq!(varies.contains("available-dictionary"), is_concerned, "{path}: {varies}");
        }
    }
    assert_eq!(told(&proxy.ask(&secure("/app.missing.js"))), None);
    let authorized = secure("/app.2.js").header("Authorization", "Basic eDp5");
    assert_eq!(told(&proxy.ask(&authorized)), None);
    assert_eq!(metric(&proxy, "switchback_dictionaries "), 1);
}

#[test]
fn conditions_and_ranges_are_of_the_form_with_its_dictionary() {
    let origin = origin();
    let proxy = Proxy::start(&site(&origin));
    seen(&proxy);
    let old = version(1);
    let asked = || having(secure("/app.2.js"), &old);
    let made = proxy.ask(&asked());
    made.expect_header("Content-Encoding", "dcz");
    let tag = made.headers.get("etag").unwrap().to_owned();
    let held = proxy.ask(&asked().header("If-None-Match", &tag));
    held.expect_status(304).expect_header("ETag", &tag).expect_header("Vary", BOTH);
    assert_eq!(told(&held), None, "who has it has been told");
    // Who has another dictionary, or none, cannot decode it.
    let other = having(secure("/app.2.js"), &version(2)).header("If-None-Match", &tag);
    proxy.ask(&other).expect_status(200);
    let none = secure("/app.2.js").header("If-None-Match", &tag);
    proxy.ask(&none).expect_status(200).expect_header("Content-Encoding", "br");
    let part = proxy.ask(&asked().header("Range", "bytes=10-99").header("If-Range", &tag));
    part.expect_status(206).expect_header("ETag", &tag).expect_body(&made.body[10..100]);
    assert_eq!(told(&part), None, "a part is no dictionary");
    let head = request("HEAD", "/app.2.js").host("app.example");
    let head = head.header("Accept-Encoding", ALL).header("X-Forwarded-Proto", "https");
    let head = proxy.ask(&having(head, &old));
    head.expect_header("ETag", &tag).expect_header("Content-Encoding", "dcz");
    // What is purged takes its forms with it; what they were made against stays.
    let purge = request("PURGE", "/app.2.js").host("app.example");
    proxy.ask(&purge.header("X-Forwarded-Proto", "https")).expect_status(200);
    let anew = proxy.ask(&asked());
    anew.expect_header("Content-Encoding", "dcz");
    assert_ne!(anew.headers.get("etag"), Some(&*tag));
}

#[test]
fn what_is_asked_for_again_is_made_smaller_against_the_same() {
    let origin = origin();
    let lines =
        "encode = { levels = { zstd = 1 }, best = { zstd = 12 } }\ndictionary = \"/app.*.js\"";
    let proxy = Proxy::start(&site_by(&origin, lines, ""));
    seen(&proxy);
    let old = version(1);
    let asked = having(secure("/app.2.js"), &old);
    let first = proxy.ask(&asked);
    first.expect_header("Content-Encoding", "dcz");
    let better = eventually("a better one is stored", Deadline::soon(), || {
        let answer = proxy.ask(&asked);
        answer.expect_header("Content-Encoding", "dcz");
        (answer.headers.get("etag") != first.headers.get("etag")).then_some(answer)
    });
    assert!(decoded("dcz", &better.body, &old) == version(2));
    assert!(better.body.len() <= first.body.len(), "{} bytes", better.body.len());
}

#[test]
fn what_the_origin_has_encoded_is_a_dictionary_as_clients_read_it() {
    let coded = |coding: Coding, number: usize| {
        let body = switchback_variant::encode_whole(coding, 4, &version(number), None).unwrap();
        script(body, "\"v\"").header("Content-Encoding", coding.name())
    };
    let origin = Origin::start()
        .serve("/app.1.js", coded(Coding::Gzip, 1))
        .serve("/app.2.js", coded(Coding::Br, 2));
    let proxy = Proxy::start(&site(&origin));
    let first = proxy.ask(&secure("/app.1.js"));
    first.expect_header("Content-Encoding", "gzip").expect_header("Use-As-Dictionary", TOLD);
    wait_for_kept(&proxy, 1);
    for coding in ["dcz", "dcb"] {
        let asked = having(secure_as("/app.2.js", &format!("br, {coding}")), &version(1));
        let answer = proxy.ask(&asked);
        answer.expect_header("Content-Encoding", coding);
        assert!(decoded(coding, &answer.body, &version(1)) == version(2));
    }
}

#[test]
fn one_response_is_encoded_against_few_others() {
    let mut origin = origin();
    for number in 10..20 {
        origin = origin.serve(&format!("/app.{number}.js"), script(version(number), "\"v\""));
    }
    let proxy = Proxy::start(&site(&origin));
    for (place, number) in (10..20).enumerate() {
        proxy.ask(&secure(&format!("/app.{number}.js"))).expect_header("Use-As-Dictionary", TOLD);
        wait_for_kept(&proxy, place as u64 + 1);
    }
    for _ in 0..2 {
        let codings: Vec<String> = (10..20)
            .map(|number| sent(&proxy, &having(secure("/app.2.js"), &version(number))))
            .collect();
        let few = [["dcz"; 8].as_slice(), ["br"; 2].as_slice()].concat();
        assert_eq!(codings, few);
    }
}

#[test]
fn what_there_is_no_room_for_is_not_told_of() {
    let origin = origin().serve("/app.small.js", script(version(1)[..9_000].to_vec(), "\"s\""));
    let config = site(&origin).toml("[dictionaries]\nmemory = \"40KiB\"");
    let proxy = Proxy::start(&config);
    for _ in 0..2 {
        assert_eq!(told(&proxy.ask(&secure("/app.1.js"))), None);
    }
    proxy.ask(&secure("/app.small.js")).expect_header("Use-As-Dictionary", TOLD);
    wait_for_kept(&proxy, 1);
    assert!(metric(&proxy, "switchback_dictionary_bytes ") <= 40 * 1024);
}

#[test]
fn a_reload_keeps_what_there_is_until_no_route_wants_it() {
    let origin = origin();
    let proxy = Proxy::start(&site(&origin));
    seen(&proxy);
    let asked = having(secure("/app.2.js"), &version(1));
    proxy.reload(&site(&origin).toml("[dictionaries]\nmemory = \"16MiB\""));
    assert_eq!(sent(&proxy, &asked), "dcz");
    proxy.reload(&site_by(&origin, "encode = { best = \"off\" }", ""));
    assert_eq!(metric(&proxy, "switchback_dictionaries "), 0);
    assert_eq!(sent(&proxy, &asked), "br");
}

#[test]
fn after_a_restart_a_dictionary_is_back_when_it_is_sent_next() {
    let folder = cache_disk::folder();
    let path = folder.path().join("cache");
    let zone = format!("disk = {{ path = \"{}\", {} }}", path.display(), cache_disk::ROOMY);
    let origin = origin();
    let lines = "encode = { best = \"off\" }\ndictionary = \"/app.*.js\"";
    let config = site_by(&origin, lines, &zone);
    let proxy = cache_disk::start(&folder, &config);
    seen(&proxy);
    let asked = having(secure("/app.2.js"), &version(1));
    let before = proxy.ask(&asked);
    before.expect_header("Content-Encoding", "dcz");
    cache_disk::wait_for_stored(&proxy, 4);
    proxy.stop();
    let proxy = cache_disk::start(&folder, &config);
    assert_eq!(sent(&proxy, &asked), "br", "nothing is known of it yet");
    seen(&proxy);
    let after = proxy.ask(&asked);
    // The form itself was on disk all the time.
    after.expect_header("Content-Encoding", "dcz");
    after.expect_header("ETag", before.headers.get("etag").unwrap());
    assert!(after.body == before.body);
    assert_eq!(origin.requests("/app.1.js").len(), 1);
}

#[test]
fn what_is_cut_is_no_dictionary() {
    let half = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Type: text/javascript\r\n\
                Content-Length: 1000\r\n\r\nexport const half =";
    let origin = origin().serve("/app.cut.js", Answer::Script(vec![Step::send(half)]));
    let proxy = Proxy::start(&site(&origin));
    let asked = secure_as("/app.cut.js", "identity");
    assert!(proxy.client().try_ask(&asked).is_err(), "it is whole");
    eventually("it is given up", Deadline::soon(), || {
        (metric(&proxy, "switchback_dictionaries_left_total ") == 1).then_some(())
    });
    seen(&proxy);
    assert_eq!(metric(&proxy, "switchback_dictionaries "), 1);
}
