//! Secrets stay out of access logs.

use switchback_integration::{Config, Deadline, Origin, Proxy, Reply, eventually, get, site};

const EVERYTHING: &str = "$request|$request_uri|$args|$arg_token|$http_referer|$http_authorization|$http_proxy_authorization|\
    $http_cookie|$cookie_session|$sent_http_set_cookie|$sent_http_location|$remote_user|$uri|$arg_page";

fn logged(log: &str) -> Config {
    site()
        .route(
            "/*",
            "respond = { body = \"x\", headers = { set-cookie = \"s=1\", location = \"/n?code=2&a=b\" } }",
        )
        .toml(format_args!("[[log.access]]\nfile = \"access.log\"\n{log}\n"))
}

fn line(config: &Config) -> String {
    let proxy = Proxy::start(config);
    let request = get("/p?page=1&token=SECRET&Api_Key=SECRET&x=y")
        .header("Referer", "http://r/?a=1&password=SECRET")
        .header("Authorization", "Basic YWxpY2U6U0VDUkVU")
        .header("Proxy-Authorization", "SECRET")
        .header("Cookie", "session=SECRET; theme=dark");
    proxy.ask(&request).expect_status(200);
    eventually("a line", Deadline::soon(), || {
        let text = std::fs::read_to_string(proxy.folder().join("access.log")).ok()?;
        text.strip_suffix('\n').map(str::to_owned)
    })
}

#[test]
fn what_is_usually_secret_is_masked() {
    let line = line(&logged(&format!("format = \"{EVERYTHING}\"")));
    let wanted = "GET /p?page=1&token=***&Api_Key=***&x=y HTTP/1.1|/p?page=1&token=***&Api_Key=***&x=y|\
        page=1&token=***&Api_Key=***&x=y|***|http://r/?a=1&password=***|***|***|***|***|***|/n?code=***&a=b|alice|/p|1";
    assert_eq!(line, wanted);
}

#[test]
fn every_named_format_is_masked() {
    for format in ["combined", "common", "json", "httplog"] {
        let line = line(&logged(&format!("format = \"{format}\"")));
        assert!(!line.contains("SECRET") && line.contains("token=***&Api_Key=***"), "{line}");
    }
}

#[test]
fn a_list_of_ones_own_replaces_the_usual_one() {
    let line = line(&logged(
        "format = \"$request_uri $http_authorization $http_x_none\"\nredact = [\"Page\", \"x\"]",
    ));
    assert_eq!(line, "/p?page=***&token=SECRET&Api_Key=SECRET&x=*** Basic YWxpY2U6U0VDUkVU -");
}

#[test]
fn an_empty_list_masks_nothing() {
    let line = line(&logged("format = \"$args $cookie_session\"\nredact = []"));
    assert_eq!(line, "page=1&token=SECRET&Api_Key=SECRET&x=y SECRET");
}

/// Nobody has them in a map before they are sent.
#[test]
fn fields_of_answers_are_logged_whoever_makes_them() {
    let origin = Origin::start()
        .serve("/stored", Reply::ok("x").header("Cache-Control", "max-age=60").header("X-A", "1"));
    let format = "$uri $status|$sent_http_x_a|$sent_http_server|$sent_http_content_length|$sent_http_connection|$sent_http_date";
    let config = site()
        .file("www/file", "text")
        .route("/stored", "proxy = \"app\"\ncache = \"main\"")
        .route("/file", "files = \"www\"")
        .route("/fixed", "respond = { body = \"x\", headers = { x-a = \"2\" } }")
        .upstream("app", &[&origin], "")
        .toml(format_args!(
            "[zones.main]\nmemory = \"64MiB\"\n[[log.access]]\nfile = \"access.log\"\nformat = \"{format}\""
        ));
    let proxy = Proxy::start(&config);
    let mut client = proxy.client();
    let sent = ["/stored", "/stored", "/file", "/fixed"].map(|path| {
        let answer = client.ask(&get(path));
        let field = |name| answer.headers.get(name).unwrap_or("-").to_owned();
        let fields = ["x-a", "server", "content-length", "connection", "date"].map(field);
        format!("{path} 200|{}", fields.join("|"))
    });
    eventually("a line of each", Deadline::soon(), || {
        let text = std::fs::read_to_string(proxy.folder().join("access.log")).ok()?;
        let lines: Vec<&str> = text.lines().collect();
        (lines.len() == sent.len()).then(|| assert_eq!(lines, sent))
    });
}
