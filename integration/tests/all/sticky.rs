//! Visitors who stay where they were: in a shard, at an endpoint of it, or where their session began.

use std::collections::BTreeSet;

use serde_json::json;
use switchback_integration::{
    Answer, Choice, Config, Deadline, Origin, Proxy, Reply, Request, Response, Step, eventually,
    get, post, site,
};

use crate::cache_disk::metric;

/// Each answers with its name.
fn origins<const N: usize>(names: [&str; N]) -> [Origin; N] {
    names.map(|name| Origin::start().serve("*", Reply::ok(name)))
}

/// Shards of these names, each with so many of the endpoints in turn.
fn shards(names: &[&str], each: usize, origins: &[Origin]) -> String {
    let shard = |(name, endpoints): (&&str, &[Origin])| {
        let endpoints: Vec<_> =
            endpoints.iter().map(|origin| format!("\"{}\"", origin.endpoint())).collect();
        let endpoints = endpoints.join(", ");
        format!("[[upstreams.app.shards]]\nname = \"{name}\"\nendpoints = [{endpoints}]\n")
    };
    names.iter().zip(origins.chunks(each)).map(shard).collect()
}

/// The upstream `app` has these lines, and clients say where they come from.
fn config(lines: &str, shards: &str) -> Config {
    site()
        .top("trusted_proxies = [\"127.0.0.0/8\"]")
        .route("/*", "proxy = \"app\"")
        .toml(format_args!("[upstreams.app]\n{lines}\n{shards}"))
}

const BY_USER: &str = "shard_by = \"$http_x_user\"\n";

fn signed(more: &str) -> String {
    format!("sticky = {{ cookie = \"stay\", secret = \"sixteen bytes or more\"{more} }}\n")
}

fn from(client: usize) -> Request {
    get("/").header("X-Forwarded-For", &format!("10.{client}.0.1"))
}

/// The cookie of an answer, as a client sends it back.
fn cookie(answer: &Response) -> String {
    let line = answer.headers.get("set-cookie").unwrap_or_default();
    line.split(';').next().unwrap_or_default().to_owned()
}

/// Someone new, with the cookie that was set and whoever answered.
fn visitor(proxy: &Proxy, client: usize) -> (String, String) {
    let answer = proxy.ask(&from(client));
    let cookie = cookie(answer.expect_status(200));
    assert!(cookie.starts_with("stay="), "{cookie}");
    (cookie, answer.text())
}

fn with(cookie: &str, client: usize) -> Request {
    from(client).header("Cookie", cookie)
}

#[test]
fn a_visitor_without_key_has_one_shard_at_every_proxy_wherever_it_comes_from() {
    let origins = origins(["a", "b", "c"]);
    let config =
        config(&(BY_USER.to_owned() + &signed("")), &shards(&["a", "b", "c"], 1, &origins));
    let [one, other] = [(); 2].map(|()| Proxy::start(&config));
    let mut seen = BTreeSet::new();
    for client in 0..12 {
        let (cookie, shard) = visitor(&one, client);
        for elsewhere in 20..26 {
            let answer = other.ask(&with(&cookie, elsewhere));
            answer.expect_status(200).expect_body(&shard).expect_no_header("set-cookie");
        }
        seen.insert(shard);
    }
    assert_eq!(seen.len(), 3);
    // What has a key goes where its key is, and is told so.
    let (stays, shard) = visitor(&one, 0);
    let of_key = |cookie: &str, user: usize| {
        one.ask(&with(cookie, 0).header("X-User", &format!("user-{user}")))
            .expect_status(200)
            .text()
    };
    let by_key: Vec<_> = (0..12).map(|user| of_key("a=b", user)).collect();
    assert_eq!((0..12).map(|user| of_key(&stays, user)).collect::<Vec<_>>(), by_key);
    let moved = by_key.iter().position(|other| *other != shard).unwrap();
    let answer = one.ask(&with(&stays, 0).header("X-User", &format!("user-{moved}")));
    one.ask(&with(&cookie(&answer), 0)).expect_body(&by_key[moved]);
}

