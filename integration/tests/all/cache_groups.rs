//! Cache groups (RFC 9875): what an unsafe method, or an operator, makes invalid together.

use switchback_integration::{
    Authority, Config, H2Client, H2Request, Origin, Proxy, Reply, Trust, config, get, post,
    request, site,
};

fn fresh(body: &str) -> Reply {
    Reply::ok(body).header("Cache-Control", "max-age=600")
}

/// Pages and the groups that they are in; what is sent to `/change` makes `one` invalid, to `/both` that and `two`.
fn origin() -> Origin {
    Origin::start()
        .serve("/one", fresh("1").header("Cache-Groups", "\"one\""))
        .serve("/two", fresh("2").header("Cache-Groups", "\"two\""))
        .serve("/mixed", fresh("12").header("Cache-Groups", "\"two\", \"one\"; a=1"))
        .serve("/none", fresh("0"))
        .serve("/change", Reply::ok("").header("Cache-Group-Invalidation", "\"one\""))
        .serve("/both", Reply::ok("").header("Cache-Group-Invalidation", "\"one\", \"two\""))
        .serve("/wrong", Reply::ok("").header("Cache-Group-Invalidation", "one, \"two\""))
}

const PAGES: [&str; 4] = ["/one", "/two", "/mixed", "/none"];

/// Both sites and listeners with the same cache.
fn cached(listeners: Config, origin: &Origin, settings: &str) -> Config {
    listeners
        .route("/*", format_args!("proxy = \"app\"\ncache = {{ zone = \"main\"{settings} }}"))
        .upstream("app", &[origin], "")
        .toml("[zones.main]")
}

/// How often the origin was asked for each page, when each was asked for once more.
fn asked_after(proxy: &Proxy, origin: &Origin) -> [usize; 4] {
    PAGES.map(|page| {
        proxy.get(page).expect_status(200);
        origin.requests(page).len()
    })
}

#[test]
fn an_unsafe_method_makes_the_groups_invalid_that_its_answer_names() {
    let origin = origin();
    let proxy = Proxy::start(&cached(site(), &origin, ""));
    assert_eq!(asked_after(&proxy, &origin), [1, 1, 1, 1]);
    assert_eq!(asked_after(&proxy, &origin), [1, 1, 1, 1]);
    proxy.ask(&post("/change", "x")).expect_status(200);
    assert_eq!(asked_after(&proxy, &origin), [2, 1, 2, 1]);
    proxy.ask(&request("DELETE", "/both")).expect_status(200);
    assert_eq!(asked_after(&proxy, &origin), [3, 2, 3, 1]);
    // What cannot be read names nothing, and what is safe changes nothing.
    proxy.ask(&post("/wrong", "x")).expect_status(200);
    proxy.get("/both").expect_status(200);
    assert_eq!(asked_after(&proxy, &origin), [3, 2, 3, 1]);
}

#[test]
fn a_group_is_one_of_its_origin() {
    let authority = Authority::new();
    let identity = authority.identity(&["a.example"]);
    let origin = origin();
    let listeners = config()
        .file("a.pem", identity.certificate_pem())
        .file("a.key", identity.key_pem())
        .web("")
        .listener("name = \"tls\"\naddress = \"127.0.0.2:0\"\ntls = { certificate = \"a.pem\", key = \"a.key\" }")
        .site("");
    let proxy = Proxy::start(&cached(listeners, &origin, ""));
    let mut secured =
        H2Client::tls(proxy.address("tls"), "a.example", &Trust::Authority(&authority));
    let mut fetches = || {
        for host in ["a.example", "b.example"] {
            proxy.ask(&get("/one").host(host)).expect_status(200);
        }
        secured.ask(&H2Request::new("GET", "/one").authority("a.example")).expect_status(200);
        origin.requests("/one").len()
    };
    assert_eq!((fetches(), fetches()), (3, 3));
    proxy.ask(&post("/change", "x").host("b.example")).expect_status(200);
    assert_eq!(fetches(), 4);
    proxy.ask(&post("/change", "x").host("c.example")).expect_status(200);
    assert_eq!(fetches(), 4);
    proxy.ask(&post("/change", "x").host("A.example")).expect_status(200);
    assert_eq!(fetches(), 5);
    let mut secured =
        H2Client::tls(proxy.address("tls"), "a.example", &Trust::Authority(&authority));
    secured.ask(&H2Request::new("POST", "/change").authority("a.example")).expect_status(200);
    assert_eq!(fetches(), 6);
}

#[test]
fn the_groups_of_a_page_are_those_that_a_validation_has_told_last() {
    let origin = Origin::start()
        .serve("/a", fresh("a").header("ETag", "\"1\"").header("Cache-Groups", "\"old\""));
    let proxy = Proxy::start(&cached(site(), &origin, ""));
    proxy.get("/a").expect_body("a");
    let told = Reply::ok("").status(304).header("ETag", "\"1\"");
    origin.now_serve(
        "/a",
        told.header("Cache-Groups", "\"new\"").header("Cache-Control", "max-age=600"),
    );
    proxy.ask(&get("/a").header("Cache-Control", "no-cache")).expect_body("a");
    assert_eq!(origin.requests("/a").len(), 2);
    for (group, fetches) in [("\"old\"", 2), ("\"new\"", 3)] {
        origin.now_serve("/change", Reply::ok("").header("Cache-Group-Invalidation", group));
        origin.now_serve("/a", fresh("b"));
        proxy.ask(&post("/change", "x")).expect_status(200);
        proxy.get("/a").expect_status(200);
        assert_eq!(origin.requests("/a").len(), fetches, "{group}");
    }
}

#[test]
fn a_route_may_be_deaf_to_groups() {
    let origin = origin();
    let proxy = Proxy::start(&cached(site(), &origin, ", groups = false"));
    assert_eq!(asked_after(&proxy, &origin), [1, 1, 1, 1]);
    proxy.ask(&post("/both", "x")).expect_status(200);
    assert_eq!(asked_after(&proxy, &origin), [1, 1, 1, 1]);
}

#[test]
fn an_operator_purges_a_group_of_one_origin() {
    let origin = origin();
    let proxy = Proxy::start(&cached(site(), &origin, ""));
    assert_eq!(asked_after(&proxy, &origin), [1, 1, 1, 1]);
    let purge = |arguments: &[&str]| {
        let all = [&["purge", "--control", "switchback.sock"], arguments].concat();
        proxy.run(&all).code
    };
    assert_eq!(purge(&["--group", "https://localhost", "one"]), Some(0));
    assert_eq!(purge(&["--group", "http://other.example", "one"]), Some(0));
    assert_eq!(purge(&["--group", "http://localhost", "On"]), Some(0));
    assert_eq!(asked_after(&proxy, &origin), [1, 1, 1, 1]);
    assert_eq!(purge(&["--group", "http://localhost", "one"]), Some(0));
    assert_eq!(asked_after(&proxy, &origin), [2, 1, 2, 1]);
    let wanted = serde_json::json!({ "group": { "origin": "localhost", "name": "two" } });
    let answer = proxy.control("POST", "/cache/purge", Some(&wanted));
    answer.expect_status(200);
    assert_eq!(asked_after(&proxy, &origin), [2, 2, 3, 1]);
}
