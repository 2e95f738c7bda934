//! Upstreams whose keys are divided among shards.

use std::collections::{BTreeMap, BTreeSet};

use switchback_integration::{
    Answer, Choice, Config, Deadline, Gate, Origin, Proxy, Reply, Request, Step, eventually, get,
    post, site, switchback,
};

use crate::cache_disk::metric;

/// Each answers with its name.
fn origins<const N: usize>(names: [&str; N]) -> [Origin; N] {
    names.map(|name| Origin::start().serve("*", Reply::ok(name)))
}

/// The shards `a`, `b` and so on, of one endpoint each.
fn shards(origins: &[Origin]) -> String {
    let shard = |(index, origin): (usize, &Origin)| {
        let name = char::from(b'a' + u8::try_from(index).unwrap());
        format!(
            "[[upstreams.app.shards]]\nname = \"{name}\"\nendpoints = [\"{}\"]\n",
            origin.endpoint()
        )
    };
    origins.iter().enumerate().map(shard).collect()
}

/// Every path is for the upstream `app`, which has these lines.
fn divided(lines: &str, shards: &str) -> Config {
    site()
        .route("/users/{id}", "proxy = \"app\"")
        .toml(format_args!("[upstreams.app]\nshard_header = true\n{lines}\n{shards}"))
}

fn user(id: usize) -> String {
    format!("/users/{id}")
}

#[test]
fn a_key_has_one_shard_and_every_shard_has_keys() {
    let origins = origins(["a", "b", "c"]);
    let mut by_mapping = BTreeMap::new();
    for mapping in ["modulo", "remainder", "anchor", "rendezvous", "maglev", "ketama"] {
        let lines = format!("shard_by = \"{{id}}\"\nmapping = \"{mapping}\"");
        let proxy = Proxy::start(&divided(&lines, &shards(&origins)));
        let ask = |id: usize| {
            let answer = proxy.get(&user(id));
            let shard = answer.expect_status(200).text();
            answer.expect_header("x-shard", &format!("{shard} 1"));
            shard
        };
        let first: Vec<String> = (0..60).map(ask).collect();
        let again: Vec<String> = (0..60).map(ask).collect();
        assert_eq!(first, again, "{mapping}");
        assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 3, "{mapping}: {first:?}");
        by_mapping.insert(mapping, first);
    }
    let remainders: Vec<&str> = (0..60).map(|id| ["a", "b", "c"][id % 3]).collect();
    assert_eq!(by_mapping["remainder"], remainders);
}

#[test]
fn ranges_and_pins_are_as_they_are_written() {
    let origins = origins(["a", "b"]);
    let ranges = |shards: String| {
        shards
            .replace("name = \"a\"", "name = \"a\"\nranges = [\"..200\", \"1000..\"]")
            .replace("name = \"b\"", "name = \"b\"\nranges = \"200..1000\"")
    };
    let lines = "shard_by = { key = \"{id}\", missing = \"400\" }\npins = { 7 = \"b\" }\n\
                 mapping = { by = \"ranges\", of = \"numbers\" }";
    let proxy = Proxy::start(&divided(lines, &ranges(shards(&origins))));
    for (id, shard) in [(0, "a"), (7, "b"), (199, "a"), (200, "b"), (999, "b"), (1000, "a")] {
        proxy.get(&user(id)).expect_body(shard);
    }
    // No number, no shard.
    proxy.get("/users/alice").expect_status(503).expect_no_header("x-shard");
}

