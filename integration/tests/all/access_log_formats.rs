//! Lines of access logs, byte for byte as those whose formats they are.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use serde_json::Value;
use switchback_integration::{
    Client, Config, Deadline, Origin, Peer, Proxy, Reply, eventually, get, site,
};
use tempfile::TempDir;

fn logged(log: &str) -> Config {
    site()
        .respond("/*", "twelve bytes")
        .toml(format_args!("[[log.access]]\nfile = \"access.log\"\n{log}\n"))
}

fn lines(path: &Path, count: usize) -> Vec<String> {
    eventually("the access log has its lines", Deadline::soon(), || {
        let text = std::fs::read_to_string(path).ok()?;
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        (lines.len() >= count && text.ends_with('\n')).then_some(lines)
    })
}

/// The line without its time, which stands in the first brackets.
fn timeless(line: &str) -> String {
    let (before, rest) = line.split_once('[').unwrap_or_else(|| panic!("no time in {line}"));
    let (time, after) = rest.split_once(']').unwrap();
    assert_eq!(time.len(), 26, "{line}");
    format!("{before}[]{after}")
}

fn head(lines: &[&[u8]]) -> Vec<u8> {
    let mut bytes = lines.join(&b"\r\n"[..]);
    bytes.extend_from_slice(b"\r\nHost: a\r\nConnection: close\r\n\r\n");
    bytes
}

fn basic(user: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = b"Authorization: Basic ".to_vec();
    for block in user.chunks(3) {
        let bits = block.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - block.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= block.len() { digit } else { b'=' });
        }
    }
    text
}

fn odd_requests() -> Vec<Vec<u8>> {
    let line: &[u8] = b"GET /x HTTP/1.1";
    let mut requests: Vec<Vec<u8>> = [
        &[&b"GET /x?a=b&c=%22 HTTP/1.1"[..], b"Referer: http://r/?q=1", b"User-Agent: test/1"][..],
        &[line],
        &[b"GET /old HTTP/1.0", b"User-Agent: old"],
        &[b"HEAD /x HTTP/1.1"],
        &[b"DELETE /x HTTP/1.1"],
        &[line, b"User-Agent: say \"hi\" \\ there"],
        &[line, b"User-Agent: tab\there", b"Referer: "],
        &[line, b"User-Agent: gr\xc3\xbc\xc3\x9fe \xff\x80", b"Referer: \xe2\x86\x92"],
        &[line, b"Referer: first", b"Referer: second"],
        &[b"GET /a%20b%00 HTTP/1.1"],
        &[b"GET http://a/absolute?x HTTP/1.1"],
        &[b"GET /?? HTTP/1.1"],
        &[line, b"Authorization: Bearer abc"],
        &[line, b"Authorization: Basic !!!"],
    ]
    .map(head)
    .into();
    let users: [&[u8]; 6] = [
        b"alice:secret",
        b"al\x01i\x1f\"ce\\\x7f\xc3\xa9 b:x:y",
        b":x",
        b"no colon",
        b"a\nb\t:x",
        b"'quoted':",
    ];
    requests.extend(users.map(|user| head(&[line, &basic(user)])));
    requests
}

#[test]
fn the_combined_format_is_that_of_nginx() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("nginx.log");
    let Some(nginx) = Peer::nginx(&format!(
        "access_log {} combined; location / {{ return 200 'twelve bytes'; }}",
        path.display()
    )) else {
        return;
    };
    let proxy = Proxy::start(&logged("").top("workers = 1"));
    let mut compared = 0;
    for request in odd_requests() {
        let shown = String::from_utf8_lossy(&request).into_owned();
        let method = shown.split(' ').next().unwrap();
        let statuses = [nginx.client(), proxy.client()]
            .map(|mut client: Client| client.send(&request).response_to(method).status);
        compared += 1;
        let theirs = timeless(&lines(&path, compared)[compared - 1]);
        let ours = timeless(&lines(&proxy.folder().join("access.log"), compared)[compared - 1]);
        if statuses == [200, 200] {
            assert_eq!(ours, theirs, "{shown}");
        } else {
            // One of them takes less: what it refused must be told all the same.
            let line = |text: &str| {
                text.split(" 200 ").next().unwrap().split(" 400 ").next().unwrap().to_owned()
            };
            assert_eq!(line(&ours), line(&theirs), "{shown}: {statuses:?}");
        }
    }
    let mut client = nginx.client();
    client.send("BAD\r\n\r\n").response().expect_status(400);
    let mut client = proxy.client();
    client.send("BAD\r\n\r\n").response().expect_status(400);
    let bad = lines(&path, compared + 1)[compared].clone();
    assert!(bad.contains("\"BAD\" 400 "), "{bad}");
    let bad = lines(&proxy.folder().join("access.log"), compared + 1)[compared].clone();
    assert!(bad.contains("\"BAD\" 400 "), "{bad}");
}

