//! Whom requests go to inside a pool.

use switchback_integration::{
    Client, Config, Deadline, Gate, Origin, Proxy, Reply, Step, eventually, get, site,
};

/// Origins that say their number, and answer `/slow` when the gate lets them.
fn numbered<const N: usize>() -> ([Origin; N], Gate) {
    let gate = Gate::new();
    let start = |number: usize| {
        let slow = [
            Step::ReadBody,
            Step::Wait(gate.clone()),
            Step::send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"),
        ];
        Origin::start().serve("*", Reply::ok(number.to_string())).serve("/slow", slow)
    };
    (std::array::from_fn(start), gate)
}

/// An upstream of these origins, each with what it says beside its address.
fn pool(origins: &[Origin], said: &[&str], lines: &str) -> Config {
    let endpoint = |(origin, said): (&Origin, &&str)| {
        let comma = if said.is_empty() { "" } else { ", " };
        format!("{{ address = \"{}\"{comma}{said} }}", origin.endpoint())
    };
    let endpoints: Vec<String> = origins.iter().zip(said).map(endpoint).collect();
    site()
        .top("workers = 1")
        .route("/*", "proxy = \"app\"")
        .toml(format_args!("[upstreams.app]\nendpoints = [{}]\n{lines}\n", endpoints.join(", ")))
}

fn asked(proxy: &Proxy, path: &str) -> String {
    proxy.get(path).expect_status(200).text()
}

/// A request that an origin has, and that is not answered yet.
fn hold(proxy: &Proxy, origin: &Origin, heads: usize) -> Client {
    let mut client = proxy.client();
    client.send(get("/slow").to_bytes());
    origin.wait_for_heads(heads);
    client
}

#[test]
fn turns_are_taken_by_weight() {
    let (origins, _gate) = numbered::<2>();
    let proxy = Proxy::start(&pool(&origins, &["weight = 3", ""], "balance = \"round_robin\""));
    let order: String = (0..8).map(|_| asked(&proxy, "/")).collect();
    assert_eq!(order, "00100010");
}

#[test]
fn whoever_has_something_to_do_has_nothing_more() {
    for balance in ["p2c", "least_requests", "least_time"] {
        let (origins, gate) = numbered::<2>();
        let config = pool(&origins, &["", "weight = 0"], "balance = \"round_robin\"");
        let proxy = Proxy::start(&config);
        let mut held = hold(&proxy, &origins[0], 1);
        let balance = format!("balance = \"{balance}\"");
        proxy.reload(&pool(&origins, &["", ""], &balance)).expect_accepted();
        let order: String = (0..8).map(|_| asked(&proxy, "/")).collect();
        assert_eq!(order, "11111111", "{balance}");
        gate.pass();
        held.response().expect_status(200);
    }
}

#[test]
fn a_client_stays_by_its_address_and_a_key_by_itself() {
    let (origins, _gate) = numbered::<3>();
    let config = pool(&origins, &["", "", ""], "balance = \"ip_hash\"")
        .top("trusted_proxies = [\"127.0.0.0/8\"]");
    let proxy = Proxy::start(&config);
    let of = |client: &str| {
        let asked = get("/").header("X-Forwarded-For", client);
        proxy.ask(&asked).expect_status(200).text()
    };
    // 3978, 4273, 6255 by nginx's steps: the place 6255 mod 3.
    assert_eq!([of("192.0.2.1"), of("192.0.2.9")], ["0", "0"]);
    let others: Vec<String> = (0..40).map(|number| of(&format!("10.0.{number}.1"))).collect();
    assert!(["0", "1", "2"].iter().all(|origin| others.iter().any(|one| one == origin)));

    for lines in ["", ", consistent = false", ", bound = 1.5"] {
        let balance = format!("balance = {{ by = \"hash\", key = \"$uri\"{lines} }}");
        proxy.reload(&pool(&origins, &["", "", ""], &balance)).expect_accepted();
        let all = || (0..40).map(|number| asked(&proxy, &format!("/{number}"))).collect::<String>();
        let first = all();
        assert_eq!(all(), first, "{balance}");
        assert!(["0", "1", "2"].iter().all(|origin| first.contains(origin)), "{first}");
    }
}

