//! What keeps an upstream from being asked for more than it can do.

use switchback_integration::{
    Answer, Choice, Client, Config, Deadline, Gate, Origin, Proxy, Reply, Step, eventually, get,
    pattern, post, request, site,
};

use crate::cache_disk::metric;

const ALL: &str = "retry = { on = [\"connect\", \"refused_stream\", \"reset\", \"timeout\", \"502\", \"503\", \"504\"] }";

fn before(origins: &[&Origin], lines: &str) -> Config {
    let lines = format!("balance = \"round_robin\"\n{lines}");
    site().top("workers = 1").route("/*", "proxy = \"app\"").upstream("app", origins, lines)
}

fn refusing(status: u16) -> Origin {
    Origin::start().serve("*", Reply::ok("broken").status(status))
}

fn retries(proxy: &Proxy, reason: &str) -> u64 {
    let name = format!("upstream_retries_total{{upstream=\"app\",reason=\"{reason}\"}}");
    metric(proxy, &name)
}

fn wait_for(proxy: &Proxy, name: &str, value: u64) {
    eventually(name, Deadline::soon(), || (metric(proxy, name) == value).then_some(()));
}

/// Every way to fail, by the word for it in metrics.
fn failures() -> Vec<(&'static str, Answer)> {
    vec![
        ("reset", Answer::from([Step::Reset])),
        ("reset", Answer::from([Step::ReadBody, Step::Reset])),
        ("reset", Answer::from([Step::ReadBody, Step::Fin])),
        ("reset", Answer::from([Step::ReadBody, Step::send("HTTP/1.1 200 OK\r\nX"), Step::Fin])),
        ("timeout", Answer::from([Step::ReadBody, Step::Stall])),
        ("status", Answer::from(Reply::ok("broken").status(502))),
        ("status", Answer::from(Reply::ok("broken").status(503))),
        ("status", Answer::from(Reply::ok("broken").status(504))),
    ]
}

#[test]
fn what_may_be_repeated_is_answered_by_another_after_whatever_is_said() {
    for (reason, failure) in failures() {
        let (bad, good) = (Origin::start().serve("*", failure), Origin::start());
        let lines = ALL.replace('{', "{ budget = \"100%\",") + "\ntimeouts.read = \"200ms\"";
        let proxy = Proxy::start(&before(&[&bad, &good], &lines));
        for method in ["GET", "PUT", "DELETE"] {
            for _ in 0..2 {
                proxy.ask(&request(method, "/").body("text")).expect_status(200);
            }
        }
        assert!(bad.heads() > 0, "{reason}");
        assert_eq!(retries(&proxy, reason), bad.heads() as u64, "{reason}");
    }
}

#[test]
fn no_post_reaches_origins_twice_whatever_happens_to_it() {
    for (reason, failure) in failures() {
        let origins = [(); 3].map(|()| Origin::start().serve("*", failure.clone()));
        let lines = format!("{ALL}\ntries = 3\ntimeouts.read = \"200ms\"");
        let proxy = Proxy::start(&before(&[&origins[0], &origins[1], &origins[2]], &lines));
        for body in [pattern(0), pattern(10), pattern(100_000)] {
            let before: usize = origins.iter().map(Origin::heads).sum();
            let answer = proxy.ask(&post("/", body));
            assert!(answer.status >= 500, "{reason}: {answer}");
            let after: usize = origins.iter().map(Origin::heads).sum();
            assert_eq!(after - before, 1, "{reason}");
        }
    }
}

#[test]
fn without_being_told_to_no_answer_is_repeated() {
    let origins = [refusing(503), refusing(503)];
    let proxy = Proxy::start(&before(&[&origins[0], &origins[1]], ""));
    proxy.get("/").expect_status(503).expect_body("broken");
    assert_eq!(origins[0].heads() + origins[1].heads(), 1);
}

#[test]
fn without_being_told_to_what_breaks_or_times_out_is_repeated_but_for_a_post() {
    for steps in [[Step::ReadBody, Step::Fin], [Step::ReadBody, Step::Stall]] {
        let (bad, good) = (Origin::start().serve("*", steps), Origin::start());
        let proxy = Proxy::start(&before(&[&bad, &good], "timeouts.read = \"200ms\""));
        let statuses = [(); 2].map(|()| proxy.get("/").status);
        assert_eq!((statuses, bad.heads(), good.heads()), ([200; 2], 2, 2));
        let statuses = [(); 2].map(|()| proxy.ask(&post("/", "x")).status);
        assert!(statuses.contains(&200) && statuses.iter().any(|status| *status > 500));
        assert_eq!((bad.heads(), good.heads()), (3, 3));
    }
}

