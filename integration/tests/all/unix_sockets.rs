//! Unix sockets on both sides.

use std::os::unix::fs::PermissionsExt;

use switchback_integration::{Client, Config, Origin, Proxy, config, get};

fn both(origin: &Origin, mode: &str) -> Config {
    config()
        .listener(format_args!("name = \"web\"\naddress = \"unix:web.sock\"\n{mode}"))
        .site("")
        .proxy_to(origin)
}

#[test]
fn a_request_goes_from_socket_to_socket() {
    let origin = Origin::start_unix();
    let proxy = Proxy::start(&both(&origin, ""));
    let mut client = Client::unix(&proxy.folder().join("web.sock"));
    client.ask(&get("/x").host("h.example")).expect_status(200);
    client.ask(&get("/y")).expect_status(200);
    assert_eq!(origin.requests("/x")[0].headers.get("host"), Some("h.example"));
}

#[test]
fn a_listeners_socket_has_the_permissions_it_was_given() {
    let origin = Origin::start_unix();
    let proxy = Proxy::start(&both(&origin, "mode = \"0640\""));
    let metadata = std::fs::metadata(proxy.folder().join("web.sock")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_listeners_socket_goes_away_when_a_reload_removes_it() {
    let origin = Origin::start_unix();
    let two = both(&origin, "").listener("name = \"more\"\naddress = \"unix:more.sock\"");
    let proxy = Proxy::start(&two);
    let more = proxy.folder().join("more.sock");
    assert!(more.exists());
    proxy.reload(&both(&origin, "")).expect_accepted();
    assert!(!more.exists());
}

#[test]
fn a_listeners_socket_goes_away_with_it() {
    let origin = Origin::start_unix();
    let proxy = Proxy::start(&both(&origin, ""));
    let folder = proxy.folder().to_owned();
    let path = folder.join("web.sock");
    assert!(path.exists());
    proxy.run(&["stop", "-c", "switchback.toml"]).expect_code(0);
    let mut proxy = proxy;
    assert_eq!(proxy.wait(), Some(0));
    assert!(!path.exists(), "the socket's file was left behind");
}

#[test]
fn a_missing_socket_is_a_bad_gateway() {
    let config = switchback_integration::site().route("/*", "proxy = \"app\"").endpoints(
        "app",
        &["unix:/nonexistent/app.sock"],
        "",
    );
    Proxy::start(&config).get("/").expect_status(502);
}