#[test]
fn keys_come_from_headers_cookies_claims_and_several_of_them() {
    let origins = origins(["a", "b"]);
    let by_key = |key: &str, pins: &str| {
        let lines = format!("shard_by = \"{key}\"\nmapping = \"anchor\"\npins = {{ {pins} }}");
        Proxy::start(&divided(&lines, &shards(&origins)))
    };
    let both = "one = \"a\", two = \"b\"";
    let asked = |proxy: &Proxy, request: Request, shard: &str| {
        proxy.ask(&request).expect_status(200).expect_body(shard);
    };
    let proxy = by_key("$http_x_tenant", both);
    asked(&proxy, get("/users/1").header("X-Tenant", "one"), "a");
    asked(&proxy, get("/users/1").header("X-Tenant", "two"), "b");
    let proxy = by_key("$cookie_session", both);
    asked(&proxy, get("/users/1").header("Cookie", "x=1; session=one"), "a");
    asked(&proxy, get("/users/1").header("Cookie", "session=two"), "b");
    let proxy = by_key("$arg_u", both);
    asked(&proxy, get("/users/1?u=two"), "b");
    // {"sub":"one"} and {"sub":"two"}
    let proxy = by_key("$jwt_claim_sub", both);
    asked(&proxy, get("/users/1").header("Authorization", "Bearer e30.eyJzdWIiOiJvbmUifQ.x"), "a");
    asked(&proxy, get("/users/1").header("Authorization", "bearer e30.eyJzdWIiOiJ0d28ifQ.x"), "b");
    let proxy = by_key("$arg_t:{id}", "\"x%3A1:2\" = \"a\", \"x:1\" = \"b\"");
    asked(&proxy, get("/users/2?t=x:1"), "a");
    asked(&proxy, get("/users/1?t=x"), "b");
}

#[test]
fn what_is_stored_of_one_shard_is_for_its_keys_alone() {
    let fresh = |name: &str| Reply::ok(name).header("Cache-Control", "max-age=600");
    let origins = ["a", "b"].map(|name| Origin::start().serve("*", fresh(name)));
    let config = site()
        .route("/*", "proxy = \"app\"\ncache = \"main\"")
        .toml("[zones.main]\nmemory = \"8MiB\"")
        .toml(format_args!(
            "[upstreams.app]\nshard_by = \"$http_x_tenant\"\npins = {{ one = \"a\", two = \"b\" }}\n{}",
            shards(&origins)
        ));
    let proxy = Proxy::start(&config);
    for _ in 0..2 {
        for (tenant, shard) in [("one", "a"), ("two", "b")] {
            proxy.ask(&get("/page").header("X-Tenant", tenant)).expect_body(shard);
        }
    }
    assert_eq!(origins.map(|origin| origin.heads()), [1, 1], "the second time they are stored");
}

#[test]
fn case_and_percent_signs_are_alike_where_that_is_asked_for() {
    let origins = origins(["a", "b"]);
    let lines = "shard_by = { key = \"$arg_u\", lowercase = true, decode = true, missing = \"b\" }\n\
                 pins = { alice = \"a\" }\nmapping = { by = \"table\", file = \"t\", default = \"b\" }";
    let config = divided(lines, &shards(&origins)).file("t", "bob a\n");
    let proxy = Proxy::start(&config);
    for (query, shard) in
        [("u=Alice", "a"), ("u=%41li%63e", "a"), ("u=BOB", "a"), ("u=x", "b"), ("", "b")]
    {
        proxy.get(&format!("/users/1?{query}")).expect_body(shard);
    }
}

#[test]
fn without_a_key_the_client_decides_or_the_request_is_refused() {
    let origins = origins(["a", "b", "c", "d"]);
    let proxy = Proxy::start(&divided("shard_by = \"$arg_u\"", &shards(&origins)));
    let all: BTreeSet<String> = (0..20).map(|_| proxy.get("/users/1").text()).collect();
    assert_eq!(all.len(), 1, "one client, one shard");
    let lines = "shard_by = { key = \"$arg_u\", missing = \"400\" }";
    let proxy = Proxy::start(&divided(lines, &shards(&origins)));
    proxy.get("/users/1").expect_status(400);
    proxy.get("/users/1?u=").expect_status(400);
    proxy.get("/users/1?u=x").expect_status(200);
}

/// An address at which nobody listens, as long as what comes with it lives: the port is taken at another address.
pub(crate) fn nobody() -> (std::net::TcpListener, String) {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    (taken, format!("127.0.0.2:{port}"))
}

