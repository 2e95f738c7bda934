//! A newer binary takes over: nothing is lost, and one that does not get ready changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use switchback_integration::{
    Answer, Client, Config, Deadline, Gate, Load, Origin, Proxy, Step, config, eventually, get,
    open_websocket, pattern, site,
};

/// Puts another program in the place of the binary, as a package manager does: the file is new, the old one lives on.
fn install(proxy: &Proxy, program: &[u8]) {
    let new = proxy.folder().join("switchback.new");
    fs::write(&new, program).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&new, proxy.binary()).unwrap();
}

/// The binary with another machine's number in its ELF header.
fn of_another_machine(good: &[u8]) -> Vec<u8> {
    let mut other = good[..4096].to_vec();
    other[18..20].copy_from_slice(&[0x2b, 0]);
    other
}

fn keeps_serving(proxy: &mut Proxy, because: &str) {
    let before = proxy.follow();
    proxy.upgrade().expect_code(1).expect_text(because).expect_text("keeps serving");
    let status = proxy.status();
    assert_eq!(status["pid"], before);
    let failure = status["upgrade_failure"].as_str().unwrap();
    assert!(failure.contains(because), "{failure}");
}

/// What [`Load`] understands, with connections that end after a few requests, so that new ones are made all the time.
fn loaded(origin: &Origin, wrong: &str) -> Config {
    config()
        .top("drain_spread = \"500ms\"\nupgrade = { timeout = \"4s\" }")
        .top(wrong)
        .web("limits = { keepalive_requests = 9 }")
        .site("")
        .respond("/fixed", "generation 1")
        .route("/app/*", "proxy = \"app\"\nresponse_headers = { set = { x-generation = \"1\" } }")
        .upstream("app", &[origin], "")
}

#[test]
fn upgrades_under_load_fail_no_request_whether_they_succeed_or_not() {
    let origin = Origin::start();
    let mut proxy = Proxy::start_copied(&loaded(&origin, ""));
    let good = fs::read(proxy.binary()).unwrap();
    let load = Load::start(proxy.address("web"), 4);
    let mut wanted = 0;
    let mut answer_more = || {
        wanted += 400;
        load.wait_until("the load goes on", Deadline::soon(), |seen| seen.answered >= wanted);
    };
    answer_more();
    proxy.upgrade().expect_code(0).expect_text("has taken over");
    answer_more();
    fs::remove_file(proxy.binary()).unwrap();
    keeps_serving(&mut proxy, "No such file");
    answer_more();
    install(&proxy, b"#!/bin/sh\nexit 7\n");
    keeps_serving(&mut proxy, "exit status: 7");
    install(&proxy, &of_another_machine(&good));
    keeps_serving(&mut proxy, "Exec format error");
    install(&proxy, b"#!/bin/sh\nexec sleep 20\n");
    keeps_serving(&mut proxy, "not ready within 4 seconds");
    answer_more();
    install(&proxy, &good);
    proxy.write(&loaded(&origin, "no_such_key = 1"));
    keeps_serving(&mut proxy, "no_such_key");
    proxy.write(&loaded(&origin, ""));
    proxy.upgrade().expect_code(0);
    answer_more();
    proxy.upgrade().expect_code(0);
    answer_more();
    let seen = load.stop();
    assert!(
        seen.failures.is_empty(),
        "{} failed: {:#?}",
        seen.failures.len(),
        seen.failures.first()
    );
    assert_eq!(proxy.wait_for_first(), Some(0), "{}", proxy.stderr());
}

#[test]
fn a_websocket_and_a_download_outlast_an_upgrade() {
    let gate = Gate::new();
    let steps = [
        Step::ReadBody,
        Step::send("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n"),
        Step::send(&pattern(200_000)[..1000]),
        Step::Wait(gate.clone()),
        Step::send(&pattern(200_000)[1000..]),
    ];
    let origin = Origin::start().serve("/slow", steps).serve("/ws", Answer::Tunnel);
    let mut proxy = Proxy::start(&site().proxy_to(&origin));
    let mut download = proxy.client();
    download.send(get("/slow").to_bytes()).response_head().expect_status(200);
    let mut socket = open_websocket(&proxy, "/ws");
    proxy.upgrade().expect_code(0);
    proxy.get("/new").expect_status(200);
    assert_eq!(socket.send("still").read_exactly(5), b"still");
    gate.pass();
    assert!(download.read_exactly(200_000) == pattern(200_000));
    drop((download, socket));
    assert_eq!(proxy.wait_for_first(), Some(0), "{}", proxy.stderr());
}