#[test]
fn a_syslog_is_written_as_nginx_does() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log.sock");
    let syslog = UnixDatagram::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    syslog.set_read_timeout(Some(Deadline::soon().left())).unwrap();
    let options = "facility = \"local3\", severity = \"notice\", tag = \"site_a\"";
    let proxy = Proxy::start(&site().respond("/*", "twelve bytes").toml(format_args!(
        "[[log.access]]\nfile = \"syslog:unix:{}\"\nformat = \"$request $status\"\nsyslog = {{ {options} }}\n",
        path.display()
    )));
    let receive = || {
        let mut datagram = [0; 2048];
        let length = syslog.recv(&mut datagram).unwrap();
        let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
        // `<157>Nov 22 01:02:03 host ...`
        let (priority, rest) = text.split_once('>').unwrap();
        assert_eq!(
            (rest.as_bytes()[3], rest.as_bytes()[9], rest.as_bytes()[15]),
            (b' ', b':', b' ')
        );
        format!("{priority}>{}", &rest[15..])
    };
    proxy.get("/x").expect_status(200);
    let ours = receive();
    assert!(ours.starts_with("<157> ") && ours.ends_with(" site_a: GET /x HTTP/1.1 200"), "{ours}");
    let Some(nginx) = Peer::nginx_with(
        "log_format short '$request $status';",
        &format!(
            "access_log syslog:server=unix:{},facility=local3,severity=notice,tag=site_a short; \
             location / {{ return 200 'twelve bytes'; }}",
            path.display()
        ),
    ) else {
        return;
    };
    nginx.client().ask(&get("/x"));
    assert_eq!(ours, receive());
}

#[test]
fn the_common_format_ends_where_combined_adds() {
    let proxy = Proxy::start(&logged("format = \"common\""));
    proxy.ask(&get("/x").header("Referer", "http://r/")).expect_status(200);
    let line = timeless(&lines(&proxy.folder().join("access.log"), 1)[0]);
    assert_eq!(line, "127.0.0.1 - - [] \"GET /x HTTP/1.1\" 200 12");
}

fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[test]
fn a_json_line_is_an_object_whatever_bytes_arrive() {
    let proxy = Proxy::start(&logged("format = \"json\""));
    let agent = b"User-Agent: \"a\" \\ \tb\xff\xc3\xa9";
    let user = basic(b"al\x01\n\"ice:x");
    let request =
        head(&[b"GET /x%20?token=1&b=2 HTTP/1.1", &agent[..], b"Referer: http://r/?key=2", &user]);
    proxy.client().send(&request).response().expect_status(200);
    let read = json(&lines(&proxy.folder().join("access.log"), 1)[0]);
    assert_eq!(read["user_agent.original"], "\"a\" \\ \tb\u{fffd}\u{e9}");
    assert_eq!(read["user.name"], "al\u{1}\n\"ice");
    assert_eq!(read["url.original"], "/x%20?token=***&b=2");
    assert_eq!(read["http.request.referrer"], "http://r/?key=***");
    assert_eq!(read["http.response.status_code"], 200);
    assert_eq!(read["http.response.body.bytes"], 12);
    assert!(read["event.duration"].as_u64().is_some_and(|ns| ns > 0), "{read}");
}

#[test]
fn the_keys_of_a_json_line_are_those_of_the_documentation() {
    let origin = Origin::start().serve("*", Reply::ok("body"));
    let config =
        site().proxy_to(&origin).toml("[[log.access]]\nfile = \"access.log\"\nformat = \"json\"\n");
    let proxy = Proxy::start(&config);
    let request = get("/x").header("User-Agent", "a").header("Referer", "b");
    proxy.ask(&request.header("Authorization", "Basic YWxpY2U6eA==")).expect_status(200);
    let read = json(&lines(&proxy.folder().join("access.log"), 1)[0]);
    assert_eq!(read["switchback.endpoint"], origin.endpoint().to_string());
    let written: BTreeSet<&str> = read.as_object().unwrap().keys().map(String::as_str).collect();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/README.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once("### `json`").unwrap();
    let (section, _) = section.split_once("\n### ").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    // Over TLS there is more to say.
    let documented: BTreeSet<&str> = rows.filter(|key| !key.starts_with("tls.")).collect();
    assert_eq!(written, documented);
}