#[test]
fn what_is_repeated_is_bounded_by_the_budget() {
    let origins = [refusing(503), refusing(503)];
    let lines = "outliers = \"off\"\nretry = { on = [\"503\"], budget = \"10%\", least = 1 }";
    let proxy = Proxy::start(&before(&[&origins[0], &origins[1]], lines));
    let mut client = proxy.client();
    for _ in 0..40 {
        client.ask(&get("/")).expect_status(503).expect_body("broken");
    }
    let sent = origins[0].heads() + origins[1].heads();
    // One from the beginning, one for each ten, and perhaps one that came back with time.
    assert!((44..=46).contains(&sent), "{sent}");
    assert_eq!(metric(&proxy, "upstream_retries_over_budget_total{") as usize, 80 - sent);
}

#[test]
fn what_came_too_long_ago_is_not_repeated() {
    let origins = [(); 2].map(|()| Origin::start().serve("*", [Step::ReadBody, Step::Stall]));
    let lines = "retry = { on = [\"timeout\"], within = \"100ms\" }\ntimeouts.read = \"200ms\"";
    let proxy = Proxy::start(&before(&[&origins[0], &origins[1]], lines));
    proxy.get("/").expect_status(504);
    assert_eq!(origins[0].heads() + origins[1].heads(), 1);
}

/// An origin that answers each request when the test lets it.
fn held() -> (Origin, Gate) {
    let gate = Gate::new();
    let door = gate.clone();
    let answer = Choice::new(move |_| {
        let ok = Step::send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        vec![Step::Wait(door.clone()), ok, Step::Next]
    });
    (Origin::start().serve("*", Answer::Chosen(answer)), gate)
}

fn sending(proxy: &Proxy, target: &str, priority: &str) -> Client {
    let mut client = proxy.client();
    client.send(get(target).header("Priority", priority).to_bytes());
    client
}

#[test]
fn who_still_sends_is_not_counted_where_the_limit_is_found() {
    let (origin, gate) = held();
    let proxy = Proxy::start(&before(&[&origin], "concurrency = \"adaptive\""));
    let mut client = proxy.client();
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n");
    origin.wait_for_heads(1);
    assert_eq!(metric(&proxy, "upstream_in_flight{"), 0);
    client.send("text");
    wait_for(&proxy, "upstream_in_flight{", 1);
    gate.pass();
    client.response().expect_status(200);
    wait_for(&proxy, "upstream_in_flight{", 0);
}

#[test]
fn who_finds_no_room_waits_and_who_finds_no_place_to_wait_is_told_when_to_come_back() {
    let (origin, gate) = held();
    let lines = "concurrency = 1\nqueue = { most = 1, wait = \"1m\" }";
    let proxy = Proxy::start(&before(&[&origin], lines));
    let mut first = sending(&proxy, "/first", "");
    origin.wait_for_heads(1);
    let mut second = sending(&proxy, "/second", "");
    wait_for(&proxy, "upstream_waiting{", 1);
    assert_eq!(metric(&proxy, "upstream_limit{"), 1);
    let shed = proxy.get("/third");
    shed.expect_status(503).expect_header("retry-after", "1");
    shed.expect_header("proxy-status", "switchback; error=connection_limit_reached");
    assert_eq!(origin.heads(), 1, "only the first was sent");
    gate.pass();
    first.response().expect_status(200);
    gate.pass();
    second.response().expect_status(200);
    assert_eq!(metric(&proxy, "upstream_shed_total{"), 1);
    wait_for(&proxy, "upstream_in_flight{", 0);
}

#[test]
fn who_waits_has_a_deadline() {
    let (origin, gate) = held();
    let lines = "concurrency = 1\nqueue = { wait = \"50ms\" }";
    let proxy = Proxy::start(&before(&[&origin], lines));
    let mut first = sending(&proxy, "/first", "");
    origin.wait_for_heads(1);
    proxy.get("/second").expect_status(503).expect_header("retry-after", "1");
    gate.pass();
    first.response().expect_status(200);
    gate.pass();
    proxy.get("/third").expect_status(200);
    assert_eq!(origin.requests("/second").len(), 0);
}

