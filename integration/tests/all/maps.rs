//! Values that are looked up, in the configuration and in files that change under way.

use std::path::Path;

use switchback_integration::{Config, Deadline, Origin, Proxy, Reply, eventually, get, site};

/// Answers with what the map `m`, which has these lines, makes of the request.
fn shows(lines: &str) -> Config {
    site()
        .route("/*", "respond = { headers = { x-map = \"$map_m\" }, body = \"$map_m\" }")
        .toml(format_args!("[maps.m]\n{lines}"))
}

#[test]
fn of_several_keys_the_one_that_nginx_takes_decides() {
    let proxy = Proxy::start(&shows(
        "key = \"$host\"\nhosts = true\ndefault = \"none\"\n\
         values = { \"~^static\" = \"regex\", \"~*example\" = \"late regex\", \"*.example.com\" = \"suffix\", \
         \"*.a.example.com\" = \"longer suffix\", \"www.*\" = \"prefix\", \"www.b.*\" = \"longer prefix\", \
         \"Shop.Example.com\" = \"exact\" }",
    ));
    for (host, expected) in [
        ("shop.example.com", "exact"),
        ("SHOP.EXAMPLE.COM:80", "exact"),
        ("www.example.com", "suffix"),
        ("x.a.example.com", "longer suffix"),
        ("www.b.example", "longer prefix"),
        ("www.example", "prefix"),
        ("static.test", "regex"),
        ("example.com", "late regex"),
        ("other.test", "none"),
    ] {
        proxy.ask(&get("/").host(host)).expect_body(expected);
    }
}

#[test]
fn values_are_templates_and_may_refer_to_other_maps() {
    let config = shows("key = \"$map_tier\"\nvalues = { gold = \"$map_tier of $host\" }")
        .toml("[maps.tier]\nkey = \"$arg_t\"\ndefault = \"lead\"\nvalues = { 1 = \"gold\" }");
    let proxy = Proxy::start(&config);
    proxy.ask(&get("/?t=1").host("a.example")).expect_body("gold of a.example");
    proxy.ask(&get("/?t=2")).expect_body("").expect_no_header("x-map");
}

#[test]
fn a_map_chooses_routes() {
    let config = site()
        .route_lines("match = { when = '$map_m == \"yes\"' }\nrespond = { body = \"chosen\" }")
        .respond("/*", "other")
        .toml("[maps.m]\nkey = \"$http_user_agent\"\nvalues = { \"~*bot\" = \"yes\" }");
    let proxy = Proxy::start(&config);
    proxy.ask(&get("/").header("User-Agent", "NiceBot/1")).expect_body("chosen");
    proxy.get("/").expect_body("other");
}

#[test]
fn a_map_brings_no_line_break_into_a_header() {
    let proxy = Proxy::start(
        &site()
            .route(
                "/u/{id}",
                "respond = { body = \"x\" }\nresponse_headers = { set = { x-map = \"$map_m\" } }",
            )
            .toml("[maps.m]\nkey = \"a\"\nvalues = { a = \"$uri\" }"),
    );
    proxy.get("/u/1").expect_status(200).expect_header("x-map", "/u/1");
    proxy.get("/u/%0d%0aX-Injected:%201").expect_status(400).expect_no_header("x-injected");
}

fn log_lines(proxy: &Proxy, count: usize) -> Vec<String> {
    let path = proxy.folder().join("access.log");
    eventually("log lines", Deadline::soon(), || {
        let text = std::fs::read_to_string(&path).ok()?;
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        (lines.len() >= count && text.ends_with('\n')).then_some(lines)
    })
}

