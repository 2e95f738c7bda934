//! Files below a directory, over HTTP/1, HTTP/2 and TLS.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use switchback_integration::{
    H2Client, H2Request, Proxy, Trust, get, pattern, post, request, site,
};

/// A proxy that serves the folder `www` beside its configuration.
fn serving(lines: &str) -> Proxy {
    let config = site().file("www/index.html", "<h1>home</h1>\n").route("/*", lines);
    Proxy::start(&config)
}

fn www(proxy: &Proxy) -> std::path::PathBuf {
    proxy.folder().join("www")
}

fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn a_file_is_sent_whole_with_what_caches_need() {
    let proxy = serving("files = \"www\"");
    let page = proxy.get("/index.html");
    page.expect_status(200).expect_body("<h1>home</h1>\n");
    page.expect_header("content-type", "text/html").expect_header("content-length", "14");
    page.expect_header("accept-ranges", "bytes").expect_header("server", "switchback");
    assert!(page.headers.get("etag").is_some() && page.headers.get("last-modified").is_some());
    assert!(page.headers.get("date").is_some(), "{page:?}");
    proxy.get("/").expect_status(200).expect_body("<h1>home</h1>\n");
    proxy.get("/none.html").expect_status(404);
}

#[test]
fn one_connection_carries_answers_of_every_kind() {
    let proxy = serving("files = \"www\"");
    write(&www(&proxy).join("large.bin"), pattern(3_000_000));
    write(&www(&proxy).join("empty"), "");
    let mut client = proxy.client();
    let tag = client.ask(&get("/index.html")).headers.get("etag").unwrap().to_owned();
    client.ask(&get("/index.html").header("If-None-Match", &tag)).expect_status(304);
    client.ask(&get("/large.bin")).expect_status(200).expect_body(pattern(3_000_000));
    client.ask(&request("HEAD", "/large.bin")).expect_header("content-length", "3000000");
    let part = client.ask(&get("/large.bin").header("Range", "bytes=1000000-1000009"));
    part.expect_status(206).expect_body(&pattern(3_000_000)[1_000_000..1_000_010]);
    let parts = client.ask(&get("/large.bin").header("Range", "bytes=0-9,-5"));
    parts.expect_status(206);
    assert_eq!(parts.body.len().to_string(), parts.headers.get("content-length").unwrap());
    client.ask(&get("/empty")).expect_status(200).expect_body("");
    client.ask(&get("/none")).expect_status(404);
    client.ask(&post("/index.html", "x=1")).expect_status(405);
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let proxy = serving("files = \"www\"");
    write(&www(&proxy).join("a"), "first");
    write(&www(&proxy).join("b"), "second");
    let mut client = proxy.client();
    client.send([get("/a").to_bytes(), get("/b").to_bytes(), get("/none").to_bytes()].concat());
    client.response().expect_status(200).expect_body("first");
    client.response().expect_status(200).expect_body("second");
    client.response().expect_status(404);
}

