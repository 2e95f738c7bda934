//! TLS towards upstreams: verified unless somebody says otherwise.

use std::io::Write;

use switchback_integration::{Authority, Config, Identity, Origin, Proxy, site, switchback};

/// One upstream on loopback, its name and authority said by `tls`.
fn through(origin: &Origin, authority: &Authority, tls: &str) -> Config {
    let endpoint = format!("127.0.0.1:{}", origin.port());
    let lines = format!("tls = {{ {tls} }}\ntries = 1");
    site().file("ca.pem", authority.pem()).route("/*", "proxy = \"app\"").endpoints(
        "app",
        &[endpoint],
        lines,
    )
}

#[test]
fn the_right_name_by_the_right_authority_is_accepted() {
    let authority = Authority::new();
    let origin = Origin::start_tls(&authority.identity(&["app.example"]));
    let proxy = Proxy::start(&through(
        &origin,
        &authority,
        "server_name = \"app.example\", ca = \"ca.pem\"",
    ));
    proxy.get("/x").expect_status(200);
    assert_eq!(origin.requests("/x").len(), 1);
}

fn refused(identity: &Identity, authority: &Authority, tls: &str) {
    let origin = Origin::start_tls(identity);
    let proxy = Proxy::start(&through(&origin, authority, tls));
    proxy.get("/x").expect_status(502);
    assert_eq!(origin.heads(), 0, "a request was sent to a stranger");
    proxy.wait_for_stderr("certificate");
}

#[test]
fn a_self_signed_certificate_is_refused_with_the_reason_in_the_log() {
    let authority = Authority::new();
    refused(&Identity::self_signed(&["app.example"]), &authority, "server_name = \"app.example\"");
}

#[test]
fn another_authority_is_refused() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    refused(
        &theirs.identity(&["app.example"]),
        &ours,
        "server_name = \"app.example\", ca = \"ca.pem\"",
    );
}

#[test]
fn another_name_is_refused() {
    let authority = Authority::new();
    refused(
        &authority.identity(&["other.example"]),
        &authority,
        "server_name = \"app.example\", ca = \"ca.pem\"",
    );
}

#[test]
fn an_expired_certificate_is_refused() {
    let authority = Authority::new();
    refused(
        &authority.expired_identity(&["app.example"]),
        &authority,
        "server_name = \"app.example\", ca = \"ca.pem\"",
    );
}

#[test]
fn an_address_without_a_name_does_not_start_unverified() {
    let authority = Authority::new();
    let origin = Origin::start_tls(&Identity::self_signed(&["app.example"]));
    for tls in ["ca = \"ca.pem\"", "server_name = \"\", ca = \"ca.pem\""] {
        let refusal = Proxy::try_start(&through(&origin, &authority, tls)).err();
        let refusal = refusal.expect("an empty name must never switch verification off");
        assert_eq!(refusal.code, Some(1), "{}", refusal.stderr);
        assert!(refusal.stderr.contains("server_name"), "{}", refusal.stderr);
    }
}

#[test]
fn a_host_name_is_verified_as_it_is_written() {
    let authority = Authority::new();
    for (name, status) in [("localhost", 200), ("other.example", 502)] {
        let origin = Origin::start_tls(&authority.identity(&[name]));
        let endpoint = format!("localhost:{}", origin.port());
        let config = site().file("ca.pem", authority.pem()).route("/*", "proxy = \"app\"");
        let proxy =
            Proxy::start(&config.endpoints("app", &[endpoint], "tls = { ca = \"ca.pem\" }"));
        proxy.get("/").expect_status(status);
    }
}

#[test]
fn verification_ends_only_where_it_is_switched_off_by_name() {
    let authority = Authority::new();
    let origin = Origin::start_tls(&Identity::self_signed(&["whoever.example"]));
    let proxy = Proxy::start(&through(
        &origin,
        &authority,
        "server_name = \"app.example\", verify = false",
    ));
    proxy.get("/").expect_status(200);
}

#[test]
fn one_connection_is_not_lent_to_an_upstream_with_stricter_rules() {
    let authority = Authority::new();
    let origin = Origin::start_tls(&Identity::self_signed(&["app.example"]));
    let endpoint = format!("127.0.0.1:{}", origin.port());
    let config = site()
        .top("workers = 1")
        .file("ca.pem", authority.pem())
        .route("/lax", "proxy = \"lax\"")
        .route("/strict", "proxy = \"strict\"")
        .endpoints("lax", &[&endpoint], "tls = { server_name = \"app.example\", verify = false }")
        .endpoints(
            "strict",
            &[&endpoint],
            "tls = { server_name = \"app.example\", ca = \"ca.pem\" }",
        );
    let proxy = Proxy::start(&config);
    proxy.get("/lax").expect_status(200);
    proxy.get("/strict").expect_status(502);
}

#[test]
fn plain_text_instead_of_a_handshake_is_a_bad_gateway() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            // Who hangs up early has read enough.
            let _sent = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfive!");
        }
    });
    let lines = "tls = { server_name = \"app.example\" }";
    let config = site().route("/*", "proxy = \"app\"").endpoints("app", &[endpoint], lines);
    let answer = Proxy::start(&config).get("/");
    assert!(!answer.expect_status(502).text().contains("five!"), "{answer}");
}

#[test]
fn a_missing_authority_file_is_said_by_check() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[listeners]]\naddress = \"127.0.0.1:0\"\n[[sites]]\n[[sites.routes]]\nproxy = \"a\"\n\
                match = { path = \"/*\" }\n[upstreams.a]\nendpoints = [\"h.example:443\"]\ntls = { ca = \"none.pem\" }\n";
    std::fs::write(folder.path().join("c.toml"), text).unwrap();
    switchback(folder.path(), &["check", "-c", "c.toml"]).expect_code(1).expect_text("none.pem");
}
