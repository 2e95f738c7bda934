//! Which certificate is shown to whom, what is agreed on, and what becomes of those who do it wrong.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustls::NamedGroup;
use switchback_integration::{
    Authority, Client, Config, Deadline, Identity, OpenSsl, Proxy, Trust, config, eventually, get,
};

/// Certificate and key as files of these names.
fn with_files(config: Config, name: &str, identity: &Identity) -> Config {
    config
        .file(&format!("{name}.pem"), identity.certificate_pem())
        .file(&format!("{name}.key"), identity.key_pem())
}

const TOLD: &str = "$ssl_protocol $ssl_cipher $ssl_curve $ssl_alpn_protocol $ssl_server_name";

/// Whose certificate is shown to a client that asks for `name`.
fn shown(proxy: &Proxy, name: &str) -> String {
    let session = OpenSsl::new(proxy.address("web"), proxy.folder()).name(name).ask();
    session.subject().unwrap_or("nothing").to_owned()
}

fn metric(proxy: &Proxy, reason: &str) -> u64 {
    let text = proxy.control("GET", "/metrics", None).text();
    let name = format!("switchback_failed_tls_handshakes_total{{reason=\"{reason}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

fn replace(proxy: &Proxy, name: &str, content: &str) {
    let written = proxy.folder().join("written");
    std::fs::write(&written, content).unwrap();
    std::fs::rename(written, proxy.folder().join(name)).unwrap();
}

#[test]
fn the_certificate_follows_from_the_name_asked_for() {
    let authority = Authority::new();
    let mut config = config();
    for (file, names) in [
        ("first", &["first.example"][..]),
        ("certs/a", &["a.example", "also.example"]),
        ("certs/wild", &["*.wild.example"]),
        ("certs/exact", &["exact.wild.example"]),
        ("own", &["bears-another.example"]),
    ] {
        config = with_files(config, file, &authority.identity(names));
    }
    let config = config
        .web("tls = { certificate = \"first.pem\", key = \"first.key\", certificates = [\"certs/*.pem\"] }")
        .site("hosts = [\"own.example\", \"*.own.example\"]\ntls = { certificate = \"own.pem\", key = \"own.key\" }")
        .respond("/", "own")
        .site("default = true")
        .respond("/", "x");
    let proxy = Proxy::start(&config);
    for (asked, subject) in [
        ("a.example", "a.example"),
        ("ALSO.example", "a.example"),
        ("x.wild.example", "*.wild.example"),
        ("exact.wild.example", "exact.wild.example"),
        ("x.y.wild.example", "first.example"),
        ("own.example", "bears-another.example"),
        ("deep.own.example", "bears-another.example"),
        ("unknown.example", "first.example"),
    ] {
        assert_eq!(shown(&proxy, asked), subject, "{asked}");
    }
    let nameless = OpenSsl::new(proxy.address("web"), proxy.folder()).ask();
    assert_eq!(nameless.subject(), Some("first.example"));
}

#[test]
fn clients_that_ask_for_no_known_name_are_sent_away_where_the_listener_says_so() {
    let authority = Authority::new();
    let config = with_files(config(), "edge", &authority.identity(&["edge.example"]))
        .web("tls = { certificate = \"edge.pem\", key = \"edge.key\", unknown_name = \"refuse\" }")
        .site("hosts = [\"named-by-site.example\"]\ndefault = true")
        .respond("/", "x");
    let proxy = Proxy::start(&config);
    let ask = || OpenSsl::new(proxy.address("web"), proxy.folder());
    ask().name("edge.example").ask().expect_status(200);
    ask().name("named-by-site.example").ask().expect_status(200);
    ask().name("unknown.example").ask().expect_refused();
    ask().ask().expect_refused();
    eventually("both are counted", Deadline::soon(), || {
        (metric(&proxy, "unknown_name") == 2).then_some(())
    });
}

#[test]
fn an_rsa_certificate_is_for_those_who_cannot_verify_the_other() {
    let authority = Authority::new();
    let config = with_files(config(), "rsa", &authority.rsa_identity(&["a.example", "rsa"]));
    let config = with_files(config, "ecdsa", &authority.identity(&["a.example"]))
        .web("tls = { certificate = \"rsa.pem\", key = \"rsa.key\", certificates = [\"ecdsa.pem\"] }")
        .site("hosts = [\"own.example\"]\ntls = { certificates = [\"rsa.pem\", { certificate = \"ecdsa.pem\", key = \"ecdsa.key\" }] }")
        .respond("/", "x")
        .site("")
        .respond("/", "x");
    let proxy = Proxy::start(&config);
    for name in ["a.example", "own.example"] {
        let ask = || OpenSsl::new(proxy.address("web"), proxy.folder()).name(name);
        ask().ask().expect_status(200).expect("Peer signature type: ECDSA");
        let rsa = ask().with(&["-sigalgs", "RSA-PSS+SHA256"]).ask();
        rsa.expect_status(200).expect("Peer signature type: RSA-PSS");
        let old = ask().with(&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"]).ask();
        old.expect_status(200).expect("ECDHE-RSA-AES128-GCM-SHA256");
    }
}

#[test]
fn changed_certificates_act_without_a_reload_and_without_a_failed_handshake() {
    let authority = Authority::new();
    let served = |names: &[&str]| authority.identity(names);
    let config = with_files(config(), "edge", &served(&["old.example", "edge.example"]))
        .web("tls = { certificates = [\"edge.pem\"] }")
        .site("")
        .respond("/*", "x");
    let proxy = Proxy::start(&config);
    let (address, stop) = (proxy.address("web"), AtomicBool::new(false));
    let (made, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let trust = Trust::Authority(&authority);
                    let asked = Client::try_tls(address, "edge.example", &trust)
                        .is_ok_and(|mut client| client.try_ask(&get("/")).is_ok());
                    let counter = if asked { &made } else { &failed };
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 0..3 {
            let name = format!("new-{number}.example");
            let renewed = served(&[&name, "edge.example"]);
            // One after the other, as many do it: in between they do not belong together.
            replace(&proxy, "edge.pem", renewed.certificate_pem());
            replace(&proxy, "edge.key", &renewed.key_pem());
            eventually("the new certificate is shown", Deadline::soon(), || {
                (shown(&proxy, &name) == name).then_some(())
            });
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(failed.into_inner(), 0);
    assert!(made.into_inner() > 0);
    assert_eq!(proxy.status()["generation"], 1);
}

#[test]
fn a_bad_certificate_keeps_the_old_one_leaves_others_alone_and_is_told_once() {
    let authority = Authority::new();
    let config = with_files(config(), "a", &authority.identity(&["a.example"]));
    let config = with_files(config, "b", &authority.identity(&["b.example"]))
        .web("tls = { certificates = [\"a.pem\", \"b.pem\"] }")
        .site("")
        .respond("/*", "x");
    let proxy = Proxy::start(&config);
    let renewed = authority.identity(&["a.example", "again.example"]);
    let half = &renewed.certificate_pem()[..200];
    replace(&proxy, "a.pem", half);
    proxy.wait_for_stderr("what was read before stays in use: certificate `");
    assert_eq!(shown(&proxy, "a.example"), "a.example");
    for number in 0..2 {
        let name = format!("b{number}.example");
        let other = authority.identity(&[&name, "b.example"]);
        replace(&proxy, "b.key", &other.key_pem());
        replace(&proxy, "b.pem", other.certificate_pem());
        eventually("the other is renewed", Deadline::soon(), || {
            (shown(&proxy, &name) == name).then_some(())
        });
    }
    let told = proxy.stderr().lines().filter(|line| line.contains("a.pem")).count();
    assert_eq!(told, 1, "{}", proxy.stderr());
    // A reload tells what is wrong, and why.
    proxy.reload_as_written().expect_refused("a.pem");
    assert_eq!(shown(&proxy, "a.example"), "a.example");
    replace(&proxy, "a.pem", renewed.certificate_pem());
    replace(&proxy, "a.key", &renewed.key_pem());
    eventually("it is repaired", Deadline::soon(), || {
        (shown(&proxy, "again.example") == "a.example").then_some(())
    });
    // A key of another certificate is a mistake as well, and names both files.
    replace(&proxy, "b.key", &renewed.key_pem());
    proxy.reload_as_written().expect_refused("b.key");
    let check = proxy.run(&["check", "-c", "switchback.toml"]);
    check.expect_code(1).expect_text("b.pem").expect_text("does not belong");
}

#[test]
fn versions_suites_and_groups_are_those_of_the_configuration() {
    let authority = Authority::new();
    let files = |config| with_files(config, "edge", &authority.identity(&["edge.example"]));
    let tls =
        |more: &str| format!("tls = {{ certificate = \"edge.pem\", key = \"edge.key\", {more} }}");
    let config = files(config())
        .web(tls(""))
        .listener(format!("name = \"new\"\naddress = \"127.0.0.2:0\"\n{}", tls("versions = [\"1.3\"]")))
        .listener(format!(
            "name = \"old\"\naddress = \"127.0.0.3:0\"\n{}",
            tls("versions = [\"1.2\"], ciphers = [\"ECDHE-ECDSA-AES256-GCM-SHA384\"], groups = [\"P-384\"]")
        ))
        .site("")
        .respond("/*", TOLD);
    let proxy = Proxy::start(&config);
    let ask = |listener: &str, arguments: &[&str]| {
        OpenSsl::new(proxy.address(listener), proxy.folder())
            .name("edge.example")
            .with(arguments)
            .ask()
    };
    ask("web", &["-tls1_3"]).expect("TLSv1.3 TLS13_AES_256_GCM_SHA384 X25519  edge.example");
    ask("web", &["-tls1_2", "-groups", "P-256", "-alpn", "http/1.1"])
        .expect("TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 prime256v1 http/1.1 edge.example");
    ask("new", &["-tls1_2"]).expect_refused();
    ask("new", &["-tls1_3"]).expect_status(200);
    ask("old", &["-tls1_3"]).expect_refused();
    ask("old", &["-tls1_2", "-groups", "P-384:P-256"]).expect("AES_256_GCM_SHA384 secp384r1");
    ask("old", &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"]).expect_refused();
    ask("old", &["-tls1_2", "-groups", "P-256"]).expect_refused();
    eventually("all are counted", Deadline::soon(), || {
        (metric(&proxy, "nothing_in_common") >= 3).then_some(())
    });
}

#[test]
fn the_key_exchange_withstands_quantum_computers_unless_the_client_does_not_know_it() {
    let authority = Authority::new();
    let config = with_files(config(), "edge", &authority.identity(&["edge.example"]))
        .web("tls = { certificate = \"edge.pem\", key = \"edge.key\" }")
        .site("")
        .respond("/*", "$ssl_curve");
    let proxy = Proxy::start(&config);
    for (groups, agreed) in [
        (&[NamedGroup::X25519MLKEM768, NamedGroup::X25519][..], "X25519MLKEM768"),
        // Whoever comes with a share for another group is not sent back for it.
        (&[NamedGroup::X25519, NamedGroup::X25519MLKEM768], "X25519"),
        (&[NamedGroup::secp256r1, NamedGroup::X25519], "prime256v1"),
    ] {
        let mut client =
            Client::try_tls_with_groups(proxy.address("web"), "edge.example", (&authority, groups))
                .unwrap();
        client.ask(&get("/")).expect_body(agreed);
    }
}

/// As short as an OCSP answer can be.
const STAPLE: [u8; 5] = [0x30, 0x03, 0x0a, 0x01, 0x00];

#[test]
fn an_ocsp_answer_is_stapled_and_renewed() {
    let authority = Authority::new();
    let with = |ocsp: &str| {
        with_files(config(), "edge", &authority.identity(&["edge.example"]))
            .web(format_args!(
                "tls = {{ certificates = [{{ certificate = \"edge.pem\"{ocsp} }}] }}"
            ))
            .site("")
            .respond("/*", "x")
    };
    let proxy = Proxy::start(&with(""));
    let ask = || {
        OpenSsl::new(proxy.address("web"), proxy.folder())
            .name("edge.example")
            .with(&["-status"])
            .ask()
    };
    ask().expect("OCSP response: no response sent");
    let stapled = with(", ocsp = \"edge.ocsp\"");
    std::fs::write(proxy.folder().join("edge.ocsp"), b"no answer").unwrap();
    proxy.reload(&stapled).expect_refused("edge.ocsp");
    std::fs::write(proxy.folder().join("edge.ocsp"), STAPLE).unwrap();
    proxy.reload(&stapled).expect_accepted();
    ask().expect("OCSP Response Status: successful");
    // What is written later is stapled too, unless it is no answer.
    let longer = [&[0x30, 0x05][..], &STAPLE[2..], &[0xa0, 0x00]].concat();
    std::fs::write(proxy.folder().join("edge.ocsp"), longer).unwrap();
    eventually("the new answer is stapled", Deadline::soon(), || {
        (!ask().said.contains("OCSP Response Status: successful")).then_some(())
    });
}

#[test]
fn plain_http_on_a_tls_port_is_answered_400() {
    let config = config().web("tls = { self_signed = [\"localhost\"] }").site("").respond("/", "x");
    let proxy = Proxy::start(&config);
    let mut client = Client::tcp(proxy.address("web"));
    client.send(get("/").to_bytes());
    let answer = client.response();
    answer
        .expect_status(400)
        .expect_header("connection", "close")
        .expect_text("This is a TLS port");
    client.expect_close();
    assert_eq!(metric(&proxy, "plain_http"), 1);
    // What is neither is told so in the words of TLS: an alert.
    let mut junk = TcpStream::connect(proxy.address("web")).unwrap();
    junk.write_all(&[0xff; 64]).unwrap();
    let mut alert = Vec::new();
    // It may be reset before all junk is read.
    let _ = junk.read_to_end(&mut alert);
    assert_eq!(alert.first(), Some(&0x15));
    eventually("it is counted", Deadline::soon(), || {
        (metric(&proxy, "protocol") == 1).then_some(())
    });
    proxy.tls_client("localhost", &Trust::Anyone).ask(&get("/")).expect_status(200);
}

#[test]
fn handshakes_that_stall_end_in_time_and_keep_nobody_waiting() {
    let config = config()
        .web("tls = { self_signed = [\"localhost\"], handshakes = 1 }\ntimeouts = { handshake = \"2s\" }")
        .site("")
        .respond("/", "x");
    let proxy = Proxy::start(&config);
    let stalled: Vec<TcpStream> = (0..20)
        .map(|number| {
            let mut stream = TcpStream::connect(proxy.address("web")).unwrap();
            // Nothing at all, or the beginning of a hello.
            stream.write_all(&[0x16, 3, 1, 2, 0, 1][..number % 7]).unwrap();
            stream
        })
        .collect();
    for _ in 0..5 {
        proxy.tls_client("localhost", &Trust::Anyone).ask(&get("/")).expect_status(200);
    }
    for mut stream in stalled {
        stream.set_read_timeout(Some(Deadline::soon().left())).unwrap();
        let mut rest = Vec::new();
        assert!(stream.read_to_end(&mut rest).is_ok() || rest.is_empty());
    }
    eventually("all are counted", Deadline::soon(), || {
        (metric(&proxy, "deadline") == 20).then_some(())
    });
}

#[test]
fn a_host_of_another_certificate_than_asked_for_is_misdirected() {
    let authority = Authority::new();
    let config = with_files(config(), "edge", &authority.identity(&["edge.example"]));
    let config = with_files(config, "own", &authority.identity(&["own.example"]))
        .web("tls = { certificate = \"edge.pem\", key = \"edge.key\" }")
        .listener("name = \"plain\"\naddress = \"127.0.0.2:0\"")
        .site("hosts = [\"own.example\"]\ntls = { certificate = \"own.pem\", key = \"own.key\" }")
        .respond("/", "own")
        .site("hosts = [\"twin.example\"]\ntls = { certificate = \"own.pem\", key = \"own.key\" }")
        .respond("/", "twin")
        .site("hosts = [\"edge.example\"]")
        .respond("/", "edge");
    let proxy = Proxy::start(&config);
    let ask = |name: &str, host: &str| {
        OpenSsl::new(proxy.address("web"), proxy.folder()).name(name).host(host).ask()
    };
    ask("own.example", "own.example").expect_status(200);
    ask("own.example", "twin.example").expect_status(200).expect("twin");
    ask("edge.example", "own.example").expect_status(421);
    ask("own.example", "edge.example").expect_status(421);
    // Without a name in the handshake there is nothing to be wrong about.
    OpenSsl::new(proxy.address("web"), proxy.folder()).host("own.example").ask().expect_status(200);
    // Nobody's host.
    ask("edge.example", "nobody.example").expect_status(421);
    Client::tcp(proxy.address("plain")).ask(&get("/").host("nobody.example")).expect_status(404);
}
