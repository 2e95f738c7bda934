//! What a configuration means: ids for names, inheritance flattened, defaults filled in.

#![cfg(test)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use http::StatusCode;
use switchback_conf::plan::{
    AccessLogPlan, ActionPlan, EncodedSlash, EndpointAddress, ErrorKey, ErrorRule, ErrorTarget,
    ListenAddress, ListenerId, LogEscape, LogFormat, LogLevel, LogTarget, OtherPeers, ProxyPlan,
    ProxyVersion, RespondPlan, SentTlv, SiteId, UpstreamId, UpstreamProtocol,
};
use switchback_conf::{Plan, load_text};

/// The plan of a text without findings.
fn planned(text: &str) -> Plan {
    let outcome = load_text("etc/switchback.toml", text, &BTreeMap::new());
    assert!(outcome.diagnostics.is_empty(), "{}", outcome.report());
    outcome.value.unwrap().plan
}

/// A listener, a site and an upstream around `routes`.
fn with_routes(routes: &str) -> Plan {
    let upstream = "[upstreams.app]\nendpoints = [\"127.0.0.1:3000\"]\n";
    planned(&format!(
        "[[listeners]]\naddress = \":80\"\n[[sites]]\nbody_limit = \"2k\"\n{routes}\n{upstream}"
    ))
}

/// A site that answers everything, below `text`.
fn with_site(text: &str) -> Plan {
    planned(&format!("{text}\n[[sites]]\n[[sites.routes]]\nrespond = {{}}\n"))
}

const LISTENER: &str = "[[listeners]]\naddress = \":80\"\n";

fn proxy(action: &ActionPlan) -> &ProxyPlan {
    match action {
        ActionPlan::Proxy(proxy) => proxy,
        _ => panic!("not a proxy"),
    }
}

fn respond(action: &ActionPlan) -> &RespondPlan {
    match action {
        ActionPlan::Respond(respond) => respond,
        _ => panic!("no fixed answer"),
    }
}

/// `404 -> 1 Kept`: of which status, to which route or path, with which status.
fn rules(rules: &[ErrorRule]) -> Vec<String> {
    let text = |rule: &ErrorRule| {
        let on = match rule.on {
            ErrorKey::Status(status) => status.as_str().to_owned(),
            ErrorKey::Class(class) => format!("{class}xx"),
        };
        let target = match &rule.target {
            ErrorTarget::Route(id) => id.0.to_string(),
            ErrorTarget::Path(path) => path.source().to_owned(),
        };
        format!("{on} -> {target} {:?}", rule.status)
    };
    rules.iter().map(text).collect()
}

#[test]
fn a_small_configuration_takes_all_defaults() {
    let plan = with_site(LISTENER);
    assert_eq!(plan.process.workers, None);
    assert_eq!((plan.process.pid_file, plan.process.control_socket), (None, None));
    assert_eq!(plan.process.shutdown_timeout, Duration::from_secs(30));
    assert_eq!(plan.process.drain_spread, Duration::from_secs(5));
    assert_eq!(plan.process.upgrade_timeout, Duration::from_secs(30));
    assert!(
        plan.forwarding.x_forwarded && plan.forwarding.request_id && !plan.forwarding.forwarded
    );
    assert_eq!(plan.forwarding.via.as_deref(), Some("switchback"));
    assert_eq!((plan.log.level, &plan.log.target), (LogLevel::Info, &LogTarget::Stderr));
    assert!(plan.log.access.is_empty());
    let listener = &plan.listeners[0];
    let address: SocketAddr = "[::]:80".parse().unwrap();
    assert_eq!(listener.address, ListenAddress::Tcp { address, dual_stack: true });
    assert_eq!(
        (&*listener.name, listener.h2, listener.h2c, listener.tls.is_none()),
        (":80", false, false, true)
    );
    assert_eq!(listener.timeouts.keepalive, Duration::from_secs(75));
    assert_eq!((listener.limits.target, listener.limits.headers), (8 * 1024, 32 * 1024));
    assert_eq!((listener.limits.fields, listener.limits.keepalive_requests), (128, 1000));
    assert_eq!((listener.http2.max_streams, listener.http2.first_streams), (100, 2));
    assert_eq!((listener.http2.early_resets, listener.http2.frames), (50, 10_000));
    let site = &plan.sites[0];
    assert_eq!(
        (&*site.name, site.is_default, site.encoded_slash),
        ("_", false, EncodedSlash::Keep)
    );
    assert_eq!((&site.listeners, &site.routes), (&vec![ListenerId(0)], &(0..1)));
    assert_eq!(site.hosts[0].to_string(), "*");
    let route = &plan.routes[0];
    assert_eq!((&*route.name, route.site, route.priority), ("/*", SiteId(0), 0));
    assert_eq!(route.body_limit, Some(1024 * 1024));
    assert!(route.condition.is_always() && !route.internal && route.errors.rules.is_empty());
    assert_eq!(respond(&route.action).status, StatusCode::OK);
}

