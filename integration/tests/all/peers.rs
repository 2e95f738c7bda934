//! Switchback beside and between real programs.

use switchback_integration::{
    Config, Origin, Peer, Proxy, Reply, Tool, config, get, pattern, post, site,
};

/// The unix socket of a peer as an upstream.
fn before(peer: &Peer) -> Config {
    site().route("/*", "proxy = \"app\"").endpoints(
        "app",
        &[format!("unix:{}", peer.socket().display())],
        "",
    )
}

#[test]
fn nginx_and_haproxy_are_upstreams() {
    let origin = Origin::start();
    let nginx = Peer::nginx(&format!(
        "location / {{ proxy_http_version 1.1; proxy_pass http://{}; }}",
        origin.endpoint()
    ));
    let haproxy = Peer::haproxy(&format!("server one {}", origin.endpoint()));
    for peer in [nginx, haproxy].iter().flatten() {
        let proxy = Proxy::start(&before(peer));
        proxy.get("/x?a=b").expect_status(200).expect_text("/x?a=b");
        proxy.ask(&post("/up", pattern(100_000)).chunked(5000)).expect_status(200);
        assert_eq!(origin.requests("/up").pop().unwrap().body, pattern(100_000));
    }
}

#[test]
fn an_answer_is_the_one_nginx_gives() {
    let origin = Origin::start().serve(
        "/page",
        Reply::ok("page").header("ETag", "\"1\"").header("X-A", "1").header("X-A", "2"),
    );
    let Some(nginx) = Peer::nginx(&format!(
        "location / {{ proxy_http_version 1.1; proxy_pass http://{}; }}",
        origin.endpoint()
    )) else {
        return;
    };
    let proxy = Proxy::start(&site().proxy_to(&origin));
    let (theirs, ours) = (nginx.client().ask(&get("/page")), proxy.get("/page"));
    assert_eq!((ours.status, &ours.body), (theirs.status, &theirs.body));
    for name in ["etag", "x-a", "content-length", "transfer-encoding"] {
        assert_eq!(ours.headers.all(name), theirs.headers.all(name), "{name}");
    }
}

#[test]
fn curl_is_served_over_http1_http2_and_tls() {
    let config = config()
        .web("tls = { self_signed = [\"localhost\"] }")
        .listener("name = \"plain\"\naddress = \"127.0.0.2:0\"\nh2c = true")
        .site("")
        .route("/*", "respond = { status = 200, body = \"$server_protocol $scheme\" }");
    let proxy = Proxy::start(&config);
    let (tls, plain) = (proxy.address("web"), proxy.address("plain"));
    let cases = [
        (
            vec![
                "-k".to_owned(),
                "--http2".to_owned(),
                format!("https://localhost:{}/", tls.port()),
            ],
            "HTTP/2.0 https",
        ),
        (
            vec![
                "-k".to_owned(),
                "--http1.1".to_owned(),
                format!("https://localhost:{}/", tls.port()),
            ],
            "HTTP/1.1 https",
        ),
        (vec!["--http2-prior-knowledge".to_owned(), format!("http://{plain}/")], "HTTP/2.0 http"),
        (vec![format!("http://{plain}/")], "HTTP/1.1 http"),
    ];
    for (arguments, wanted) in cases {
        let Some(mut curl) = Tool::Curl.command() else { return };
        let output = curl.arg("-sS").args(&arguments).output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            wanted,
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn wrk_and_h2load_see_no_failure() {
    let config = config().web("h2c = true").site("").respond("/*", "small");
    let proxy = Proxy::start(&config);
    let url = format!("http://{}/", proxy.address("web"));
    if let Some(mut wrk) = Tool::Wrk.command() {
        let output = wrk.args(["-t1", "-c8", "-d1s", &url]).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            printed.contains("Requests/sec")
                && !printed.contains("Non-2xx")
                && !printed.contains("Socket errors"),
            "{printed}"
        );
    }
    if let Some(mut h2load) = Tool::H2load.command() {
        let output = h2load.args(["-n2000", "-c4", "-m10", &url]).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(printed.contains("2000 succeeded, 0 failed, 0 errored"), "{printed}");
    }
}

#[test]
fn slow_heads_do_not_keep_others_out() {
    // Another worker would take descriptors whenever it has started.
    let config = config().top("workers = 1").web("timeouts = { header = \"2s\" }").site("");
    let proxy = Proxy::start(&config.respond("/*", "x"));
    let Some(mut slow) = Tool::Slowhttptest.command() else { return };
    let url = format!("http://{}/", proxy.address("web"));
    proxy.get("/").expect_status(200);
    let before = proxy.stats().descriptors;
    let output = slow
        .args(["-H", "-c", "100", "-r", "100", "-i", "1", "-l", "4", "-u", &url])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    proxy.get("/").expect_status(200);
    assert!(printed.contains("YES") || !printed.contains("service available:   NO"), "{printed}");
    proxy.wait_for_descriptors(before);
}

#[test]
fn a_browser_shows_the_page() {
    let page = "respond = { status = 200, headers = { content-type = \"text/html\" }, \
                body = \"<p id=out>no script</p><script>out.textContent = 'it ' + 'ran'</script>\" }";
    let proxy = Proxy::start(&site().route("/*", page));
    let Some(mut chromium) = Tool::Chromium.command() else { return };
    let profile = tempfile::tempdir().unwrap();
    chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]);
    chromium.arg(format!("--user-data-dir={}", profile.path().display()));
    let output = chromium.arg(format!("http://{}/", proxy.address("web"))).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(shown.contains("it ran"), "{shown}{said}");
}

#[test]
fn a_clock_that_was_moved_shows_in_the_answers() {
    if Tool::Faketime.command().is_none() {
        return;
    }
    let libraries =
        std::fs::read_dir("/usr/lib").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let mut preloads = libraries.map(|folder| folder.join("faketime/libfaketime.so.1"));
    let Some(preload) = preloads.find(|path| path.is_file()) else { return };
    let environment = [
        ("LD_PRELOAD", preload.to_str().unwrap()),
        ("FAKETIME", "@2031-02-03 04:05:06"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("TZ", "UTC"),
    ];
    let proxy = Proxy::start_with(&site().respond("/*", "x"), &environment);
    let answer = proxy.get("/");
    let date = answer.headers.get("date").unwrap();
    assert!(date.starts_with("Mon, 03 Feb 2031 04:05:"), "{date}");
}