#[test]
fn a_dead_shard_answers_503_for_its_keys_and_for_no_others() {
    let origins = origins(["a", "b"]);
    let (_kept, nobody) = nobody();
    let dead = format!("[[upstreams.app.shards]]\nname = \"dead\"\nendpoints = [\"{nobody}\"]\n");
    let config = divided("shard_by = \"{id}\"\nmapping = \"remainder\"", &(shards(&origins) + &dead))
        .toml("[[log.access]]\nfile = \"access.log\"\nformat = \"$uri $status $upstream_shard $upstream_epoch\"");
    let proxy = Proxy::start(&config);
    for id in 0..30 {
        let answer = proxy.get(&user(id));
        match id % 3 {
            2 => answer.expect_status(503),
            rest => answer.expect_status(200).expect_body(["a", "b"][rest]),
        };
    }
    for line in [
        "switchback_shard_requests_total{upstream=\"app\",shard=\"a\"} 10\n",
        "switchback_shard_requests_total{upstream=\"app\",shard=\"dead\"} 10\n",
        "switchback_shard_failures_total{upstream=\"app\",shard=\"a\"} 0\n",
        "switchback_shard_failures_total{upstream=\"app\",shard=\"dead\"} 10\n",
        "switchback_shard_received_bytes_total{upstream=\"app\",shard=\"b\"} 10\n",
        "switchback_shard_epoch{upstream=\"app\"} 1\n",
    ] {
        // A request is counted when it is over, which is after its client has the answer.
        eventually(line, Deadline::soon(), || {
            proxy.control("GET", "/metrics", None).text().contains(line).then_some(())
        });
    }
    let log = eventually("30 lines", Deadline::soon(), || {
        let text = std::fs::read_to_string(proxy.folder().join("access.log")).ok()?;
        (text.lines().count() == 30).then_some(text)
    });
    assert!(log.contains("/users/0 200 a 1\n"), "{log}");
    assert!(log.contains("/users/2 503 dead 1\n"), "{log}");
}

#[test]
fn tries_stay_in_the_shard_of_the_key() {
    let origins = origins(["a", "b"]);
    let (_kept, nobody) = nobody();
    let both =
        |text: String| text.replace("endpoints = [", &format!("endpoints = [\"{nobody}\", "));
    let proxy = Proxy::start(&divided(
        "shard_by = \"{id}\"\nmapping = \"remainder\"\ntries = 2",
        &both(shards(&origins)),
    ));
    for id in 0..20 {
        proxy.get(&user(id)).expect_status(200).expect_body(["a", "b"][id % 2]);
    }
}

#[test]
fn a_changed_table_acts_at_once_and_a_wrong_one_not_at_all() {
    let origins = origins(["a", "b"]);
    let lines = "shard_by = \"{id}\"\nmapping = { by = \"table\", file = \"users.map\" }";
    let config = divided(lines, &shards(&origins)).file("users.map", "# who is where\n1 a\n2 b\n");
    let proxy = Proxy::start(&config);
    proxy.get(&user(1)).expect_body("a").expect_header("x-shard", "a 1");
    proxy.get(&user(2)).expect_body("b");
    proxy.get(&user(3)).expect_status(503);
    let replace = |content: &str| {
        let written = proxy.folder().join("written");
        std::fs::write(&written, content).unwrap();
        std::fs::rename(written, proxy.folder().join("users.map")).unwrap();
    };
    replace("1 b\n2 a\n3 c\n");
    proxy.wait_for_stderr("keys stay where they were");
    proxy.wait_for_stderr("users.map:3");
    proxy.get(&user(1)).expect_body("a").expect_header("x-shard", "a 1");
    replace("1 b\n2 a\n3 a");
    proxy.wait_for_stderr("the last line does not end with a newline");
    proxy.get(&user(1)).expect_body("a");
    replace("1 b\n2 a\n3 a\n");
    eventually("the new table", Deadline::soon(), || {
        (proxy.get(&user(1)).text() == "b").then_some(())
    });
    proxy.get(&user(2)).expect_body("a").expect_header("x-shard", "a 2");
    proxy.get(&user(3)).expect_body("a");
    let told = proxy.stderr().matches("keys stay where they were").count();
    assert_eq!(told, 2, "once for each wrong file: {}", proxy.stderr());
}

