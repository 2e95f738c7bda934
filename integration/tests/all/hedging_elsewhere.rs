//! Second copies beside what else is done with a request: shards, spilling, stickiness, limits, caches, error pages, HTTP/2, reloads.

use switchback_integration::{
    Deadline, Gate, H2Client, H2Origin, H2Request, Origin, Proxy, Reply, Step, config, eventually,
    get, pattern, post, site,
};

use crate::bombs::packed;
use crate::cache_disk::metric;
use crate::encode::{page, text};
use crate::hedging::{
    HEDGE, before, hedges, held, held_with, quick, wait_for_line, wait_until_idle,
};

#[test]
fn the_second_copy_stays_in_the_shard_of_the_key() {
    let gate = Gate::new();
    let (late, other, elsewhere) = (held("late", &gate), quick("other"), quick("elsewhere"));
    let config = site().top("workers = 1").route("/users/{id}", "proxy = \"app\"").toml(format!(
        "[upstreams.app]\nshard_header = true\nshard_by = \"{{id}}\"\nmapping = \"remainder\"\n\
         balance = \"round_robin\"\n{HEDGE}\n\
         [[upstreams.app.shards]]\nname = \"a\"\nendpoints = [\"{}\", \"{}\"]\n\
         [[upstreams.app.shards]]\nname = \"b\"\nendpoints = [\"{}\"]",
        late.endpoint(),
        other.endpoint(),
        elsewhere.endpoint()
    ));
    let proxy = Proxy::start(&config);
    for id in [0, 2, 4, 6] {
        let answer = proxy.get(&format!("/users/{id}"));
        answer.expect_status(200).expect_body("other").expect_header("x-shard", "a 1");
    }
    assert!(late.heads() > 0);
    assert_eq!(elsewhere.heads(), 0);
    let of_shard = |result: &str| {
        let labels = format!("upstream=\"app\",shard=\"a\",result=\"{result}\"");
        metric(&proxy, &format!("upstream_hedges_total{{{labels}}}"))
    };
    assert_eq!([of_shard("started"), of_shard("won")], [late.heads() as u64; 2]);
    assert_eq!(metric(&proxy, "upstream_in_flight{upstream=\"app\",shard=\"a\"}"), 0);
}

#[test]
fn a_second_copy_neither_waits_nor_spills_where_there_is_no_room() {
    let gate = Gate::new();
    let (one, two, burst) = (held("one", &gate), held("two", &gate), quick("burst"));
    let lines = format!("{HEDGE}\nconcurrency = 1\nspill = \"burst\"");
    let config = before(&[&one, &two], &lines).upstream("burst", &[&burst], "");
    let proxy = Proxy::start(&config);
    let mut client = proxy.client();
    client.send(get("/").to_bytes());
    one.wait_for_heads(1);
    // Others go elsewhere meanwhile, and take longer than a second copy would have been waited for.
    for _ in 0..20 {
        proxy.get("/").expect_status(200).expect_body("burst");
    }
    gate.pass();
    client.response().expect_status(200).expect_body("one");
    assert_eq!((hedges(&proxy), two.heads()), ([0; 3], 0));
    assert_eq!(metric(&proxy, "upstream_waited_total{upstream=\"app\"}"), 0);
}

#[test]
fn where_a_request_has_spilt_to_that_ones_rules_hold() {
    let gate = Gate::new();
    let (base, late, other) = (held("base", &gate), held("late", &gate), quick("other"));
    let lines = format!("{HEDGE}\nconcurrency = 1\nspill = \"burst\"");
    let burst = format!("balance = \"round_robin\"\n{HEDGE}");
    let spare = quick("spare");
    let config = before(&[&base, &spare], &lines).upstream("burst", &[&late, &other], burst);
    let proxy = Proxy::start(&config);
    let mut client = proxy.client();
    client.send(get("/").to_bytes());
    base.wait_for_heads(1);
    proxy.get("/").expect_status(200).expect_body("other");
    assert_eq!((late.heads(), other.heads()), (1, 1));
    let name = "upstream_hedges_total{upstream=\"burst\",result=\"won\"}";
    assert_eq!(metric(&proxy, name), 1);
    gate.pass();
    gate.pass();
    client.response().expect_status(200).expect_body("base");
}

