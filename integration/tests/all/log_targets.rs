//! Where logs go, and what happens when that place is full, blocked or gone.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use switchback_integration::{Config, Deadline, Proxy, eventually, get, request, site, switchback};
use tempfile::TempDir;

const REQUESTS: u64 = 2_000;

fn logged(file: &str, log: &str) -> Config {
    site().respond("/*", "x").toml(format_args!("[[log.access]]\nfile = \"{file}\"\n{log}\n"))
}

/// Lines of 12 KB, so that 2,000 of them are more than may wait.
fn long_lines(file: &str) -> Config {
    let fields = "$http_x_long".repeat(3);
    logged(file, &format!("format = \"$uri {fields}\"")).top("workers = 1")
}

/// Asks so often, each time with success.
fn ask_often(proxy: &Proxy) {
    let mut client = proxy.client();
    let long = "x".repeat(4096);
    for number in 0..REQUESTS {
        if number % 500 == 0 {
            client = proxy.client();
        }
        client.ask(&get(&format!("/{number}")).header("X-Long", &long)).expect_status(200);
    }
}

/// Lines lost, once every request has had its line.
fn lost(proxy: &Proxy) -> u64 {
    eventually("all requests are over", Deadline::soon(), || {
        let status = proxy.status();
        (status["requests_in_flight"] == 0).then(|| status["log_lines_lost"].as_u64().unwrap())
    })
}

fn metric(proxy: &Proxy, name: &str) -> u64 {
    let text = proxy.control("GET", "/metrics", None).expect_status(200).text();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("switchback_{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_full_disk_slows_nobody_and_is_written_again_once_it_has_room() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("access.log");
    symlink("/dev/full", &path).unwrap();
    let proxy = Proxy::start(&long_lines(path.to_str().unwrap()));
    ask_often(&proxy);
    let dropped = lost(&proxy);
    assert!(dropped > 0 && dropped < REQUESTS, "{dropped}");
    assert_eq!(metric(&proxy, "access_log_lines_dropped_total"), dropped);
    assert!(metric(&proxy, "access_log_failures_total") > 0);
    proxy.wait_for_stderr("the log cannot be written");
    proxy.wait_for_stderr("No space left on device");
    fs::remove_file(&path).unwrap();
    // A flush at the next reopening tries at once.
    proxy.signal("USR1");
    let kept = REQUESTS - dropped;
    eventually("what was kept is written", Deadline::soon(), || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        (text.lines().count() as u64 == kept && text.ends_with('\n')).then_some(())
    });
    proxy.get("/after").expect_status(200);
    eventually("the next line", Deadline::soon(), || {
        fs::read_to_string(&path).is_ok_and(|text| text.contains("/after ")).then_some(())
    });
    assert_eq!(lost(&proxy), dropped);
    assert!(proxy.stderr().matches("the log cannot be written").count() < 5, "{}", proxy.stderr());
}

#[test]
fn a_reader_that_sleeps_slows_nobody() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("fifo");
    fifo(&path);
    // A reader that does not read; open for both, so that neither end waits for the other.
    let reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let proxy = Proxy::start(&long_lines(path.to_str().unwrap()));
    ask_often(&proxy);
    let dropped = lost(&proxy);
    assert!(dropped > 0 && dropped < REQUESTS, "{dropped}");
    let mut lines = BufReader::new(reader).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.starts_with("/0 x"), "{}", &first[..20]);
    for _ in 1..REQUESTS - dropped {
        let line = lines.next().unwrap().unwrap();
        assert!(line.starts_with('/') && line.len() > 3 * 4096, "a line is torn: {line}");
    }
    proxy.get("/after").expect_status(200);
    assert!(lines.next().unwrap().unwrap().starts_with("/after "));
    assert_eq!(lost(&proxy), dropped);
}

#[test]
fn a_process_whose_reader_sleeps_can_be_stopped() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("fifo");
    fifo(&path);
    let _reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let proxy = Proxy::start(&long_lines(path.to_str().unwrap()));
    let mut client = proxy.client();
    for _ in 0..50 {
        client.ask(&get("/").header("X-Long", &"x".repeat(4096))).expect_status(200);
    }
    proxy.stop();
}