#[test]
fn an_old_client_has_its_connection_closed_unless_it_asks() {
    let proxy = serving("files = \"www\"");
    let mut client = proxy.client();
    client.send("GET /index.html HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    client.response().expect_header("connection", "keep-alive");
    client.send("GET /index.html HTTP/1.0\r\n\r\n");
    client.response().expect_status(200).expect_header("connection", "close");
    client.expect_close();
    let mut client = proxy.client();
    client.ask(&get("/index.html").close()).expect_header("connection", "close");
    client.expect_close();
}

#[test]
fn nothing_outside_the_directory_is_ever_read() {
    let proxy = serving("files = \"www\"");
    write(&proxy.folder().join("secret"), "secret");
    write(&www(&proxy).join(".env"), "secret");
    symlink(proxy.folder().join("secret"), www(&proxy).join("absolute")).unwrap();
    symlink("../secret", www(&proxy).join("relative")).unwrap();
    symlink("..", www(&proxy).join("up")).unwrap();
    symlink("index.html", www(&proxy).join("inside")).unwrap();
    proxy.get("/inside").expect_status(200).expect_body("<h1>home</h1>\n");
    for target in [
        "/../secret",
        "/..%2fsecret",
        "/%2e%2e/secret",
        "/%2e%2e%2fsecret",
        "/a/../../secret",
        "/..%5csecret",
        "/%252e%252e/secret",
        "/.%00./secret",
        "/%c0%ae%c0%ae/secret",
        "//../secret",
        "/absolute",
        "/relative",
        "/up/secret",
        "/.env",
        "/secret",
    ] {
        let answer = proxy.client().ask(&get(target));
        assert!(matches!(answer.status, 400 | 403 | 404), "{target}: {answer:?}");
        assert!(!answer.text().contains("secret"), "{target}: {answer:?}");
    }
}

#[test]
fn the_kernel_is_asked_for_nothing_outside() {
    let Some(found) = switchback_integration::escapes() else { return };
    assert!(found.outside.is_empty(), "{:#?}", found.outside);
    assert!(found.served == 0 && found.inside > 0, "{found:?}");
}

#[test]
fn a_pipe_keeps_nobody_waiting() {
    let proxy = serving("files = \"www\"");
    let pipe = www(&proxy).join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let answer = proxy.get("/pipe");
    assert!(matches!(answer.status, 403 | 404), "{answer:?}");
}

#[test]
fn candidates_are_tried_in_order_and_a_route_stands_in() {
    let config = site()
        .file("www/index.html", "shell")
        .file("www/app.js", "app")
        .file("www/docs/index.html", "docs")
        .route("/*", "files = { root = \"www\", try = [\"$uri\", \"$uri/\", \"/index.html\"] }")
        .route(
            "/api/*",
            "files = { root = \"www\", try = [\"$uri\", \"$uri/\"], missing = \"none\" }",
        )
        .route_lines(
            "name = \"none\"\ninternal = true\nrespond = { status = 410, body = \"gone: $uri\" }",
        );
    let proxy = Proxy::start(&config);
    proxy.get("/app.js").expect_body("app");
    proxy.get("/deep/link").expect_status(200).expect_body("shell");
    proxy.get("/docs/").expect_body("docs");
    proxy.get("/docs").expect_status(301).expect_header("location", "/docs/");
    proxy.get("/docs?a=b").expect_status(301).expect_header("location", "/docs/?a=b");
    proxy.get("/api/x?y").expect_status(410).expect_body("gone: /api/x");
    proxy.ask(&post("/api/x", "body")).expect_status(410);
}

#[test]
fn what_is_tried_is_a_file_unless_it_ends_with_a_slash() {
    let config = site()
        .file("www/deep/page.html", "page")
        .file("www/docs/index.html", "docs")
        .route("/*", "files = { root = \"www\", try = [\"$uri\"], missing = \"shell\" }")
        .route("/docs/*", "files = { root = \"www\", missing = \"shell\" }")
        .route_lines("name = \"shell\"\ninternal = true\nrespond = { body = \"shell\" }");
    let proxy = Proxy::start(&config);
    proxy.get("/deep/page.html").expect_body("page");
    for path in ["/", "/deep", "/deep/", "/none"] {
        proxy.get(path).expect_status(200).expect_body("shell");
    }
    proxy.get("/docs/").expect_body("docs");
    proxy.get("/docs/none").expect_body("shell");
}

#[test]
fn the_normal_path_decides_whether_a_slash_is_missing() {
    let config = site()
        .file("www/docs/index.html", "docs")
        .file("www/docs/a b/index.html", "spaced")
        .file("www/100%.txt", "all of it")
        .route("/*", "files = \"www\"");
    let proxy = Proxy::start(&config);
    for path in ["/docs/.", "/docs/x/..", "/./docs//"] {
        proxy.get(path).expect_status(200).expect_body("docs");
    }
    proxy.get("/x/../docs").expect_status(301).expect_header("location", "/docs/");
    proxy.get("/docs/a%20b?q").expect_status(301).expect_header("location", "/docs/a%20b/?q");
    proxy.get("/100%25.txt").expect_status(200).expect_body("all of it");
    proxy.get("/docs%2Findex.html").expect_status(404);
}

#[test]
fn a_page_for_an_error_is_sent_whatever_was_asked_and_is_no_file_of_its_own() {
    let config = site()
        .file("www/404.html", "lost")
        .route("/*", "files = \"www\"\nerrors = { 404 = \"lost\" }")
        .route_lines(
            "name = \"lost\"\ninternal = true\nfiles = { root = \"www\", try = [\"/404.html\"] }",
        );
    let proxy = Proxy::start(&config);
    for asked in [get("/none"), post("/none", ""), request("DELETE", "/none"), post("/none", "x")] {
        let page = proxy.ask(&asked);
        page.expect_status(404).expect_body("lost").expect_header("content-type", "text/html");
        page.expect_no_header("last-modified").expect_no_header("etag");
        page.expect_no_header("accept-ranges");
    }
    proxy.ask(&get("/none").header("Range", "bytes=0-1")).expect_status(404).expect_body("lost");
}

#[test]
fn what_is_missing_may_be_asked_of_an_upstream() {
    let origin = switchback_integration::Origin::start();
    let config = site()
        .file("www/logo.svg", "<svg/>")
        .upstream("app", &[&origin], "")
        .route("/*", "files = { root = \"www\", try = [\"$uri\"], missing = \"app\" }")
        .route_lines("name = \"app\"\ninternal = true\nproxy = \"app\"");
    let proxy = Proxy::start(&config);
    let mut client = proxy.client();
    client.ask(&get("/logo.svg")).expect_header("content-type", "image/svg+xml");
    client.ask(&get("/users?page=2").header("X-Forwarded-For", "1.2.3.4")).expect_status(200);
    client.ask(&post("/users", "name=x")).expect_status(200);
    let asked = origin.requests("*");
    assert_eq!(asked[0].target, "/users?page=2");
    assert_eq!(asked[0].headers.get("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(asked[1].body, b"name=x");
}

#[test]
fn a_directory_by_host_never_leaves_its_parent() {
    let config = site()
        .file("www/a.example/index.html", "a")
        .file("www/b.example/index.html", "b")
        .file("index.html", "parent")
        .route("/*", "files = \"www/$host\"");
    let proxy = Proxy::start(&config);
    proxy.ask(&get("/").host("a.example")).expect_body("a");
    proxy.ask(&get("/").host("B.example:80")).expect_body("b");
    for host in ["..", "...", "c.example", ""] {
        let answer = proxy.ask(&get("/").host(host));
        assert!(answer.status >= 400 && !answer.text().contains("parent"), "{host}: {answer:?}");
    }
}

#[test]
fn a_prefix_is_taken_off() {
    let config = site()
        .file("pictures/cat.png", "cat")
        .route("/img/*", "files = { root = \"pictures\", strip_prefix = \"/img/\" }");
    let proxy = Proxy::start(&config);
    proxy.get("/img/cat.png").expect_status(200).expect_header("content-type", "image/png");
    proxy.get("/img/img/cat.png").expect_status(404);
}

#[test]
fn copies_beside_the_file_go_to_those_who_take_them() {
    let config = site()
        .file("www/app.js", "plain")
        .file("www/app.js.br", "brotli")
        .file("www/app.js.gz", "gzip")
        .route("/*", "files = { root = \"www\", precompressed = [\"br\", \"gzip\"] }");
    let proxy = Proxy::start(&config);
    let accept = |coding: &str| proxy.ask(&get("/app.js").header("Accept-Encoding", coding));
    accept("gzip, br").expect_body("brotli").expect_header("content-encoding", "br");
    accept("gzip, br;q=0.5").expect_body("gzip").expect_header("content-encoding", "gzip");
    accept("br;q=0, gzip;q=0").expect_body("plain").expect_no_header("content-encoding");
    let plain = accept("");
    plain.expect_body("plain").expect_header("vary", "Accept-Encoding");
    assert_eq!(plain.headers.get("content-type"), accept("br").headers.get("content-type"));
}

#[test]
fn a_listing_escapes_names() {
    let config = site()
        .file("www/<b>&.txt", "x")
        .file("www/.hidden", "x")
        .route("/*", "files = { root = \"www\", autoindex = \"html\" }");
    let proxy = Proxy::start(&config);
    let page = proxy.get("/");
    page.expect_status(200).expect_text("&lt;b&gt;&amp;.txt");
    assert!(!page.text().contains("<b>") && !page.text().contains(".hidden"), "{}", page.text());
    proxy.get("/%3Cb%3E&.txt").expect_status(200).expect_body("x");
}

#[test]
fn header_rules_and_logs_see_answers_with_files() {
    let config = site()
        .file("www/index.html", "home")
        .toml("[[log.access]]\nfile = \"access.log\"\nformat = \"$request $status $body_bytes_sent $route\"")
        .route("/*", "files = \"www\"\nresponse_headers = { set = { X-Size = \"$sent_http_content_length\" } }");
    let mut proxy = Proxy::start(&config);
    let mut client = proxy.client();
    client.ask(&get("/")).expect_header("x-size", "4");
    client.ask(&request("HEAD", "/index.html?q")).expect_status(200);
    client.ask(&get("/none")).expect_status(404);
    drop(client);
    proxy.signal("TERM");
    assert_eq!(proxy.wait(), Some(0));
    let log = fs::read_to_string(proxy.folder().join("access.log")).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[0], "GET / HTTP/1.1 200 4 /*");
    assert_eq!(lines[1], "HEAD /index.html?q HTTP/1.1 200 0 /*");
    assert!(lines[2].starts_with("GET /none HTTP/1.1 404 "), "{log}");
}

#[test]
fn http2_and_tls_clients_get_the_same_files() {
    let config = switchback_integration::config()
        .web("tls = { self_signed = [\"localhost\"] }")
        .site("")
        .file("www/small.txt", "small")
        .route("/*", "files = { root = \"www\", try = [\"$uri\"], missing = \"none\" }")
        .route_lines(
            "name = \"none\"\ninternal = true\nrespond = { status = 404, body = \"none\" }",
        );
    let proxy = Proxy::start(&config);
    let large = pattern(2_000_000);
    write(&www(&proxy).join("large.bin"), &large);
    let mut secure = proxy.tls_client("localhost", &Trust::Anyone);
    secure.ask(&get("/small.txt")).expect_status(200).expect_body("small");
    secure.ask(&get("/large.bin")).expect_status(200).expect_body(&large);
    secure.ask(&get("/large.bin").header("Range", "bytes=5-9")).expect_body(&large[5..10]);
    secure.ask(&get("/none")).expect_status(404).expect_body("none");
    let mut h2 = H2Client::tls(proxy.address("web"), "localhost", &Trust::Anyone);
    for (path, status, body) in
        [("/small.txt", 200, &b"small"[..]), ("/large.bin", 200, &large), ("/none", 404, b"none")]
    {
        let answer = h2.ask(&H2Request::new("GET", path));
        assert_eq!((answer.status, answer.body.len()), (status, body.len()), "{path}");
        assert!(answer.body == body, "{path}");
    }
}
