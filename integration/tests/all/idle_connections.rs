//! Connections that wait cost little, and what they cost is given back.

use std::time::Duration;

use switchback_integration::{
    Client, Deadline, Origin, Proxy, Trust, config, eventually, get, site,
};

/// KiB that the proxy has of its own.
fn private_kib(proxy: &Proxy) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", proxy.pid())).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Opens connections that cost at most so many bytes each once they are idle; each is answered before and after.
fn cost_at_most(most: u64, proxy: &Proxy, open: impl Fn() -> Client) {
    // So many that a table which doubles, or a page that is begun, is little for each.
    let count = 1500;
    // What all connections share comes with the first ones. They stay: what is given back when some are closed, and when, is not
    // what others cost.
    let _first: Vec<Client> = (0..50).map(|_| asked(open())).collect();
    let before = private_kib(proxy);
    let mut clients: Vec<Client> = (0..count).map(|_| asked(open())).collect();
    // What the last ones needed for a moment is given back a moment later.
    eventually("idle connections cost little", Deadline::soon(), || {
        let each = private_kib(proxy).saturating_sub(before) * 1024 / count;
        (each <= most).then_some(())
    });
    for client in &mut clients {
        client.ask(&get("/again")).expect_status(200);
    }
}

fn asked(mut client: Client) -> Client {
    client.ask(&get("/")).expect_status(200);
    client
}

#[test]
fn an_idle_connection_costs_little() {
    let origin = Origin::start();
    let proxy = Proxy::start(&site().top("workers = 1").proxy_to(&origin));
    cost_at_most(3 * 1024, &proxy, || proxy.client());
}

#[test]
fn an_idle_tls_connection_costs_little() {
    let origin = Origin::start();
    let config = config().top("workers = 1");
    let config = config.web("tls = { self_signed = [\"localhost\"] }").site("");
    let proxy = Proxy::start(&config.proxy_to(&origin));
    let open = || proxy.tls_client("localhost", &Trust::Anyone);
    cost_at_most(8 * 1024, &proxy, open);
}

#[test]
fn memory_returns_to_the_system_after_a_burst() {
    let origin = Origin::start();
    let config = config().top("workers = 1");
    let config = config.web("tls = { self_signed = [\"localhost\"] }").site("");
    let proxy = Proxy::start(&config.proxy_to(&origin));
    let mut first = proxy.tls_client("localhost", &Trust::Anyone);
    first.ask(&get("/")).expect_status(200);
    let before = private_kib(&proxy);
    let open = || {
        // Half a head is kept until the rest comes.
        let mut client = proxy.tls_client("localhost", &Trust::Anyone);
        client.send(format!("GET / HTTP/1.1\r\nX: {}\r\n", "x".repeat(12 * 1024)));
        client
    };
    let clients: Vec<Client> = (0..600).map(|_| open()).collect();
    let peak = eventually("heads are received", Deadline::soon(), || {
        let peak = private_kib(&proxy);
        (peak >= before + 5 * 1024).then_some(peak)
    });
    drop(clients);
    eventually("memory returns", Deadline::after(Duration::from_secs(20)), || {
        (private_kib(&proxy) < before + (peak - before) / 2).then_some(())
    });
    first.ask(&get("/")).expect_status(200);
}