#[test]
fn a_full_syslog_slows_nobody_and_goes_on_when_it_reads_again() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log.sock");
    let syslog = UnixDatagram::bind(&path).unwrap();
    syslog.set_read_timeout(Some(Deadline::soon().left())).unwrap();
    let target = format!("syslog:unix:{}", path.display());
    let proxy = Proxy::start(&long_lines(&target));
    ask_often(&proxy);
    let dropped = lost(&proxy);
    assert!(dropped > 0 && dropped < REQUESTS, "{dropped}");
    let mut datagram = vec![0; 64 * 1024];
    for number in 0..REQUESTS - dropped {
        let length = syslog.recv(&mut datagram).unwrap();
        let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
        assert!(text.starts_with("<190>") && text.contains(" switchback: /"), "{number}: {text}");
    }
}

#[test]
fn a_syslog_that_comes_back_gets_its_lines() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log.sock");
    let syslog = UnixDatagram::bind(&path).unwrap();
    let proxy = Proxy::start(&logged(
        &format!("syslog:unix:{}", path.display()),
        "format = \"$uri\"\nsyslog = { facility = \"daemon\", severity = \"crit\", tag = \"a\" }",
    ));
    drop(syslog);
    proxy.get("/lost-and-found").expect_status(200);
    proxy.wait_for_stderr("the log cannot be written");
    fs::remove_file(&path).unwrap();
    let syslog = UnixDatagram::bind(&path).unwrap();
    syslog.set_read_timeout(Some(Deadline::soon().left())).unwrap();
    let mut datagram = [0; 256];
    let length = syslog.recv(&mut datagram).unwrap();
    let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
    assert!(text.starts_with("<26>") && text.ends_with(" a: /lost-and-found"), "{text}");
    proxy.wait_for_stderr("the log is written again");
}

#[test]
fn a_syslog_is_reached_over_udp() {
    let syslog = UdpSocket::bind("127.0.0.1:0").unwrap();
    syslog.set_read_timeout(Some(Deadline::soon().left())).unwrap();
    let target = format!("syslog:udp://localhost:{}", syslog.local_addr().unwrap().port());
    let proxy = Proxy::start(&logged(&target, "format = \"$uri\""));
    proxy.get("/udp").expect_status(200);
    let mut datagram = [0; 256];
    let (length, _) = syslog.recv_from(&mut datagram).unwrap();
    let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
    assert!(text.starts_with("<190>") && text.ends_with(" switchback: /udp"), "{text}");
}

#[test]
fn a_file_is_put_aside_when_it_is_large_and_no_line_is_lost() {
    let proxy = Proxy::start(
        &logged("access.log", "format = \"$uri\"\nrotate = { size = \"64\", keep = 20 }")
            .top("workers = 1"),
    );
    let mut client = proxy.client();
    for number in 0..100 {
        client.ask(&get(&format!("/{number:03}"))).expect_status(200);
    }
    let folder = proxy.folder();
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let all = eventually("all lines", Deadline::soon(), || {
        let old = (1..=20).rev().map(|number| read(&format!("access.log.{number}")));
        let all: String = old.chain([read("access.log")]).collect();
        (all.lines().count() == 100).then_some(all)
    });
    assert!(all.lines().enumerate().all(|(number, line)| line == format!("/{number:03}")), "{all}");
    assert!(read("access.log.1").len() <= 64 && !read("access.log.8").is_empty());
    // A reload that says otherwise acts on the writer that runs.
    let config = logged("access.log", "format = \"$uri\"\nrotate = { size = \"1MiB\" }");
    proxy.reload(&config.top("workers = 1")).expect_accepted();
    let before = read("access.log.1");
    let mut client = proxy.client();
    for _ in 0..30 {
        client.ask(&get("/large")).expect_status(200);
    }
    eventually("lines in one file", Deadline::soon(), || {
        (read("access.log").matches("/large\n").count() == 30).then_some(())
    });
    assert_eq!(read("access.log.1"), before);
}