/// As many listeners on addresses of the loopback network, and as many on Unix sockets.
fn many(tcp: usize, unix: usize, workers: usize) -> Config {
    let mut many = config().top(format!("workers = {workers}\ndrain_spread = \"0\""));
    for number in 0..tcp {
        let (third, fourth) = (number / 200 + 1, number % 200 + 1);
        many = many
            .listener(format_args!("name = \"t{number}\"\naddress = \"127.7.{third}.{fourth}:0\""));
    }
    for number in 0..unix {
        many = many.listener(format_args!(
            "name = \"u{number}\"\naddress = \"unix:{number}-{}.sock\"",
            "long".repeat(8)
        ));
    }
    many.site("").respond("/*", "x")
}

fn all_answer(proxy: &Proxy) {
    for listener in proxy.listeners() {
        let mut client = match listener.address.strip_prefix("unix:") {
            Some(path) => Client::unix(&proxy.folder().join(path)),
            None => Client::tcp(listener.address.parse().unwrap()),
        };
        client.ask(&get("/").host("x").close()).expect_status(200);
    }
}

#[test]
fn two_hundred_listeners_go_over_whatever_the_number_of_workers() {
    let mut proxy = Proxy::start(&many(200, 20, 2));
    let before = proxy.listeners();
    assert_eq!(before.len(), 220);
    for workers in [3, 1] {
        proxy.write(&many(200, 20, workers));
        proxy.upgrade().expect_code(0);
        assert_eq!(proxy.listeners(), before);
        assert_eq!(proxy.status()["workers"], workers);
        // Each socket of a group is accepted from, else some of these would wait for ever.
        (0..4).for_each(|_| all_answer(&proxy));
    }
    assert_eq!(proxy.wait_for_first(), Some(0), "{}", proxy.stderr());
    all_answer(&proxy);
}

#[test]
fn listeners_that_came_or_went_are_bound_or_closed() {
    let mut proxy = Proxy::start(&many(2, 2, 2));
    let (gone, gone_file) = (proxy.address("t1"), proxy.listeners()[3].address.clone());
    proxy.write(&many(1, 1, 2).listener("name = \"new\"\naddress = \"127.0.0.1:0\""));
    proxy.upgrade().expect_code(0);
    let names: Vec<_> = proxy.listeners().into_iter().map(|listener| listener.name).collect();
    assert_eq!(names, ["new", "t0", "u0"]);
    all_answer(&proxy);
    assert_eq!(proxy.wait_for_first(), Some(0), "{}", proxy.stderr());
    assert!(std::net::TcpStream::connect(gone).is_err());
    let gone_file = proxy.folder().join(gone_file.strip_prefix("unix:").unwrap());
    assert!(!gone_file.exists(), "{} was left behind", gone_file.display());
    all_answer(&proxy);
}

#[test]
fn pid_file_and_control_socket_are_the_successors_from_the_beginning_to_its_end() {
    let mut proxy = Proxy::start(&site().top("drain_spread = \"0\"").respond("/*", "x"));
    let (pid_file, socket) =
        (proxy.folder().join("switchback.pid"), proxy.folder().join("switchback.sock"));
    let first = proxy.follow();
    proxy.upgrade().expect_code(0);
    let second = proxy.follow();
    assert_ne!(first, second);
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), format!("{second}\n"));
    assert_eq!(proxy.wait_for_first(), Some(0), "{}", proxy.stderr());
    assert_eq!(fs::read_to_string(&pid_file).unwrap(), format!("{second}\n"));
    let refused = proxy.run(&["run", "-c", "switchback.toml"]);
    refused.expect_code(1).expect_text(&format!("held by running process {second}"));
    proxy.run(&["stop", "--control", "switchback.sock"]).expect_code(0);
    eventually("the successor takes its files with it", Deadline::soon(), || {
        (!pid_file.exists() && !socket.exists()).then_some(())
    });
}

#[test]
fn files_of_the_process_may_move_with_an_upgrade() {
    let mut proxy = Proxy::start(&site().top("drain_spread = \"0\"").respond("/*", "x"));
    let (old_pid, old_socket) =
        (proxy.folder().join("switchback.pid"), proxy.folder().join("switchback.sock"));
    let moved = site()
        .top("pid_file = \"moved.pid\"\ncontrol = { socket = \"moved.sock\" }")
        .respond("/*", "x");
    proxy.write(&moved);
    proxy.run(&["upgrade", "--control", "switchback.sock"]).expect_code(0);
    assert_eq!(proxy.wait_for_first(), Some(0), "{}", proxy.stderr());
    assert!(!old_pid.exists() && !old_socket.exists(), "the old process takes its files with it");
    let status = proxy.run(&["status", "--json", "--control", "moved.sock"]);
    let status: serde_json::Value = serde_json::from_str(&status.expect_code(0).stdout).unwrap();
    let pid = fs::read_to_string(proxy.folder().join("moved.pid")).unwrap();
    assert_eq!(pid.trim(), status["pid"].to_string());
    proxy.run(&["stop", "--control", "moved.sock"]).expect_code(0);
}

