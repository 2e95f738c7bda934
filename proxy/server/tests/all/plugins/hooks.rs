//! Each hook is called where it should be, over HTTP/1 and HTTP/2, whoever answers.

use std::io::{Read, Write};

use super::doing::logged;
use super::{Answer, World};

const PROXIED: &str = "[[sites]]\n[[sites.routes]]\nfilters = [\"traces\"]\nproxy = \"app\"\n";

#[test]
fn a_proxied_request_meets_every_hook_in_order() {
    let world = World::start(PROXIED);
    let body = "hello";
    let head = "POST /a HTTP/1.1\r\nX-Tag: proxied\r\nX-Said: yes\r\nContent-Length: 5\r\n";
    let answer = world.ask(head, body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    let before = "request route upstream upstream_request request_body upstream_response response";
    assert_eq!(answer.field("x-trace"), before);
    assert_eq!(answer.field("x-seen"), "POST shop.example/a yes");
    assert!(
        answer.body.contains("x-from-plugin: request route upstream upstream_request\n"),
        "{answer:?}"
    );
    assert!(answer.body.ends_with("\nhello"), "{answer:?}");
    let sent = answer.body.len();
    let line = format!("{before} response_body log status=200 sent={sent}");
    let said = logged("proxied");
    assert!(said.starts_with(&line[..line.len() - 10]), "{said}");
    let again = world.ask_h2("POST", "/a", b"hello");
    assert_eq!((again.status, again.field("x-trace")), (200, before), "{again:?}");
}

#[test]
fn a_request_without_filters_is_left_alone() {
    let world = World::start(
        "[[sites]]\n[[sites.routes]]\nmatch.path = \"/free\"\nproxy = \"app\"\n[[sites.routes]]\nfilters = [\"traces\"]\nproxy = \"app\"\n",
    );
    let answer = world.get("/free");
    assert_eq!((answer.status, answer.field("x-trace")), (200, ""));
    assert!(!answer.body.contains("x-from-plugin"));
    assert_ne!(world.get("/b").field("x-trace"), "");
}

const LOCAL: &str = "[[sites]]\nfilters = [\"traces\"]\nerrors = { 404 = \"gone\" }\n\
    [[sites.routes]]\nmatch.path = \"/fixed\"\nrespond.body = \"fixed $plugin_seen\"\n\
    [[sites.routes]]\nmatch.path = \"/old\"\nredirect = \"/new\"\n\
    [[sites.routes]]\nmatch.path = \"/again\"\nrewrite = \"/fixed\"\n\
    [[sites.routes]]\nmatch.path = \"/refused\"\naccess = { clients = [\"deny all\"] }\nrespond.body = \"\"\n\
    [[sites.routes]]\nname = \"gone\"\ninternal = true\nrespond.body = \"gone\"\n";

#[test]
fn answers_that_are_made_here_meet_the_hooks_of_requests_and_responses() {
    let world = World::start(LOCAL);
    for (path, status) in [("/fixed", 200), ("/old", 302), ("/again", 200)] {
        for answer in [world.get(path), world.ask_h2("GET", path, b"")] {
            assert_eq!(
                (answer.status, answer.field("x-trace")),
                (status, "request route response"),
                "{path} {answer:?}"
            );
        }
    }
    let answer = world.get("/fixed");
    assert_eq!(answer.body, "fixed GET shop.example/fixed ");
}

#[test]
fn error_pages_and_routes_that_stand_in_meet_the_hooks_of_responses() {
    let world = World::start(LOCAL);
    for answer in [world.get("/nothing"), world.ask_h2("GET", "/nothing", b"")] {
        assert_eq!((answer.status, &*answer.body), (404, "gone"));
        assert!(answer.field("x-trace").ends_with("response"), "{answer:?}");
    }
    for answer in [world.get("/refused"), world.ask_h2("GET", "/refused", b"")] {
        assert_eq!((answer.status, answer.field("x-trace")), (403, "response"), "{answer:?}");
    }
}

#[test]
fn what_a_plugin_answers_meets_the_hooks_of_responses() {
    let deny = "{ use = \"does\", options = { at = \"request\", do = \"deny\", value = \"no\" } }";
    let site =
        format!("[[sites]]\nfilters = [\"traces\", {deny}]\n[[sites.routes]]\nproxy = \"app\"\n");
    let world = World::start(&site);
    for answer in [world.get("/"), world.ask_h2("GET", "/", b"")] {
        assert_eq!((answer.status, answer.field("x-denied")), (403, "no"));
        assert_eq!(answer.field("x-trace"), "request response");
        assert_eq!(answer.body, "Forbidden\n");
    }
    assert_eq!(world.origin.requests(), 0);
}

const CACHED: &str = "[[sites]]\n[[sites.routes]]\nfilters = [\"traces\"]\nproxy = \"app\"\ncache = \"main\"\n[zones.main]\n";

#[test]
fn a_fetch_meets_the_hooks_of_upstreams_and_a_hit_those_of_its_client() {
    let world = World::start(CACHED);
    let fetched = world.get("/kept");
    let own = "request route response";
    assert_eq!((fetched.status, fetched.field("x-trace")), (200, own), "{fetched:?}");
    // What is fetched is for all who come: it remembers nothing of one of them.
    assert_eq!(fetched.field("x-fetched"), "upstream upstream_request upstream_response");
    for hit in [world.get("/kept"), world.ask_h2("GET", "/kept", b"")] {
        assert_eq!((hit.status, hit.field("x-trace")), (200, own));
        assert_eq!(hit.field("x-fetched"), "upstream upstream_request upstream_response");
        assert_eq!(hit.body, fetched.body);
    }
    assert_eq!(world.origin.requests(), 1);
}

#[test]
fn a_request_that_is_taken_in_first_meets_each_hook_once() {
    let site = "[[sites]]\n[[sites.routes]]\nfilters = [\"traces\"]\nproxy = { upstream = \"app\", buffer_request = true }\n";
    let world = World::start(site);
    let answer = world.ask("POST /a HTTP/1.1\r\nX-Tag: buffered\r\nContent-Length: 2\r\n", b"ab");
    let steps = "request route upstream upstream_request request_body upstream_response response";
    assert_eq!((answer.status, answer.field("x-trace")), (200, steps), "{answer:?}");
    assert!(
        logged("buffered").starts_with(&format!("{steps} response_body log ")),
        "{}",
        logged("buffered")
    );
}

#[test]
fn a_replaced_answer_meets_the_hooks_of_the_route_that_answers() {
    let site = "[[sites]]\nfilters = [\"traces\"]\n[[sites.routes]]\nproxy = \"app\"\nerrors = { 503 = \"sorry\" }\n\
        [[sites.routes]]\nname = \"sorry\"\ninternal = true\nrespond.body = \"sorry\"\n";
    let world = World::start(site);
    for answer in [world.get("/bad"), world.ask_h2("GET", "/bad", b"")] {
        assert_eq!((answer.status, &*answer.body), (503, "sorry"), "{answer:?}");
        assert_eq!(
            answer.field("x-trace"),
            "request route upstream upstream_request upstream_response response"
        );
    }
}

#[test]
fn a_websocket_meets_the_hooks_of_heads() {
    let world = World::start(PROXIED);
    let head = "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nX-Tag: tunnel\r\n";
    let mut stream = world.connect();
    write!(stream, "{head}Connection: upgrade\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    // This origin does not agree to change protocols.
    let answer = Answer::read(&answer, true);
    let steps = "request route upstream upstream_request upstream_response response";
    assert_eq!((answer.status, answer.field("x-trace")), (200, steps), "{answer:?}");
    assert!(logged("tunnel").ends_with(&format!("log status=200 sent={}", answer.body.len())));
}

#[test]
fn filters_of_listeners_sites_and_routes_are_asked_in_that_order() {
    let deny = |value: &str| {
        format!(
            "{{ use = \"does\", options = {{ at = \"request\", do = \"deny\", value = \"{value}\" }} }}"
        )
    };
    let header =
        "{ use = \"does\", options = { at = \"response\", do = \"status\", value = \"418\" } }";
    let site = format!(
        "[[sites]]\nfilters = [\"traces\", {header}]\n[[sites.routes]]\nfilters = [{}, {}]\nproxy = \"app\"\n",
        deny("first"),
        deny("second")
    );
    let answer = World::start(&site).get("/");
    assert_eq!((answer.status, answer.field("x-denied")), (418, "first"), "{answer:?}");
    assert_eq!(answer.field("x-trace"), "request response");
}

#[test]
fn one_of_any_group_lets_a_request_through() {
    let deny = "{ use = \"does\", options = { at = \"request\", do = \"deny\" } }";
    let pass = "{ use = \"does\", options = { at = \"request\", do = \"nap\" } }";
    let site = |members: &str| {
        format!(
            "[[sites]]\n[[sites.routes]]\nfilters = [{{ any = [{members}] }}]\nproxy = \"app\"\n"
        )
    };
    assert_eq!(World::start(&site(&format!("{deny}, {pass}"))).get("/").status, 200);
    assert_eq!(World::start(&site(&format!("{deny}, {deny}"))).get("/").status, 403);
    let all = format!("{deny}, {{ all = [{pass}, {deny}] }}");
    assert_eq!(World::start(&site(&all)).get("/").status, 403);
}

#[test]
fn variables_that_plugins_set_are_there_for_rules_and_logs() {
    let folder = crate::command::Folder::empty();
    let log = folder.path().join("access.log");
    let set =
        "{ use = \"does\", options = { at = \"request\", do = \"variable\", value = \"gold\" } }";
    let site = format!(
        "[[log.access]]\nfile = {log:?}\nformat = \"$plugin_tier $plugin_none\"\n\
         [[sites]]\nfilters = [{set}]\n[[sites.routes]]\nproxy = \"app\"\n\
         request_headers.set.x-tier = \"$plugin_tier\"\nresponse_headers.set.x-tier = \"$plugin_tier\"\n"
    );
    let world = World::start(&site);
    let answer = world.get("/");
    assert_eq!(answer.field("x-tier"), "gold", "{answer:?}");
    assert!(answer.body.to_ascii_lowercase().contains("\nx-tier: gold"), "{answer:?}");
    world.handle.stop(switchback::StopMode::Graceful);
    let _ = world.handle.wait();
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "gold -\n");
}
