//! Bad configurations get one report with all of it, exit code 1, and nothing started.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use switchback_integration::{Config, Identity, Proxy, config, site, switchback};

/// Nothing is wrong with this; the first thing added is what is.
fn sound() -> Config {
    site().respond("/ok", "ok")
}

/// What is wrong, how to write it, and a word of the report.
fn broken() -> Vec<(&'static str, Config, &'static str)> {
    let stranger = Identity::self_signed(&["a.example"]);
    let other = Identity::self_signed(&["a.example"]);
    vec![
        ("broken TOML", sound().toml("[[sites"), "error"),
        ("a wrong type", sound().toml("listeners_are = 1\n[log]\nlevel = 7"), "level"),
        ("an unknown key", config().web("").site("hots = [\"a\"]").respond("/", "x"), "hosts"),
        ("an unknown section", sound().toml("[upstream.x]\nendpoints = [\"a:1\"]"), "upstreams"),
        ("a dangling upstream", sound().route("/", "proxy = \"nowhere\""), "nowhere"),
        (
            "a dangling listener",
            sound().site("listeners = [\"nowhere\"]").respond("/", "x"),
            "nowhere",
        ),
        (
            "a dangling error route",
            sound().route("/", "errors = { 404 = \"nowhere\" }\nproxy = \"a\"").endpoints(
                "a",
                &["a:1"],
                "",
            ),
            "nowhere",
        ),
        (
            "an include that matches nothing",
            sound().top("include = [\"none/*.toml\"]"),
            "none/*.toml",
        ),
        (
            "an include that includes itself",
            sound().top("include = [\"switchback.toml\"]"),
            "switchback.toml",
        ),
        (
            "a circle of includes",
            sound().top("include = [\"a.toml\"]").file("a.toml", "include = [\"switchback.toml\"]"),
            "a.toml",
        ),
        (
            "an unknown variable",
            sound().route("/", "respond = { status = 200, body = \"$reqest_uri\" }"),
            "request_uri",
        ),
        (
            "an unknown capture",
            sound().route("/{id}", "respond = { status = 200, body = \"{ip}\" }"),
            "ip",
        ),
        (
            "a bad condition",
            sound().route_lines(
                "match = { path = \"/\", when = \"$uri ==\" }\nrespond = { status = 200 }",
            ),
            "expected a text",
        ),
        (
            "a missing secret file",
            sound().route("/", "respond = { status = 200, body = { file = \"secret.txt\" } }"),
            "secret.txt",
        ),
        (
            "an unset variable",
            sound().route("/", "respond = { status = 200, body = \"${SWITCHBACK_TEST_UNSET}\" }"),
            "SWITCHBACK_TEST_UNSET",
        ),
        (
            "two actions",
            sound().route("/", "proxy = \"a\"\nrespond = { status = 200 }").endpoints(
                "a",
                &["a:1"],
                "",
            ),
            "proxy",
        ),
        ("no action", sound().route("/", ""), "respond"),
        ("no endpoint", sound().toml("[upstreams.a]\nendpoints = []"), "endpoint"),
        (
            "a weight above the most",
            sound().toml("[upstreams.a]\nendpoints = [{ address = \"a:1\", weight = 1001 }]"),
            "between 0 and 1000",
        ),
        (
            "two listeners on one address",
            config()
                .listener("address = \"127.0.0.1:18080\"")
                .listener("address = \"127.0.0.1:18080\"")
                .site("")
                .respond("/", "x"),
            "127.0.0.1:18080",
        ),
        (
            "two listeners of one name",
            config()
                .web("")
                .listener("name = \"web\"\naddress = \"127.0.0.2:0\"")
                .site("")
                .respond("/", "x"),
            "web",
        ),
        (
            "two defaults",
            sound()
                .site("default = true")
                .respond("/", "x")
                .site("default = true")
                .respond("/", "y"),
            "default",
        ),
        (
            "one host twice",
            sound()
                .site("hosts = [\"a\"]")
                .respond("/", "x")
                .site("hosts = [\"a\"]")
                .respond("/", "y"),
            "claimed already",
        ),
        (
            "a certificate that is not there",
            config()
                .web("tls = { certificate = \"no.pem\", key = \"no.key\" }")
                .site("")
                .respond("/", "x"),
            "no.pem",
        ),
        (
            "a key of another certificate",
            config()
                .file("a.pem", stranger.certificate_pem())
                .file("a.key", other.key_pem())
                .web("tls = { certificate = \"a.pem\", key = \"a.key\" }")
                .site("")
                .respond("/", "x"),
            "private key",
        ),
        (
            "a certificate that is none",
            config()
                .file("a.pem", "not PEM")
                .file("private key", "neither")
                .web("tls = { certificate = \"a.pem\", key = \"a.key\" }")
                .site("")
                .respond("/", "x"),
            "a.pem",
        ),
        ("a path that is not normal", sound().respond("/a/../b", "x"), "`..`"),
        (
            "a size that is none",
            sound().site("body_limit = \"1 elephant\"").respond("/", "x"),
            "1 elephant",
        ),
        ("a duration that is none", sound().top("shutdown_timeout = \"soon\""), "soon"),
    ]
}