#[test]
fn the_control_socket_stands_beside_the_pid_file() {
    let socket = |text: &str| with_site(&format!("{text}\n{LISTENER}")).process.control_socket;
    assert_eq!(socket("pid_file = \"run/a.pid\""), Some("etc/run/a.sock".into()));
    assert_eq!(socket("pid_file = \"a.pid\"\ncontrol = { socket = \"off\" }"), None);
    assert_eq!(socket("control = { socket = \"/b\" }"), Some("/b".into()));
    let pid_file = with_site(&format!("pid_file = \"/run/a.pid\"\n{LISTENER}")).process.pid_file;
    assert_eq!(pid_file.as_deref(), Some(Path::new("/run/a.pid")));
}

#[test]
fn idle_connections_are_closed_within_the_time_that_a_stop_has() {
    let spread = |text: &str| with_site(&format!("{text}\n{LISTENER}")).process.drain_spread;
    assert_eq!(spread("shutdown_timeout = \"3s\""), Duration::from_secs(1));
    assert_eq!(spread("shutdown_timeout = \"3s\"\ndrain_spread = \"2s\""), Duration::from_secs(2));
    assert_eq!(spread("drain_spread = \"0\""), Duration::ZERO);
}

#[test]
fn the_process_and_the_logs_are_as_written() {
    let plan = with_site(&format!(
        "workers = 3\nshutdown_timeout = \"0\"\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n\
         forwarding = {{ x_forwarded = false, forwarded = true, request_id = false, via = \"off\" }}\n\
         [log]\nlevel = \"trace\"\nfile = \"error.log\"\n\
         [[log.access]]\nfile = \"stdout\"\n[[log.access]]\nfile = \"a.log\"\nformat = \"$status\"\nwhen = '$uri != \"/\"'\n{LISTENER}"
    ));
    assert_eq!((plan.process.workers, plan.process.shutdown_timeout), (Some(3), Duration::ZERO));
    let trusted: Vec<_> = plan.forwarding.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(trusted, ["10.0.0.0/8", "::1/128"]);
    assert!(
        !plan.forwarding.x_forwarded && !plan.forwarding.request_id && plan.forwarding.forwarded
    );
    assert_eq!(plan.forwarding.via, None);
    assert_eq!(
        (plan.log.level, plan.log.target),
        (LogLevel::Trace, LogTarget::File("etc/error.log".into()))
    );
    let [combined, own] = &plan.log.access[..] else { panic!("two access logs") };
    assert_eq!(combined.target, LogTarget::Stdout);
    let line = |log: &AccessLogPlan| match &log.format {
        LogFormat::Template { template, escape: LogEscape::Default } => {
            template.source().to_owned()
        }
        other => panic!("no template: {other:?}"),
    };
    assert!(combined.when.is_always());
    assert!(line(combined).starts_with("$remote_addr - $remote_user ["));
    assert_eq!((line(own).as_str(), own.when.is_always()), ("$status", false));
}

