//! What was taken for a connection is given back. One worker: another would take descriptors whenever it has started.

use switchback_integration::{Deadline, Origin, Proxy, eventually, get, post, site};

#[test]
fn descriptors_and_threads_return_to_where_they_were() {
    let origin = Origin::start();
    let proxy = Proxy::start(&site().top("workers = 1").proxy_to(&origin));
    proxy.get("/warm").expect_status(200);
    let before = proxy.stats();
    let mut clients: Vec<_> = (0..50).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.ask(&get("/")).expect_status(200);
    }
    let during = proxy.stats();
    assert!(during.descriptors >= before.descriptors + 40, "{before:?} then {during:?}");
    drop(clients);
    let pooled = origin.open_connections();
    proxy.wait_for_descriptors(before.descriptors + pooled);
    eventually("threads are as many as before", Deadline::soon(), || {
        (proxy.stats().threads == before.threads).then_some(())
    });
}

#[test]
fn clients_that_vanish_leave_nothing() {
    let origin = Origin::start();
    let proxy = Proxy::start(&site().top("workers = 1").proxy_to(&origin));
    proxy.get("/warm").expect_status(200);
    let before = proxy.stats();
    for number in 0..60 {
        let mut client = proxy.client();
        let bytes = post("/up", "a body").to_bytes();
        client.send(&bytes[..bytes.len() * number / 60]);
        client.reset();
    }
    proxy.get("/after").expect_status(200);
    proxy.wait_for_descriptors(before.descriptors + origin.open_connections());
}