#[test]
fn a_map_of_the_answer_is_looked_up_when_there_is_one() {
    let origin = Origin::start()
        .serve("/gone", Reply::ok("x").status(404).header("X-Kind", "page"))
        .serve("/here", Reply::ok("x"));
    let config = site()
        .route(
            "/*",
            // Asked for before there is an answer, after it, and in the log.
            "proxy = { upstream = \"app\", rewrite = \"$uri?m=$map_class\" }\n\
             response_headers = { set = { x-class = \"$map_class\", x-sent = \"$map_sent\" } }",
        )
        .upstream("app", &[&origin], "")
        .toml("[maps.class]\nkey = \"$status\"\nvalues = { \"~^4\" = \"bad\", \"~^2\" = \"good\" }\ndefault = \"-\"")
        .toml("[maps.kind]\nkey = \"$upstream_http_x_kind\"\nvalues = { page = \"a page\" }\ndefault = \"none\"")
        .toml("[maps.sent]\nkey = \"$body_bytes_sent\"\nvalues = { 0 = \"nothing\", 1 = \"one byte\" }")
        .toml("[[log.access]]\nfile = \"access.log\"\nformat = \"$map_class $map_kind $map_sent\"");
    let proxy = Proxy::start(&config);
    proxy.get("/gone").expect_header("x-class", "bad").expect_header("x-sent", "nothing");
    proxy.get("/here").expect_header("x-class", "good");
    assert_eq!(origin.requests("/gone")[0].target, "/gone?m=-");
    assert_eq!(log_lines(&proxy, 2), ["bad a page one byte", "good none one byte"]);
}

#[test]
fn a_map_of_the_route_follows_the_request_to_another() {
    let origin = Origin::start().serve("*", Reply::ok("x").status(404));
    let config = site()
        .route(
            "/*",
            "name = \"first\"\nproxy = { upstream = \"app\", rewrite = \"/$map_m/$map_host\" }\nerrors = { 404 = \"lost\" }",
        )
        .route_lines("name = \"lost\"\ninternal = true\nrespond = { body = \"$map_m $map_host\" }")
        .upstream("app", &[&origin], "")
        .toml("[maps.m]\nkey = \"$route\"\nvalues = { first = \"one\", lost = \"two\" }")
        .toml("[maps.host]\nkey = \"$host\"\ndefault = \"h\"\nvalues = { a = \"b\" }");
    Proxy::start(&config).get("/x").expect_body("two h");
    assert_eq!(origin.requests("*")[0].target, "/one/h");
}

const FILE: &str =
    "key = \"$uri\"\ndefault = \"none\"\nvalues = { \"/own\" = \"own\" }\nfile = \"values.map\"";

fn replace(folder: &Path, name: &str, content: &str) {
    let written = folder.join("written");
    std::fs::write(&written, content).unwrap();
    std::fs::rename(written, folder.join(name)).unwrap();
}

fn wait_for_body(proxy: &Proxy, target: &str, body: &str) {
    eventually(body, Deadline::soon(), || (proxy.get(target).text() == body).then_some(()));
}

#[test]
fn a_changed_file_acts_without_a_reload() {
    let proxy = Proxy::start(&shows(FILE).file("values.map", "/a old; # a comment\n'/b c' 1;\n"));
    for (path, expected) in [("/a", "old"), ("/b%20c", "1"), ("/own", "own"), ("/x", "none")] {
        proxy.get(path).expect_body(expected);
    }
    let generation = proxy.status()["generation"].clone();
    replace(proxy.folder(), "values.map", "/a \"new at $host\";\n~^/x x;\n");
    wait_for_body(&proxy, "/x", "x");
    proxy.ask(&get("/a").host("h.example")).expect_body("new at h.example");
    proxy.get("/b%20c").expect_body("none");
    proxy.get("/own").expect_body("own");
    assert_eq!(proxy.status()["generation"], generation);
    // Written in place, too.
    std::fs::write(proxy.folder().join("values.map"), "/a newest;").unwrap();
    wait_for_body(&proxy, "/a", "newest");
    // And after a reload the new snapshot's file is watched.
    proxy.reload(&shows(FILE).file("values.map", "/a reloaded;")).expect_accepted();
    proxy.get("/a").expect_body("reloaded");
    replace(proxy.folder(), "values.map", "/a last;");
    wait_for_body(&proxy, "/a", "last");
}