#[test]
fn who_goes_away_waits_no_more() {
    let (origin, gate) = held();
    let lines = "concurrency = 1\nqueue = { wait = \"1m\" }";
    let proxy = Proxy::start(&before(&[&origin], lines));
    let mut first = sending(&proxy, "/first", "");
    origin.wait_for_heads(1);
    let second = sending(&proxy, "/second", "");
    wait_for(&proxy, "upstream_waiting{", 1);
    drop(second);
    wait_for(&proxy, "upstream_waiting{", 0);
    gate.pass();
    first.response().expect_status(200);
    gate.pass();
    proxy.get("/third").expect_status(200);
    assert_eq!(origin.requests("/second").len(), 0);
}

#[test]
fn the_more_important_are_served_first() {
    let (origin, gate) = held();
    let lines = "concurrency = 1\nqueue = { wait = \"1m\" }\npriority = \"$http_priority\"";
    let proxy = Proxy::start(&before(&[&origin], lines));
    let mut clients = vec![sending(&proxy, "/first", "")];
    origin.wait_for_heads(1);
    for (number, (target, priority)) in
        [("/low", "u=6"), ("/usual", ""), ("/high", "u=1, i")].into_iter().enumerate()
    {
        clients.push(sending(&proxy, target, priority));
        wait_for(&proxy, "upstream_waiting{", number as u64 + 1);
    }
    (0..4).for_each(|_| gate.pass());
    for client in &mut clients {
        client.response().expect_status(200);
    }
    let order: Vec<String> =
        origin.requests("*").into_iter().map(|request| request.target).collect();
    assert_eq!(order, ["/first", "/high", "/usual", "/low"]);
}

#[test]
fn who_waits_over_a_reload_is_let_in_by_the_new_limit() {
    let (origin, gate) = held();
    let with = |most: u32| {
        let lines = format!("concurrency = {most}\nqueue = {{ wait = \"1m\" }}");
        before(&[&origin], &lines)
    };
    let proxy = Proxy::start(&with(1));
    let mut first = sending(&proxy, "/first", "");
    origin.wait_for_heads(1);
    let mut second = sending(&proxy, "/second", "");
    wait_for(&proxy, "upstream_waiting{", 1);
    proxy.reload(&with(2)).expect_accepted();
    gate.pass();
    first.response().expect_status(200);
    gate.pass();
    second.response().expect_status(200);
}

#[test]
fn an_endpoint_that_fails_is_not_asked_until_one_request_has_shown_that_it_is_well() {
    let origin = refusing(503);
    let lines = "breaker = { least = 5, open = \"100ms\", longest = \"100ms\" }";
    let proxy = Proxy::start(&before(&[&origin], lines));
    let mut client = proxy.client();
    for _ in 0..5 {
        client.ask(&get("/")).expect_body("broken");
    }
    let refused = proxy.get("/");
    refused.expect_status(503).expect_header("retry-after", "1");
    assert_eq!(origin.heads(), 5);
    assert_eq!(metric(&proxy, "upstream_breaker_opened_total{"), 1);
    origin.now_serve("*", Reply::ok("well"));
    let well = || (proxy.get("/").status == 200).then_some(());
    eventually("it is asked again", Deadline::soon(), well);
    assert_eq!(metric(&proxy, "upstream_breakers_open{"), 0);
    (0..20).for_each(|_| {
        proxy.get("/").expect_status(200);
    });
}

#[test]
fn others_are_asked_in_place_of_one_that_fails() {
    let (bad, good) = (refusing(503), Origin::start());
    let lines = "breaker = { least = 3, open = \"1m\", longest = \"1m\" }";
    let proxy = Proxy::start(&before(&[&bad, &good], lines));
    let failed = (0..40).filter(|_| proxy.get("/").status == 503).count();
    assert_eq!(failed, 3);
    assert_eq!(bad.heads(), 3);
    assert_eq!(metric(&proxy, "upstream_breakers_open{"), 1);
}

#[test]
fn connections_come_from_the_addresses_that_are_said() {
    // The first is none of this machine's.
    let origin = Origin::start();
    let lines = "source = [\"192.0.2.1\", \"127.0.0.2\"]\ntimeouts.idle = \"1ms\"";
    let proxy = Proxy::start(&before(&[&origin], lines));
    (0..4).for_each(|_| {
        proxy.ask(&post("/", "x")).expect_status(200);
    });
    assert!(metric(&proxy, "upstream_no_port_total{") > 0);
}

#[test]
fn without_a_port_the_client_is_told_to_come_back() {
    let origin = Origin::start();
    let proxy = Proxy::start(&before(&[&origin], "source = [\"192.0.2.1\"]"));
    proxy.get("/").expect_status(503).expect_header("retry-after", "1");
    assert_eq!(metric(&proxy, "upstream_no_port_total{"), 1);
    assert_eq!(origin.heads(), 0);
}
