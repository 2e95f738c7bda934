//! Prints what the foundation was promised to do beside what was measured: `line: figure (wanted)`.
//!
//! A line that falls short is marked so, and the exit code says whether any does. `--fresh` also builds, runs and tests a
//! clean clone.

#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "a show that cannot play its part has nothing to show"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use switchback_integration::{
    Client, Deadline, Show, Trust, eventually, fragments, get, latency, many_sites, mutated,
    reloads,
};

fn main() -> ExitCode {
    let mut played = Foundation::default();
    played.fragments();
    played.latency();
    played.mutations();
    played.sites();
    played.routes();
    played.reloads();
    if std::env::args().any(|argument| argument == "--fresh") {
        played.fresh_clone();
    }
    played.show.verdict()
}

#[derive(Default)]
struct Foundation {
    show: Show,
}

impl Foundation {
    fn fragments(&mut self) {
        let found = fragments(1);
        let figure = format!("{} of {} differ", found.differences.len(), found.cuts);
        let holds = found.differences.is_empty();
        self.show.line(
            "answers to requests cut at every byte and sent byte by byte",
            &figure,
            "0",
            holds,
        );
        found
            .differences
            .iter()
            .take(3)
            .for_each(|difference| self.show.say(&format!("  {difference}")));
    }

    fn latency(&mut self) {
        let measured = latency(3000);
        let figure = format!(
            "{:?} median, {:?} p99, {:?} worst",
            measured.median, measured.p99, measured.worst
        );
        let holds = measured.median < Duration::from_millis(1);
        self.show.line(
            "a 200-byte answer leaves after it is ready",
            &figure,
            "median below 1 ms",
            holds,
        );
    }

    fn mutations(&mut self) {
        let found = mutated(200);
        let figure =
            format!("{} of {} ({} refused)", found.faults.len(), found.tried, found.refused);
        let holds = found.faults.is_empty() && found.tried == 200;
        self.show.line(
            "mutated configs that panic, half start, or divide check from reload",
            &figure,
            "0 of 200",
            holds,
        );
        found.faults.iter().take(3).for_each(|fault| self.show.say(&format!("  {fault}")));
    }

    fn sites(&mut self) {
        for routes in [2, 20] {
            let sites = many_sites(10_000, routes);
            let what = format!("10,000 sites with {routes} routes each, config to snapshot");
            let figure = format!(
                "{} ms, {} MiB resident",
                sites.reload.as_millis(),
                sites.resident_kib / 1024
            );
            let holds = sites.reload < Duration::from_secs(1) && sites.answers;
            self.show.line(&what, &figure, "below 1000 ms, and they answer", holds);
        }
    }

    fn routes(&mut self) {
        let printed = bench("switchback-route", "route");
        let nanoseconds = figure(&printed, "route_ns");
        self.show.line(
            "choosing among 10,000 hosts x 20 routes",
            &format!("{nanoseconds} ns"),
            "at most 1000 ns",
            nanoseconds <= 1000.0,
        );
        let allocations = figure(&printed, "route_allocations");
        self.show.line(
            "allocations in choosing",
            &allocations.to_string(),
            "0",
            allocations == 0.0,
        );
    }

    fn reloads(&mut self) {
        let played = reloads(100, 300_000);
        let asked = played.answered + played.failures.len() as u64;
        let failed = format!("{} of {asked}", played.failures.len());
        let holds = played.failures.is_empty() && asked >= 300_000;
        self.show.line("requests failed during 100 reloads", &failed, "0 of 300000", holds);
        played.failures.iter().take(3).for_each(|failure| self.show.say(&format!("  {failure}")));
        self.show.line(
            "reloads seen to act",
            &played.acted.to_string(),
            "100",
            played.acted == 100,
        );
        let yes_or_no = |yes: bool| if yes { "yes" } else { "no" };
        self.show.line(
            "a WebSocket lives through them",
            yes_or_no(played.websocket_lived),
            "yes",
            played.websocket_lived,
        );
        self.show.line(
            "a slow download is whole after them",
            yes_or_no(played.download_whole),
            "yes",
            played.download_whole,
        );
        let (before, after) = played.memory;
        self.show.say(&format!(
            "memory over the reloads: {} KiB, then {} KiB",
            before.resident_kib, after.resident_kib
        ));
    }

    fn fresh_clone(&mut self) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clone = folder.path().join("switchback");
        let cloned =
            Command::new("git").args(["clone", "--quiet"]).arg(repository()).arg(&clone).status();
        assert!(cloned.is_ok_and(|status| status.success()), "the repository can be cloned");
        let started = Instant::now();
        let served = serve_demo(&clone);
        let figure = if served { minutes(started) } else { "no".to_owned() };
        self.show.line(
            "`make run` on a fresh clone serves the demo after",
            &figure,
            "it does",
            served,
        );
        let started = Instant::now();
        let tested = make(&clone, "test").wait().is_ok_and(|status| status.success());
        let figure = if tested { minutes(started) } else { "no".to_owned() };
        self.show.line("`make test` passes there after", &figure, "it does", tested);
    }
}

/// Whether `make run` in this folder comes to answer on both of its ports.
fn serve_demo(clone: &Path) -> bool {
    let taken = ["127.0.0.1:8080", "127.0.0.1:8443"];
    for address in taken {
        assert!(
            std::net::TcpListener::bind(address).is_ok(),
            "{address} is in use: the demo cannot be shown"
        );
    }
    let mut run = make(clone, "run");
    let [plain, tls] = taken.map(|address| address.parse().expect("an address"));
    let deadline = Deadline::after(Duration::from_secs(30 * 60));
    let ended = eventually("the demo listens or ends", deadline, || {
        let listens = std::net::TcpStream::connect(plain).is_ok();
        let ended = run.try_wait().expect("a child can be asked").is_some();
        (listens || ended).then_some(ended)
    });
    if ended {
        return false;
    }
    let page = Client::tcp(plain).ask(&get("/"));
    let secure =
        Client::try_tls(tls, "localhost", &Trust::Anyone).map(|mut client| client.ask(&get("/")));
    end_group(&mut run);
    page.status == 200
        && page.text().contains("<html")
        && secure.is_ok_and(|page| page.status == 200)
}

/// `make` in a process group of its own, so that what it starts can be ended with it.
fn make(folder: &Path, target: &str) -> Child {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("make");
    command.arg(target).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    command.env_remove("CARGO_TARGET_DIR").env_remove("SWITCHBACK_BIN").process_group(0);
    command.spawn().unwrap_or_else(|error| panic!("make cannot be started: {error}"))
}

fn end_group(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id");
    // It may have ended by itself.
    let _sent = kill_process_group(group, Signal::TERM);
    let _status = child.wait();
}

/// What a bench of another package prints.
fn bench(package: &str, name: &str) -> String {
    let mut command = Command::new("cargo");
    command.args(["bench", "--quiet", "-p", package, "--bench", name]).current_dir(repository());
    let output = command.stderr(Stdio::inherit()).output().expect("cargo can be started");
    assert!(output.status.success(), "the bench of {package} fails");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The number behind `name: ` in what a bench printed; not a number where there is none, which falls short of any bound.
fn figure(printed: &str, name: &str) -> f64 {
    let line = printed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(f64::NAN)
}

fn minutes(since: Instant) -> String {
    format!("{:.1} minutes", since.elapsed().as_secs_f64() / 60.0)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a package lies in the repository")
        .to_owned()
}