#[test]
fn a_broken_configuration_starts_nothing_and_check_says_the_same() {
    let mut wrong = Vec::new();
    for (what, config, word) in broken() {
        match Proxy::try_start(&config) {
            Ok(_proxy) => wrong.push(format!("{what}: it starts")),
            Err(refusal) => {
                let located = refusal.stderr.contains("-->") && refusal.stderr.contains("error[C");
                let says = refusal.code == Some(1) && refusal.stderr.contains(word);
                if !says || !located || refusal.stderr.contains("panicked") {
                    wrong.push(format!(
                        "{what}: code {:?}, no place or no {word:?} in:\n{}",
                        refusal.code, refusal.stderr
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_running_process_keeps_its_configuration_through_all_of_them() {
    let proxy = Proxy::start(&site().respond("/ok", "ok"));
    for (what, config, word) in broken() {
        let verdict = proxy.reload(&config);
        assert!(!verdict.accepted, "{what}: accepted");
        let report = serde_json::to_string(&verdict.diagnostics).unwrap();
        assert!(report.contains(word), "{what}: no {word:?} in {report}");
        proxy.get("/ok").expect_body("ok");
    }
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[listeners]]\naddress = \"127.0.0.1:0\"\ntypo = 1\n[[sites]]\n[[sites.routes]]\n\
                match = { path = \"/a\" }\nproxy = \"one\"\n[[sites.routes]]\nmatch = { path = \"/b\" }\n\
                respond = { status = 200, body = \"$unknown_thing\" }\n[log]\nlevel = \"loud\"\n";
    std::fs::write(folder.path().join("c.toml"), text).unwrap();
    let found = switchback(folder.path(), &["check", "-c", "c.toml"]);
    for part in [
        "c.toml:3:",
        "c.toml:7:",
        "c.toml:10:",
        "c.toml:12:",
        "`one`",
        "unknown_thing",
        "loud",
        "4 errors",
    ] {
        found.expect_code(1).expect_text(part);
    }
}

#[test]
fn a_mistake_in_an_included_file_is_shown_there() {
    let refusal = Proxy::try_start(
        &site()
            .respond("/", "x")
            .top("include = [\"sites/*.toml\"]")
            .file("sites/a.toml", "[[sites]]\nhost = [\"a\"]\n"),
    );
    let stderr = refusal.err().unwrap().stderr;
    assert!(stderr.contains("a.toml:2:1") && stderr.contains("hosts"), "{stderr}");
}

#[test]
fn an_enormous_file_is_refused_without_being_read_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(folder.path().join("c.toml")).unwrap();
    file.set_len(65 * 1024 * 1024).unwrap();
    switchback(folder.path(), &["check", "-c", "c.toml"]).expect_code(1).expect_text("64");
}

#[test]
fn includes_environment_and_secrets_are_taken_in() {
    let config = site()
        .top("include = [\"sites/*.toml\"]")
        .file(
            "sites/a.toml",
            "[[sites]]\nhosts = [\"a.example\"]\n[[sites.routes]]\nmatch = { path = \"/*\" }\n\
               respond = { status = 200, body = { file = \"../secret.txt\" } }\n",
        )
        .file("secret.txt", "from a file\n")
        .route(
            "/env",
            "respond = { status = 200, body = \"${SWITCHBACK_TEST_WORD:-fallback} $host\" }",
        );
    let proxy = Proxy::start(&config);
    proxy.get("/env").expect_body("fallback localhost");
    proxy.ask(&switchback_integration::get("/").host("a.example")).expect_body("from a file");
    let proxy = Proxy::start_with(&config, &[("SWITCHBACK_TEST_WORD", "set")]);
    proxy.get("/env").expect_body("set localhost");
}

#[test]
fn an_unreadable_certificate_is_said_to_be_so() {
    // Root reads everything: the test runs the binary as nobody where it can.
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let identity = Identity::self_signed(&["a.example"]);
    for (name, content) in
        [("a.pem", identity.certificate_pem().to_owned()), ("a.key", identity.key_pem())]
    {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    std::fs::set_permissions(folder.path().join("a.key"), PermissionsExt::from_mode(0o000))
        .unwrap();
    let toml = config()
        .web("tls = { certificate = \"a.pem\", key = \"a.key\" }")
        .site("")
        .respond("/", "x")
        .to_toml();
    std::fs::write(folder.path().join("c.toml"), toml).unwrap();
    let program = folder.path().join("switchback");
    std::fs::copy(switchback_integration::switchback_binary(), &program).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--clear-groups"]).arg(program).args(["check", "-c", "c.toml"]);
    let Ok(output) = command.current_dir(folder.path()).output() else { return };
    let stderr = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(stderr.contains("a.key"), "{stderr}");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
}

#[test]
fn a_text_that_is_no_utf8_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("c.toml"), [0xff, 0xfe, b'a', 0]).unwrap();
    switchback(folder.path(), &["check", "-c", "c.toml"]).expect_code(1).expect_text("c.toml");
}