#[test]
fn who_stays_with_an_endpoint_waits_for_it() {
    let gate = Gate::new();
    let origins = [held("one", &gate), held("two", &gate)];
    let lines = format!(
        "{HEDGE}\nsticky = {{ cookie = \"stays\", secret = \"0123456789abcdef0123456789abcdef\" }}"
    );
    let proxy = Proxy::start(&before(&[&origins[0], &origins[1]], &lines));
    let mut client = proxy.client();
    client.send(get("/").to_bytes());
    // Who is new may have either.
    origins[0].wait_for_heads(1);
    origins[1].wait_for_heads(1);
    gate.pass();
    gate.pass();
    let answer = client.response();
    let had = answer.expect_status(200).text();
    let cookie = answer.headers.get("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    wait_until_idle(&proxy);
    let heads = origins.each_ref().map(Origin::heads);
    client.send(get("/").header("Cookie", &cookie).to_bytes());
    let index = usize::from(had == "two");
    origins[index].wait_for_heads(heads[index] + 1);
    // Others come and go meanwhile.
    for _ in 0..20 {
        metric(&proxy, "upstream_in_flight{upstream=\"app\"}");
    }
    gate.pass();
    client.response().expect_status(200).expect_body(&had);
    assert_eq!(hedges(&proxy)[0], 1);
}

#[test]
fn what_is_fetched_for_a_cache_is_asked_twice_and_stored_once() {
    let gate = Gate::new();
    let fresh = Reply::ok("other").header("Cache-Control", "max-age=600");
    let (late, other) = (held("late", &gate), Origin::start().serve("*", fresh));
    let lines = format!("balance = \"round_robin\"\n{HEDGE}");
    let config = site()
        .top("workers = 1")
        .route("/*", "proxy = \"app\"\ncache = \"main\"")
        .upstream("app", &[&late, &other], lines)
        .toml("[zones.main]")
        .toml("[[log.access]]\nfile = \"access.log\"\nformat = \"$uri $status $upstream_addr $upstream_status\"");
    let proxy = Proxy::start(&config);
    for _ in 0..3 {
        proxy.get("/a").expect_status(200).expect_body("other");
    }
    assert_eq!((late.heads(), other.heads()), (1, 1));
    assert_eq!(hedges(&proxy), [1, 1, 0]);
    let both = format!("{}, {}", late.endpoint(), other.endpoint());
    wait_for_line(&proxy, &format!("/a 200 {both} -, 200"));
    gate.pass();
    late.wait_for_open_connections(0);
}

#[test]
fn an_answer_that_a_page_replaces_is_replaced_whoever_gave_it() {
    let gate = Gate::new();
    let missing = Reply::ok("missing").status(404);
    let (late, other) = (held("late", &gate), Origin::start().serve("*", missing));
    let lines = format!("balance = \"round_robin\"\n{HEDGE}");
    let config = site()
        .top("workers = 1")
        .route("/*", "proxy = \"app\"\nerrors = { 404 = \"lost\" }")
        .route_lines("name = \"lost\"\ninternal = true\nrespond = { body = \"a page\" }")
        .upstream("app", &[&late, &other], lines);
    let proxy = Proxy::start(&config);
    for _ in 0..4 {
        proxy.get("/a").expect_status(404).expect_body("a page");
    }
    let copies = late.heads() as u64;
    assert!(copies > 0);
    assert_eq!((hedges(&proxy), other.heads()), ([copies, copies, 0], 4));
    wait_until_idle(&proxy);
}

#[test]
fn over_http2_the_stream_of_the_other_copy_is_given_up() {
    let (late, other) = (H2Origin::start_silent(), H2Origin::start());
    let endpoints = [&late, &other].map(|origin| origin.address().to_string());
    let lines = format!("balance = \"round_robin\"\nprotocol = \"h2\"\n{HEDGE}");
    let config = config()
        .web("h2c = true")
        .site("")
        .top("workers = 1")
        .route("/*", "proxy = \"app\"")
        .endpoints("app", &endpoints, lines);
    let proxy = Proxy::start(&config);
    let mut client = H2Client::cleartext(proxy.address("web"));
    for path in ["/a", "/b", "/c"] {
        let answer = client.ask(&H2Request::new("GET", path).header("te", "trailers"));
        answer.expect_status(200);
        assert_eq!(answer.trailers.get("grpc-status"), Some("0"));
    }
    proxy.get("/d").expect_status(200);
    assert_eq!(other.requests().len(), 4);
    let [started, won, _] = hedges(&proxy);
    assert!(started > 0 && started == won);
    eventually("the streams are given up", Deadline::soon(), || {
        (late.given_up() as u64 == started).then_some(())
    });
    wait_until_idle(&proxy);
}

#[test]
fn a_reload_leaves_both_copies_and_what_is_saved_alone() {
    let gate = Gate::new();
    let (one, two) = (held("one", &gate), held("two", &gate));
    let lines = "hedge = { after = \"20ms\", budget = \"1%\" }";
    let proxy = Proxy::start(&before(&[&one, &two], lines));
    let mut client = proxy.client();
    client.send(get("/").to_bytes());
    two.wait_for_heads(1);
    let other = quick("other");
    proxy.reload(&before(&[&one, &other], lines)).expect_accepted();
    gate.pass();
    gate.pass();
    client.response().expect_status(200);
    assert_eq!((one.heads(), two.heads(), other.heads()), (1, 1, 0));
    wait_until_idle(&proxy);
    // The one copy that there was from the beginning was sent.
    let mut client = proxy.client();
    while one.heads() == 1 {
        let asked = one.heads() + other.heads();
        client.send(get("/").to_bytes());
        eventually("it has gone to one of them", Deadline::soon(), || {
            (one.heads() + other.heads() > asked).then_some(())
        });
        if one.heads() == 1 {
            client.response().expect_status(200);
        }
    }
    eventually("there is no second copy", Deadline::soon(), || {
        (hedges(&proxy)[2] >= 1).then_some(())
    });
    gate.pass();
    client.response().expect_status(200).expect_body("one");
    assert_eq!(hedges(&proxy)[0], 1);
}

#[test]
fn who_is_asked_too_late_is_not_asked() {
    let gate = Gate::new();
    let (one, two) = (held("one", &gate), held("two", &gate));
    // It is in the queue until then.
    let lines = "hedge = { after = \"50ms\", budget = \"100%\" }\nretry.within = \"60ms\"\nconcurrency = 1\nqueue.wait = \"20s\"";
    let proxy = Proxy::start(&before(&[&one, &two], lines));
    let mut clients = [proxy.client(), proxy.client()];
    clients[0].send(get("/").to_bytes());
    one.wait_for_heads(1);
    clients[1].send(get("/").to_bytes());
    eventually("it waits", Deadline::soon(), || {
        (metric(&proxy, "upstream_waiting{upstream=\"app\"}") == 1).then_some(())
    });
    gate.pass();
    clients[0].response().expect_status(200);
    two.wait_for_heads(1);
    gate.pass();
    clients[1].response().expect_status(200);
    assert_eq!((hedges(&proxy), one.heads(), two.heads()), ([0; 3], 1, 1));
}

#[test]
fn what_precedes_an_answer_is_told_at_once_and_settles_nothing() {
    let gate = Gate::new();
    let hints = Step::send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
    let late = Origin::start().serve("*", [Step::ReadBody, hints, Step::Wait(gate.clone())]);
    let other = held("other", &gate);
    let proxy = Proxy::start(&before(&[&late, &other], HEDGE));
    let mut client = proxy.client();
    client.send(get("/").to_bytes());
    let hints = client.response_head();
    hints.expect_status(103).expect_header("link", "</a.css>; rel=preload");
    other.wait_for_heads(1);
    gate.pass();
    gate.pass();
    client.response().expect_status(200).expect_body("other");
}

#[test]
fn a_dead_endpoint_is_no_second_one() {
    let gate = Gate::new();
    let one = held("one", &gate);
    let dead = held_with(Reply::ok(""), &gate).endpoint().to_string();
    let endpoints = [one.endpoint().to_string(), dead];
    let lines = format!("balance = \"round_robin\"\n{HEDGE}");
    let config = site()
        .top("workers = 1")
        .route("/*", "proxy = \"app\"")
        .endpoints("app", &endpoints, lines);
    let proxy = Proxy::start(&config);
    let mut client = proxy.client();
    client.send(get("/").to_bytes());
    one.wait_for_heads(1);
    eventually("the second copy was sent", Deadline::soon(), || {
        (metric(&proxy, "upstream_connect_failures_total") == 1).then_some(())
    });
    gate.pass();
    client.response().expect_status(200).expect_body("one");
    assert_eq!((hedges(&proxy), one.heads()), ([1, 0, 0], 1));
}

/// All bytes of the answer but its date, to a request that is the last on its connection.
fn answered(proxy: &Proxy, request: &[u8]) -> String {
    let mut client = proxy.client();
    client.send(request);
    let mut answer = Vec::new();
    loop {
        match client.try_read() {
            Ok(piece) if !piece.is_empty() => answer.extend(piece),
            _ => break,
        }
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    let is_kept = |line: &&str| !line.to_ascii_lowercase().starts_with("date:");
    text.split("\r\n").filter(is_kept).collect::<Vec<_>>().join("\r\n")
}

#[test]
fn an_answer_is_byte_for_byte_what_it_is_without_a_second_copy() {
    let origins = [(); 2].map(|()| {
        Origin::start()
            .serve("/length", Reply::ok("some text").header("X-Own", "1").header("ETag", "\"1\""))
            .serve("/chunks", Reply::ok(pattern(100_000)).chunked(5_000))
            .serve("/close", Reply::ok("until it closes").until_close())
            .serve("/nothing", Reply::ok("").status(204))
            .serve("/unchanged", Reply::ok("").status(304).header("ETag", "\"1\""))
            .serve("/missing", Reply::ok("no such thing").status(404))
            .serve("/broken", Reply::ok("broken").status(503))
            .serve("/cut", [Step::ReadBody, Step::send("HTTP/1.1 200 OK\r\nContent-Le"), Step::Fin])
            .serve(
                "/packed",
                page(packed("gzip", &text(50_000))).header("Content-Encoding", "gzip"),
            )
            .serve("/text", Reply::ok("text ".repeat(1000)).header("Content-Type", "text/plain"))
    });
    let [one, two] = &origins;
    let config = |hedge: &str| {
        site()
            .top("workers = 1")
            .route(
                "/*",
                "proxy = \"app\"\nencode = \"on\"\nresponse_headers = { set = { x-ours = \"2\" } }",
            )
            .upstream("app", &[one, two], format!("retry.within = \"1m\"\n{hedge}"))
    };
    let plain = Proxy::start(&config(""));
    let hedged = Proxy::start(&config("hedge = { after = \"20s\" }"));
    for path in
        ["length", "chunks", "close", "nothing", "unchanged", "missing", "broken", "text", "packed"]
    {
        for method in ["GET", "HEAD"] {
            for (version, more) in [
                ("1.1", "Connection: close\r\n"),
                ("1.0", ""),
                ("1.1", "Connection: close\r\nAccept-Encoding: gzip, br\r\nContent-Length: 0\r\n"),
            ] {
                let request =
                    format!("{method} /{path} HTTP/{version}\r\nHost: a.example\r\n{more}\r\n");
                let answers = [&plain, &hedged].map(|proxy| answered(proxy, request.as_bytes()));
                assert_eq!(answers[0], answers[1], "{request}");
                assert!(answers[0].starts_with("HTTP/1.1 "), "{request}");
            }
        }
    }
    let statuses = [&plain, &hedged].map(|proxy| proxy.get("/cut").status);
    assert_eq!(statuses, [502; 2]);
}

#[test]
fn requests_that_come_together_are_answered_one_after_the_other() {
    let gate = Gate::new();
    let (late, other) = (held("late", &gate), quick("other"));
    let proxy = Proxy::start(&before(&[&late, &other], HEDGE));
    let mut client = proxy.client();
    client.send([get("/a").to_bytes(), get("/b").to_bytes(), get("/c").to_bytes()].concat());
    for _ in 0..3 {
        client.response().expect_status(200).expect_body("other");
    }
    assert_eq!(other.heads(), 3);
}

#[test]
fn a_second_copy_that_nobody_has_room_for_costs_nothing() {
    let gates = [Gate::new(), Gate::new()];
    let (one, two) = (held("one", &gates[0]), held("two", &gates[1]));
    let lines = "balance = \"round_robin\"\nhedge = { after = \"20ms\", budget = \"1%\" }";
    let config = site().top("workers = 1").route("/*", "proxy = \"app\"").toml(format!(
        "[upstreams.app]\n{lines}\nendpoints = [\"{}\", {{ address = \"{}\", max_connections = 1 }}]",
        one.endpoint(),
        two.endpoint()
    ));
    let proxy = Proxy::start(&config);
    gates[0].pass();
    proxy.ask(&post("/", "")).expect_body("one");
    let mut full = proxy.client();
    full.send(post("/", "").to_bytes());
    two.wait_for_heads(1);
    let mut client = proxy.client();
    client.send(get("/").to_bytes());
    one.wait_for_heads(2);
    // It is late after some of these.
    for _ in 0..50 {
        assert_eq!(hedges(&proxy), [0; 3]);
    }
    gates[0].pass();
    client.response().expect_body("one");
    gates[1].pass();
    full.response().expect_body("two");
    wait_until_idle(&proxy);
    client.send(get("/").to_bytes());
    eventually("the second copy is sent", Deadline::soon(), || {
        (hedges(&proxy) == [1, 0, 0]).then_some(())
    });
    gates.iter().for_each(Gate::pass);
    client.response().expect_status(200);
}