#[test]
fn those_of_full_endpoints_go_to_the_backup_and_then_nowhere() {
    let (origins, gate) = numbered::<2>();
    let said = ["max_connections = 1", "max_connections = 1, backup = true"];
    let proxy = Proxy::start(&pool(&origins, &said, ""));
    assert_eq!((0..4).map(|_| asked(&proxy, "/")).collect::<String>(), "0000");
    let mut held = hold(&proxy, &origins[0], 5);
    assert_eq!((0..2).map(|_| asked(&proxy, "/")).collect::<String>(), "11");
    let mut second = hold(&proxy, &origins[1], 3);
    proxy.get("/").expect_status(503);
    gate.pass();
    gate.pass();
    held.response().expect_status(200);
    second.response().expect_status(200);
    eventually("there is room again", Deadline::soon(), || {
        (asked(&proxy, "/") == "0").then_some(())
    });
}

#[test]
fn a_client_that_goes_away_is_in_flight_no_more() {
    let (origins, _gate) = numbered::<1>();
    let proxy = Proxy::start(&pool(&origins, &["max_connections = 1"], ""));
    let held = hold(&proxy, &origins[0], 1);
    proxy.get("/").expect_status(503);
    held.reset();
    eventually("there is room again", Deadline::soon(), || {
        (proxy.get("/").status == 200).then_some(())
    });
}

#[test]
fn a_tunnel_is_in_flight_until_it_ends() {
    let origin = Origin::start().serve("/slow", switchback_integration::Answer::Tunnel);
    let origins = [origin.serve("*", Reply::ok("0"))];
    let proxy = Proxy::start(&pool(&origins, &["max_connections = 1"], ""));
    let mut client = proxy.client();
    let upgrade = get("/slow")
        .header("Connection", "upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    client.send(upgrade.to_bytes());
    client.response_head().expect_status(101);
    proxy.get("/").expect_status(503);
    drop(client);
    eventually("there is room again", Deadline::soon(), || {
        (proxy.get("/").status == 200).then_some(())
    });
}

#[test]
fn an_endpoint_that_is_drained_gets_nothing_new() {
    let (origins, _gate) = numbered::<2>();
    let proxy = Proxy::start(&pool(&origins, &["", ""], "balance = \"round_robin\""));
    let order: String = (0..4).map(|_| asked(&proxy, "/")).collect();
    assert_eq!(order, "0101");
    let drained = pool(&origins, &["drain = true", ""], "balance = \"round_robin\"");
    proxy.reload(&drained).expect_accepted();
    let order: String = (0..4).map(|_| asked(&proxy, "/")).collect();
    assert_eq!(order, "1111");
}

#[test]
fn a_zone_keeps_its_own_and_spills_what_is_too_much() {
    let (origins, gate) = numbered::<3>();
    let said = ["zone = \"b\"", "zone = \"a\", max_connections = 1", "zone = \"c\""];
    let proxy = Proxy::start(&pool(&origins, &said, "zone = \"a\""));
    assert_eq!((0..6).map(|_| asked(&proxy, "/")).collect::<String>(), "111111");
    let mut held = hold(&proxy, &origins[1], 7);
    let spilt: String = (0..20).map(|_| asked(&proxy, "/")).collect();
    assert!(spilt.contains('0') && spilt.contains('2') && !spilt.contains('1'), "{spilt}");
    gate.pass();
    held.response().expect_status(200);
}

#[test]
fn an_endpoint_that_a_reload_adds_starts_slowly() {
    let (origins, _gate) = numbered::<2>();
    let lines = "balance = \"round_robin\"\nslow_start = \"600s\"";
    let proxy = Proxy::start(&pool(&origins[..1], &[""], lines));
    proxy.reload(&pool(&origins, &["", ""], lines)).expect_accepted();
    let order: String = (0..100).map(|_| asked(&proxy, "/")).collect();
    let new = order.matches('1').count();
    // A tenth of its share of the half, by chance.
    assert!((1..25).contains(&new), "{order}");
}
