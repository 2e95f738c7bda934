//! Clients that are slow on purpose at one site, and how soon another site answers meanwhile.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, setpriority_process};

use super::traffic::Traffic;
use crate::client::Client;
use crate::config::{Config, config};
use crate::guard::must_not_outlive;
use crate::message::get;
use crate::patience::Deadline;
use crate::peer::Tool;
use crate::proxy::Proxy;

/// What slowhttptest is slow at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    /// Sending a request head, a field at a time.
    Header,
    /// Sending a request body, a few bytes at a time.
    Body,
    /// Reading an answer.
    Read,
}

impl Slow {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Header, Self::Body, Self::Read];
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct SlowPlan {
    /// What is slow.
    pub slow: Slow,
    /// Connections at the same time.
    pub connections: usize,
    /// When each must have been cut: the deadline of heads, or the time after which bodies must keep the least rate.
    pub deadline: Duration,
    /// How much later than that a connection may still be there, for those that are busy.
    pub grace: Duration,
    /// How often the whole is played.
    pub runs: usize,
}

/// What one run came to.
#[derive(Clone, Copy, Debug)]
pub struct SlowRun {
    /// Slow connections that were opened.
    pub opened: u64,
    /// Those that were still open when their deadline and the grace were over.
    pub late: u64,
    /// 99 of 100 requests to the other site were answered sooner, before the attack.
    pub idle: Duration,
    /// The same during the attack.
    pub attacked: Duration,
}

/// Why it was not played.
#[derive(Clone, Debug)]
pub enum NotPlayed {
    /// slowhttptest is not installed.
    NoTool,
    /// The binary does not take the configuration; it says why.
    Refused(String),
}

/// Plays it.
///
/// # Errors
/// Where it cannot be played here, or by this binary.
///
/// # Panics
/// When the other site answers wrongly, or slowhttptest writes no figures.
pub fn slow_clients(plan: &SlowPlan) -> Result<Vec<SlowRun>, NotPlayed> {
    Tool::Slowhttptest.quiet_command().ok_or(NotPlayed::NoTool)?;
    // Nobody sends a request of it: its origin alone is wanted, which thousands of connections do not bother.
    let origin = Traffic::start();
    let config = sites(plan, origin.origin());
    let proxy = Proxy::try_start(&config).map_err(|refusal| NotPlayed::Refused(refusal.stderr))?;
    Ok((0..plan.runs).map(|_| run(plan, &proxy)).collect())
}

/// The middle of three; of an even number, the larger.
#[must_use]
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(Duration::MAX)
}

/// Two sites on one listener.
fn sites(plan: &SlowPlan, origin: SocketAddr) -> Config {
    let seconds = plan.deadline.as_secs();
    let limits = match plan.slow {
        Slow::Header => format!("timeouts = {{ header = \"{seconds}s\" }}"),
        Slow::Body | Slow::Read => {
            format!("min_rate = {{ receive = \"240\", send = \"240\", after = \"{seconds}s\" }}")
        }
    };
    config()
        .top("workers = 2")
        .web(limits)
        .site("hosts = [\"other.example\"]")
        .respond("/*", "soon")
        .site("default = true")
        .route("/big", "files = \"files\"")
        .route("/*", "proxy = \"app\"")
        .endpoints("app", &[origin.to_string()], "")
        .file("files/big", "x".repeat(BIG))
}

/// More than the buffers of a socket take.
const BIG: usize = 8 << 20;

