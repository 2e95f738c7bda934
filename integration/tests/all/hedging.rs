//! Second copies of what is read, when the first is late: who answers, what it costs, and whom it does not concern.

use std::time::Duration;

use switchback_integration::{
    Answer, Choice, Config, Deadline, Gate, Origin, Proxy, Reply, Request, Step, eventually, get,
    pattern, post, request, site,
};

use crate::cache_disk::metric;

/// Late after a moment, and as often as may be.
pub(crate) const HEDGE: &str = "hedge = { after = \"20ms\", budget = \"100%\" }";

/// Every path is for the upstream `app`, whose first request goes to the first origin.
pub(crate) fn before(origins: &[&Origin], lines: &str) -> Config {
    let lines = format!("balance = \"round_robin\"\n{lines}");
    site()
        .top("workers = 1")
        .route("/*", "proxy = \"app\"")
        .upstream("app", origins, lines)
        .toml("[[log.access]]\nfile = \"access.log\"\nformat = \"$uri $status $upstream_addr $upstream_status\"")
}

/// An origin that says its name when the gate lets it.
pub(crate) fn held(name: &str, gate: &Gate) -> Origin {
    held_with(Reply::ok(name), gate)
}

pub(crate) fn held_with(reply: Reply, gate: &Gate) -> Origin {
    let door = gate.clone();
    let answer = Choice::new(move |request| {
        let reply = Step::Send(reply.to_bytes(&request.method));
        vec![Step::Wait(door.clone()), reply, Step::Next]
    });
    Origin::start().serve("*", Answer::Chosen(answer))
}

/// An origin that says its name a while after it was asked.
fn slow(name: &str) -> Origin {
    let reply = Reply::ok(name);
    let answer = Choice::new(move |request| {
        let bytes = reply.to_bytes(&request.method);
        let (first, rest) = bytes.split_at(12);
        vec![
            Step::Drip(first.to_vec(), Duration::from_millis(10)),
            Step::Send(rest.to_vec()),
            Step::Next,
        ]
    });
    Origin::start().serve("*", Answer::Chosen(answer))
}

pub(crate) fn quick(name: &str) -> Origin {
    Origin::start().serve("*", Reply::ok(name))
}

/// Second copies that were started, that won, and that the budget did not allow.
pub(crate) fn hedges(proxy: &Proxy) -> [u64; 3] {
    ["started", "won", "over_budget"].map(|result| {
        metric(proxy, &format!("upstream_hedges_total{{upstream=\"app\",result=\"{result}\"}}"))
    })
}

