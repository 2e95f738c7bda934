//! From nothing to a served page.

use std::time::Instant;

use switchback_integration::{Client, Config, Origin, Proxy, Trust, get, switchback, text};

/// The first `127.0.0.1:port` that was printed with a port of its own.
fn printed_address(printed: &str) -> std::net::SocketAddr {
    let words =
        printed.split(|letter: char| letter.is_whitespace() || "\"',()<>/".contains(letter));
    let addresses = words.filter_map(|word| word.parse::<std::net::SocketAddr>().ok());
    let mut chosen = addresses.filter(|address| address.port() != 0);
    chosen.next().unwrap_or_else(|| panic!("no address in {printed}"))
}

/// What it says, once the file to save is there.
fn printed(proxy: &Proxy) -> String {
    let stdout = proxy.wait_for_stdout("save this as switchback.toml");
    format!("{stdout}\n{}", proxy.stderr())
}

#[test]
fn one_command_proxies_without_a_file_in_under_a_second() {
    let origin = Origin::start();
    let started = Instant::now();
    let proxy =
        Proxy::start_command(&["proxy", "127.0.0.1:0", "--to", &origin.endpoint().to_string()]);
    let elapsed = started.elapsed();
    let address = printed_address(&printed(&proxy));
    Client::tcp(address).ask(&get("/x")).expect_status(200);
    assert_eq!(origin.requests("/x").len(), 1);
    assert!(elapsed.as_millis() < 1000, "{elapsed:?}");
}

#[test]
fn what_it_prints_is_a_configuration() {
    let origin = Origin::start();
    let folder = tempfile::tempdir().unwrap();
    let target = origin.endpoint().to_string();
    let toml =
        switchback(folder.path(), &["proxy", "127.0.0.1:0", "--to", &target, "--print-config"]);
    let toml = toml.expect_code(0).stdout.clone();
    assert!(toml.contains(&target), "{toml}");
    let named: Config = text(toml.replacen("[[listeners]]", "[[listeners]]\nname = \"web\"", 1));
    let proxy = Proxy::start(&named);
    proxy.get("/from-file").expect_status(200);
    assert_eq!(origin.requests("/from-file").len(), 1);
}

#[test]
fn one_command_serves_tls_and_logs() {
    let origin = Origin::start();
    let target = origin.endpoint().to_string();
    let arguments = [
        "proxy",
        "127.0.0.1:0",
        "--to",
        &target,
        "--tls-self-signed",
        "--access-log",
        "a.log",
        "--workers",
        "1",
    ];
    let proxy = Proxy::start_command(&arguments);
    let address = printed_address(&printed(&proxy));
    Client::tls(address, "localhost", &Trust::Anyone).ask(&get("/x")).expect_status(200);
    switchback_integration::eventually(
        "the access log",
        switchback_integration::Deadline::soon(),
        || std::fs::read_to_string(proxy.folder().join("a.log")).ok()?.contains("/x").then_some(()),
    );
}

#[test]
fn one_command_speaks_plain_http2() {
    let origin = Origin::start();
    let proxy = Proxy::start_command(&[
        "proxy",
        "127.0.0.1:0",
        "--to",
        &origin.endpoint().to_string(),
        "--h2c",
    ]);
    let address = printed_address(&printed(&proxy));
    let mut client = switchback_integration::H2Client::cleartext(address);
    client.ask(&switchback_integration::H2Request::new("GET", "/x")).expect_status(200);
}

#[test]
fn a_target_that_is_none_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    switchback(folder.path(), &["proxy", "127.0.0.1:0"]).expect_code(2);
    let bad = switchback(folder.path(), &["proxy", "not an address", "--to", "127.0.0.1:9"]);
    assert!(matches!(bad.code, Some(1 | 2)), "{bad:?}");
}

#[test]
fn one_command_answers_everything_alike() {
    let proxy = Proxy::start_command(&[
        "respond",
        "--listen",
        "127.0.0.1:0",
        "--status",
        "503",
        "--body",
        "$uri is closed\n",
        "--header",
        "Retry-After: 60",
        "--access-log",
    ]);
    let printed = printed(&proxy);
    assert!(printed.contains("answers 503 to every request"), "{printed}");
    let answer = Client::tcp(printed_address(&printed)).ask(&get("/shop"));
    answer.expect_status(503).expect_body("/shop is closed\n");
    assert_eq!(answer.headers.get("retry-after"), Some("60"));
    proxy.wait_for_stdout("\"GET /shop HTTP/1.1\" 503");
}

#[test]
fn one_command_serves_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("list")).unwrap();
    for (name, text) in [("index.html", "the program"), ("list/a.txt", "a")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let directory = folder.path().to_str().unwrap();
    let serve = |options: &[&str]| {
        let arguments = [&["serve", directory, "--listen", "127.0.0.1:0"], options].concat();
        let proxy = Proxy::start_command(&arguments);
        let address = printed_address(&printed(&proxy));
        (proxy, address)
    };
    let ask = |address, path: &str| Client::tcp(address).ask(&get(path));

    let (plain, address) = serve(&[]);
    ask(address, "/").expect_status(200).expect_body("the program");
    ask(address, "/list/a.txt").expect_status(200).expect_body("a");
    ask(address, "/list/").expect_status(403);
    ask(address, "/deep/link").expect_status(404);
    drop(plain);

    let (rich, address) = serve(&["--browse", "--spa"]);
    ask(address, "/").expect_status(200).expect_body("the program");
    assert!(ask(address, "/list/").expect_status(200).text().contains("a.txt"));
    ask(address, "/list/a.txt").expect_status(200).expect_body("a");
    ask(address, "/deep/link").expect_status(200).expect_body("the program");
    drop(rich);
}

#[test]
fn one_command_encodes() {
    let body = crate::encode::text(5_000);
    let origin = Origin::start().serve("/a.txt", crate::encode::page(body.clone()));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.txt"), &body).unwrap();
    let target = origin.endpoint().to_string();
    let directory = folder.path().to_str().unwrap();
    for arguments in [
        ["proxy", "127.0.0.1:0", "--to", &target, "--encode"],
        ["serve", directory, "--listen", "127.0.0.1:0", "--encode"],
    ] {
        let proxy = Proxy::start_command(&arguments);
        let printed = printed(&proxy);
        assert!(printed.contains("encode = \"on\""), "{printed}");
        let mut client = Client::tcp(printed_address(&printed));
        let asked = get("/a.txt").header("Accept-Encoding", "gzip;q=0.5, br");
        let answer = client.ask(&asked);
        answer.expect_status(200).expect_header("Content-Encoding", "br");
        assert!(crate::encode::decoded(Some("br"), &answer.body) == body);
        client.ask(&get("/a.txt")).expect_no_header("Content-Encoding").expect_body(&body);
    }
}