#[test]
fn a_reload_with_a_wrong_map_leaves_the_old_one_in_force() {
    let origins = origins(["a", "b"]);
    let ranges = |a: &str, b: &str| {
        let shards = shards(&origins)
            .replace("name = \"a\"", &format!("name = \"a\"\nranges = {a}"))
            .replace("name = \"b\"", &format!("name = \"b\"\nranges = {b}"));
        divided("shard_by = \"{id}\"\nmapping = \"ranges\"", &shards)
    };
    let proxy = Proxy::start(&ranges("\"..5\"", "\"5..\""));
    proxy.get(&user(4)).expect_body("a").expect_header("x-shard", "a 1");
    for (a, b, because) in [
        ("\"..5\"", "\"4..\"", "overlaps"),
        ("\"..5\"", "\"6..\"", "no range has the keys"),
        ("\"5\"", "\"..\"", "no range"),
        ("[]", "\"..\"", "has no range"),
    ] {
        proxy.reload(&ranges(a, b)).expect_refused(because);
        proxy.get(&user(4)).expect_body("a").expect_header("x-shard", "a 1");
    }
    proxy.reload(&ranges("\"..5\"", "\"5..\"")).expect_accepted();
    proxy.get(&user(4)).expect_body("a").expect_header("x-shard", "a 1");
    proxy.reload(&ranges("\"..4\"", "\"4..\"")).expect_accepted();
    proxy.get(&user(4)).expect_body("b").expect_header("x-shard", "b 2");
}

#[test]
fn check_tells_where_a_map_is_wrong() {
    let origins = origins(["a", "b"]);
    let proxy = Proxy::start(&site().respond("/", "x"));
    let check = |config: Config, parts: &[&str]| {
        proxy.write(&config);
        let found = switchback(proxy.folder(), &["check"]);
        found.expect_code(1);
        for part in parts {
            found.expect_text(part);
        }
    };
    let table = "shard_by = \"{id}\"\nmapping = { by = \"table\", file = \"users.map\" }";
    let file = |text: &str| divided(table, &shards(&origins)).file("users.map", text);
    check(
        file("1 a\n2 b c\n3\n"),
        &["users.map:2:1", "users.map:3:1", "expected the name of a shard"],
    );
    check(file("1 a\n2 u9\n"), &["users.map:2:1", "C0210", "u9"]);
    check(file("#begin\n1 a\n"), &["not written to its end"]);
    let ranges = shards(&origins)
        .replace("name = \"a\"", "name = \"a\"\nranges = \"..m\"")
        .replace("name = \"b\"", "name = \"b\"\nranges = \"k..\"");
    check(
        divided("shard_by = \"{id}\"\nmapping = \"ranges\"", &ranges),
        &["C0361", "overlaps", "`k..`"],
    );
    let maglev = "shard_by = \"{id}\"\nmapping = { by = \"maglev\", size = 100 }";
    check(divided(maglev, &shards(&origins)), &["C0360", "prime"]);
}

/// One upstream of a primary and a replica, in which nobody has a shard.
fn replicated(origins: &[Origin; 2], lines: &str) -> Config {
    let [primary, replica] = origins;
    site().route("/*", "proxy = \"app\"").toml(format_args!(
        "[upstreams.app]\nbalance = \"round_robin\"\nendpoints = [\"{}\", {{ address = \"{}\", role = \"replica\" }}]\n{lines}",
        primary.endpoint(),
        replica.endpoint()
    ))
}

#[test]
fn what_is_written_goes_to_primaries_alone() {
    let origins = origins(["primary", "replica"]);
    let proxy = Proxy::start(&replicated(&origins, ""));
    let read: BTreeSet<String> = (0..20).map(|_| proxy.get("/").text()).collect();
    assert_eq!(read.len(), 2, "both are read from: {read:?}");
    for _ in 0..20 {
        let answer = proxy.ask(&post("/", "x"));
        answer.expect_body("primary").expect_no_header("set-cookie");
    }
}

#[test]
fn who_has_written_reads_what_was_written() {
    let origins = origins(["primary", "replica"]);
    let proxy = Proxy::start(&replicated(&origins, "read_your_writes = \"1500ms\""));
    proxy.get("/").expect_status(200).expect_no_header("set-cookie");
    let written = proxy.ask(&post("/", "x"));
    let line = written.headers.all("set-cookie")[0].to_owned();
    assert!(line.ends_with("; Max-Age=2; Path=/; HttpOnly; SameSite=Lax"), "{line}");
    let cookie = line.split(';').next().unwrap();
    for _ in 0..20 {
        proxy.ask(&get("/").header("Cookie", cookie)).expect_body("primary");
    }
    let others: BTreeSet<String> = (0..20).map(|_| proxy.get("/").text()).collect();
    assert_eq!(others.len(), 2, "others still read from both: {others:?}");
}