#[test]
fn listeners_are_bound_as_written() {
    let plan = with_site(
        "[[listeners]]\nname = \"a\"\naddress = \"127.0.0.1:443\"\ntls = { self_signed = [\"localhost\"] }\n\
         timeouts = { handshake = \"1s\", header = \"2s\", keepalive = \"3s\", body = \"4s\", write = \"5s\" }\n\
         limits = { target = \"1\", headers = \"2\", fields = 3, keepalive_requests = 4 }\n\
         [[listeners]]\naddress = \"[::1]:443\"\nh2 = false\ntls = { self_signed = [\"a\"] }\n\
         [[listeners]]\naddress = \"unix:a.sock\"\nh2c = true\nhttp2 = { continuations = 0, resets_per_second = 7 }\n\
         [[listeners]]\naddress = \"unix:/b.sock\"\nmode = \"0660\"\nh2 = false\n",
    );
    let [tls, no_h2, unix, mode] = &plan.listeners[..] else { panic!("four listeners") };
    assert_eq!(tls.tls.as_ref().unwrap().self_signed, ["localhost"]);
    assert_eq!((&*tls.name, tls.h2, no_h2.h2), ("a", true, false));
    let seconds = [
        tls.timeouts.handshake,
        tls.timeouts.header,
        tls.timeouts.keepalive,
        tls.timeouts.body,
        tls.timeouts.write,
    ];
    assert_eq!(seconds.map(|timeout| timeout.as_secs()), [1, 2, 3, 4, 5]);
    let limits =
        (tls.limits.target, tls.limits.headers, tls.limits.fields, tls.limits.keepalive_requests);
    assert_eq!(limits, (1, 2, 3, 4));
    assert_eq!(unix.address, ListenAddress::Unix { path: "etc/a.sock".into() });
    assert_eq!((&*unix.name, unix.h2c, unix.h2), ("unix:etc/a.sock", true, false));
    let budgets = (unix.http2.continuations, unix.http2.resets_per_second, unix.http2.max_streams);
    assert_eq!(budgets, (0, 7, 100));
    assert_eq!(mode.address, ListenAddress::Unix { path: "/b.sock".into() });
    assert_eq!((mode.at.line(), mode.at.column()), (Some(15), Some(1)));
}

#[test]
fn sites_and_their_routes_have_ids() {
    let plan = planned(
        "[[listeners]]\nname = \"a\"\naddress = \":80\"\n[[listeners]]\nname = \"b\"\naddress = \":81\"\n\
         [[sites]]\nhosts = [\"A.example\", \"*.a.example\"]\nlisteners = [\"b\"]\nencoded_slash = \"refuse\"\ndefault = true\n\
         [[sites.routes]]\nrespond = {}\n[[sites.routes]]\nmatch = { path = \"/x\" }\nrespond = {}\n\
         [[sites]]\n[[sites.routes]]\nrespond = {}\n",
    );
    let [first, second] = &plan.sites[..] else { panic!("two sites") };
    assert_eq!(
        (&first.listeners, &second.listeners),
        (&vec![ListenerId(1)], &vec![ListenerId(0), ListenerId(1)])
    );
    assert_eq!((&first.routes, &second.routes), (&(0..2), &(2..3)));
    let sites: Vec<_> = plan.routes.iter().map(|route| route.site).collect();
    assert_eq!(sites, [SiteId(0), SiteId(0), SiteId(1)]);
    let hosts: Vec<_> = first.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["a.example", "*.a.example"]);
    assert_eq!(
        (&*first.name, first.is_default, first.encoded_slash),
        ("A.example", true, EncodedSlash::Refuse)
    );
    assert_eq!(plan.routes[1].at.line(), Some(14));
}

#[test]
fn routes_carry_everything_that_is_said_of_them() {
    let plan = with_routes(
        "[[sites.routes]]\nname = \"user\"\npriority = -3\nbody_limit = \"0\"\n\
         match = { path = [\"/u/{id}\", \"/v/{id}/*\"], method = \"GET\" }\n\
         proxy = { upstream = \"app\", rewrite = \"/x/{id}\", buffer_request = true }\n\
         request_headers = { set = { x-id = \"{id}\", X-B = \"$$\" }, remove = [\"X-C\"] }\n\
         response_headers = { remove = [\"server\"] }\nerrors = { 404 = \"gone\", 502 = \"user\" }\n\
         [[sites.routes]]\nname = \"gone\"\ninternal = true\n\
         respond = { status = 410, headers = { x-a = \"$uri\" }, body = \"gone\" }\n",
    );
    let [user, gone] = &plan.routes[..] else { panic!("two routes") };
    assert_eq!(
        (&*user.name, user.priority, user.body_limit, user.internal),
        ("user", -3, None, false)
    );
    let paths: Vec<_> = user.paths.iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["/u/{id}", "/v/{id}/*"]);
    assert_eq!(user.condition.weight(), 1);
    let action = proxy(&user.action);
    assert_eq!((action.upstream, action.buffer_request), (UpstreamId(0), true));
    assert_eq!(action.rewrite.as_ref().unwrap().source(), "/x/{id}");
    let set: Vec<_> = user.request_headers[0]
        .set
        .iter()
        .map(|(name, value)| (name.as_str(), value.source()))
        .collect();
    assert_eq!(set, [("x-id", "{id}"), ("x-b", "$$")]);
    assert_eq!(
        (user.request_headers[0].remove[0].as_str(), user.response_headers[0].remove[0].as_str()),
        ("x-c", "server")
    );
    assert_eq!(rules(&user.errors.rules), ["404 -> 1 Kept", "502 -> 0 Kept"]);
    assert!(gone.internal && gone.paths.is_empty());
    assert_eq!(gone.body_limit, Some(2048));
    let answer = respond(&gone.action);
    assert_eq!((answer.status, answer.body.as_literal()), (StatusCode::GONE, Some("gone")));
    assert_eq!((answer.headers[0].0.as_str(), answer.headers[0].1.source()), ("x-a", "$uri"));
}

