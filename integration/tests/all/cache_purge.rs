//! What is purged is not answered with again: by PURGE, from the command line, over the control socket.

use serde_json::json;
use switchback_integration::{
    Config, Deadline, Origin, Proxy, Reply, eventually, get, request, site,
};

/// A cached site; `zone` has these lines, too.
fn cached(origin: &Origin, zone: &str) -> Config {
    site()
        .route("/*", "proxy = \"app\"\ncache = \"main\"")
        .upstream("app", &[origin], "")
        .toml(format_args!("[zones.main]\nmemory = \"16MiB\"\n{zone}"))
}

const FROM_LOOPBACK: &str = "purge = { allow = [\"127.0.0.0/8\"] }";

fn fresh(body: &str) -> Reply {
    Reply::ok(body).header("Cache-Control", "max-age=600")
}

/// An origin whose pages are fresh for long.
fn origin(pages: &[&str]) -> Origin {
    pages.iter().fold(Origin::start(), |origin, page| origin.serve(page, fresh(page)))
}

/// How often the origin was asked for each of these, when each was asked for once more.
fn asked_after(proxy: &Proxy, origin: &Origin, pages: &[&str]) -> Vec<usize> {
    for page in pages {
        proxy.get(page).expect_status(200);
    }
    pages.iter().map(|page| origin.requests(page).len()).collect()
}

#[test]
fn a_page_is_purged_with_all_its_variants_and_others_stay() {
    let origin =
        Origin::start().serve("/a", fresh("a").header("Vary", "X-Kind")).serve("/b", fresh("b"));
    let proxy = Proxy::start(&cached(&origin, FROM_LOOPBACK));
    let all = || {
        for kind in ["1", "2"] {
            proxy.ask(&get("/a").header("X-Kind", kind)).expect_status(200);
        }
        proxy.get("/b").expect_status(200);
    };
    all();
    all();
    assert_eq!(origin.requests("*").len(), 3);
    let purged = proxy.ask(&request("PURGE", "/a"));
    purged.expect_status(200).expect_header("content-type", "application/json");
    assert_eq!(purged.json(), json!({ "zones": ["main"], "soft": false }));
    all();
    assert_eq!((origin.requests("/a").len(), origin.requests("/b").len()), (4, 1));
    // What is not stored can be purged as well.
    proxy.ask(&request("PURGE", "/nothing")).expect_status(200);
    assert!(origin.requests("*").iter().all(|asked| asked.method == "GET"));
}

#[test]
fn only_those_whom_a_zone_allows_may_purge() {
    let origin = origin(&["/a"]);
    let proxy = Proxy::start(&cached(&origin, "purge = { allow = [\"10.0.0.0/8\"] }"));
    proxy.get("/a").expect_status(200);
    proxy.ask(&request("PURGE", "/a")).expect_status(403);
    assert_eq!(asked_after(&proxy, &origin, &["/a"]), [1]);
}

#[test]
fn where_nobody_may_purge_it_is_a_method_like_any_other() {
    let origin = Origin::start();
    let proxy = Proxy::start(&cached(&origin, ""));
    let answer = proxy.ask(&request("PURGE", "/a"));
    assert_eq!(answer.expect_status(200).json()["method"], "PURGE");
}

#[test]
fn a_purge_needs_no_route_that_takes_the_method() {
    let origin = origin(&["/a"]);
    let config = site()
        .route_lines(
            "match = { path = \"/a\", method = \"GET\" }\nproxy = \"app\"\ncache = \"main\"",
        )
        .upstream("app", &[&origin], "")
        .toml(format_args!("[zones.main]\n{FROM_LOOPBACK}"));
    let proxy = Proxy::start(&config);
    assert_eq!(asked_after(&proxy, &origin, &["/a", "/a"]), [1, 1]);
    proxy.ask(&request("PURGE", "/a")).expect_status(200);
    assert_eq!(asked_after(&proxy, &origin, &["/a"]), [2]);
}

#[test]
fn tags_are_purged_whatever_field_names_them() {
    let fields = [
        ("/a", "Surrogate-Key", "red big"),
        ("/b", "Cache-Tag", "big,blue"),
        ("/c", "xkey", "red"),
    ];
    let origin = fields.iter().fold(Origin::start(), |origin, (path, name, tags)| {
        origin.serve(path, fresh(path).header(name, tags))
    });
    let proxy = Proxy::start(&cached(&origin, FROM_LOOPBACK));
    let pages = ["/a", "/b", "/c"];
    assert_eq!(asked_after(&proxy, &origin, &pages), [1, 1, 1]);
    proxy.ask(&request("PURGE", "/").header("Surrogate-Key", "red")).expect_status(200);
    assert_eq!(asked_after(&proxy, &origin, &pages), [2, 1, 2]);
    proxy.ask(&request("PURGE", "/").header("Cache-Tag", "big, none")).expect_status(200);
    assert_eq!(asked_after(&proxy, &origin, &pages), [3, 2, 2]);
}

