//! A proxy with plugins that can be told to fail, each of them once for each thing that an operator may declare.

use std::fmt::Write as _;
use std::net::SocketAddr;

use switchback_plugin::Kind;

use super::{Declared, PluginFault};
use crate::config::{Config, site};
use crate::gate::Gate;
use crate::message::{Reply, Request, Response, get};
use crate::origin::{Answer, Choice, Origin, Step};
use crate::patience::{Deadline, eventually};
use crate::plugin_module::PluginModule;
use crate::proxy::Proxy;
use crate::wire::WireError;

/// So many rounds break the same plugin. Wasm that traps more often than three times within a minute is not started again at once, and whoever
/// fails ten times is left alone: that is as it should be, and not what is looked at here.
fn rounds_of_one(fault: PluginFault) -> usize {
    match fault {
        PluginFault::Panic | PluginFault::Memory => 3,
        _ => 1,
    }
}

pub(super) struct World {
    pub(super) proxy: Proxy,
    pub(super) origin: Origin,
    /// Whom plugins ask, and who answers one of them each time that the gate is passed.
    pub(super) asked: Origin,
    gate: Gate,
    pub(super) kind: Kind,
    fault: PluginFault,
}

impl World {
    pub(super) fn start(kind: Kind, fault: PluginFault, rounds: usize) -> Self {
        let gate = Gate::new();
        let (origin, asked) = (Origin::start(), asked(&gate));
        let plugins = rounds.div_ceil(rounds_of_one(fault));
        let config = config(kind, fault, plugins).upstream("app", &[&origin], "").upstream(
            "asked",
            &[&asked],
            "",
        );
        let proxy = match kind {
            Kind::Linked => Proxy::start_linked(&config),
            Kind::Native | Kind::Wasm => Proxy::start(&config),
        };
        Self { proxy, origin, asked, gate, kind, fault }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.proxy.address("web")
    }

    /// Where requests go that meet no plugin, and those that meet another plugin of the same module.
    pub(super) fn bystanders(&self) -> Vec<String> {
        ["/bare", "/bystander", "/bystander/too"].map(str::to_owned).to_vec()
    }

    /// A page of the plugin that is broken in that round.
    pub(super) fn target(&self, declared: Declared, round: usize, page: &str) -> String {
        format!("/{}/{}/{round}/{page}", declared.name(), round / rounds_of_one(self.fault))
    }

    /// On a connection of its own.
    pub(super) fn ask(&self, request: &Request) -> Result<Response, WireError> {
        self.proxy.client().try_ask(request)
    }

    /// Somebody who wants nothing of the plugin that was broken.
    pub(super) fn ask_for_nothing(&self, target: &str) -> Result<Response, WireError> {
        self.ask(&get(target))
    }

    /// Answers so many of those whom plugins have asked, and waits until that is done: the next ones have to wait again.
    #[track_caller]
    pub(super) fn answer(&self, count: usize) {
        let before = self.asked.answer_times().len();
        (0..count).for_each(|_| self.gate.pass());
        eventually("plugins are answered", Deadline::soon(), || {
            (self.asked.answer_times().len() >= before + count).then_some(())
        });
    }

    /// KiB.
    pub(super) fn resident(&self) -> u64 {
        self.proxy.stats().resident_kib
    }

    /// Whether the process that was started answers.
    pub(super) fn lives(&self) -> bool {
        let pid = self.proxy.status()["pid"].as_u64();
        let answers = self.ask_for_nothing("/bystander/last").is_ok_and(|last| last.status == 200);
        pid == Some(u64::from(self.proxy.pid())) && answers
    }