#[test]
fn errors_of_a_site_stand_behind_those_of_its_routes() {
    let plan = with_routes(
        "errors = { \"5xx\" = \"sorry\", 404 = { route = \"/lost?of=$uri\", status = 200 }, 403 = \"sorry\" }\n\
         [[sites.routes]]\nmatch = { path = \"/a/{id}\" }\nproxy = \"app\"\n\
         errors = { \"4xx\" = { route = \"sorry\", status = 0 }, 403 = \"/no/{id}\" }\n\
         [[sites.routes]]\nname = \"sorry\"\ninternal = true\nrespond = {}\n",
    );
    let [own, sorry] = &plan.routes[..] else { panic!("two routes") };
    let of_site = ["404 -> /lost?of=$uri Is(200)", "403 -> 1 Kept", "5xx -> 1 Kept"];
    assert_eq!(rules(&plan.sites[0].errors), of_site);
    assert_eq!(
        (rules(&sorry.errors.rules), sorry.errors.own),
        (of_site.map(str::to_owned).into(), 0)
    );
    let of_route = ["403 -> /no/{id} Kept", "4xx -> 1 Own"];
    assert_eq!(rules(&own.errors.rules), [&of_route[..], &of_site[..]].concat());
    assert_eq!(own.errors.own, 2);
    let status = |code| StatusCode::from_u16(code).unwrap();
    let of_fault = |code| {
        own.errors.of_fault(status(code)).map(|rule| rules(std::slice::from_ref(rule)).remove(0))
    };
    assert_eq!(of_fault(403).as_deref(), Some("403 -> /no/{id} Kept"));
    assert_eq!(of_fault(404).as_deref(), Some("4xx -> 1 Own"));
    assert_eq!(of_fault(502).as_deref(), Some("5xx -> 1 Kept"));
    assert_eq!(of_fault(302), None);
    assert!(own.errors.of_own(status(502)).is_none() && own.errors.of_own(status(499)).is_some());
}

#[test]
fn access_is_one_check_with_the_status_of_its_refusal() {
    let plan = with_routes(
        "access = { clients = [\"allow 10.0.0.0/8\", \"deny all\"] }\n\
         [[sites.routes]]\nrespond = {}\naccess = { methods = [\"GET\", \"HEAD\"] }\n\
         [[sites.routes]]\nmatch = { path = \"/a/{id}\" }\nrespond = {}\n\
         access = { methods = \"GET\", when = '$arg_key == \"{id}\"' }\n\
         [[sites.routes]]\nmatch = { path = \"/b\" }\nrespond = {}\n\
         access = { methods = \"GET\", status = 404, any = [{ referers = [\"none\"] }, { clients = [\"deny all\"] }] }\n",
    );
    let site = plan.sites[0].access.as_ref().unwrap();
    assert_eq!((site.status, &site.allow), (StatusCode::FORBIDDEN, &None));
    let of_routes: Vec<_> = plan
        .routes
        .iter()
        .map(|route| route.access.as_ref().unwrap())
        .map(|access| (access.status.as_u16(), access.allow.as_deref()))
        .collect();
    assert_eq!(of_routes, [(405, Some("GET, HEAD")), (403, None), (404, None)]);
}

