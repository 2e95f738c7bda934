//! Sessions that are resumed, by whom, and under which conditions.

use switchback_integration::{Authority, Config, OpenSsl, Proxy, Session, config};

/// A listener with these words about TLS.
fn with(authority: &Authority, tls: &str) -> Config {
    let edge = authority.identity(&["edge.example"]);
    config()
        .file("edge.pem", edge.certificate_pem())
        .file("edge.key", edge.key_pem())
        .file("ca.pem", authority.pem())
        .web(format_args!("tls = {{ certificate = \"edge.pem\", key = \"edge.key\", {tls} }}"))
        .site("")
        .respond("/*", "reused=$ssl_session_reused verify=$ssl_client_verify;")
}

fn write_key(proxy: &Proxy, name: &str, bytes: &[u8]) {
    let written = proxy.folder().join("written");
    std::fs::write(&written, bytes).unwrap();
    std::fs::rename(written, proxy.folder().join(name)).unwrap();
}

/// Asks, and keeps the ticket in `file`, in the folder of `keeper`.
fn first(proxy: &Proxy, (keeper, file): (&Proxy, &str), arguments: &[&str]) -> Session {
    let session = OpenSsl::new(proxy.address("web"), keeper.folder()).name("edge.example");
    session.with(&["-sess_out", file]).with(arguments).ask()
}

/// Asks with the ticket in `file`.
fn again(proxy: &Proxy, (keeper, file): (&Proxy, &str), arguments: &[&str]) -> Session {
    let session = OpenSsl::new(proxy.address("web"), keeper.folder()).name("edge.example");
    session.with(&["-sess_in", file]).with(arguments).ask()
}

const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];

#[test]
fn sessions_are_resumed_in_both_versions_also_after_a_reload() {
    let authority = Authority::new();
    let proxy = Proxy::start(&with(&authority, ""));
    for version in VERSIONS {
        first(&proxy, (&proxy, "ticket"), &[version])
            .expect("reused=.;".replace(';', " ").as_str());
        again(&proxy, (&proxy, "ticket"), &[version]).expect("reused=r ");
        proxy.reload_as_written().expect_accepted();
        again(&proxy, (&proxy, "ticket"), &[version]).expect("reused=r ");
    }
}

#[test]
fn tickets_may_be_turned_off() {
    let authority = Authority::new();
    let proxy = Proxy::start(&with(&authority, "tickets = \"off\""));
    for version in VERSIONS {
        first(&proxy, (&proxy, "ticket"), &[version]).expect_status(200);
        if proxy.folder().join("ticket").exists() {
            again(&proxy, (&proxy, "ticket"), &[version]).expect("reused=. ");
        }
    }
}

#[test]
fn processes_with_the_same_keys_resume_each_others_sessions() {
    let authority = Authority::new();
    let shared = "tickets = { keys = [\"one.key\", \"two.key\"] }";
    let start = |one: &[u8], two: &[u8]| {
        let folder = with(&authority, "");
        let proxy = Proxy::start(&folder);
        write_key(&proxy, "one.key", one);
        write_key(&proxy, "two.key", two);
        proxy.reload(&with(&authority, shared)).expect_accepted();
        proxy
    };
    let (old, new): ([u8; 48], [u8; 80]) = ([1; 48], [2; 80]);
    let (one, other, stranger) = (start(&old, &new), start(&new, &old), start(&[3; 80], &[4; 48]));
    for version in VERSIONS {
        first(&one, (&one, "ticket"), &[version]).expect("reused=. ");
        again(&one, (&one, "ticket"), &[version]).expect("reused=r ");
        again(&other, (&one, "ticket"), &[version]).expect("reused=r ");
        again(&stranger, (&one, "ticket"), &[version]).expect("reused=. ");
    }
    // The first encrypts: a machine that has only that of the other does not know it.
    first(&other, (&one, "ticket"), &["-tls1_3"]).expect("reused=. ");
    let late = start(&new, &[5; 48]);
    again(&late, (&one, "ticket"), &["-tls1_3"]).expect("reused=r ");
    // Files that change are read again.
    write_key(&stranger, "two.key", &new);
    switchback_integration::eventually(
        "the new key is known",
        switchback_integration::Deadline::soon(),
        || {
            let resumed = again(&stranger, (&one, "ticket"), &["-tls1_3"]);
            resumed.said.contains("reused=r ").then_some(())
        },
    );
}

#[test]
fn a_ticket_key_of_the_wrong_size_is_refused() {
    let authority = Authority::new();
    let proxy = Proxy::start(&with(&authority, ""));
    for bytes in [&[0; 47][..], &[0; 49], &[0; 0], &[0; 96]] {
        write_key(&proxy, "one.key", bytes);
        let verdict = proxy.reload(&with(&authority, "tickets = { keys = [\"one.key\"] }"));
        verdict.expect_refused("one.key").expect_refused("not 48 or 80");
    }
    first(&proxy, (&proxy, "ticket"), &[]).expect_status(200);
    // While it runs, it goes on with those it has.
    write_key(&proxy, "one.key", &[7; 80]);
    proxy.reload(&with(&authority, "tickets = { keys = [\"one.key\"] }")).expect_accepted();
    first(&proxy, (&proxy, "ticket"), &[]).expect_status(200);
    write_key(&proxy, "one.key", &[8; 79]);
    proxy.wait_for_stderr("what was read before stays in use: ticket key");
    again(&proxy, (&proxy, "ticket"), &[]).expect("reused=r ");
}

#[test]
fn a_ticket_made_under_another_policy_for_clients_is_not_accepted() {
    let authority = Authority::new();
    let tls = |more: &str| format!("tickets = {{ keys = [\"one.key\"] }}{more}");
    let client =
        |verify: &str| tls(&format!(", client = {{ ca = \"ca.pem\", verify = \"{verify}\" }}"));
    let proxy = Proxy::start(&with(&authority, ""));
    write_key(&proxy, "one.key", &[9; 80]);
    let alice = authority.identity(&["alice"]);
    std::fs::write(
        proxy.folder().join("alice.pem"),
        alice.certificate_pem().to_owned() + &alice.key_pem(),
    )
    .unwrap();
    let cert = &["-cert", "alice.pem", "-key", "alice.pem"];
    proxy.reload(&with(&authority, &tls(""))).expect_accepted();
    first(&proxy, (&proxy, "anyone"), &[]).expect("reused=. verify=NONE");
    again(&proxy, (&proxy, "anyone"), &[]).expect("reused=r verify=NONE");
    // Whoever came without a certificate cannot come back without one once it is asked for.
    proxy.reload(&with(&authority, &client("required"))).expect_accepted();
    again(&proxy, (&proxy, "anyone"), &[]).expect_refused();
    first(&proxy, (&proxy, "alice"), cert).expect("reused=. verify=SUCCESS");
    again(&proxy, (&proxy, "alice"), cert).expect("reused=r verify=SUCCESS");
    proxy.reload(&with(&authority, &client("optional"))).expect_accepted();
    again(&proxy, (&proxy, "alice"), cert).expect("reused=. verify=SUCCESS");
    // The same rules for another authority are another policy.
    first(&proxy, (&proxy, "optional"), &[]).expect("reused=. verify=NONE");
    again(&proxy, (&proxy, "optional"), &[]).expect("reused=r verify=NONE");
    let other = Authority::new();
    let config = with(&other, &client("optional"));
    proxy.reload(&config).expect_accepted();
    again(&proxy, (&proxy, "optional"), &[]).expect("reused=. verify=NONE");
}
