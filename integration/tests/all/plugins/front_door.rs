//! Plugins that answer at once are asked where answers are made, and come to the same as those that wait.

use std::fs;
use std::path::{Path, PathBuf};

use switchback_integration::{
    AtHits, Config, Deadline, Origin, Proxy, Reply, compiled, config, eventually, get, hit_cost,
    post, request, site,
};
use switchback_plugin::Kind;

use super::{plugin, start};

/// Some of what is asked for is made here, some stored, some an origin's: `filters` are asked about all of it.
fn mixed(filters: &str, origin: &Origin) -> Config {
    site()
        .route("/made", format!("filters = [{filters}]\nrespond = {{ body = \"made here\" }}"))
        .route("/stored/*", format!("filters = [{filters}]\nproxy = \"app\"\ncache = \"main\""))
        .route("/*", format!("filters = [{filters}]\nproxy = \"app\""))
        .upstream("app", &[origin], "")
        .toml(ZONE)
}

const ZONE: &str = "[zones.main]\nmemory = \"16MiB\"\npurge = { allow = [\"127.0.0.0/8\"] }\n";

fn origin() -> Origin {
    let stored = Reply::ok("stored").header("Cache-Control", "max-age=600");
    Origin::start().serve("/stored/a", stored)
}

/// Where all that they are asked for is found.
const PLACES: [&str; 4] = ["/made", "/stored/a", "/stored/a", "/echo"];

#[test]
fn each_answer_is_shown_once_whoever_makes_it() {
    let filters =
        "{ use = \"headers\", options = { response = [{ add = { x-seen = \"$uri\" } }] } }";
    let origin = origin();
    let proxy = Proxy::start(&mixed(filters, &origin));
    let mut client = proxy.client();
    for path in PLACES {
        let answer = client.ask(&get(path));
        answer.expect_status(200);
        assert_eq!(answer.headers.all("x-seen"), [path]);
    }
}

#[test]
fn what_plugins_change_of_a_request_goes_on_from_there() {
    let filters = "{ use = \"headers\", options = { request = [{ set = { x-asked = \"$uri\" }, remove = [\"x-secret\"] }] } }";
    let origin = origin();
    let proxy = Proxy::start(&mixed(filters, &origin));
    for request in [get("/echo"), post("/echo", "body")] {
        proxy.ask(&request.header("X-Secret", "1").header("X-Asked", "0")).expect_status(200);
    }
    assert_eq!(origin.requests("/echo").len(), 2);
    for asked in origin.requests("/echo") {
        assert_eq!(asked.headers.all("x-asked"), ["/echo"], "{}", asked.method);
        assert_eq!(asked.headers.get("x-secret"), None, "{}", asked.method);
    }
}

#[test]
fn hints_come_before_what_is_made_or_stored() {
    let filters = "{ use = \"early-hints\", options = { http1 = true, all_requests = true, hints = [{ paths = [\"/*\"], links = [\"</app.css>; rel=preload\"] }] } }";
    let origin = origin();
    let proxy = Proxy::start(&mixed(filters, &origin));
    let mut client = proxy.client();
    for path in PLACES {
        let hint = client.send(get(path).to_bytes()).response_head();
        hint.expect_status(103).expect_header("link", "</app.css>; rel=preload");
        client.response().expect_status(200);
    }
}

/// An answer of one that answers at once, where another has to see its body piece by piece.
#[test]
fn an_answer_is_shown_to_those_that_look_at_bodies() {
    let filters = "{ use = \"body-substitution\", options = { types = [\"*\"], rules = [{ find = \"orbidden\", replace = \"oolish\" }] } }, \
        { use = \"ip-filter\", options = { deny = [\"127.0.0.0/8\"] } }";
    let origin = origin();
    let proxy = Proxy::start(&mixed(filters, &origin));
    for path in PLACES {
        let answer = proxy.get(path);
        answer.expect_status(403);
        assert!(answer.text().contains("oolish"), "{answer}");
    }
}

/// The first answers at once, the second waits, where there is one before it and where there is not.
#[test]
fn who_waits_is_asked_after_those_that_answer_at_once() {
    let site = "{ use = \"headers\", options = { request = [{ set = { x-tier = \"gold\" } }] } }";
    let origin = origin();
    let waits = "options = { script = { on_request = \"get 0 x-tier; set 0 x-waited yes\" } }";
    let config = config()
        .web("")
        .site(format!("filters = [{site}]"))
        .route(
            "/made",
            "filters = [\"waits\"]\nrespond = { body = \"$http_x_tier $http_x_waited\" }",
        )
        .route("/*", "filters = [\"waits\"]\nproxy = \"app\"")
        .upstream("app", &[&origin], "")
        .toml(plugin("waits", Kind::Linked, waits));
    let proxy = start(Kind::Linked, &config);
    proxy.get("/made").expect_status(200).expect_body("gold yes");
    proxy.get("/echo").expect_status(200);
    let asked = &origin.requests("/echo")[0].headers;
    assert_eq!((asked.get("x-tier"), asked.get("x-waited")), (Some("gold"), Some("yes")));
}