pub(crate) fn wait_for_line(proxy: &Proxy, line: &str) {
    let mut known = String::new();
    eventually(&format!("the log says {line}"), Deadline::soon(), || {
        known = std::fs::read_to_string(proxy.folder().join("access.log")).unwrap_or_default();
        let is_there = known.lines().any(|logged| logged == line);
        if !is_there {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        is_there.then_some(())
    });
}

pub(crate) fn wait_until_idle(proxy: &Proxy) {
    eventually("nothing is in flight", Deadline::soon(), || {
        (metric(proxy, "upstream_in_flight{upstream=\"app\"}") == 0).then_some(())
    });
}

#[test]
fn a_late_answer_is_replaced_by_that_of_another_endpoint() {
    let gate = Gate::new();
    let (late, other) = (held("late", &gate), quick("other"));
    let proxy = Proxy::start(&before(&[&late, &other], HEDGE));
    for _ in 0..6 {
        proxy.get("/a").expect_status(200).expect_body("other");
    }
    proxy.ask(&request("HEAD", "/a")).expect_status(200).expect_header("content-length", "5");
    let copies = late.heads() as u64;
    assert!(copies > 0);
    assert_eq!(hedges(&proxy), [copies, copies, 0]);
    assert_eq!(other.requests("/a").len(), 7);
    // The other copy is given up with its connection, and counts no more.
    wait_until_idle(&proxy);
    (0..copies).for_each(|_| gate.pass());
    late.wait_for_open_connections(0);
    let both = format!("{}, {}", late.endpoint(), other.endpoint());
    wait_for_line(&proxy, &format!("/a 200 {both} -, 200"));
}

#[test]
fn an_answer_in_time_is_the_only_one_asked_for() {
    let (one, two) = (quick("one"), quick("two"));
    let lines = HEDGE.replace("20ms", "20s").replace("hedge", "retry.within = \"1m\"\nhedge");
    let proxy = Proxy::start(&before(&[&one, &two], &lines));
    let mut client = proxy.client();
    for _ in 0..10 {
        client.ask(&get("/")).expect_status(200);
    }
    assert_eq!(one.heads() + two.heads(), 10);
    assert_eq!(hedges(&proxy), [0; 3]);
    // Its connection is used again, as without a second copy.
    assert_eq!((one.connections(), two.connections()), (1, 1));
}

#[test]
fn who_was_first_asked_may_still_be_first_to_answer() {
    let gates = [Gate::new(), Gate::new()];
    let (one, two) = (held("one", &gates[0]), held("two", &gates[1]));
    let proxy = Proxy::start(&before(&[&one, &two], HEDGE));
    let mut client = proxy.client();
    client.send(get("/a").to_bytes());
    two.wait_for_heads(1);
    gates[0].pass();
    client.response().expect_status(200).expect_body("one");
    wait_until_idle(&proxy);
    gates[1].pass();
    two.wait_for_open_connections(0);
    assert_eq!(hedges(&proxy), [1, 0, 0]);
    wait_for_line(&proxy, &format!("/a 200 {}, {} -, 200", two.endpoint(), one.endpoint()));
    assert_eq!((one.heads(), two.heads()), (1, 1));
}

#[test]
fn a_whole_body_of_the_one_that_answers_is_passed_on() {
    let body = pattern(2_000_000);
    let gate = Gate::new();
    for reply in [Reply::ok(body.clone()), Reply::ok(body.clone()).chunked(10_000)] {
        let (late, other) = (held("late", &gate), Origin::start().serve("*", reply));
        let proxy = Proxy::start(&before(&[&late, &other], HEDGE));
        let mut client = proxy.client();
        for _ in 0..3 {
            let answer = client.ask(&get("/"));
            assert!(answer.expect_status(200).body == body);
        }
        assert!(late.heads() > 0);
    }
}

#[test]
fn an_answer_that_is_cut_is_cut() {
    let gate = Gate::new();
    let cut = [
        Step::ReadBody,
        Step::send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
        Step::Fin,
    ];
    let (late, other) = (held("late", &gate), Origin::start().serve("*", cut));
    let proxy = Proxy::start(&before(&[&late, &other], HEDGE));
    let mut client = proxy.client();
    assert!(client.try_ask(&get("/")).is_err());
    assert_eq!((late.heads(), other.heads()), (1, 1));
}

#[test]
fn the_budget_is_a_share_of_the_requests() {
    let origins = [slow("one"), slow("two")];
    let lines = "hedge = { after = \"10ms\", budget = \"10%\" }";
    let proxy = Proxy::start(&before(&[&origins[0], &origins[1]], lines));
    let mut client = proxy.client();
    for _ in 0..40 {
        client.ask(&get("/")).expect_status(200);
    }
    let [started, _, over_budget] = hedges(&proxy);
    // One from the beginning, and one for each ten.
    assert_eq!([started, over_budget], [5, 35]);
    assert_eq!(origins[0].heads() + origins[1].heads(), 45);
}

#[test]
fn what_changes_something_or_has_a_body_is_asked_once() {
    let origins = [slow("one"), slow("two")];
    let lines = HEDGE.replace("20ms", "1ms");
    let proxy = Proxy::start(&before(&[&origins[0], &origins[1]], &lines));
    let count =
        |path: &str| origins.iter().map(|origin| origin.requests(path).len()).sum::<usize>();
    let mut asked: Vec<Request> = vec![post("/post", "text"), post("/empty", "")];
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        asked.push(request(method, &format!("/{method}")));
    }
    asked.push(get("/body").body("text"));
    asked.push(get("/chunks").body("text").chunked(2));
    for request in &asked {
        proxy.ask(request).expect_status(200);
    }
    assert_eq!(hedges(&proxy), [0; 3]);
    for path in ["/post", "/empty", "/PUT", "/DELETE", "/PATCH", "/OPTIONS", "/body", "/chunks"] {
        assert_eq!(count(path), 1, "{path}");
    }
    proxy.get("/get").expect_status(200);
    assert_eq!((hedges(&proxy)[0], count("/get")), (1, 2));
}

