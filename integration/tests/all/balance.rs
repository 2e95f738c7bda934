//! Whom requests go to inside a pool.

use std::collections::BTreeSet;

use switchback_integration::{
    Answer, Client, Config, Deadline, Gate, Origin, Proxy, Reply, Step, eventually, get, post, site,
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
    let origins = [Origin::start().serve("*", Reply::ok("0")).serve("/slow", Answer::Tunnel)];
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

/// The cookie of an answer, as a client sends it back.
fn cookie(answer: &switchback_integration::Response) -> String {
    let line = answer.headers.get("set-cookie").unwrap_or_default();
    line.split(';').next().unwrap_or_default().to_owned()
}

#[test]
fn a_visitor_stays_by_a_signed_cookie_also_when_the_endpoint_is_drained() {
    let (origins, _gate) = numbered::<2>();
    let lines = "balance = \"round_robin\"\nsticky = { cookie = \"stay\", max_age = \"1h\" }";
    let proxy = Proxy::start(&pool(&origins, &["", ""], lines));
    let first = proxy.get("/");
    let line = first.headers.get("set-cookie").unwrap_or_default().to_owned();
    assert!(line.starts_with("stay=") && !line.contains("127.0.0.1"), "{line}");
    assert!(line.ends_with("; Path=/; Max-Age=3600; SameSite=Lax; HttpOnly"), "{line}");
    let (own, stays) =
        (first.text(), get("/").header("Cookie", &format!("a=b; {}", cookie(&first))));
    let expect_own = || {
        for _ in 0..4 {
            let answer = proxy.ask(&stays);
            answer.expect_status(200).expect_body(&own).expect_no_header("set-cookie");
        }
    };
    expect_own();

    let said = if own == "0" { ["drain = true", ""] } else { ["", "drain = true"] };
    proxy.reload(&pool(&origins, &said, lines)).expect_accepted();
    expect_own();
    assert!((0..4).all(|_| asked(&proxy, "/") != own));

    // What nobody has signed is as good as nothing, and so is what belongs to an endpoint that is gone.
    let forged = get("/").header("Cookie", "stay=AAAAAAAAAAAAAAAAAAAAAA");
    assert!(!cookie(&proxy.ask(&forged)).is_empty());
    let other = if own == "0" { &origins[1..] } else { &origins[..1] };
    proxy.reload(&pool(other, &[""], lines)).expect_accepted();
    let moved = proxy.ask(&stays);
    assert_ne!(moved.text(), own);
    assert_ne!(cookie(&moved), cookie(&first));
}

#[test]
fn proxies_that_share_a_secret_send_a_visitor_to_the_same_endpoint() {
    let (origins, _gate) = numbered::<3>();
    let lines = |secret: &str| {
        format!("sticky = {{ cookie = \"stay\", secret = \"{secret}\", secure = true }}")
    };
    let config = pool(&origins, &["", "", ""], &lines("sixteen bytes or more"));
    let [one, other] = [(); 2].map(|()| Proxy::start(&config));
    let stranger = Proxy::start(&pool(&origins, &["", "", ""], &lines("another secret of theirs")));
    for _ in 0..5 {
        let first = one.get("/");
        assert!(first.headers.get("set-cookie").is_some_and(|line| line.ends_with("; Secure")));
        let stays = get("/").header("Cookie", &cookie(&first));
        other.ask(&stays).expect_body(first.text()).expect_no_header("set-cookie");
        assert!(stranger.ask(&stays).headers.get("set-cookie").is_some());
    }
}

#[test]
fn a_variable_may_name_the_endpoint() {
    let (origins, _gate) = numbered::<2>();
    let said = ["id = \"a\"", "id = \"b\", weight = 0"];
    let proxy = Proxy::start(&pool(&origins, &said, "sticky = { route = \"$arg_to\" }"));
    for (path, origin) in [("/?to=a", "0"), ("/?to=b", "1"), ("/?to=c", "0"), ("/", "0")] {
        proxy.get(path).expect_body(origin).expect_no_header("set-cookie");
    }
}

#[test]
fn a_key_that_is_asked_for_very_often_has_several_endpoints_for_what_is_read() {
    let (origins, _gate) = numbered::<4>();
    let lines = "balance = { by = \"hash\", key = \"$uri\", bound = 2.0 }\nhot_keys = \"on\"";
    let proxy = Proxy::start(&pool(&origins, &["", "", "", ""], lines));
    let cold = || (0..60).map(|key| asked(&proxy, &format!("/{key}"))).collect::<String>();
    let (at_home, home) = (cold(), asked(&proxy, "/hot"));
    let mut found = BTreeSet::new();
    eventually("all have the key", Deadline::soon(), || {
        found.extend((0..20).map(|_| asked(&proxy, "/hot")));
        (found.len() == origins.len()).then_some(())
    });
    // The others stay where they were, and so does what is written.
    assert_eq!(cold(), at_home);
    for _ in 0..20 {
        proxy.ask(&post("/hot", "x")).expect_status(200).expect_body(&home);
    }
    assert_eq!(cold(), at_home);
}

#[test]
fn a_key_that_is_asked_for_very_often_stays_where_nobody_has_said_otherwise() {
    let (origins, _gate) = numbered::<4>();
    let lines = "balance = { by = \"hash\", key = \"$uri\" }";
    let proxy = Proxy::start(&pool(&origins, &["", "", "", ""], lines));
    let home = asked(&proxy, "/hot");
    assert!((0..600).all(|_| asked(&proxy, "/hot") == home));
}