#[test]
fn copies_are_sent_of_what_is_answered_here() {
    let copies = Origin::start();
    let filters = "{ use = \"mirror\", options = { upstream = \"copies\" } }";
    let origin = origin();
    let proxy = Proxy::start(&mixed(filters, &origin).upstream("copies", &[&copies], ""));
    for path in PLACES {
        proxy.get(path).expect_status(200);
    }
    copies.wait_for_requests("/echo", 1);
    copies.wait_for_requests("/stored/a", 2);
    assert_eq!(origin.requests("/stored/a").len(), 1);
}

/// A purge is of a site, not of a route.
#[test]
fn a_purge_passes_the_plugins_of_its_site_first() {
    let filter = "{ use = \"user-agent\", options = { rules = [{ contains = [\"badbot\"], action = \"deny\" }] } }";
    let origin = origin();
    let config = config()
        .web("")
        .site(format!("filters = [{filter}]"))
        .route("/stored/*", "proxy = \"app\"\ncache = \"main\"")
        .upstream("app", &[&origin], "")
        .toml(ZONE);
    let proxy = Proxy::start(&config);
    let from = |method: &str, agent: &str| request(method, "/stored/a").header("User-Agent", agent);
    proxy.ask(&from("GET", "curl")).expect_status(200);
    proxy.ask(&from("PURGE", "badbot")).expect_status(403);
    proxy.ask(&from("GET", "curl")).expect_status(200);
    assert_eq!(origin.requests("/stored/a").len(), 1);
    proxy.ask(&from("PURGE", "curl")).expect_status(200);
    proxy.ask(&from("GET", "curl")).expect_status(200);
    assert_eq!(origin.requests("/stored/a").len(), 2);
}

/// Also of what is stored, whose head is sent as it stands where nobody looks at it.
#[test]
fn the_end_is_told_with_what_was_sent() {
    let page = Reply::ok("page").header("Cache-Control", "max-age=600").header("X-B", "from here");
    let origin = Origin::start().serve("/stored/a", page);
    let proxy = start(Kind::Linked, &mixed("\"ends\"", &origin));
    for _ in 0..2 {
        proxy.get("/stored/a").expect_status(200);
    }
    eventually("both ends are told", Deadline::soon(), || {
        let told = proxy.stderr().matches("ended with Some(\"from here\")").count();
        (told == 2).then_some(())
    });
    assert_eq!(origin.requests("/stored/a").len(), 1);
}

/// A hit with plugins that answer at once is an answer of the front door still, whose head is in no map; as is one whose route has rules.
#[test]
fn plugins_that_answer_at_once_and_rules_leave_hits_where_they_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let native = native(folder.path());
    let most = [
        (AtHits::Plugins, 1.35),
        (AtHits::Native(&native), 1.15),
        (AtHits::Rules, 1.2),
        (AtHits::Shards, 1.1),
    ];
    for (at_hits, most) in most {
        let (without, with) = hit_cost(20, at_hits).expect("valgrind");
        assert!(with < without * most, "{without:.0} instructions, {with:.0} with {at_hits:?}");
    }
}

/// A module in C that does at the head of a request what its `x-do` says, and never waits.
fn native(folder: &Path) -> PathBuf {
    let definitions = ["HOOKS=1", "IMMEDIATE=1", "REQUEST_NEW=NULL", "REQUEST_FREE=NULL"];
    let path = folder.join("native.so");
    fs::write(&path, compiled("plugins/host/tests/native/rogue.c", &definitions)).unwrap();
    path
}

#[test]
fn a_native_plugin_is_asked_about_each_answer_whoever_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let table = format!("[plugins.native]\nmodule = \"{}\"\n", native(folder.path()).display());
    let origin = origin();
    let proxy = Proxy::start(&mixed("\"native\"", &origin).toml(table));
    for path in PLACES {
        proxy.get(path).expect_status(200);
        proxy.ask(&get(path).header("X-Do", "fail")).expect_status(500);
    }
    assert_eq!(origin.requests("/stored/a").len(), 1);
}
