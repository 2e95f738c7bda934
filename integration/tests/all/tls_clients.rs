//! Certificates that clients show.

use std::path::Path;

use switchback_integration::{
    Authority, Client, Config, Deadline, Identity, OpenSsl, Proxy, Session, Trust, config,
    eventually, get,
};

/// A listener that asks clients for a certificate, with these words about it.
fn with(authority: &Authority, client: &str) -> Config {
    let edge = authority.identity(&["edge.example"]);
    config()
        .file("edge.pem", edge.certificate_pem())
        .file("edge.key", edge.key_pem())
        .file("ca.pem", authority.pem())
        .web(format_args!(
            "tls = {{ certificate = \"edge.pem\", key = \"edge.key\"{client} }}"
        ))
        .site("")
        .respond("/*", "verify=$ssl_client_verify s=$ssl_client_s_dn; i=$ssl_client_i_dn; n=$ssl_client_serial; \
            f=$ssl_client_fingerprint; from=$ssl_client_v_start; to=$ssl_client_v_end; c=$ssl_client_escaped_cert;")
}

/// Shows the certificate of `identity`, with these beneath it.
fn show(proxy: &Proxy, identity: &Identity, chain: &[&Authority]) -> Session {
    let folder: &Path = proxy.folder();
    std::fs::write(folder.join("client.pem"), identity.certificate_pem()).unwrap();
    std::fs::write(folder.join("client.key"), identity.key_pem()).unwrap();
    let chain: String = chain.iter().map(|authority| authority.pem()).collect();
    std::fs::write(folder.join("chain.pem"), &chain).unwrap();
    let session = OpenSsl::new(proxy.address("web"), folder).name("edge.example");
    let session = session.with(&["-cert", "client.pem", "-key", "client.key"]);
    let session =
        if chain.is_empty() { session } else { session.with(&["-cert_chain", "chain.pem"]) };
    session.ask()
}

fn nothing(proxy: &Proxy) -> Session {
    OpenSsl::new(proxy.address("web"), proxy.folder()).name("edge.example").ask()
}

#[test]
fn a_certificate_is_required_and_told_of() {
    let authority = Authority::new();
    let proxy = Proxy::start(&with(&authority, ", client = { ca = \"ca.pem\" }"));
    nothing(&proxy).expect_refused();
    show(&proxy, &Authority::new().identity(&["mallory"]), &[]).expect_refused();
    show(&proxy, &authority.expired_identity(&["bob"]), &[]).expect_refused();
    let alice = authority.identity(&["alice"]);
    let told = show(&proxy, &alice, &[]);
    told.expect_status(200)
        .expect("verify=SUCCESS s=CN=alice; i=CN=Switchback test authority; n=0");
    let openssl = |field: &str| {
        let arguments = ["x509", "-in", "client.pem", "-noout", field];
        let mut command = std::process::Command::new("openssl");
        let output = command.args(arguments).current_dir(proxy.folder()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim().split_once('=').unwrap().1.to_owned()
    };
    told.expect(&format!("n={};", openssl("-serial")));
    told.expect(&format!("f={};", openssl("-fingerprint").replace(':', "").to_lowercase()));
    told.expect(&format!("from={};", openssl("-startdate")));
    told.expect(&format!("to={};", openssl("-enddate")));
    told.expect("c=-----BEGIN%20CERTIFICATE-----%0A");
    eventually("the three are counted", Deadline::soon(), || {
        let text = proxy.control("GET", "/metrics", None).text();
        text.contains("tls_handshakes_total{reason=\"client_certificate\"} 3").then_some(())
    });
}

#[test]
fn an_optional_certificate_must_be_good_when_it_is_shown() {
    let authority = Authority::new();
    let proxy =
        Proxy::start(&with(&authority, ", client = { ca = \"ca.pem\", verify = \"optional\" }"));
    nothing(&proxy).expect_status(200).expect("verify=NONE s=; ");
    show(&proxy, &authority.identity(&["alice"]), &[]).expect("verify=SUCCESS s=CN=alice;");
    show(&proxy, &Authority::new().identity(&["mallory"]), &[]).expect_refused();
}

#[test]
fn revoked_certificates_are_refused_and_lists_are_watched() {
    let authority = Authority::new();
    let (alice, bob) = (authority.identity(&["alice"]), authority.identity(&["bob"]));
    let client = ", client = { ca = \"ca.pem\", crl = [\"revoked.crl\"] }";
    let config = with(&authority, client).file("revoked.crl", authority.revocations(&[&bob]));
    let proxy = Proxy::start(&config);
    show(&proxy, &alice, &[]).expect_status(200);
    let ticket = |how: &str| {
        let session = OpenSsl::new(proxy.address("web"), proxy.folder()).name("edge.example");
        session.with(&["-cert", "client.pem", "-key", "client.key", how, "ticket"]).ask()
    };
    ticket("-sess_out").expect("verify=SUCCESS");
    ticket("-sess_in").expect("Reused").expect("verify=SUCCESS s=CN=alice;");
    show(&proxy, &bob, &[]).expect_refused();
    std::fs::write(proxy.folder().join("written"), authority.revocations(&[&alice])).unwrap();
    std::fs::rename(proxy.folder().join("written"), proxy.folder().join("revoked.crl")).unwrap();
    eventually("the new list acts", Deadline::soon(), || {
        show(&proxy, &alice, &[]).status().is_none().then_some(())
    });
    // Nor does she come back with a ticket from before.
    ticket("-sess_in").expect_refused();
    show(&proxy, &bob, &[]).expect_status(200);
    // A list that cannot be read changes nothing while it runs, and is refused at a reload.
    std::fs::write(
        proxy.folder().join("revoked.crl"),
        "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
    )
    .unwrap();
    proxy.wait_for_stderr("what was read before stays in use: revocations");
    show(&proxy, &alice, &[]).expect_refused();
    proxy.reload_as_written().expect_refused("revoked.crl");
    std::fs::write(proxy.folder().join("revoked.crl"), "nothing").unwrap();
    proxy.reload_as_written().expect_refused("it holds no PEM list");
}

#[test]
fn authorities_that_cannot_be_read_are_refused() {
    let authority = Authority::new();
    let proxy = Proxy::start(&with(&authority, ", client = { ca = \"ca.pem\" }"));
    for bad in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(proxy.folder().join("ca.pem"), bad).unwrap();
        proxy.reload_as_written().expect_refused("ca.pem");
    }
    show(&proxy, &authority.identity(&["alice"]), &[]).expect_status(200);
}

