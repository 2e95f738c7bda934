//! `X-Accel-Expires` of applications that were written for nginx.

use switchback_integration::{Config, Origin, Proxy, Reply, site};

/// A cached site; `lines` are of its cache.
fn cached(origin: &Origin, lines: &str) -> Config {
    site()
        .route("/*", format!("proxy = \"app\"\ncache = {{ zone = \"main\"{lines} }}"))
        .upstream("app", &[origin], "")
        .toml("[zones.main]\nmemory = \"16MiB\"")
}

/// Pages that tell nginx something else than others.
fn origin() -> Origin {
    let page = |control: &str, accel: &str| {
        Reply::ok("page").header("Cache-Control", control).header("X-Accel-Expires", accel)
    };
    Origin::start()
        .serve("/kept", page("no-store", "600"))
        .serve("/not", page("max-age=600", "0"))
        .serve("/over", page("max-age=600", "@1000000000"))
}

/// How often the origin is asked for each of its pages, when each is asked for twice.
fn asked(lines: &str) -> [usize; 3] {
    let origin = origin();
    let proxy = Proxy::start(&cached(&origin, lines));
    ["/kept", "/not", "/over"].map(|page| {
        for _ in 0..2 {
            proxy.get(page).expect_status(200).expect_body("page");
        }
        origin.requests(page).len()
    })
}

#[test]
fn an_application_of_nginx_says_how_long_its_pages_are_kept() {
    assert_eq!(asked(", targeted = [\"X-Accel-Expires\"]"), [1, 2, 2]);
}

#[test]
fn it_says_nothing_where_the_route_does_not_listen() {
    assert_eq!(asked(""), [2, 1, 1]);
    let deaf = ", targeted = [\"x-accel-expires\"], ignore = [\"x-accel-expires\"]";
    assert_eq!(asked(deaf), [2, 1, 1]);
}