fn run(plan: &SlowPlan, proxy: &Proxy) -> SlowRun {
    let address = proxy.address("web");
    let until_idle = Instant::now() + plan.deadline.min(Duration::from_secs(5));
    let idle = p99(address, || Instant::now() < until_idle);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let attacking = AtomicBool::new(true);
    let (attacked, watched, printed) = thread::scope(|scope| {
        let is_on = || attacking.load(Ordering::Acquire);
        let prober = scope.spawn(move || p99(address, is_on));
        // The others are seen by slowhttptest itself.
        let is_watched = plan.slow == Slow::Read;
        let watcher = scope.spawn(move || watch(address, || is_watched && is_on()));
        let printed = attack(plan, address, folder.path());
        attacking.store(false, Ordering::Release);
        let watched = watcher.join().unwrap_or_default();
        (prober.join().unwrap_or(Duration::MAX), watched, printed)
    });
    let figures = fs::read_to_string(folder.path().join("slow.csv"));
    let figures = figures.expect("slowhttptest writes what it saw");
    let all_cut = printed.expect("slowhttptest can be started").contains(ALL_CUT);
    let deadline = (plan.deadline + plan.grace).as_secs();
    let (opened, late) = match plan.slow {
        // slowhttptest reads so seldom that it does not notice.
        Slow::Read => (judge(&figures, all_cut, deadline).0, still_open(&watched, deadline)),
        Slow::Header | Slow::Body => judge(&figures, all_cut, deadline),
    };
    SlowRun { opened, late, idle, attacked }
}

/// Once a second, how many connections to `address` the kernel has something to do for, but for one or two of the prober.
fn watch(address: SocketAddr, go_on: impl Fn() -> bool) -> Vec<(Duration, u64)> {
    const PROBERS: u64 = 2;
    // Thousands of lines are milliseconds of the kernel's, once a second: as often as the slowest hundredth that is measured.
    yield_to_all();
    let began = Instant::now();
    let mut seen = Vec::new();
    while go_on() {
        seen.push((began.elapsed(), open_at(address.port()).saturating_sub(PROBERS)));
        thread::park_timeout(Duration::from_secs(1));
    }
    seen
}

/// Lets this thread work when nobody else wants to.
fn yield_to_all() {
    let this = fs::read_link("/proc/thread-self").expect("a thread has its own folder");
    let this =
        this.file_name().and_then(|name| name.to_str()?.parse().ok()).and_then(Pid::from_raw);
    setpriority_process(this, 19).expect("a thread may always yield more");
}

/// Connections of a local port that are established, or still have to send.
fn open_at(port: u16) -> u64 {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let port = format!(":{port:04X}");
    let is_open = |line: &&str| {
        let mut fields = line.split_ascii_whitespace();
        let is_ours = fields.nth(1).is_some_and(|local| local.ends_with(&port));
        is_ours && matches!(fields.nth(1), Some("01" | "04" | "08" | "09" | "0B"))
    };
    table.lines().skip(1).filter(is_open).count() as u64
}

/// How many were still open so many seconds after all were. The least of what was seen: a connection that is cut stays so, while
/// those of the prober come and go.
fn still_open(seen: &[(Duration, u64)], deadline: u64) -> u64 {
    let most = seen.iter().map(|(_, open)| *open).max().unwrap_or(0);
    let full = seen.iter().find(|(_, open)| *open == most).map_or(Duration::ZERO, |(at, _)| *at);
    let late = seen.iter().filter(|(at, _)| *at >= full + Duration::from_secs(deadline));
    // Whoever was not watched for long enough was not seen to be cut.
    late.map(|(_, open)| *open).min().unwrap_or(most)
}

/// How slowhttptest says that it ended because every connection did.
const ALL_CUT: &str = "No open connections left";