#[test]
fn authorities_in_between_are_counted() {
    let root = Authority::new();
    let first = root.intermediate("first");
    let second = first.intermediate("second");
    let (near, far) = (first.identity(&["near"]), second.identity(&["far"]));
    let with_depth =
        |depth: u8| with(&root, &format!(", client = {{ ca = \"ca.pem\", depth = {depth} }}"));
    let proxy = Proxy::start(&with_depth(1));
    show(&proxy, &near, &[&first]).expect_status(200);
    show(&proxy, &far, &[&second, &first]).expect_refused();
    // What is sent but not needed does not count.
    show(&proxy, &near, &[&first, &second]).expect_status(200);
    proxy.reload(&with_depth(0)).expect_accepted();
    show(&proxy, &near, &[&first]).expect_refused();
    show(&proxy, &root.identity(&["direct"]), &[]).expect_status(200);
    proxy.reload(&with_depth(2)).expect_accepted();
    show(&proxy, &far, &[&second, &first]).expect_status(200);
}

#[test]
fn a_connection_from_before_certificates_were_asked_for_is_misdirected() {
    let authority = Authority::new();
    let proxy = Proxy::start(&with(&authority, ""));
    let mut before: Client = proxy.tls_client("edge.example", &Trust::Authority(&authority));
    before.ask(&get("/")).expect_status(200);
    let certificates = ", client = { ca = \"ca.pem\" }";
    proxy.reload(&with(&authority, certificates)).expect_accepted();
    before.ask(&get("/")).expect_status(421);
    show(&proxy, &authority.identity(&["alice"]), &[]).expect_status(200);
}

#[test]
fn a_connection_of_a_removed_listener_does_not_get_round_client_certificates() {
    let authority = Authority::new();
    let required = with(&authority, ", client = { ca = \"ca.pem\" }");
    let beside = |number: u8, name: &str, client: &str| {
        format!(
            "name = \"{name}\"\naddress = \"127.0.0.{number}:0\"\n\
             tls = {{ certificate = \"edge.pem\", key = \"edge.key\"{client} }}"
        )
    };
    let open = beside(2, "open", "");
    let lax = beside(3, "lax", ", client = { ca = \"ca.pem\", verify = \"optional\" }");
    let proxy = Proxy::start(&required.clone().listener(&open).listener(&lax));
    let mut kept = ["open", "lax"].map(|name| {
        let address = proxy.address(name);
        Client::tls(address, "edge.example", &Trust::Authority(&authority))
    });
    for client in &mut kept {
        client.ask(&get("/")).expect_status(200).expect_text("verify=NONE");
    }
    proxy.reload(&required).expect_accepted();
    for client in &mut kept {
        client.ask(&get("/")).expect_status(421).expect_header("connection", "close");
        client.expect_close();
    }
}

#[test]
fn a_connection_of_a_removed_listener_is_as_good_as_one_of_another_that_asks_for_nothing() {
    let authority = Authority::new();
    let open = |number: u8, name: &str| {
        format!(
            "name = \"{name}\"\naddress = \"127.0.0.{number}:0\"\n\
             tls = {{ certificate = \"edge.pem\", key = \"edge.key\" }}"
        )
    };
    let required = with(&authority, ", client = { ca = \"ca.pem\" }").listener(open(2, "other"));
    let proxy = Proxy::start(&required.clone().listener(open(3, "open")));
    let trust = Trust::Authority(&authority);
    let mut kept = Client::tls(proxy.address("open"), "edge.example", &trust);
    kept.ask(&get("/")).expect_status(200);
    proxy.reload(&required).expect_accepted();
    kept.ask(&get("/")).expect_status(200).expect_header("connection", "close");
    kept.expect_close();
}