#[test]
fn a_cookie_may_come_before_the_key_which_then_says_where_a_visitor_begins() {
    let origins = origins(["a", "b", "c"]);
    let lines = "shard_by = \"$request_id\"\n".to_owned() + &signed(", before_key = true");
    let proxy = Proxy::start(&config(&lines, &shards(&["a", "b", "c"], 1, &origins)));
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let (cookie, shard) = visitor(&proxy, 1);
        for _ in 0..4 {
            proxy.ask(&with(&cookie, 1)).expect_body(&shard).expect_no_header("set-cookie");
        }
        seen.insert(shard);
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn what_nobody_has_signed_is_ignored_and_replaced() {
    let origins = origins(["a", "b"]);
    let both = shards(&["a", "b"], 1, &origins);
    let proxy = Proxy::start(&config(&(BY_USER.to_owned() + &signed("")), &both));
    let stranger = signed("").replace("sixteen bytes or more", "what somebody else has signed");
    let stranger = Proxy::start(&config(&(BY_USER.to_owned() + &stranger), &both));
    let (good, shard) = visitor(&proxy, 1);
    let (of_stranger, _) = visitor(&stranger, 1);
    let cut = &good[..good.len() - 1];
    let longer = format!("{good}A");
    for forged in
        ["stay=", "stay=a", "stay=b", "stay=AAAAAAAAAAAAAAAAAAAAAA", cut, &longer, &of_stranger]
    {
        let answer = proxy.ask(&with(forged, 1));
        answer.expect_status(200).expect_body(&shard);
        assert_eq!(cookie(&answer), good, "{forged}");
    }
}

#[test]
fn a_visitor_stays_when_shards_come_and_begins_anew_when_its_shard_goes() {
    let origins = origins(["a", "b", "c", "d"]);
    let lines = BY_USER.to_owned() + &signed("");
    let of = |names: &[&str]| {
        let known = ["a", "b", "c", "d"];
        let block = |name: &&str| {
            let place = known.iter().position(|one| one == name).unwrap();
            shards(&[name], 1, &origins[place..=place])
        };
        config(&lines, &names.iter().map(block).collect::<String>())
    };
    let proxy = Proxy::start(&of(&["a", "b", "c"]));
    let visitors: Vec<_> = (0..20).map(|client| visitor(&proxy, client)).collect();
    proxy.reload(&of(&["d", "a", "b", "c"])).expect_accepted();
    for (cookie, shard) in &visitors {
        proxy.ask(&with(cookie, 99)).expect_body(shard).expect_no_header("set-cookie");
    }
    proxy.reload(&of(&["d", "b", "c"])).expect_accepted();
    for (was, shard) in &visitors {
        let answer = proxy.ask(&with(was, 99));
        answer.expect_status(200);
        if shard == "a" {
            assert_ne!(answer.text(), "a");
            proxy.ask(&with(&cookie(&answer), 98)).expect_body(answer.text());
        } else {
            answer.expect_body(shard).expect_no_header("set-cookie");
        }
    }
    assert!(visitors.iter().any(|(_, shard)| shard == "a"));
}

#[test]
fn a_visitor_stays_through_a_resharding() {
    let origins = origins(["a", "b", "c"]);
    let lines = BY_USER.to_owned() + &signed("");
    let before = config(&lines, &shards(&["a", "b"], 1, &origins));
    let after = config(&lines, &shards(&["a", "b", "c"], 1, &origins));
    let proxy = Proxy::start(&before);
    let visitors: Vec<_> = (0..20).map(|client| visitor(&proxy, client)).collect();
    proxy.write(&after);
    let told = |client: usize| cookie(&proxy.ask(&from(client)));
    for action in ["start", "cutover"] {
        let step = json!({ "upstream": "app", "action": action });
        proxy.control("POST", "/reshard", Some(&step)).expect_status(200);
        for (cookie, shard) in &visitors {
            proxy.ask(&with(cookie, 99)).expect_body(shard).expect_no_header("set-cookie");
        }
        // Nobody is held to a shard that its key is about to leave, or not to have after all.
        let held = (0..40).filter(|client| !told(*client).is_empty()).count();
        assert_eq!(held < 40, action == "start", "{action}: {held} of 40");
    }
    let (cookie, _) =
        (0..40).map(|client| visitor(&proxy, client)).find(|(_, at)| at == "c").unwrap();
    proxy.ask(&with(&cookie, 99)).expect_body("c").expect_no_header("set-cookie");
}

#[test]
fn a_secret_is_changed_without_losing_a_visitor() {
    let origins = origins(["a", "b", "c"]);
    let of = |secrets: &str| {
        let lines = format!("{BY_USER}sticky = {{ cookie = \"stay\", secret = {secrets} }}\n");
        config(&lines, &shards(&["a", "b", "c"], 1, &origins))
    };
    let (old, new) = ("\"the secret of yesterday\"", "\"the secret of tomorrow\"");
    let proxy = Proxy::start(&of(old));
    let (first, shard) = visitor(&proxy, 1);
    // One that still knows only the old one may be beside it.
    proxy.reload(&of(&format!("[{old}, {new}]"))).expect_accepted();
    proxy.ask(&with(&first, 2)).expect_body(&shard).expect_no_header("set-cookie");
    proxy.reload(&of(&format!("[{new}, {old}]"))).expect_accepted();
    let answer = proxy.ask(&with(&first, 2));
    answer.expect_body(&shard);
    let second = cookie(&answer);
    assert!(second.starts_with("stay=") && second != first);
    proxy.reload(&of(new)).expect_accepted();
    proxy.ask(&with(&second, 2)).expect_body(&shard).expect_no_header("set-cookie");
    assert_eq!(cookie(&proxy.ask(&with(&first, 1))), second, "mapped as at first, and told so");
}

#[test]
fn a_cookie_is_believed_for_as_long_as_it_says_and_renewed_before() {
    let origins = origins(["a", "b"]);
    let lines = "balance = \"round_robin\"\n".to_owned() + &signed(", max_age = \"6s\"");
    let of = |drained: usize| {
        let endpoint = |(place, origin): (usize, &Origin)| {
            format!("{{ address = \"{}\", drain = {} }}", origin.endpoint(), place == drained)
        };
        let endpoints: Vec<_> = origins.iter().enumerate().map(endpoint).collect();
        config(&format!("endpoints = [{}]\n{lines}", endpoints.join(", ")), "")
    };
    let proxy = Proxy::start(&of(usize::MAX));
    let (first, own) = visitor(&proxy, 1);
    proxy.reload(&of(usize::from(own == "b"))).expect_accepted();
    let mut renewed = None;
    eventually("the first cookie is too old", Deadline::soon(), || {
        let answer = proxy.ask(&with(&first, 1));
        if answer.text() == own && answer.headers.get("set-cookie").is_some() {
            renewed = Some(cookie(&answer));
        }
        (answer.text() != own).then_some(())
    });
    let renewed = renewed.expect("a new one after half of the time");
    assert_eq!(proxy.ask(&with(&renewed, 1)).text(), own, "it begins when it was set");
}

#[test]
fn a_visitor_may_stay_in_a_shard_and_be_balanced_in_it() {
    let origins = origins(["a0", "a1", "b0", "b1"]);
    let lines = format!("balance = \"round_robin\"\n{BY_USER}{}", signed(", to = \"shard\""));
    let proxy = Proxy::start(&config(&lines, &shards(&["a", "b"], 2, &origins)));
    for client in 0..6 {
        let (cookie, first) = visitor(&proxy, client);
        let answers = (0..4).map(|elsewhere| {
            let answer = proxy.ask(&with(&cookie, 20 + elsewhere));
            answer.expect_no_header("set-cookie").text()
        });
        let seen: BTreeSet<_> = answers.collect();
        let shard = &first[..1];
        assert_eq!(seen, BTreeSet::from([format!("{shard}0"), format!("{shard}1")]));
    }
}

#[test]
fn with_endpoints_of_a_shard_a_visitor_has_one_of_them() {
    let origins = origins(["a0", "a1", "b0", "b1"]);
    let lines = format!("balance = \"round_robin\"\n{BY_USER}{}", signed(""));
    let proxy = Proxy::start(&config(&lines, &shards(&["a", "b"], 2, &origins)));
    let mut seen = BTreeSet::new();
    for client in 0..12 {
        let (cookie, own) = visitor(&proxy, client);
        for elsewhere in 20..24 {
            proxy.ask(&with(&cookie, elsewhere)).expect_body(&own).expect_no_header("set-cookie");
        }
        seen.insert(own);
    }
    assert_eq!(seen.len(), 4);
}

#[test]
fn a_visitor_reads_from_its_replica_and_writes_to_the_primary() {
    let origins = origins(["primary", "one", "two"]);
    let [primary, one, two] = origins.each_ref().map(Origin::endpoint);
    let shard = format!(
        "[[upstreams.app.shards]]\nname = \"s\"\nendpoints = [{{ address = \"{primary}\", backup = true }},\n\
         {{ address = \"{one}\", role = \"replica\" }}, {{ address = \"{two}\", role = \"replica\" }}]\n"
    );
    let lines = format!("balance = \"round_robin\"\n{BY_USER}{}", signed(""));
    let proxy = Proxy::start(&config(&lines, &shard));
    let write = |cookie: &str| {
        let answer = proxy.ask(&post("/", "x").header("Cookie", cookie));
        answer.expect_status(200).expect_body("primary").expect_no_header("set-cookie");
    };
    write("a=b");
    let (cookie, own) = visitor(&proxy, 1);
    assert_ne!(own, "primary");
    for _ in 0..3 {
        write(&cookie);
        proxy.ask(&with(&cookie, 1)).expect_body(&own).expect_no_header("set-cookie");
    }
}

#[test]
fn a_visitor_whose_endpoint_goes_stays_in_its_shard() {
    let origins = origins(["a0", "a1", "b0", "b1"]);
    let lines = BY_USER.to_owned() + &signed("");
    let all = shards(&["a", "b"], 2, &origins);
    let proxy = Proxy::start(&config(&lines, &all));
    // Whoever comes from elsewhere is mapped elsewhere without a cookie.
    let (was, own, elsewhere) = (0..40)
        .find_map(|client| {
            let (cookie, own) = visitor(&proxy, client);
            let other = proxy.ask(&from(99)).text();
            (own.ends_with('0') && other[..1] != own[..1]).then_some((cookie, own, other))
        })
        .unwrap();
    let gone = if own == "a0" { &origins[0] } else { &origins[2] };
    let without = all.replace(&format!("\"{}\", ", gone.endpoint()), "");
    proxy.reload(&config(&lines, &without)).expect_accepted();
    let answer = proxy.ask(&with(&was, 99));
    answer.expect_body(own.replace('0', "1"));
    assert!(!cookie(&answer).is_empty(), "{own} and not {elsewhere}");
    proxy.ask(&with(&cookie(&answer), 98)).expect_body(own.replace('0', "1"));
}

#[test]
fn a_variable_names_an_endpoint_of_the_shard_that_has_the_key() {
    let origins = origins(["a0", "a1", "b0", "b1"]);
    let mut text = shards(&["a", "b"], 2, &origins);
    for (place, origin) in origins.iter().enumerate() {
        let address = format!("\"{}\"", origin.endpoint());
        let id = ["x", "y"][place % 2];
        text = text.replace(&address, &format!("{{ address = {address}, id = \"{id}\" }}"));
    }
    let lines =
        "shard_by = \"$arg_u\"\npins = { 1 = \"a\", 2 = \"b\" }\nsticky = { route = \"$arg_to\" }";
    let proxy = Proxy::start(&config(lines, &text));
    for (path, answer) in
        [("/?u=1&to=x", "a0"), ("/?u=1&to=y", "a1"), ("/?u=2&to=x", "b0"), ("/?u=2&to=y", "b1")]
    {
        for _ in 0..3 {
            proxy.get(path).expect_body(answer).expect_no_header("set-cookie");
        }
    }
}

#[test]
fn what_is_stored_sets_no_cookie_of_ours() {
    let names = ["a", "b"];
    let fresh = |name: &str| Reply::ok(name).header("Cache-Control", "max-age=600");
    let origins = names.map(|name| {
        let origin = Origin::start().serve("*", fresh(name));
        origin.serve("/private", Reply::ok(name).header("Cache-Control", "no-store"))
    });
    let config = site()
        .route("/*", "proxy = \"app\"\ncache = \"main\"")
        .toml("[zones.main]\nmemory = \"8MiB\"")
        .toml(format_args!(
            "[upstreams.app]\n{BY_USER}{}{}",
            signed(""),
            shards(&names, 1, &origins)
        ));
    let proxy = Proxy::start(&config);
    for _ in 0..3 {
        proxy.get("/page").expect_status(200).expect_no_header("set-cookie");
    }
    assert_eq!(origins.iter().map(|origin| origin.requests("/page").len()).sum::<usize>(), 1);
    // What is not stored is each client's own, once that is known.
    let told = eventually("an answer that is not stored sets it", Deadline::soon(), || {
        let answer = proxy.get("/private");
        (!cookie(&answer).is_empty()).then(|| cookie(&answer))
    });
    assert!(told.starts_with("stay="));
    proxy.ask(&get("/page").header("Cookie", &told)).expect_no_header("set-cookie");
}

/// Begins a session for who asks `/login?NAME`, and says its own name.
fn application(name: &'static str) -> Origin {
    let answer = move |field: String| {
        let length = name.len();
        vec![
            Step::send(format!("HTTP/1.1 200 OK\r\n{field}Content-Length: {length}\r\n\r\n{name}")),
            Step::Next,
        ]
    };
    let login = Answer::Chosen(Choice::new(move |asked| {
        let session = asked.target.split('?').nth(1).unwrap_or_default();
        answer(format!("Set-Cookie: other=1\r\nSet-Cookie: session={session}; Path=/\r\n"))
    }));
    Origin::start().serve("*", Reply::ok(name)).serve("/login", login)
}

const LEARN: &str = "balance = \"round_robin\"\n\
    sticky = { learn = { from = \"$upstream_cookie_session\", by = [\"$cookie_session\", \"$arg_session\"]MORE } }";

fn learning(origins: &[Origin], said: &[&str], more: &str) -> Config {
    let endpoint = |(origin, said): (&Origin, &&str)| {
        format!("{{ address = \"{}\"{said} }}", origin.endpoint())
    };
    let endpoints: Vec<_> = origins.iter().zip(said).map(endpoint).collect();
    let lines = LEARN.replace("MORE", more);
    config(&format!("endpoints = [{}]\n{lines}", endpoints.join(", ")), "").top("workers = 1")
}

fn in_session(name: &str) -> Request {
    get("/").header("Cookie", &format!("a=b; session={name}"))
}

#[test]
fn a_session_stays_where_an_answer_began_it_also_over_a_reload() {
    let origins = ["a", "b", "c"].map(application);
    let of = |said: &[&str]| learning(&origins, said, "");
    let proxy = Proxy::start(&of(&["", "", ""]));
    let sessions: Vec<_> = (0..9)
        .map(|number| {
            let name = format!("s{number}");
            let own = proxy.get(&format!("/login?{name}")).expect_status(200).text();
            (name, own)
        })
        .collect();
    let all_stay = || {
        for (name, own) in &sessions {
            proxy.ask(&in_session(name)).expect_body(own);
            proxy.get(&format!("/?session={name}")).expect_body(own);
        }
    };
    all_stay();
    proxy.reload(&of(&["", ", drain = true", ", weight = 2"])).expect_accepted();
    all_stay();
    assert_eq!(metric(&proxy, "upstream_learned_sessions{upstream=\"app\"}"), 9);
    // A name that no answer has given is nobody's.
    let order: BTreeSet<_> = (0..6).map(|_| proxy.ask(&in_session("forged")).text()).collect();
    assert_eq!(order, BTreeSet::from(["a".to_owned(), "c".to_owned()]));
}

#[test]
fn a_session_whose_endpoint_is_gone_goes_on_with_who_answers_it_then() {
    let origins = ["a", "b", "c"].map(application);
    let proxy = Proxy::start(&learning(&origins, &["", "", ""], ""));
    let own = proxy.get("/login?s").text();
    let others: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|name| if *name == own { ", backup = true" } else { "" })
        .collect();
    proxy.reload(&learning(&origins, &others, "")).expect_accepted();
    let next = proxy.ask(&in_session("s")).text();
    assert_ne!(next, own, "whoever has a backup goes back to the others");
    for _ in 0..4 {
        proxy.ask(&in_session("s")).expect_body(&next);
    }
}

