//! Requests for a WebSocket meet plugins before it is opened and when it is agreed on; what passes then is nobody's but the two ends'.

use switchback_integration::{
    Answer, Deadline, H2Client, H2Request, Origin, Proxy, Request, config, eventually, get, pattern,
};
use switchback_plugin::Kind;

use super::{KINDS, filtered, plugin, start};

fn upgrade(hooks: &[(&str, &str)]) -> Request {
    let request = get("/ws")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    hooks.iter().fold(request, |request, (hook, script)| request.header(hook, script))
}

fn through(kind: Kind, lines: &str, origin: &Origin) -> Proxy {
    start(kind, &filtered("\"sees\"", origin).toml(plugin("sees", kind, lines)))
}

/// What is done at each hook that an agreed WebSocket has.
const HOOKS: [(&str, &str); 7] = [
    ("x-on-request", "set 0 x-early 1; sleep 1"),
    ("x-on-route", "sleep 1; set 0 x-route 1"),
    ("x-on-upstream", "endpoints"),
    ("x-on-upstream-request", "set 0 x-late 1"),
    ("x-on-upstream-response", "set 2 x-agreed 1"),
    ("x-on-response", "set 2 x-seen 1; get 2 x-agreed"),
    ("x-on-log", "say"),
];

#[test]
fn hooks_before_and_after_the_upgrade_are_called_and_bytes_pass() {
    for kind in KINDS {
        let origin = Origin::start().serve("*", Answer::Tunnel);
        let proxy = through(kind, "", &origin);
        let mut client = proxy.client();
        let answer = client.send(upgrade(&HOOKS).to_bytes()).response_head();
        answer.expect_status(101).expect_header("x-agreed", "1").expect_header("x-seen", "1");
        answer.expect_header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for size in [1, 125, 70_000] {
            let bytes = pattern(size);
            assert_eq!(client.send(&bytes).read_exactly(size), bytes, "{kind}");
        }
        let sent = &origin.requests("/ws")[0];
        for name in ["x-early", "x-route", "x-late"] {
            assert_eq!(sent.headers.get(name), Some("1"), "{kind} {name}");
        }
        assert!(!proxy.stderr().contains("on_log"), "{kind}: it has not ended");
        drop(client);
        proxy.wait_for_stderr("on_log: 101");
        origin.wait_for_open_connections(0);
    }
}

#[test]
fn a_websocket_that_a_plugin_refuses_is_not_opened() {
    for kind in KINDS {
        let origin = Origin::start().serve("*", Answer::Tunnel);
        let proxy = through(kind, "", &origin);
        for (hook, reached) in [
            ("x-on-request", false),
            ("x-on-route", false),
            ("x-on-upstream", false),
            ("x-on-upstream-request", false),
            ("x-on-upstream-response", true),
            ("x-on-response", true),
        ] {
            let before = origin.heads();
            let answer = proxy.ask(&upgrade(&[(hook, "deny 403")]));
            assert_eq!(answer.status, 403, "{kind} {hook}: {answer}");
            assert_eq!(origin.heads() > before, reached, "{kind} {hook}");
            // One that was agreed on upstream is not left open.
            origin.wait_for_open_connections(0);
        }
    }
}

#[test]
fn a_plugin_that_breaks_while_it_is_opened_refuses_it_or_is_passed_over() {
    for kind in KINDS {
        for (declared, status) in [("closed", 500), ("open", 101)] {
            let origin = Origin::start().serve("*", Answer::Tunnel);
            let proxy = through(kind, &format!("on_error = \"{declared}\""), &origin);
            // Wasm is begun anew three times within a minute.
            for hook in ["x-on-request", "x-on-upstream-request", "x-on-response"] {
                let mut client = proxy.client();
                let asked = upgrade(&[(hook, "panic told to")]);
                let answer = client.send(asked.to_bytes()).response_head();
                assert_eq!(answer.status, status, "{kind} {declared} {hook}: {answer}");
                if status == 101 {
                    assert_eq!(client.send("still there").read_exactly(11), b"still there");
                }
                drop(client);
                origin.wait_for_open_connections(0);
            }
        }
    }
}

/// A hook that waits when its client leaves is given up, and nothing is opened.
#[test]
fn a_client_that_leaves_while_a_hook_waits_opens_nothing() {
    let origin = Origin::start().serve("*", Answer::Tunnel);
    let proxy = through(Kind::Native, "", &origin);
    let mut client = proxy.client();
    client.send(upgrade(&[("x-on-request", "log 2 waits; sleep 200")]).to_bytes());
    proxy.wait_for_stderr("waits");
    drop(client);
    let mut other = proxy.client();
    other.send(upgrade(&[]).to_bytes()).response_head().expect_status(101);
    drop(other);
    eventually("no connection stays", Deadline::soon(), || {
        (origin.heads() > 0 && origin.open_connections() == 0).then_some(())
    });
}

#[test]
fn a_websocket_over_http2_meets_the_same_hooks() {
    for kind in KINDS {
        let origin = Origin::start().serve("*", Answer::Tunnel);
        let config = config()
            .web("h2c = true")
            .site("")
            .route("/*", "filters = [\"sees\"]\nproxy = \"app\"")
            .upstream("app", &[&origin], "")
            .toml(plugin("sees", kind, ""));
        let proxy = start(kind, &config);
        let mut client = H2Client::cleartext(proxy.address("web"));
        let request = H2Request::connect("/ws", "websocket").header("sec-websocket-version", "13");
        let request =
            HOOKS.iter().fold(request, |request, (hook, script)| request.header(hook, script));
        let mut stream = client.open(&request);
        assert_eq!(stream.status(), 200, "{kind}");
        stream.send(b"hello");
        assert_eq!(stream.receive(), b"hello", "{kind}");
        let sent = &origin.requests("/ws")[0];
        assert_eq!(sent.headers.get("x-early"), Some("1"), "{kind}");
        assert_eq!(sent.headers.get("x-late"), Some("1"), "{kind}");
    }
}
