//! A line per request.

use switchback_integration::{
    Config, Deadline, Gate, H2Client, H2Request, Origin, Proxy, Step, config, eventually, get,
    post, site,
};

fn logged(log: &str) -> Config {
    site()
        .respond("/x", "twelve bytes")
        .toml(format_args!("[[log.access]]\nfile = \"access.log\"\n{log}\n"))
}

/// The log once it has this many lines, sorted: two connections may be two workers', whose lines come as they like.
fn lines(proxy: &Proxy, count: usize) -> Vec<String> {
    eventually("the access log has its lines", Deadline::soon(), || {
        let text = std::fs::read_to_string(proxy.folder().join("access.log")).ok()?;
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        (lines.len() >= count && text.ends_with('\n')).then_some(lines)
    })
}

#[test]
fn the_usual_format_is_the_combined_one() {
    let proxy = Proxy::start(&logged(""));
    proxy
        .ask(&get("/x?a=b").header("Referer", "http://r/").header("User-Agent", "test/1"))
        .expect_status(200);
    let line = &lines(&proxy, 1)[0];
    let (start, end) = line.split_once('[').unwrap();
    let (time, rest) = end.split_once(']').unwrap();
    assert_eq!(start, "127.0.0.1 - - ");
    assert_eq!(rest, " \"GET /x?a=b HTTP/1.1\" 200 12 \"http://r/\" \"test/1\"");
    assert_eq!((time.len(), &time[2..3]), (26, "/"));
}

#[test]
fn a_format_of_ones_own_is_a_template() {
    let origin = Origin::start();
    let config = site()
        .route_lines("name = \"all\"\nmatch = { path = \"/*\" }\nproxy = \"app\"")
        .upstream("app", &[&origin], "")
        .toml("[[log.access]]\nfile = \"access.log\"\nformat = \"$request_method $uri $args $status $upstream_addr $route $http_x_none\"\n");
    let proxy = Proxy::start(&config);
    proxy.ask(&post("/p%20q?a=b", "body")).expect_status(200);
    let wanted = format!("POST /p q a=b 200 {} all -", origin.endpoint());
    assert_eq!(lines(&proxy, 1)[0], wanted);
}

#[test]
fn a_condition_says_which_requests_are_logged() {
    let proxy = Proxy::start(&logged("format = \"$uri $status\"\nwhen = '$status ~ \"^[45]\"'"));
    proxy.get("/x").expect_status(200);
    proxy.get("/none").expect_status(404);
    assert_eq!(lines(&proxy, 1), ["/none 404"]);
}

#[test]
fn a_value_cannot_break_out_of_its_line() {
    let proxy = Proxy::start(&logged("format = \"[$http_user_agent]\""));
    proxy.ask(&get("/x").header("User-Agent", "a\"b\\c\u{e9}")).expect_status(200);
    let line = &lines(&proxy, 1)[0];
    assert!(line.starts_with('[') && line.ends_with(']') && !line.contains('"'), "{line}");
    assert!(line.contains("\\x22"), "{line}");
}

#[test]
fn requests_that_failed_are_logged_too() {
    let config = site()
        .route("/*", "proxy = \"app\"")
        .endpoints("app", &["unix:/nonexistent.sock"], "")
        .toml("[[log.access]]\nfile = \"access.log\"\nformat = \"$status\"\n");
    let proxy = Proxy::start(&config);
    proxy.get("/").expect_status(502);
    let mut client = proxy.client();
    client.send("BAD\r\n\r\n").response().expect_status(400);
    assert_eq!(lines(&proxy, 2), ["400", "502"]);
}

#[test]
fn a_replaced_answer_is_logged_once() {
    let origin = Origin::start().serve("*", switchback_integration::Reply::ok("").status(404));
    let config = site()
        .route("/*", "proxy = \"app\"\nerrors = { 404 = { route = \"lost\", status = 0 } }")
        .route_lines(
            "name = \"lost\"\ninternal = true\nrespond = { status = 410, body = \"gone\" }",
        )
        .upstream("app", &[&origin], "")
        .toml("[[log.access]]\nfile = \"access.log\"\nformat = \"$uri $status\"\n");
    let proxy = Proxy::start(&config);
    proxy.get("/a").expect_status(410);
    proxy.get("/b").expect_status(410);
    assert_eq!(lines(&proxy, 2), ["/a 410", "/b 410"]);
}

#[test]
fn standard_output_is_a_log_too() {
    let proxy = Proxy::start(
        &site().respond("/x", "x").toml("[[log.access]]\nfile = \"stdout\"\nformat = \"<$uri>\"\n"),
    );
    proxy.get("/x").expect_status(200);
    proxy.wait_for_stdout("</x>");
}

/// An origin that answers when nobody listens any more, and a log of the proxy before it.
fn slow() -> (Origin, Proxy) {
    let steps = [Step::ReadBody, Step::Wait(Gate::new())];
    let origin = Origin::start().serve("/slow", steps);
    let config = config()
        .web("h2c = true")
        .site("")
        .proxy_to(&origin)
        .toml("[[log.access]]\nfile = \"access.log\"\nformat = \"$server_protocol $status $body_bytes_sent\"\n")
        .toml("[[log.access]]\nfile = \"http.log\"\nformat = \"httplog\"\n");
    let proxy = Proxy::start(&config);
    (origin, proxy)
}

fn expect_aborted(proxy: &Proxy, protocol: &str) {
    assert_eq!(lines(proxy, 1), [format!("{protocol} 499 0")]);
    let httplog = eventually("the other log", Deadline::soon(), || {
        let text = std::fs::read_to_string(proxy.folder().join("http.log")).ok()?;
        text.strip_suffix('\n').map(str::to_owned)
    });
    assert!(httplog.contains("/-1/") && httplog.contains(" -1 0 - - CH-- "), "{httplog}");
}

#[test]
fn a_client_that_goes_away_while_the_upstream_is_slow_is_a_499() {
    let (origin, proxy) = slow();
    let mut client = proxy.client();
    client.send(get("/slow").to_bytes());
    origin.wait_for_requests("/slow", 1);
    drop(client);
    expect_aborted(&proxy, "HTTP/1.1");
}

#[test]
fn a_client_that_resets_its_connection_is_a_499() {
    let (origin, proxy) = slow();
    let mut client = proxy.client();
    client.send(post("/slow", "body").to_bytes());
    origin.wait_for_requests("/slow", 1);
    client.reset();
    expect_aborted(&proxy, "HTTP/1.1");
}

#[test]
fn a_stream_that_is_given_up_is_a_499() {
    let (origin, proxy) = slow();
    let mut client = H2Client::cleartext(proxy.address("web"));
    let mut stream = client.open(&H2Request::new("POST", "/slow"));
    stream.finish(&[]);
    stream.drive_until(|| !origin.requests("/slow").is_empty());
    drop(stream);
    // The client sends while it runs.
    client.try_ask(&H2Request::new("GET", "/")).expect("the connection lives on");
    let aborted = eventually("the aborted one", Deadline::soon(), || {
        lines(&proxy, 2).into_iter().find(|line| line == "HTTP/2.0 499 0")
    });
    assert!(!aborted.is_empty());
}

#[test]
fn an_http2_client_that_goes_away_is_a_499() {
    let (origin, proxy) = slow();
    let mut client = H2Client::cleartext(proxy.address("web"));
    let mut stream = client.open(&H2Request::new("POST", "/slow"));
    stream.finish(&[]);
    stream.drive_until(|| !origin.requests("/slow").is_empty());
    drop(client);
    expect_aborted(&proxy, "HTTP/2.0");
}