#[test]
fn who_is_not_waited_for_has_not_failed() {
    let gate = Gate::new();
    let (late, other) = (held("late", &gate), quick("other"));
    let lines =
        format!("{HEDGE}\nbreaker = {{ errors = \"1%\", least = 1 }}\noutliers = {{ errors = 1 }}");
    let proxy = Proxy::start(&before(&[&late, &other], &lines));
    for _ in 0..8 {
        proxy.get("/").expect_status(200).expect_body("other");
    }
    assert!(late.heads() >= 4, "{}", late.heads());
    assert_eq!(metric(&proxy, "upstream_breaker_opened_total{upstream=\"app\"}"), 0);
    assert!(!proxy.stderr().contains("WARN"), "{}", proxy.stderr());
}

#[test]
fn who_is_late_has_fewer_requests_although_others_answer_them() {
    let gate = Gate::new();
    let (late, other) = (held("late", &gate), quick("other"));
    let lines = format!("balance = \"least_time\"\n{HEDGE}");
    let config = site().top("workers = 1").route("/*", "proxy = \"app\"").upstream(
        "app",
        &[&late, &other],
        lines,
    );
    let proxy = Proxy::start(&config);
    for _ in 0..40 {
        proxy.get("/").expect_status(200).expect_body("other");
    }
    assert!((1..=10).contains(&late.heads()), "{}", late.heads());
}

#[test]
fn what_is_late_is_learnt_from_the_answers() {
    let gate = Gate::new();
    let late = Origin::start().serve("*", Reply::ok("quick")).serve(
        "/late",
        [Step::ReadBody, Step::Wait(gate.clone()), Step::send("HTTP/1.0 200 OK\r\n\r\nlate")],
    );
    let other = quick("other");
    let proxy = Proxy::start(&before(&[&late, &other], "hedge = \"on\""));
    // Nothing is known yet.
    let mut client = proxy.client();
    client.send(get("/late").to_bytes());
    late.wait_for_heads(1);
    for _ in 0..10 {
        proxy.get("/").expect_status(200);
    }
    assert_eq!(hedges(&proxy), [0; 3]);
    gate.pass();
    client.response().expect_status(200);
    // One of them was late, which is no more than one of twenty may be.
    for _ in 0..30 {
        proxy.get("/").expect_status(200);
    }
    let started = hedges(&proxy)[0];
    for _ in 0..2 {
        proxy.get("/late").expect_status(200).expect_body("other");
    }
    assert!(hedges(&proxy)[0] > started);
}

#[test]
fn while_another_copy_runs_an_answer_that_it_may_better_is_kept_back() {
    let gates = [Gate::new(), Gate::new()];
    let bad = held_with(Reply::ok("bad").status(503), &gates[0]);
    let good = held("good", &gates[1]);
    let lines =
        format!("{HEDGE}\nretry.on = [\"503\"]\nbreaker = {{ errors = \"0%\", least = 1 }}");
    let proxy = Proxy::start(&before(&[&bad, &good], &lines));
    let mut client = proxy.client();
    client.send(get("/a").to_bytes());
    good.wait_for_heads(1);
    gates[0].pass();
    // It is told of at once, although the client is not.
    eventually("the answer is here", Deadline::soon(), || {
        (metric(&proxy, "upstream_breaker_opened_total{upstream=\"app\"}") == 1).then_some(())
    });
    gates[1].pass();
    client.response().expect_status(200).expect_body("good");
    wait_for_line(&proxy, &format!("/a 200 {}, {} 503, 200", bad.endpoint(), good.endpoint()));
    assert_eq!((hedges(&proxy), bad.heads(), good.heads()), ([1, 1, 0], 1, 1));
}