#[test]
fn a_session_that_nobody_asks_for_is_forgotten() {
    let origins = ["a", "b"].map(application);
    let proxy = Proxy::start(&learning(&origins, &["", ""], ", forget = \"1s\", most = 100"));
    let own = proxy.get("/login?s").text();
    let waited = std::time::Instant::now();
    while waited.elapsed() < std::time::Duration::from_millis(1_300) {
        // Others are asked for; this one is not.
        proxy.get("/login?t").expect_status(200);
        proxy.ask(&in_session("t")).expect_status(200);
    }
    let seen: BTreeSet<_> = (0..4).map(|_| proxy.ask(&in_session("s")).text()).collect();
    assert_eq!(seen.len(), 2, "{own} alone no more: {seen:?}");
}

#[test]
fn whoever_was_given_a_backup_goes_back_when_the_others_are_there() {
    let origins = origins(["a", "b"]);
    let of = |said: &str| {
        let [one, backup] = origins.each_ref().map(Origin::endpoint);
        let endpoints = format!(
            "endpoints = [{{ address = \"{one}\"{said} }}, {{ address = \"{backup}\", backup = true }}]\n"
        );
        config(&(endpoints + &signed("")), "")
    };
    let proxy = Proxy::start(&of(", drain = true"));
    let (stays, own) = visitor(&proxy, 1);
    assert_eq!(own, "b");
    proxy.ask(&with(&stays, 1)).expect_body("b").expect_no_header("set-cookie");
    proxy.reload(&of("")).expect_accepted();
    let answer = proxy.ask(&with(&stays, 1));
    answer.expect_body("a");
    proxy.ask(&with(&cookie(&answer), 1)).expect_body("a").expect_no_header("set-cookie");
}