#[test]
fn a_shard_has_replicas_of_its_own() {
    let names = ["a", "a replica", "b", "b replica"];
    let origins = origins(names);
    let shard = |name: &str, at: usize| {
        format!(
            "[[upstreams.app.shards]]\nname = \"{name}\"\nendpoints = [\"{}\", {{ address = \"{}\", role = \"replica\" }}]\n",
            origins[at].endpoint(),
            origins[at + 1].endpoint()
        )
    };
    let all = shard("a", 0) + &shard("b", 2);
    let proxy = Proxy::start(&divided(
        "balance = \"round_robin\"\nshard_by = \"{id}\"\nmapping = \"remainder\"",
        &all,
    ));
    for id in 0..2 {
        let name = names[id * 2];
        let read: BTreeSet<String> = (0..20).map(|_| proxy.get(&user(id)).text()).collect();
        assert_eq!(read, BTreeSet::from([name.to_owned(), format!("{name} replica")]));
        for _ in 0..5 {
            proxy.ask(&post(&user(id), "x")).expect_body(name);
        }
    }
}

#[test]
fn a_tenant_has_some_of_the_endpoints() {
    let origins: Vec<Origin> =
        (0..8).map(|n| Origin::start().serve("*", Reply::ok(n.to_string()))).collect();
    let all: Vec<&Origin> = origins.iter().collect();
    let config = site().route("/*", "proxy = \"app\"").upstream(
        "app",
        &all,
        "balance = \"round_robin\"\nshuffle = { take = 2, key = \"$http_x_tenant\" }",
    );
    let proxy = Proxy::start(&config);
    let mut tenants = BTreeSet::new();
    for tenant in 0..12 {
        let asked = || proxy.ask(&get("/").header("X-Tenant", &format!("t{tenant}")));
        let found: BTreeSet<String> = (0..16).map(|_| asked().expect_status(200).text()).collect();
        assert_eq!(found.len(), 2, "{found:?}");
        tenants.insert(found);
    }
    assert!(tenants.len() > 6, "hardly two have the same: {tenants:?}");
    let nameless: BTreeSet<String> = (0..16).map(|_| proxy.get("/").text()).collect();
    assert_eq!(nameless.len(), 2, "who has no name is a tenant, too");
}

#[test]
fn a_shard_that_is_full_or_fails_sends_away_only_its_own_requests() {
    let gate = Gate::new();
    let door = gate.clone();
    let slow = Choice::new(move |_| {
        let ok = Step::send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        vec![Step::Wait(door.clone()), ok, Step::Next]
    });
    let origins = [
        Origin::start().serve("*", Answer::Chosen(slow)),
        Origin::start().serve("*", Reply::ok("b")),
        Origin::start().serve("*", Reply::ok("broken").status(503)),
    ];
    let lines = "shard_by = \"{id}\"\nmapping = \"remainder\"\nconcurrency = 1\nqueue = { most = 1, wait = \"50ms\" }\nbreaker = { least = 5, open = \"1m\", longest = \"1m\" }";
    let proxy = Proxy::start(&divided(lines, &shards(&origins)));
    let mut first = proxy.client();
    first.send(get(&user(0)).to_bytes());
    origins[0].wait_for_heads(1);
    let of = |name: &str, shard: &str| {
        metric(&proxy, &format!("{name}{{upstream=\"app\",shard=\"{shard}\"}}"))
    };
    for id in [3, 6, 9] {
        proxy.get(&user(id)).expect_status(503).expect_header("retry-after", "1");
    }
    for id in (2..32).step_by(3) {
        proxy.get(&user(id)).expect_status(503);
    }
    for id in (1..31).step_by(3) {
        proxy.get(&user(id)).expect_status(200).expect_body("b");
    }
    assert_eq!(origins[0].heads(), 1);
    assert_eq!(origins[2].heads(), 5, "its breaker opened");
    assert_eq!(["a", "b", "c"].map(|shard| of("upstream_shed_total", shard)), [3, 0, 0]);
    assert_eq!(["a", "b", "c"].map(|shard| of("upstream_in_flight", shard)), [1, 0, 0]);
    assert_eq!(["a", "b", "c"].map(|shard| of("upstream_breakers_open", shard)), [0, 0, 1]);
    gate.pass();
    first.response().expect_status(200);
}