#[test]
fn limits_of_a_route_are_as_written() {
    let plan = with_routes(
        "concurrency = { total = 100, status = 429 }\n\
         [[sites.routes]]\nproxy = \"app\"\ntimeouts = { connect = \"1s\", read = \"2s\" }\n\
         bandwidth = { rate = \"1MiB\", after = \"1KiB\" }\n\
         concurrency = { per_client = 3, key = \"$http_x_key\" }\n\
         [[sites.routes]]\nmatch = { path = \"/b\" }\nproxy = \"app\"\nbandwidth = { rate = \"0\" }\n",
    );
    let site = plan.sites[0].concurrency.as_ref().unwrap();
    assert_eq!((site.per_client, site.total, site.status.as_u16()), (None, Some(100), 429));
    let [slow, fast] = &plan.routes[..] else { panic!("two routes") };
    let own = slow.concurrency.as_ref().unwrap();
    assert_eq!((own.per_client, own.total, own.status.as_u16()), (Some(3), None, 503));
    assert_eq!(own.key.as_ref().unwrap().source(), "$http_x_key");
    let seconds = [slow.timeouts.connect, slow.timeouts.read, slow.timeouts.write];
    assert_eq!(seconds.map(|timeout| timeout.map(|it| it.as_secs())), [Some(1), Some(2), None]);
    let bandwidth = slow.bandwidth.unwrap();
    assert_eq!((bandwidth.rate, bandwidth.after), (1 << 20, 1 << 10));
    assert_eq!(fast.bandwidth, None);
}

#[test]
fn everything_a_matcher_says_becomes_one_condition() {
    let plan = with_routes(
        "[[sites.routes]]\nrespond = {}\n\
         match = { method = [\"GET\", \"HEAD\"], client = \"10.0.0.0/8\", headers = { x-a = \"v\", x-b = \"*\" }, \
         query = { Page = \"1\" }, cookies = { s = \"~^a\", T = \"~*B\" }, when = '$scheme == \"http\"' }\n",
    );
    let condition = plan.routes[0].condition.to_string();
    for part in [
        "GET",
        "HEAD",
        "10.0.0.0/8",
        "$http_x_a == \"v\"",
        "exists $http_x_b",
        "$arg_page == \"1\"",
        "$cookie_s ~ \"^a\"",
        "$cookie_T",
        "$scheme",
    ] {
        assert!(condition.contains(part), "{part} is not in {condition}");
    }
    assert_eq!(plan.routes[0].condition.weight(), 8);
    assert_eq!(plan.routes[0].paths[0].to_string(), "/*");
}

#[test]
fn upstreams_have_endpoints_of_every_kind() {
    let plan = with_site(&format!(
        "{LISTENER}[upstreams.b]\nprotocol = \"h2\"\ntries = 7\nresolve_every = \"9s\"\n\
         endpoints = [\"10.0.0.1:80\", {{ address = \"B.example:81\", weight = 5 }}, \"unix:u.sock\"]\n\
         timeouts = {{ connect = \"1s\", read = \"2s\", write = \"3s\", idle = \"4s\" }}\n\
         tls = {{ server_name = \"b.example\", verify = true }}\n\
         [upstreams.a]\nendpoints = [\"a.example:443\"]\ntls = {{}}\n[upstreams.c]\nendpoints = [\"10.0.0.1:1\"]\ntls = {{ verify = false }}\n"
    ));
    let names: Vec<_> = plan.upstreams.iter().map(|upstream| &*upstream.name).collect();
    assert_eq!(names, ["b", "a", "c"]);
    let b = &plan.upstreams[0];
    assert_eq!((b.protocol, b.tries, b.resolve.max.as_secs()), (UpstreamProtocol::H2, 7, 9));
    let seconds = [b.timeouts.connect, b.timeouts.read, b.timeouts.write, b.timeouts.idle];
    assert_eq!(seconds.map(|timeout| timeout.as_secs()), [1, 2, 3, 4]);
    let endpoints: Vec<_> = b
        .endpoints
        .iter()
        .map(|endpoint| (endpoint.address.to_string(), endpoint.weight))
        .collect();
    assert_eq!(
        endpoints,
        [("10.0.0.1:80".into(), 1), ("b.example:81".into(), 5), ("unix:etc/u.sock".to_owned(), 1)]
    );
    assert!(matches!(b.endpoints[2].address, EndpointAddress::Unix(_)));
    let tls: Vec<_> = plan.upstreams.iter().map(|upstream| upstream.tls.clone().unwrap()).collect();
    assert_eq!((tls[0].server_name.as_deref(), tls[0].verify), (Some("b.example"), true));
    assert_eq!((tls[1].server_name.as_deref(), tls[1].verify, &tls[1].ca), (None, true, &None));
    assert!(!tls[2].verify);
}

