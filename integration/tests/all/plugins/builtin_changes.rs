//! Built-in plugins that change what passes.

use serde_json::json;
use switchback_integration::{Origin, Proxy, Reply, get};

use super::{built_in, received};

/// Of the plugin's own tests, which write what it reads.
#[path = "../../../../plugins/builtin/src/geo/writer.rs"]
mod writer;

#[test]
fn geo_says_where_clients_are() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("countries.mmdb");
    let here = |country: &str| {
        writer::database(&[("127.0.0.0/8", json!({ "country": { "iso_code": country } }))])
    };
    std::fs::write(&file, here("DE")).unwrap();
    let origin = Origin::start();
    let options = |more: &str| {
        format!(
            "databases = [\"{}\"], headers = {{ x-country = \"country\" }}{more}",
            file.display()
        )
    };
    let proxy = Proxy::start(&built_in("geo", &options(""), &origin));
    let request = get("/").header("X-Country", "forged");
    assert_eq!(received(&proxy, &request, "x-country"), ["DE"]);
    proxy.reload(&built_in("geo", &options(", deny = [\"DE\"]"), &origin)).expect_accepted();
    proxy.get("/").expect_status(403);
}

#[test]
fn headers_are_set_and_removed() {
    let origin = Origin::start().serve("/down", Reply::ok("x").header("X-Secret", "1"));
    let options = "request = [{ remove = [\"x-internal-*\"], set = { x-asked = \"$request_method $uri\" } }], response = [{ remove = [\"x-secret\"], set = { x-found = \"$status\" }, when = { status = [\"200\"] } }]";
    let proxy = Proxy::start(&built_in("headers", options, &origin));
    let request = get("/up").header("X-Internal-A", "1");
    assert_eq!(received(&proxy, &request, "x-asked"), ["GET /up"]);
    assert_eq!(origin.requests("/up")[0].headers.get("x-internal-a"), None);
    let answer = proxy.get("/down");
    answer.expect_status(200).expect_no_header("x-secret").expect_header("x-found", "200");
}

/// They would be malformed over HTTP/2.
#[test]
fn blanks_around_values_are_not_sent() {
    let origin = Origin::start();
    let options = "response = [{ set = { x-made = \" a \", x-said = \"$http_x_none $status $http_x_none\" } }]";
    let proxy = Proxy::start(&built_in("headers", options, &origin));
    let answer = proxy.get("/");
    let head = String::from_utf8_lossy(&answer.raw_head).to_lowercase();
    assert!(head.contains("x-made: a\r\n") && head.contains("x-said: 200\r\n"), "{head}");
}

#[test]
fn body_substitution_replaces_text_across_pieces() {
    let page = "<p>hello old world, old world</p>".repeat(500);
    let reply = Reply::ok(page.clone()).header("Content-Type", "text/html").chunked(7);
    let other = Reply::ok(page.clone()).header("Content-Type", "application/json");
    let origin = Origin::start().serve("/page", reply).serve("/data", other);
    let options = "rules = [{ find = \"old world\", replace = \"new one\" }]";
    let proxy = Proxy::start(&built_in("body-substitution", options, &origin));
    proxy.get("/page").expect_status(200).expect_body(page.replace("old world", "new one"));
    proxy.get("/data").expect_status(200).expect_body(&page);
}