#[test]
fn a_successor_reloads_and_gives_way_like_any_other() {
    let mut proxy = Proxy::start(&site().respond("/*", "one"));
    proxy.upgrade().expect_code(0);
    proxy.reload(&site().respond("/*", "two")).expect_accepted();
    proxy.get("/").expect_body("two");
    let (address, second) = (proxy.address("web"), proxy.follow());
    proxy.write(&site().respond("/*", "three"));
    proxy.upgrade().expect_code(0);
    assert_ne!(proxy.follow(), second);
    assert_eq!(proxy.address("web"), address);
    proxy.get("/").expect_body("three");
    let more = site().respond("/*", "four").listener("name = \"b\"\naddress = \"127.0.0.2:0\"");
    proxy.reload(&more).expect_accepted();
    Client::tcp(proxy.address("b")).ask(&get("/")).expect_body("four");
}

#[test]
fn usr2_upgrades_and_the_service_manager_is_told_whom_to_watch() {
    let mut proxy = Proxy::start(&site().top("drain_spread = \"0\"").respond("/*", "x"));
    let first = proxy.follow();
    proxy.signal("USR2");
    let second = eventually("another process answers", Deadline::soon(), || {
        let serving = proxy.follow();
        (serving != first).then_some(serving)
    });
    proxy.wait_for_notification(&format!("MAINPID={second}"));
    proxy.wait_for_notification("READY=1");
    assert_eq!(proxy.wait_for_first(), Some(0), "{}", proxy.stderr());
    assert!(!proxy.has_notified("STOPPING=1"), "the service does not stop");
    proxy.get("/").expect_status(200);
}

#[test]
fn one_upgrade_at_a_time() {
    let top = "upgrade = { timeout = \"3s\" }";
    let mut proxy = Proxy::start_copied(&site().top(top).respond("/*", "x"));
    let started = proxy.folder().join("started");
    install(&proxy, b"#!/bin/sh\ntouch started\nexec sleep 20\n");
    proxy.signal("USR2");
    eventually("the successor runs", Deadline::soon(), || started.exists().then_some(()));
    proxy.upgrade().expect_code(1).expect_text("an upgrade is under way");
    proxy.wait_for_stderr("not ready within 3 seconds");
    proxy.get("/").expect_status(200);
}

#[test]
fn a_stop_ends_an_upgrade_and_a_drain_begins_none() {
    let gate = Gate::new();
    let steps = [
        Step::ReadBody,
        Step::Wait(gate.clone()),
        Step::send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow"),
    ];
    let origin = Origin::start().serve("/slow", steps);
    let mut proxy = Proxy::start_copied(&site().proxy_to(&origin));
    let mut client = proxy.client();
    client.send(get("/slow").to_bytes());
    origin.wait_for_requests("/slow", 1);
    let started = proxy.folder().join("started");
    install(&proxy, b"#!/bin/sh\ntouch started\nexec sleep 60\n");
    proxy.signal("USR2");
    eventually("the successor runs", Deadline::soon(), || started.exists().then_some(()));
    proxy.signal("QUIT");
    proxy.wait_for_stderr("this process was told to stop");
    proxy.upgrade().expect_code(1).expect_text("the process is stopping");
    gate.pass();
    client.response().expect_status(200).expect_body("slow");
    assert_eq!(proxy.wait_for_first(), Some(0), "{}", proxy.stderr());
}

#[test]
fn a_successor_that_loses_its_predecessor_before_its_turn_ends() {
    let top = "upgrade = { timeout = \"60s\" }";
    let proxy = Proxy::start_copied(&site().top(top).respond("/*", "x"));
    let good = proxy.folder().join("good");
    fs::rename(proxy.binary(), &good).unwrap();
    let script = "#!/bin/sh\necho $$ > waiting\nwhile ! [ -e go ]; do sleep 0.05; done\n\
                  ./good \"$@\" 2> said; echo $? > ended\n";
    install(&proxy, script.as_bytes());
    proxy.signal("USR2");
    let at = |name: &str| proxy.folder().join(name);
    eventually("the successor runs", Deadline::soon(), || at("waiting").exists().then_some(()));
    proxy.signal("KILL");
    fs::write(at("go"), "").unwrap();
    let patience = Deadline::after(Duration::from_secs(30));
    let ended = eventually("the successor ends", patience, || {
        fs::read_to_string(at("ended")).ok().filter(|code| !code.is_empty())
    });
    let said = fs::read_to_string(at("said")).unwrap();
    assert_eq!(ended.trim(), "1", "{said}");
}
