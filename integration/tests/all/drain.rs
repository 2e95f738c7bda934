//! A graceful stop as connections meet it: nobody is cut while asking, and not everybody at once.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use switchback_integration::{
    Client, Config, Deadline, H2Client, H2Request, Origin, Proxy, config, eventually, get, site,
};

fn spread(over: &str) -> Config {
    site().top(format!("drain_spread = \"{over}\"")).respond("/*", "x")
}

/// Asks it to stop, and waits until it does.
fn begin_to_stop(proxy: &Proxy) {
    let address = proxy.address("web");
    proxy.signal("QUIT");
    eventually("nothing new is accepted", Deadline::soon(), || {
        TcpStream::connect(address).is_err().then_some(())
    });
}

#[test]
fn an_idle_connection_may_ask_once_more_and_is_told_that_it_was_the_last_time() {
    let origin = Origin::start();
    let top = "drain_spread = \"15s\"\nshutdown_timeout = \"60s\"";
    let both = site().top(top).respond("/here", "x").proxy_to(&origin);
    let mut proxy = Proxy::start(&both);
    let mut clients: Vec<_> = (0..4).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.ask(&get("/here")).expect_status(200).expect_header("connection", "keep-alive");
    }
    begin_to_stop(&proxy);
    // The turn of most is far from over; that of one may have come.
    let mut served = 0;
    for (number, client) in clients.iter_mut().enumerate() {
        let target = if number % 2 == 0 { "/here" } else { "/there" };
        if let Ok(response) = client.try_ask(&get(target)) {
            response.expect_status(200).expect_header("connection", "close");
            client.expect_close();
            served += 1;
        }
    }
    assert!(served >= 3, "{served} of 4 were served");
    assert_eq!(proxy.wait(), Some(0), "{}", proxy.stderr());
}

#[test]
fn a_connection_that_has_asked_nothing_yet_is_waited_for() {
    let mut proxy = Proxy::start(&spread("0"));
    let mut clients: Vec<_> = (0..4).map(|_| proxy.client()).collect();
    begin_to_stop(&proxy);
    for client in &mut clients {
        client.ask(&get("/")).expect_status(200).expect_header("connection", "close");
    }
    assert_eq!(proxy.wait(), Some(0), "{}", proxy.stderr());
}

#[test]
fn a_head_that_straddles_the_stop_is_answered() {
    let mut proxy = Proxy::start(&spread("0"));
    let mut client = proxy.client();
    client.ask(&get("/")).expect_status(200);
    let bytes = get("/").to_bytes();
    client.send(&bytes[..9]).wait_until_read();
    begin_to_stop(&proxy);
    client.send(&bytes[9..]);
    client.response().expect_status(200).expect_header("connection", "close");
    assert_eq!(proxy.wait(), Some(0), "{}", proxy.stderr());
}

#[test]
fn idle_connections_are_closed_one_after_the_other() {
    // The turns lie seconds apart, so a machine that stands still for a while changes little.
    let top = "drain_spread = \"60s\"\nshutdown_timeout = \"120s\"";
    let mut proxy = Proxy::start(&site().top(top).respond("/*", "x"));
    let mut clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.ask(&get("/")).expect_status(200);
    }
    begin_to_stop(&proxy);
    let closed = eventually("the turn of one comes", Deadline::soon(), || {
        clients.iter().position(Client::is_closed)
    });
    clients.remove(closed);
    let served = clients.iter_mut().filter_map(|client| client.try_ask(&get("/")).ok()).count();
    assert!(served >= 10, "only {served} of 19 were open when the first was closed");
    assert_eq!(proxy.wait(), Some(0), "{}", proxy.stderr());
}

#[test]
fn the_turn_of_every_idle_connection_comes_within_the_window() {
    let mut proxy = Proxy::start(&spread("1s").top("shutdown_timeout = \"1h\""));
    let mut clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.ask(&get("/")).expect_status(200);
    }
    begin_to_stop(&proxy);
    for client in &mut clients {
        client.expect_close();
    }
    assert_eq!(proxy.wait(), Some(0), "{}", proxy.stderr());
}

#[test]
fn without_a_window_idle_connections_are_closed_at_once() {
    let mut proxy = Proxy::start(&spread("0").top("shutdown_timeout = \"1h\""));
    let mut client = proxy.client();
    client.ask(&get("/")).expect_status(200);
    proxy.signal("QUIT");
    client.expect_close();
    assert_eq!(proxy.wait(), Some(0), "{}", proxy.stderr());
}

#[test]
fn http2_goes_on_until_its_turn_and_then_ends() {
    let base = config().top("drain_spread = \"5s\"").web("h2c = true").site("");
    let mut proxy = Proxy::start(&base.respond("/*", "x"));
    let mut client = H2Client::cleartext(proxy.address("web"));
    client.ask(&H2Request::new("GET", "/")).expect_status(200);
    begin_to_stop(&proxy);
    let (mut served, began) = (0, Instant::now());
    while client.try_ask(&H2Request::new("GET", "/")).is_ok() {
        served += 1;
        assert!(began.elapsed() < Duration::from_secs(15), "it is never told to go away");
    }
    assert!(served > 0, "cut at once");
    assert_eq!(proxy.wait(), Some(0), "{}", proxy.stderr());
}