    /// Failures of all plugins, whatever caused them; not requests that found one left alone.
    pub(super) fn failures(&self) -> u64 {
        let text = self.metrics();
        let failures =
            text.lines().filter(|line| line.starts_with("switchback_plugin_failures_total{"));
        // What one of the plugins does without a request waits for its instance, too, and is lost with it.
        let is_guest = is_guest(self.kind, self.fault);
        let failures = failures.filter(|line| {
            !(line.contains("kind=\"breaker\"") || is_guest && line.contains("kind=\"lost\""))
        });
        failures.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    fn metrics(&self) -> String {
        self.proxy.control("GET", "/metrics", None).text()
    }

    /// Waits until the log says so often that the client of such a page has left.
    #[track_caller]
    pub(super) fn wait_until_left(&self, page: &str, count: usize) {
        eventually("the log says that clients have left", Deadline::soon(), || {
            let log = std::fs::read_to_string(self.proxy.folder().join("gone.log")).ok()?;
            let said = |line: &&str| line.starts_with(page) && line.ends_with(" 499");
            (log.lines().filter(said).count() >= count).then_some(())
        });
    }
}

/// Answers each request when the gate was passed for it.
fn asked(gate: &Gate) -> Origin {
    let door = gate.clone();
    let answer = Choice::new(move |request| {
        let reply = Step::Send(Reply::ok("asked").to_bytes(&request.method));
        vec![Step::Wait(door.clone()), reply, Step::Next]
    });
    Origin::start().serve("*", Answer::Chosen(answer))
}

/// The configuration but for its upstreams.
fn config(kind: Kind, fault: PluginFault, plugins: usize) -> Config {
    let mut tables = String::new();
    let mut add = |name: &str, on_error: &str, timeout: &str| {
        let (source, limits) = (source(kind, fault), limits(kind, fault));
        writeln!(
            tables,
            "[plugins.{name}]\n{source}\non_error = \"{on_error}\"\ntimeout = \"{timeout}\"\n{limits}\n"
        )
        .expect("a String takes text");
    };
    add("bystander", "closed", "300s");
    let timeout = match (fault, kind) {
        (PluginFault::Timeout, _) => "1s",
        (PluginFault::Spin, Kind::Linked | Kind::Native) => "100ms",
        _ => "300s",
    };
    let all: Vec<(Declared, usize)> = Declared::BOTH
        .into_iter()
        .flat_map(|declared| (0..plugins).map(move |number| (declared, number)))
        .collect();
    for (declared, number) in &all {
        add(&format!("{}-{number}", declared.name()), declared.name(), timeout);
    }
    let route = |config: Config, (declared, number): &(Declared, usize)| {
        let name = declared.name();
        config.route(
            &format!("/{name}/{number}/*"),
            format!("filters = [\"{name}-{number}\"]\nproxy = \"app\""),
        )
    };
    all.iter()
        .fold(site(), route)
        .route("/bystander/*", "filters = [\"bystander\"]\nproxy = \"app\"")
        .route("/bare/*", "proxy = \"app\"")
        .toml(tables)
        .toml("[[log.access]]\nfile = \"gone.log\"\nformat = \"$uri $status\"\nwhen = '$status == \"499\"'\n")
}

/// Where the plugin comes from. What Wasm alone survives is done by a plugin that is only there as Wasm.
fn source(kind: Kind, fault: PluginFault) -> String {
    let module = match kind {
        Kind::Linked => return "use = \"conformance\"".to_owned(),
        Kind::Native => PluginModule::Conformance,
        Kind::Wasm if is_guest(kind, fault) => PluginModule::GuestWasm,
        Kind::Wasm => PluginModule::ConformanceWasm,
    };
    format!("module = \"{}\"", module.file().display())
}

pub(super) fn is_guest(kind: Kind, fault: PluginFault) -> bool {
    kind == Kind::Wasm && matches!(fault, PluginFault::Spin | PluginFault::Memory)
}

/// One instance, so that all requests are in it. A build for tests is slow: it has more time than is usual.
fn limits(kind: Kind, fault: PluginFault) -> &'static str {
    match (kind, fault) {
        (Kind::Linked | Kind::Native, _) => "",
        (_, PluginFault::Memory) => "limits = { memory = \"64MiB\", cpu = \"10s\", instances = 1 }",
        (_, PluginFault::Spin) => "limits = { cpu = \"100ms\", instances = 1 }",
        _ => "limits = { cpu = \"10s\", instances = 1 }",
    }
}
