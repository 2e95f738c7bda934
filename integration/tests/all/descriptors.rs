//! When descriptors run out.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use switchback_integration::{Client, Deadline, ProcessStats, Proxy, eventually, get, site};

#[test]
fn a_process_without_descriptors_refuses_quickly_rests_and_recovers_at_once() {
    let proxy = Proxy::start(&site().respond("/*", "x"));
    let address = proxy.address("web");
    // Each worker takes descriptors while it starts; these find both.
    for _ in 0..50 {
        proxy.get("/").expect_body("x");
    }
    let limit = proxy.stats().descriptors + 20;
    let set = Command::new("prlimit")
        .args([format!("--pid={}", proxy.pid()), format!("--nofile={limit}")])
        .status()
        .unwrap();
    assert!(set.success());
    let mut held: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(address).unwrap()).collect();
    // Whoever finds no place is told so.
    let is_refused = |stream: &mut TcpStream| {
        stream.set_nonblocking(true).unwrap();
        let read = stream.read(&mut [0]);
        !read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    eventually("those too many are refused", Deadline::soon(), || {
        held.retain_mut(|stream| !is_refused(stream));
        (held.len() <= 20).then_some(())
    });
    let before = ProcessStats::processor_time_of_tree(proxy.pid());
    let began = Instant::now();
    eventually("a while passes in want", Deadline::soon(), || {
        // One waits all the time, so that accepting fails all the time.
        let _waiting = TcpStream::connect(address);
        (began.elapsed() > Duration::from_secs(1)).then_some(())
    });
    let spent = ProcessStats::processor_time_of_tree(proxy.pid()).saturating_sub(before);
    assert!(spent < Duration::from_millis(400), "{spent:?} in {:?}", began.elapsed());
    drop(held);
    let freed = Instant::now();
    eventually("it accepts again", Deadline::soon(), || {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(())
    });
    assert!(freed.elapsed() < Duration::from_secs(5), "{:?}", freed.elapsed());
    Client::tcp(address).ask(&get("/")).expect_body("x");
}