#[test]
fn a_file_may_be_a_toml_table() {
    let lines = FILE.replace("values.map", "values.toml");
    let proxy = Proxy::start(&shows(&lines).file("values.toml", "\"/a\" = \"$uri!\"\n"));
    proxy.get("/a").expect_body("/a!");
    replace(proxy.folder(), "values.toml", "'/a' = 'b'\n");
    wait_for_body(&proxy, "/a", "b");
}

#[test]
fn a_bad_file_keeps_the_old_table_and_says_so_once() {
    let config = site()
        .route("/tick", "respond = { body = \"$map_tick\" }")
        .route("/*", "respond = { body = \"$map_m\" }")
        .toml(format_args!("[maps.m]\n{FILE}"))
        .toml("[maps.tick]\nkey = \"$uri\"\nfile = \"tick.map\"")
        .file("values.map", "/a old;\n")
        .file("tick.map", "/tick 0;\n");
    let proxy = Proxy::start(&config);
    replace(proxy.folder(), "values.map", "/a new;\n/b $nosuch;\n/c\n");
    proxy.wait_for_stderr("values.map:2:4");
    proxy.get("/a").expect_body("old");
    // Other files are watched on; by the second change the bad one was looked at again.
    for count in ["1", "2"] {
        replace(proxy.folder(), "tick.map", &format!("/tick {count};\n"));
        wait_for_body(&proxy, "/tick", count);
    }
    assert_eq!(proxy.stderr().matches("the map stays as it was").count(), 1, "{}", proxy.stderr());
    proxy.get("/a").expect_body("old");
    std::fs::remove_file(proxy.folder().join("values.map")).unwrap();
    proxy.wait_for_stderr("cannot read");
    proxy.get("/a").expect_body("old");
    replace(proxy.folder(), "values.map", "/a repaired;\n");
    wait_for_body(&proxy, "/a", "repaired");
}

#[test]
fn a_file_with_mistakes_is_refused_at_start_check_and_reload() {
    let bad = shows(FILE).file("values.map", "/a 1;\n/b $nosuch;\n");
    let refusal = Proxy::try_start(&bad).err().unwrap();
    assert!(refusal.stderr.contains("values.map:2:4"), "{}", refusal.stderr);
    let proxy = Proxy::start(&shows(FILE).file("values.map", "/a 1;\n"));
    proxy.reload(&bad).expect_refused("unknown variable `$nosuch`");
    proxy.get("/a").expect_body("1");
    proxy.run(&["check", "-c", "switchback.toml"]).expect_code(1).expect_text("values.map:2:4");
}

#[test]
fn maps_in_a_circle_are_refused_with_their_way() {
    let config = shows("key = \"$map_n\"\nvalues = { a = \"b\" }")
        .toml("[maps.n]\nkey = \"$uri\"\ndefault = \"$map_m\"\nvalues = { a = \"b\" }");
    let refusal = Proxy::try_start(&config).err().unwrap();
    assert!(refusal.stderr.contains("`$map_m` → `$map_n` → `$map_m`"), "{}", refusal.stderr);
}

#[test]
fn a_file_full_of_mistakes_is_refused_without_telling_all_of_them() {
    let config = shows(FILE).file("values.map", "/a $nosuch;\n;\n".repeat(50_000));
    let refusal = Proxy::try_start(&config).err().unwrap();
    let told = refusal.stderr.matches("error[").count();
    assert!((1..=64).contains(&told), "{told}");
}

#[test]
fn a_file_of_hundreds_of_thousands_of_keys_is_read() {
    use std::fmt::Write as _;
    let mut lines = String::new();
    for number in 0..200_000 {
        writeln!(lines, "/key/{number} value-{number};").unwrap();
    }
    let proxy = Proxy::start(&shows(FILE).file("values.map", lines));
    for number in [0, 99_999, 199_999] {
        proxy.get(&format!("/key/{number}")).expect_body(format!("value-{number}"));
    }
    proxy.get("/key/200000").expect_body("none");
}