/// Returns what is printed when all connections were cut, at the latest some time after they should have been.
fn attack(plan: &SlowPlan, address: SocketAddr, folder: &Path) -> Option<String> {
    // The attacker would have a machine of its own: it yields the processors to those that are measured.
    let mut command = Command::new("nice");
    command.args(["-n", "19", "slowhttptest", "-g", "-o", "slow", "-v", "1"]).current_dir(folder);
    let length = plan.deadline.as_secs() + plan.connections as u64 / 500 + 20;
    command.args(["-c", &plan.connections.to_string(), "-r", "1000", "-l", &length.to_string()]);
    match plan.slow {
        Slow::Header => command.args(["-H", "-i", "1", "-u"]).arg(format!("http://{address}/")),
        Slow::Body => command
            .args(["-B", "-i", "2", "-s", "65536", "-x", "10", "-u"])
            .arg(format!("http://{address}/upload")),
        Slow::Read => command
            .args(["-X", "-n", "2", "-z", "32", "-w", "1", "-y", "512", "-u"])
            .arg(format!("http://{address}/big")),
    };
    // Its exit code says nothing about what is asked here.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = command.spawn().ok()?;
    must_not_outlive(child.id());
    let output = child.wait_with_output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Asks the other site a hundred times a second while it shall; times count from when a request was due.
fn p99(address: SocketAddr, go_on: impl Fn() -> bool) -> Duration {
    const PACE: Duration = Duration::from_millis(10);
    let asked = get("/").host("other.example");
    let mut client = Client::tcp(address);
    let mut times = Vec::new();
    let mut due = Instant::now();
    while go_on() || times.is_empty() {
        let answer = client.ask(&asked);
        times.push(due.elapsed());
        answer.expect_status(200).expect_body("soon");
        if !answer.headers.all("connection").is_empty() {
            client = Client::tcp(address);
        }
        due += PACE;
        let pause = Deadline::after(due.saturating_duration_since(Instant::now()));
        while !pause.has_passed() {
            thread::park_timeout(pause.left());
        }
    }
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

/// How many connections slowhttptest opened, and how many of them it still had so many seconds after.
///
/// Its file has a line for each second: `Seconds,Closed,Pending,Connected,Service Available`; none for the second in which
/// it ends because all were cut.
fn judge(figures: &str, all_cut: bool, deadline: u64) -> (u64, u64) {
    let mut seconds: Vec<[u64; 3]> = figures
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut numbers = line.split(',').filter_map(|number| number.trim().parse().ok());
            let (second, closed) = (numbers.next()?, numbers.next()?);
            let open: u64 = numbers.take(2).sum();
            Some([second, closed, closed + open])
        })
        .collect();
    if let Some([last, _, opened]) = seconds.last().copied().filter(|_| all_cut) {
        seconds.push([last + 1, opened, opened]);
    }
    let closed_by = |second: u64| {
        let last = seconds.iter().rev().find(|[at, ..]| *at <= second);
        last.map_or(0, |[_, closed, _]| *closed)
    };
    let late = seconds
        .iter()
        .map(|[second, _, opened]| opened.saturating_sub(closed_by(second + deadline)));
    (seconds.iter().map(|[.., opened]| *opened).max().unwrap_or(0), late.max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{judge, still_open};

    #[test]
    fn connections_are_late_from_when_all_were_open() {
        let seen: Vec<_> = [0, 50, 100, 60, 7, 0]
            .into_iter()
            .zip(0..)
            .map(|(open, second)| (Duration::from_secs(second), open))
            .collect();
        assert_eq!(still_open(&seen, 3), 0);
        assert_eq!(still_open(&seen[..5], 2), 7);
        assert_eq!(still_open(&seen, 9), 100);
    }

    const FIGURES: &str = "Seconds,Closed,Pending,Connected,Service Available\n\
                           0,0,1,0,500\n1,0,1,163,500\n2,0,1,323,500\n3,0,1,499,500\n\
                           4,0,0,500,500\n5,157,0,343,500\n6,321,0,179,500\n7,463,0,37,500\n";

    #[test]
    fn connections_that_outlive_their_deadline_are_late() {
        assert_eq!(judge(FIGURES, true, 5), (500, 0));
        assert_eq!(judge(FIGURES, true, 3), (500, 179));
    }

    #[test]
    fn connections_that_are_never_cut_are_late() {
        let figures = "Seconds,Closed,Pending,Connected,Service Available\n0,0,1,0,9\n6,0,0,9,9\n";
        assert_eq!(judge(figures, false, 2), (9, 9));
    }
}