#[test]
fn a_sample_is_decided_by_the_id_of_the_request() {
    let both = "format = \"$request_id\"\nsample = 0.25\n\
                [[log.access]]\nfile = \"other.log\"\nformat = \"$request_id\"\nsample = 0.25\n\
                [[log.access]]\nfile = \"all.log\"\nformat = \"$request_id\"";
    let proxy = Proxy::start(&logged("access.log", both).top("workers = 1"));
    let mut client = proxy.client();
    for _ in 0..400 {
        client.ask(&get("/")).expect_status(200);
    }
    let read = |name: &str| fs::read_to_string(proxy.folder().join(name)).unwrap_or_default();
    eventually("all lines", Deadline::soon(), || {
        (read("all.log").lines().count() == 400).then_some(())
    });
    let some = eventually("the same lines", Deadline::soon(), || {
        let some = read("access.log");
        (some == read("other.log")).then_some(some)
    });
    let count = some.lines().count();
    assert!((40..180).contains(&count), "{count} of 400");
}

/// What `check`, a start and a reload say of this log.
fn refused(log: &str, because: &str) {
    let folder = TempDir::new().unwrap();
    let bad = site().respond("/*", "x").toml(log);
    fs::write(folder.path().join("c.toml"), bad.to_toml()).unwrap();
    let line = bad.to_toml().lines().position(|line| line.starts_with("file = ")).unwrap() + 1;
    let place = format!("c.toml:{line}:");
    let checked = switchback(folder.path(), &["check", "-c", "c.toml"]);
    checked.expect_code(1).expect_text(because).expect_text(&place).expect_text("C0506");
    switchback(folder.path(), &["run", "-c", "c.toml"]).expect_code(1).expect_text(because);
    let proxy = Proxy::start(&site().respond("/*", "x"));
    proxy.reload(&bad).expect_refused(because);
    proxy.get("/").expect_status(200);
}

#[test]
fn a_target_that_cannot_be_opened_is_refused_with_its_place() {
    refused("[[log.access]]\nfile = \"/nowhere/access.log\"", "access log /nowhere/access.log");
    refused("[[log.access]]\nfile = \"/dev\"", "access log /dev");
    refused("[[log.access]]\nfile = \"syslog:unix:/nowhere/log\"", "syslog:unix:/nowhere/log");
    refused("[log]\nfile = \"/nowhere/error.log\"", "error log /nowhere/error.log");
}

#[test]
fn a_fifo_without_reader_is_waited_for_by_its_lines_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("fifo");
    fifo(&path);
    let config = logged(path.to_str().unwrap(), "format = \"$uri\"");
    fs::write(folder.path().join("c.toml"), config.to_toml()).unwrap();
    let checked = switchback(folder.path(), &["check", "-c", "c.toml"]);
    checked.expect_code(0).expect_text("nobody listens at access log");
    let proxy = Proxy::start(&config);
    proxy.get("/early").expect_status(200);
    let mut line = String::new();
    BufReader::new(File::open(&path).unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "/early\n");
}

#[test]
fn the_error_log_blocks_nobody_either() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("fifo");
    fifo(&path);
    let reader = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let config = site()
        .respond("/x", "x")
        .toml(format_args!("[log]\nfile = \"{}\"\nlevel = \"info\"\n", path.display()));
    let proxy = Proxy::start(&config);
    let mut client = proxy.client();
    // Each of these is a line about a client.
    for _ in 0..REQUESTS {
        client.ask(&request("GET", "/missing")).expect_status(404);
        client = proxy.client();
    }
    proxy.get("/x").expect_status(200);
    let lines = BufReader::new(reader).lines().map(Result::unwrap);
    let told = lines.filter(|line| line.contains("no route for")).take(REQUESTS as usize);
    assert_eq!(told.filter(|line| line.contains("request=\"")).count() as u64, REQUESTS);
    proxy.stop();
}
