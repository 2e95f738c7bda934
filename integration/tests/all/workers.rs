//! The number of workers, and everything that is bound, changed while clients connect as fast as they can.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use switchback_integration::{
    Client, Config, Deadline, Gate, Origin, ProcessStats, Proxy, Step, WireError, config,
    eventually, get,
};

/// One listener at `web`, with these lines beside it, and so many workers.
fn at(web: impl std::fmt::Display, workers: usize, lines: &str) -> Config {
    config()
        .top(format!("workers = {workers}"))
        .top("shutdown_timeout = \"5s\"")
        .listener(format_args!("name = \"web\"\naddress = \"{web}\"\n{lines}"))
        .listener("name = \"unix\"\naddress = \"unix:web.sock\"")
        .site("")
        .respond("/*", "x")
}

fn workers(proxy: &Proxy) -> usize {
    let said = proxy.status()["workers"].as_u64().expect("the status tells the workers");
    usize::try_from(said).expect("they are few")
}

/// Threads of the process that are workers, leaving ones included.
fn worker_threads(proxy: &Proxy) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", proxy.pid())).unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("worker-")).count()
}

/// A thread has its name a moment after it began, and ends when its connections have.
#[track_caller]
pub(crate) fn wait_for_worker_threads(proxy: &Proxy, count: usize) {
    eventually("there are as many worker threads", Deadline::soon(), || {
        (worker_threads(proxy) == count).then_some(())
    });
}

/// What a crowd of clients has seen.
#[derive(Default)]
struct Seen {
    answered: AtomicU64,
    slowest: Mutex<Duration>,
    failures: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

/// Clients that connect, ask once and go, as fast as they can.
struct Crowd {
    seen: Arc<Seen>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    fn start(address: SocketAddr, unix: &Path) -> Self {
        let seen = Arc::new(Seen::default());
        let client = |number: usize| {
            let (seen, unix) = (Arc::clone(&seen), unix.to_owned());
            thread::spawn(move || {
                while !seen.is_over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let asked = if number == 0 { ask_unix(&unix) } else { ask(address) };
                    match asked {
                        Ok(()) => seen.answered.fetch_add(1, Ordering::Relaxed),
                        Err(failure) => {
                            seen.failures.lock().push(failure);
                            0
                        }
                    };
                    let mut slowest = seen.slowest.lock();
                    *slowest = slowest.max(began.elapsed());
                }
            })
        };
        let threads = (0..6).map(client).collect();
        Self { seen, threads }
    }

    fn wait_for(&self, answers: u64) {
        let enough = self.seen.answered.load(Ordering::Relaxed) + answers;
        eventually("clients are answered", Deadline::after(Duration::from_secs(60)), || {
            (self.seen.answered.load(Ordering::Relaxed) >= enough).then_some(())
        });
    }

