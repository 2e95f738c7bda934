//! Plugins of each kind do their work on listeners, sites and routes.

use switchback_integration::{
    Config, Deadline, Origin, PluginModule, Proxy, eventually, get, post, site,
};
use switchback_plugin::Kind;

use super::{KINDS, filtered, plugin, received, source, start};
use crate::cache_disk::metric;

/// Says its own name in requests and responses, in the order in which it is asked.
fn says(name: &str, kind: Kind) -> String {
    let script = format!(
        "{{ on_request = \"append 0 x-asked {name}\", on_response = \"append 2 x-asked {name}\" }}"
    );
    plugin(name, kind, &format!("options = {{ script = {script} }}"))
}

fn everywhere(kind: Kind, origin: &Origin) -> Config {
    switchback_integration::config()
        .web("filters = [\"listener\"]")
        .site("filters = [\"site\"]")
        .route("/*", "filters = [\"route\", \"last\"]\nproxy = \"app\"")
        .upstream("app", &[origin], "")
        .toml(["listener", "site", "route", "last"].map(|name| says(name, kind)).concat())
}

#[test]
fn each_kind_is_asked_on_listeners_sites_and_routes() {
    let origin = Origin::start();
    for kind in KINDS {
        let proxy = start(kind, &everywhere(kind, &origin));
        let asked = received(&proxy, &get("/"), "x-asked");
        assert_eq!(asked, ["listener", "site", "route", "last"], "{kind}");
        let answer = proxy.get("/");
        assert_eq!(answer.headers.all("x-asked"), ["last", "route", "site", "listener"], "{kind}");
    }
}

/// Every kind in one chain, in one process.
#[test]
fn kinds_stand_together() {
    let origin = Origin::start();
    let config = filtered("\"linked\", \"native\", \"wasm\", \"linked\"", &origin)
        .toml(KINDS.map(|kind| says(&kind.to_string(), kind)).concat());
    let proxy = Proxy::start_linked(&config);
    let asked = received(&proxy, &get("/"), "x-asked");
    assert_eq!(asked, ["linked", "native", "wasm", "linked"]);
}

#[test]
fn a_module_is_found_by_its_name_and_pinned() {
    let origin = Origin::start();
    let folder = PluginModule::Conformance.file().parent().unwrap().display().to_string();
    for module in [PluginModule::Conformance, PluginModule::ConformanceWasm] {
        let file = module.file();
        let name = file.file_name().unwrap().to_str().unwrap();
        let config = filtered("\"pinned\"", &origin)
            .top(format!("plugin_path = [\"nowhere\", \"{folder}\"]"))
            .toml(format!(
                "[plugins.pinned]\nmodule = \"{name}\"\nsha256 = \"{}\"\ntimeout = \"60s\"\n",
                module.sha256()
            ));
        let proxy = Proxy::start(&config);
        proxy.ask(&get("/").header("x-on-request", "deny 410")).expect_status(410);
    }
}

#[test]
fn the_example_in_c_lets_pass_and_turns_away() {
    let origin = Origin::start();
    let config = filtered("\"gate\"", &origin).toml(format!(
        "[plugins.gate]\nmodule = \"{}\"\ntimeout = \"60s\"\noptions = {{ token = \"open sesame\" }}\n",
        PluginModule::Gate.file().display()
    ));
    let proxy = Proxy::start(&config);
    proxy.get("/").expect_status(403).expect_header("x-gate", "closed").expect_body("no\n");
    let friend = get("/").header("x-token", "open sesame");
    proxy.ask(&friend).expect_status(200).expect_header("x-let-through-by", "gate");
    // It waits for the host, and is called again.
    proxy.ask(&friend.clone().header("x-slow", "1")).expect_status(200);
    proxy.ask(&get("/").header("x-slow", "1")).expect_status(403);
    assert_eq!(metric(&proxy, "switchback_plugin_gate_denied_total{plugin=\"gate\"}"), 2);
    assert!(origin.requests("*").iter().all(|sent| sent.headers.get("x-token").is_none()));
}