#[test]
fn what_is_purged_softly_is_validated_and_used_again() {
    let origin = Origin::start().serve("/a", fresh("a").header("ETag", "\"1\""));
    let proxy = Proxy::start(&cached(&origin, FROM_LOOPBACK));
    proxy.get("/a").expect_body("a");
    let soft = request("PURGE", "/a").header("X-Purge", "soft");
    assert_eq!(proxy.ask(&soft).expect_status(200).json()["soft"], true);
    origin.now_serve("/a", Reply::ok("").status(304).header("ETag", "\"1\""));
    let used = proxy.get("/a");
    used.expect_status(200).expect_body("a");
    let told = used.headers.get("cache-status").unwrap_or_default();
    assert!(told.starts_with("switchback;fwd=stale;fwd-status=304"), "{told}");
    let asked = origin.requests("/a");
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].headers.all("if-none-match"), ["\"1\""]);
}

#[test]
fn the_command_line_purges_pages_prefixes_hosts_tags_and_all() {
    let origin = Origin::start()
        .serve("/news/1", fresh("1"))
        .serve("/news/2", fresh("2").header("xkey", "two"))
        .serve("/shop", fresh("shop"));
    let proxy = Proxy::start(&cached(&origin, ""));
    let pages = ["/news/1", "/news/2", "/shop"];
    let host = "localhost";
    let purge = |arguments: &[&str]| {
        let all = [&["purge", "--control", "switchback.sock"], arguments].concat();
        let done = proxy.run(&all);
        (done.code, done.stdout)
    };
    let done = (Some(0), "purged in main\n".to_owned());
    assert_eq!(asked_after(&proxy, &origin, &pages), [1, 1, 1]);
    assert_eq!(purge(&[&format!("http://{host}/news/1"), &format!("{host}/shop")]), done);
    assert_eq!(asked_after(&proxy, &origin, &pages), [2, 1, 2]);
    assert_eq!(purge(&["--prefix", &format!("http://{host}/news/")]), done);
    assert_eq!(asked_after(&proxy, &origin, &pages), [3, 2, 2]);
    assert_eq!(purge(&["--host", "LocalHost", "--zone", "main"]), done);
    assert_eq!(asked_after(&proxy, &origin, &pages), [4, 3, 3]);
    assert_eq!(purge(&["--tag", "none", "--tag", "two"]), done);
    assert_eq!(asked_after(&proxy, &origin, &pages), [4, 4, 3]);
    assert_eq!(purge(&["--all"]), done);
    assert_eq!(asked_after(&proxy, &origin, &pages), [5, 5, 4]);
    assert_eq!(purge(&[&format!("https://{host}/shop")]), done);
    assert_eq!(asked_after(&proxy, &origin, &pages), [5, 5, 4], "another scheme");
    assert_eq!(purge(&["--all", "--zone", "other"]).0, Some(1));
    assert_eq!(purge(&["ftp://a/"]).0, Some(1));
    assert_eq!(purge(&["--all", "--host", "a"]).0, Some(2));
    assert_eq!(purge(&[]).0, Some(2));
    assert_eq!(asked_after(&proxy, &origin, &pages), [5, 5, 4]);
}

#[test]
fn the_control_socket_tells_what_is_stored() {
    let origin = origin(&["/a", "/b"]);
    let proxy = Proxy::start(&cached(&origin, ""));
    assert_eq!(asked_after(&proxy, &origin, &["/a", "/b", "/b"]), [1, 1, 1]);
    let caches = proxy.control("GET", "/cache", None).json();
    let zone = &caches["zones"][0];
    assert_eq!((&zone["name"], &zone["entries"]), (&json!("main"), &json!(2)));
    // A request is counted when its answer is out.
    eventually("all are counted", Deadline::soon(), || {
        let caches = proxy.control("GET", "/cache", None).json();
        let zone = &caches["zones"][0];
        (zone["hits"] == 1 && zone["misses"] == 2).then_some(())
    });
    let mut urls = Vec::new();
    let mut page = proxy.control("GET", "/cache?zone=main&limit=1", None).json();
    loop {
        for entry in page["entries"].as_array().unwrap() {
            assert_eq!((&entry["status"], &entry["length"]), (&json!(200), &json!(2)));
            urls.push(entry["url"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next"].as_str() else { break };
        let path = format!("/cache?zone=main&limit=1&after={next}");
        page = proxy.control("GET", &path, None).json();
    }
    urls.sort();
    let host = "localhost";
    assert_eq!(urls, [format!("http://{host}/a"), format!("http://{host}/b")]);
    let body = json!({ "urls": [format!("http://{host}/a")] });
    proxy.control("POST", "/cache/purge", Some(&body)).expect_status(200);
    assert_eq!(asked_after(&proxy, &origin, &["/a", "/b"]), [2, 1]);
    proxy.control("POST", "/cache/purge", Some(&json!({}))).expect_status(400);
}