    fn stop(self) -> Arc<Seen> {
        self.seen.is_over.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        self.seen
    }
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn ask(address: SocketAddr) -> Result<(), String> {
    let stream = TcpStream::connect(address).map_err(|error| format!("connect: {error}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    exchange(stream)
}

fn ask_unix(path: &Path) -> Result<(), String> {
    exchange(UnixStream::connect(path).map_err(|error| format!("connect: {error}"))?)
}

fn exchange(mut stream: impl Read + Write) -> Result<(), String> {
    stream.write_all(REQUEST).map_err(|error| format!("send: {error}"))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| format!("receive: {error}"))?;
    let is_whole = answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nx");
    if is_whole { Ok(()) } else { Err(format!("answered {answer:?}")) }
}

/// A free port that the kernel gives to no client: a wildcard address cannot be bound where any client comes from.
fn free_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 10_000).unwrap();
    loop {
        let port = 10_000 + (first + TRIED.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if TcpListener::bind(("::", port)).is_ok() {
            return port;
        }
    }
}

fn started(config: impl Fn(SocketAddr) -> Config) -> (Proxy, SocketAddr, PathBuf) {
    let address = ([127, 0, 0, 1], free_port()).into();
    let proxy = Proxy::start(&config(address));
    let unix = proxy.folder().join("web.sock");
    (proxy, address, unix)
}

#[test]
fn no_connection_is_lost_while_workers_and_addresses_change() {
    let (proxy, address, unix) = started(|web| at(web, 1, ""));
    let port = address.port();
    let crowd = Crowd::start(address, &unix);
    let steps: Vec<Config> = vec![
        at(address, 3, ""),
        at(address, 2, "socket = { backlog = 1000 }"),
        at(format_args!(":{port}"), 2, ""),
        at(format_args!("0.0.0.0:{port}"), 3, ""),
        at(address, 1, ""),
        at(address, 3, "").listener("name = \"more\"\naddress = \"127.0.0.9:0\""),
        at(address, 2, "socket = { device = \"lo\" }"),
        at(address, 1, "socket = { device = \"lo\", keepalive = {} }"),
        at(format_args!("0.0.0.0:{port}"), 2, ""),
        at(format_args!(":{port}"), 3, "socket = { receive_buffer = \"64KiB\" }"),
    ];
    for round in 0..2 {
        for (step, config) in steps.iter().enumerate() {
            proxy.reload(config).expect_accepted();
            crowd.wait_for(1_000);
            assert!(
                crowd.seen.failures.lock().is_empty(),
                "round {round}, step {step}: {:?}",
                crowd.seen.failures.lock()
            );
        }
    }
    let seen = crowd.stop();
    let failures = seen.failures.lock();
    assert!(failures.is_empty(), "{} failed: {:?}", failures.len(), failures.first());
    assert!(seen.answered.load(Ordering::Relaxed) >= 20_000);
}

#[test]
fn workers_are_as_many_as_the_reload_says_and_the_others_end() {
    let (proxy, address, unix) = started(|web| at(web, 1, ""));
    wait_for_worker_threads(&proxy, 1);
    for count in [3, 2] {
        proxy.reload(&at(address, count, "")).expect_accepted();
        assert_eq!(workers(&proxy), count);
        proxy.get("/").expect_body("x");
        wait_for_worker_threads(&proxy, count);
    }
    for _ in 0..50 {
        proxy.get("/").expect_body("x");
    }
    Client::unix(&unix).ask(&get("/")).expect_body("x");
    let before = proxy.stats().descriptors;
    proxy.reload(&at(address, 3, "")).expect_accepted();
    proxy.reload(&at(address, 2, "")).expect_accepted();
    proxy.wait_for_descriptors(before);
}

#[test]
fn workers_that_come_back_before_the_others_have_left_take_connections() {
    let (proxy, address, unix) = started(|web| at(web, 4, ""));
    let crowd = Crowd::start(address, &unix);
    for workers in [1, 3, 2, 4, 1, 2, 1, 3] {
        proxy.reload(&at(address, workers, "")).expect_accepted();
        crowd.wait_for(200);
    }
    let seen = crowd.stop();
    assert!(seen.failures.lock().is_empty(), "{:?}", seen.failures.lock());
}

/// Connections whose handshake the server has not ended: it waits for their first bytes.
fn half_open(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(address).unwrap()).collect()
}

#[test]
fn connections_in_the_middle_of_their_handshake_are_served_where_they_began() {
    let deferred = "socket = { defer_accept = \"20s\" }";
    let (proxy, address, _) = started(|web| at(web, 4, deferred));
    let any = format!("0.0.0.0:{}", address.port());
    for config in [at(address, 1, deferred), at(&any, 1, deferred), at(address, 3, deferred)] {
        let begun = half_open(address, 100);
        proxy.reload(&config).expect_accepted();
        for stream in begun {
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            exchange(stream).unwrap();
        }
    }
}

#[test]
fn kept_connections_of_a_rebound_listener_keep_their_sites() {
    let (proxy, address, _) = started(|web| at(web, 2, ""));
    let mut client = Client::tcp(address);
    client.ask(&get("/")).expect_body("x");
    proxy.reload(&at(format_args!(":{}", address.port()), 2, "")).expect_accepted();
    client.ask(&get("/")).expect_body("x");
    let unnamed = |address: &str| {
        config().listener(format_args!("address = \"{address}\"")).site("").respond("/*", "y")
    };
    proxy.reload(&unnamed(&format!("0.0.0.0:{}", address.port()))).expect_accepted();
    client.ask(&get("/")).expect_body("y");
}