/// What plugins may ask the host for, and what came of it: the same through the proxy as each kind, in their own words.
#[test]
fn operations_come_to_the_same_as_each_kind() {
    let scripts = [
        "http asked /a; http none /",
        "sleep 1; both 9 4",
        "store shop a put 1; store shop a add 4; store shop a get; store shop a remove; store shop a get",
        "body 100; blocking words; begin sleep 3; finish; begin sleep 9; cancel",
        "get 0 x-a; set 0 x-a 2; append 0 x-a 3; all 3; remove 0 x-a; get 0 x-a; set 0 content-length 1",
        "fact 0; variable host; variable none; set-variable plugin_x y; variable plugin_x; steer site none",
        "part 2 /other; steer upstream none; steer tries 2; prefer 0; set-piece x; status 404; calls",
    ];
    let told = KINDS.map(|kind| {
        let (origin, asked) = (Origin::start(), Origin::start());
        let asked = asked.serve("*", switchback_integration::Reply::ok("said"));
        let config = filtered("\"tells\"", &origin)
            .upstream("asked", &[&asked], "")
            .toml(plugin("tells", kind, ""));
        let proxy = start(kind, &config);
        for (number, script) in scripts.iter().enumerate() {
            let script = format!("{script}; log 2 ended-{number}");
            let request = post("/", "question").header("x-a", "1").header("x-on-request", &script);
            proxy.ask(&request).expect_status(200);
            proxy.wait_for_stderr(&format!("log 2 ended-{number} -> logged"));
        }
        let text = proxy.stderr();
        let said = text.lines().filter_map(|line| {
            // Behind it are the names of the plugin and of the request.
            let line = line.split_once(" plugin=\"tells\"")?.0;
            line.find("on_request: ").map(|at| &line[at..])
        });
        // Times are another's.
        said.filter(|line| !line.contains(" both ")).map(str::to_owned).collect::<Vec<_>>()
    });
    let [linked, native, wasm] = told;
    assert!(linked.len() > 30, "{linked:#?}");
    assert_eq!(native, linked);
    assert_eq!(wasm, linked);
    assert!(!linked.iter().any(|line| line.contains("no such action")), "{linked:#?}");
}

#[test]
fn bodies_and_heads_pass_through_each_kind() {
    for kind in KINDS {
        let origin = Origin::start();
        let proxy = start(kind, &filtered("\"all\"", &origin).toml(plugin("all", kind, "")));
        let request = post("/a", "question")
            .header("x-on-request-body", "set-piece other")
            .header("x-on-upstream-request", "set 0 x-late 1; part 2 /b")
            .header("x-on-upstream-response", "set 2 x-up 1")
            .header("x-on-response", "status 203; set 2 x-down 1")
            .header("x-on-response-body", "set-piece answer");
        let answer = proxy.ask(&request);
        answer.expect_status(203).expect_header("x-up", "1").expect_header("x-down", "1");
        assert!(answer.text().starts_with("answer"), "{kind}: {answer}");
        let sent = &origin.requests("/b")[0];
        assert_eq!(sent.headers.get("x-late"), Some("1"), "{kind}");
        assert!(sent.body.starts_with(b"other"), "{kind}: {:?}", sent.body);
        // After the end, somebody is told of it.
        proxy.ask(&get("/").header("x-on-log", "say")).expect_status(200);
        proxy.wait_for_stderr("on_log: 200");
    }
}

#[test]
fn ticks_come_and_metrics_are_shown_with_the_name_of_the_plugin() {
    for kind in KINDS {
        let origin = Origin::start();
        let options = "options = { every = 10, script = { on_tick = \"count\" } }";
        let config = filtered("\"ticks\"", &origin).toml(plugin("ticks", kind, options));
        let proxy = start(kind, &config);
        let name = "switchback_plugin_conformance_total{plugin=\"ticks\",kind=\"counter\"}";
        eventually("it was ticked three times", Deadline::soon(), || {
            (metric(&proxy, name) >= 6).then_some(())
        });
    }
}

/// Two that come from one module are two: each has options and metrics of its own.
#[test]
fn one_module_is_many_plugins() {
    for kind in [Kind::Native, Kind::Wasm] {
        let origin = Origin::start();
        let config = site()
            .route("/one", "filters = [\"one\"]\nproxy = \"app\"")
            .route("/two", "filters = [\"two\"]\nproxy = \"app\"")
            .upstream("app", &[&origin], "")
            .toml(says("one", kind))
            .toml(says("two", kind));
        let proxy = Proxy::start(&config);
        assert_eq!(received(&proxy, &get("/one"), "x-asked"), ["one"], "{kind}");
        assert_eq!(received(&proxy, &get("/two"), "x-asked"), ["two"], "{kind}");
        assert!(!source(kind).is_empty());
    }
}