#[test]
fn addresses_may_lie_within_others() {
    let plan = with_site(
        "[[listeners]]\naddress = \"0.0.0.0:80\"\n[[listeners]]\naddress = \"127.0.0.1:80\"\n[[listeners]]\naddress = \"[::]:80\"\n\
         [[listeners]]\naddress = \"[::1]:80\"\n[[listeners]]\naddress = \":0\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n",
    );
    assert_eq!(plan.listeners.len(), 6);
}

#[test]
fn an_embedder_builds_the_same_in_code() {
    use switchback_conf::Config;
    use switchback_conf::model::{
        BindAddress, Listener, Name, OrText, Proxy, Route, Site, Upstream,
    };

    let upstream = Upstream::new([EndpointAddress::Ip("127.0.0.1:3000".parse().unwrap())]);
    let route = Route {
        proxy: Some(OrText(Proxy::to(Name::new("app").unwrap())).into()),
        ..Route::default()
    };
    let config = Config {
        listeners: vec![Listener::new(BindAddress::Any(8080)).into()],
        sites: vec![Site::new([route]).into()],
        upstreams: [(Name::new("app").unwrap(), upstream.into())].into_iter().collect(),
        ..Config::default()
    };
    let text = "[[listeners]]\naddress = \":8080\"\n\n[[sites]]\n\n[[sites.routes]]\nproxy = \"app\"\n\n\
                [upstreams.app]\nendpoints = [\"127.0.0.1:3000\"]\n";
    assert_eq!(config.to_toml(), text);
    let plan = switchback_conf::plan(&config);
    assert!(plan.diagnostics.is_empty());
    assert_eq!(plan.value.unwrap().routes.len(), 1);
}

#[test]
fn an_include_in_code_is_refused_rather_than_ignored() {
    let config = switchback_conf::Config { include: vec!["a.toml".into()], ..Default::default() };
    assert!(
        switchback_conf::plan(&config)
            .report()
            .contains("includes are followed when files are read")
    );
}

#[test]
fn proxies_in_front_and_headers_to_upstreams_are_as_written() {
    let plan = planned(
        "[[listeners]]\naddress = \":80\"\nproxy_protocol = { from = [\"10.0.0.0/8\", \"::1\"] }\n\
         [[listeners]]\naddress = \"unix:a\"\nproxy_protocol = { from = [\"unix\"], timeout = \"1s\", others = \"plain\" }\n\
         [[sites]]\n[[sites.routes]]\nproxy = \"a\"\n\
         [upstreams.a]\nendpoints = [\"b:1\"]\nsend_proxy = \"v1\"\n\
         [upstreams.c]\nendpoints = [\"b:1\"]\n\
         send_proxy = { version = \"v2\", tlvs = [\"crc32c\", \"unique_id\", \"0xEa=$host-x\"] }\n",
    );
    let [tcp, unix] = &plan.listeners[..] else { panic!("two listeners") };
    let from: Vec<_> = tcp.proxy_protocol.iter().flat_map(|plan| &plan.from).collect();
    assert_eq!(from.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "::1/128"]);
    let tcp = tcp.proxy_protocol.as_ref().unwrap();
    assert_eq!((tcp.unix, tcp.others), (false, OtherPeers::Close));
    assert_eq!(tcp.timeout, Duration::from_secs(5));
    let unix = unix.proxy_protocol.as_ref().unwrap();
    assert_eq!((unix.unix, unix.others), (true, OtherPeers::Plain));
    assert_eq!((unix.from.len(), unix.timeout), (0, Duration::from_secs(1)));
    let [line, binary] = &plan.upstreams[..] else { panic!("two upstreams") };
    let (line, binary) = (line.send_proxy.as_ref(), binary.send_proxy.as_ref());
    let (line, binary) = (line.unwrap(), binary.unwrap());
    assert_eq!((line.version, line.tlvs.len(), line.checksum), (ProxyVersion::V1, 0, false));
    assert_eq!((binary.version, binary.checksum), (ProxyVersion::V2, true));
    let [SentTlv::UniqueId, SentTlv::Custom(0xea, template)] = &binary.tlvs[..] else {
        panic!("{:?}", binary.tlvs)
    };
    assert_eq!(template.source(), "$host-x");
}