/// How long the process has been on a processor while a connection, which was kept for two seconds, was idle.
fn spent_idle(proxy: &Proxy, address: SocketAddr) -> Duration {
    let mut idle = Client::tcp(address);
    idle.ask(&get("/")).expect_body("x");
    let before = ProcessStats::processor_time_of_tree(proxy.pid());
    idle.expect_close();
    ProcessStats::processor_time_of_tree(proxy.pid()) - before
}

#[test]
fn a_process_that_has_nothing_to_do_does_nothing_after_many_changes() {
    let at = |web: &str, workers: usize, lines: &str| {
        let lines = format!("timeouts = {{ keepalive = \"2s\" }}\n{lines}");
        at(web, workers, &lines)
    };
    let (proxy, address, unix) = started(|web| at(&web.to_string(), 2, ""));
    let crowd = Crowd::start(address, &unix);
    let anywhere = [
        address.to_string(),
        format!(":{}", address.port()),
        format!("0.0.0.0:{}", address.port()),
    ];
    for round in 0..20 {
        let backlog = format!("socket = {{ backlog = {} }}", 1000 + round);
        let mut config = at(&anywhere[round % 3], 1 + round * 3 % 4, &backlog);
        if round % 2 == 0 {
            config = config.listener(format_args!("name = \"more\"\naddress = \"127.0.0.9:0\""));
        }
        proxy.reload(&config).expect_accepted();
        crowd.wait_for(100);
    }
    proxy.reload(&at(&anywhere[0], 2, "")).expect_accepted();
    let seen = crowd.stop();
    assert!(seen.failures.lock().is_empty(), "{:?}", seen.failures.lock());
    wait_for_worker_threads(&proxy, 2);
    let spent = spent_idle(&proxy, address);
    assert!(spent <= Duration::from_millis(100), "{spent:?} in two seconds");
}

#[test]
fn new_connections_do_not_wait_for_the_ones_that_leave() {
    let (proxy, address, unix) = started(|web| at(web, 4, ""));
    let crowd = Crowd::start(address, &unix);
    crowd.wait_for(100);
    for config in [at(address, 1, ""), at(format_args!(":{}", address.port()), 1, "")] {
        proxy.reload(&config).expect_accepted();
        crowd.wait_for(500);
    }
    let seen = crowd.stop();
    // A lost SYN would be sent again after a second.
    assert!(*seen.slowest.lock() < Duration::from_millis(900), "{:?}", seen.slowest.lock());
}

#[test]
fn a_worker_that_leaves_waits_for_the_request_that_its_last_answer_allowed() {
    let rest = Gate::new();
    let half = [
        Step::send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na"),
        Step::Wait(rest.clone()),
        Step::send("b"),
        Step::Next,
    ];
    let origin = Origin::start().serve("/half", half);
    let halves =
        |config: Config| config.route("/half", "proxy = \"app\"").upstream("app", &[&origin], "");
    let (proxy, address, _) = started(|web| halves(at(web, 4, "")));
    // So many that every worker has some.
    let mut asking: Vec<Client> = (0..24).map(|_| Client::tcp(address)).collect();
    let mut idle: Vec<Client> = (0..24).map(|_| Client::tcp(address)).collect();
    for (asking, idle) in asking.iter_mut().zip(&mut idle) {
        asking.send(get("/half").to_bytes());
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\na") {
            head.extend(asking.read_exactly(1));
        }
        idle.ask(&get("/")).expect_body("x");
        idle.set_patience(Duration::from_millis(1));
    }
    proxy.reload(&halves(at(address, 1, ""))).expect_accepted();
    eventually("workers let go of connections", Deadline::soon(), || {
        let is_open = |client: &mut Client| matches!(client.try_read(), Err(WireError::TimedOut));
        (!idle.iter_mut().all(is_open)).then_some(())
    });
    asking.iter().for_each(|_| rest.pass());
    for mut client in asking {
        assert_eq!(client.read_exactly(1), b"b");
        client.ask(&get("/")).expect_status(200).expect_body("x");
    }
}