#[test]
fn an_answer_that_is_not_bettered_is_passed_on_or_tried_once_more() {
    for third in [None, Some(quick("third"))] {
        let gates = [Gate::new(), Gate::new()];
        let bad = held_with(Reply::ok("bad").status(503), &gates[0]);
        let breaks = Origin::start().serve("*", [Step::Wait(gates[1].clone()), Step::Reset]);
        let mut origins = vec![&bad, &breaks];
        origins.extend(&third);
        let lines =
            format!("{HEDGE}\nretry.on = [\"503\"]\nbreaker = {{ errors = \"0%\", least = 1 }}");
        let proxy = Proxy::start(&before(&origins, &lines));
        let mut client = proxy.client();
        client.send(get("/").to_bytes());
        breaks.wait_for_heads(1);
        gates[0].pass();
        eventually("the answer is here", Deadline::soon(), || {
            (metric(&proxy, "upstream_breaker_opened_total{upstream=\"app\"}") == 1).then_some(())
        });
        gates[1].pass();
        let answer = client.response();
        match &third {
            None => answer.expect_status(503).expect_body("bad"),
            Some(_) => answer.expect_status(200).expect_body("third"),
        };
        assert_eq!((bad.heads(), breaks.heads()), (1, 1));
    }
}

#[test]
fn a_copy_that_fails_leaves_the_request_to_the_other() {
    for first_fails in [true, false] {
        let gates = [Gate::new(), Gate::new()];
        let [door, other_door] = &gates;
        let breaks = Origin::start().serve("*", [Step::Wait(door.clone()), Step::Reset]);
        let answers = held("well", other_door);
        let (first, second) = if first_fails { (&breaks, &answers) } else { (&answers, &breaks) };
        let proxy = Proxy::start(&before(&[first, second], HEDGE));
        let mut client = proxy.client();
        client.send(get("/a").to_bytes());
        second.wait_for_heads(1);
        door.pass();
        breaks.wait_for_open_connections(0);
        other_door.pass();
        client.response().expect_status(200).expect_body("well");
        assert_eq!((breaks.heads(), answers.heads()), (1, 1));
        assert_eq!(hedges(&proxy), [1, u64::from(first_fails), 0]);
        let both = format!("{}, {}", breaks.endpoint(), answers.endpoint());
        wait_for_line(&proxy, &format!("/a 200 {both} -, 200"));
    }
}

#[test]
fn where_both_fail_the_client_is_told_what_happened_to_the_first() {
    let origins = [(); 2].map(|()| Origin::start().serve("*", [Step::ReadBody, Step::Stall]));
    let lines = format!("{HEDGE}\ntimeouts.read = \"200ms\"\nretry.on = []");
    let proxy = Proxy::start(&before(&[&origins[0], &origins[1]], &lines));
    proxy.get("/a").expect_status(504);
    assert_eq!((origins[0].heads(), origins[1].heads()), (1, 1));
    let both = format!("{}, {}", origins[0].endpoint(), origins[1].endpoint());
    wait_for_line(&proxy, &format!("/a 504 {both} -, -"));
    wait_until_idle(&proxy);
}

#[test]
fn a_client_that_leaves_takes_both_copies_with_it() {
    let gate = Gate::new();
    let (one, two) = (held("one", &gate), held("two", &gate));
    let proxy = Proxy::start(&before(&[&one, &two], HEDGE));
    let mut client = proxy.client();
    client.send(get("/a").to_bytes());
    two.wait_for_heads(1);
    client.reset();
    wait_until_idle(&proxy);
    gate.pass();
    gate.pass();
    one.wait_for_open_connections(0);
    two.wait_for_open_connections(0);
    wait_for_line(&proxy, &format!("/a 499 {}, {} -, -", one.endpoint(), two.endpoint()));
}