#[test]
fn a_template_can_be_json_or_raw() {
    let proxy = Proxy::start(&logged(
        "format = '{{\"agent\":\"$http_user_agent\",\"none\":\"$http_x_none\"}}'\nescape = \"json\"\n\
         [[log.access]]\nfile = \"raw.log\"\nformat = '<$http_user_agent$http_x_none>'\nescape = \"none\"",
    ));
    let request = head(&[b"GET / HTTP/1.1", b"User-Agent: \"a\"\\\t\xc3\xa9"]);
    proxy.client().send(&request).response().expect_status(200);
    let json = lines(&proxy.folder().join("access.log"), 1)[0].clone();
    assert_eq!(json, "{\"agent\":\"\\\"a\\\"\\\\\\t\u{e9}\",\"none\":\"\"}");
    assert_eq!(lines(&proxy.folder().join("raw.log"), 1)[0], "<\"a\"\\\t\u{e9}>");
}

/// The fields that a reader of such lines cuts them into.
fn fields(line: &str) -> Vec<&str> {
    let (fields, request) = line.split_once('"').unwrap_or_else(|| panic!("no request in {line}"));
    fields.split_whitespace().chain([request]).collect()
}

#[test]
fn httplog_has_the_fields_of_haproxy() {
    let origin = Origin::start().serve("*", Reply::ok("body"));
    let config = site()
        .respond("/fixed", "x")
        .proxy_to(&origin)
        .toml("[[log.access]]\nfile = \"access.log\"\nformat = \"httplog\"\n");
    let proxy = Proxy::start(&config.top("workers = 1"));
    let path = proxy.folder().join("access.log");
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("log.sock");
    let syslog = UnixDatagram::bind(&socket).unwrap();
    syslog.set_read_timeout(Some(Deadline::soon().left())).unwrap();
    let haproxy = Peer::haproxy(&format!(
        "log {} local0\n option httplog\n http-request return status 200 if {{ path /fixed }}\n server one {}",
        socket.display(),
        origin.endpoint()
    ));
    let receive = || {
        let mut datagram = [0; 4096];
        loop {
            let length = syslog.recv(&mut datagram).unwrap();
            let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
            // Other lines tell of the start, and of those who wait for it.
            let is_request = |line: &str| line.contains('"') && !line.starts_with("unix:");
            if let Some((_, line)) = text.split_once("]: ").filter(|(_, line)| is_request(line)) {
                return line.trim_end().to_owned();
            }
        }
    };
    let requests: [(&str, &[u8]); 4] = [
        ("GET", b"GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("GET", b"GET /fixed HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("HEAD", b"HEAD /%22 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("GET", b"BAD\r\n\r\n"),
    ];
    for (number, (method, request)) in requests.into_iter().enumerate() {
        proxy.client().send(request).response_to(method);
        let ours = lines(&path, number + 1)[number].clone();
        let our_fields = fields(&ours);
        let Some(haproxy) = &haproxy else { continue };
        haproxy.client().send(request).response_to(method);
        let theirs = receive();
        let their_fields = fields(&theirs);
        assert_eq!(our_fields.len(), their_fields.len(), "{ours}\n{theirs}");
        // Status, captured cookies, termination, queues, the request itself.
        for place in [5, 7, 8, 9, 11, 12] {
            assert_eq!(our_fields[place], their_fields[place], "{place}\n{ours}\n{theirs}");
        }
        let reached = |fields: &[&str]| -> Vec<bool> {
            fields[4].split('/').map(|time| time == "-1").collect()
        };
        assert_eq!(reached(&our_fields), reached(&their_fields), "{ours}\n{theirs}");
        assert_eq!(our_fields[3].contains("<NOSRV>"), their_fields[3].contains("<NOSRV>"));
        assert_eq!(our_fields[1].len(), their_fields[1].len(), "{ours}\n{theirs}");
    }
}
