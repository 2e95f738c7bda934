//! Groups of filters whose members are of different kinds.

use switchback_integration::{Config, Origin, Proxy, get, site};
use switchback_plugin::Kind;

use super::plugin;

/// What `filters` may name: a compiled module that turns everybody away, and Wasm that asks everybody for a password.
fn with(filters: &str, origin: &Origin) -> Config {
    let says = |flow: &str| format!("options = {{ script = {{ on_request = \"{flow}\" }} }}");
    site()
        .route("/*", format!("filters = {filters}\nproxy = \"app\""))
        .upstream("app", &[origin], "")
        .toml(plugin("closed", Kind::Native, &says("deny 403")))
        .toml(plugin("door", Kind::Wasm, &says("answer 401 who?")))
        .toml("[plugins.here]\nuse = \"ip-filter\"\noptions = { allow = [\"127.0.0.0/8\"] }\n")
        .toml("[plugins.nobody]\nuse = \"ip-filter\"\noptions = { deny = [\"127.0.0.0/8\"], status = 410 }\n")
}

#[test]
fn members_of_any_kind_let_pass_or_do_not() {
    let origin = Origin::start();
    let proxy = Proxy::start(&with("[\"here\"]", &origin));
    for (filters, status) in [
        ("[{ any = [\"closed\", \"here\"] }]", 200),
        ("[{ any = [\"closed\", \"door\"] }]", 401),
        ("[{ any = [\"closed\", \"nobody\"] }]", 403),
        ("[{ any = [\"nobody\", \"closed\"] }]", 410),
        ("[{ any = [\"closed\", { all = [\"here\", \"door\"] }] }]", 401),
        ("[{ any = [{ all = [\"here\", \"here\"] }, \"closed\"] }]", 200),
        ("[{ all = [\"here\", \"closed\"] }]", 403),
        ("[\"here\", \"door\", \"closed\"]", 401),
    ] {
        let before = origin.heads();
        proxy.reload(&with(filters, &origin)).expect_accepted();
        let answer = proxy.get("/");
        assert_eq!(answer.status, status, "{filters}: {answer}");
        assert_eq!(origin.heads() - before, usize::from(status == 200), "{filters}");
    }
}

/// A member that fails does not let the request pass, and another one may.
#[test]
fn a_member_that_breaks_is_one_that_does_not_let_pass() {
    let origin = Origin::start();
    for kind in [Kind::Native, Kind::Wasm] {
        let breaks = plugin("breaks", kind, "options = { script = { on_request = \"panic\" } }");
        let config = |filters| with(filters, &origin).toml(&breaks);
        let proxy = Proxy::start(&config("[{ any = [\"breaks\", \"closed\"] }]"));
        let status = proxy.get("/").status;
        assert!([403, 500].contains(&status), "{kind}: {status}");
        proxy.reload(&config("[{ any = [\"breaks\", \"breaks\"] }]")).expect_accepted();
        proxy.get("/").expect_status(500);
        assert_eq!(origin.heads(), 0, "{kind}");
    }
}

/// The usual things on one route: each sees what those before it have made.
#[test]
fn built_in_plugins_stand_together() {
    let origin = Origin::start();
    let filters = "[\n\
         { use = \"request-id\", options = { accept = true, header = \"x-trace-id\" } },\n\
         { use = \"headers\", options = { request = [{ set = { x-seen = \"$plugin_id\" } }], response = [{ set = { x-by = \"$plugin_user\" } }] } },\n\
         { any = [{ use = \"ip-filter\", options = { allow = [\"10.0.0.0/8\"] } }, \"people\"] },\n\
         { use = \"rate-limit\", options = { rate = \"2/h\", burst = 2, key = \"$plugin_user\" } },\n\
         ]";
    // Of `password`.
    let people = "[plugins.people]\nuse = \"basic-auth\"\n\
         options = { users = { alice = \"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\" }, hide = true }\n";
    let config = site()
        .route("/*", format!("filters = {filters}\nproxy = \"app\""))
        .upstream("app", &[&origin], "")
        .toml(people);
    let proxy = Proxy::start(&config);
    // Who could come in with a password is asked for it.
    proxy.get("/").expect_status(401);
    let alice = get("/")
        .header("Authorization", "Basic YWxpY2U6cGFzc3dvcmQ=")
        .header("X-Trace-Id", "from-outside-1");
    let passed = proxy.ask(&alice);
    passed.expect_status(200).expect_header("x-by", "alice");
    passed.expect_header("x-trace-id", "from-outside-1");
    let sent = &origin.requests("/")[0];
    assert_eq!(sent.headers.get("x-seen"), Some("from-outside-1"));
    assert_eq!(sent.headers.get("authorization"), None);
    proxy.ask(&alice).expect_status(200);
    let limited = proxy.ask(&alice);
    limited.expect_status(429);
    assert!(limited.headers.get("retry-after").is_some(), "{limited}");
    assert_eq!(origin.heads(), 2);
}
