//! The programs that read and rotate nginx's logs, on ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::everyday::odd_requests;
use crate::client::Client;
use crate::config::text;
use crate::patience::{Deadline, eventually};
use crate::peer::{Peer, Tool, free_address};
use crate::proxy::Proxy;

/// Which lines of the logs of the same requests a filter of fail2ban matches.
#[derive(Clone, Debug)]
pub struct Filtered {
    /// The filter.
    pub filter: &'static str,
    /// The requests that it matches in nginx's log.
    pub nginx: Vec<String>,
    /// And in ours.
    pub ours: Vec<String>,
}

/// What GoAccess made of our log.
#[derive(Clone, Copy, Debug)]
pub struct ReadLog {
    /// The lines of the log.
    pub lines: u64,
    /// Those that it took.
    pub valid: u64,
    /// Those that it did not.
    pub failed: u64,
    /// Those that begin with no address of a client.
    pub nameless: u64,
}

/// Two servers that have logged the same requests.
pub struct LogTools {
    nginx: Peer,
    ours: Proxy,
}

/// Paths that scanners ask for, and requests that are none.
const SCANNED: &[&str] = &[
    "GET /wp-login.php HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /wp-login.php HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "HEAD /phpmyadmin/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /pma/index.php?lang=en HTTP/1.1\r\nHost: a\r\nUser-Agent: a \"quoted\" agent\r\n\r\n",
    "GET /roundcube/ HTTP/1.0\r\n\r\n",
    "GET /cgi-bin/test.cgi HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /harmless HTTP/1.1\r\nHost: a\r\nReferer: http://a/\r\n\r\n",
    "GET /% HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /no-host HTTP/1.1\r\n\r\n",
    "GET /two-hosts HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "\x16\x03\x01\x02\r\n\r\n",
    "nonsense\r\n\r\n",
    "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
];

const THE_END: &str = "/the-end-of-the-log";

impl LogTools {
    /// Starts both and has them log; `None` when nginx is not installed.
    ///
    /// # Panics
    /// When one of them does not start or does not log.
    #[must_use]
    pub fn start() -> Option<Self> {
        let address = free_address();
        let nginx = Peer::nginx_whole(
            &format!(
                "worker_processes 1; pid nginx.pid; error_log stderr;\n\
                 events {{ worker_connections 512; }}\n\
                 http {{\n access_log access.log;\n\
                 server {{ listen {address}; location / {{ return 404 \"none\\n\"; }} }} }}\n"
            ),
            address,
        )?;
        let ours = Proxy::start(&logging());
        let tools = Self { nginx, ours };
        for request in SCANNED {
            // Whatever is answered: the log is what counts.
            let _answers = [tools.nginx.client(), tools.ours.client()]
                .map(|client| exchange(client, request.as_bytes()));
        }
        for log in tools.logs() {
            wait_for(&log, THE_END, || tools.end());
        }
        Some(tools)
    }

    fn end(&self) {
        let request = format!("GET {THE_END} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        for client in [self.nginx.client(), self.ours.client()] {
            exchange(client, request.as_bytes());
        }
    }

    /// nginx's log and ours.
    fn logs(&self) -> [PathBuf; 2] {
        [self.nginx.folder(), self.ours.folder()].map(|folder| folder.join("access.log"))
    }

    /// What the filters of fail2ban match; `None` when it is not installed.
    ///
    /// # Panics
    /// When fail2ban fails.
    #[must_use]
    pub fn fail2ban(&self) -> Option<Vec<Filtered>> {
        Tool::Fail2ban.command()?;
        let filtered = |filter: &'static str| {
            let [nginx, ours] = self.logs().map(|log| matched(&log, filter));
            Filtered { filter, nginx, ours }
        };
        Some(["nginx-botsearch", "nginx-bad-request"].map(filtered).into())
    }

    /// Logs every odd request of the comparison as well, and says what GoAccess makes of the log; `None` when it is not
    /// installed.
    ///
    /// # Panics
    /// When GoAccess fails.
    #[must_use]
    pub fn goaccess(&self) -> Option<ReadLog> {
        let mut goaccess = Tool::Goaccess.command()?;
        // GoAccess reads no longer lines.
        for request in odd_requests().iter().filter(|request| request.len() < 3000) {
            exchange(self.ours.client(), request);
        }
        let [_, log] = self.logs();
        let count = || fs::read_to_string(&log).unwrap_or_default().matches(THE_END).count();
        let before = count();
        self.end();
        eventually("the last line is logged", Deadline::soon(), || {
            (count() > before).then_some(())
        });
        let folder = TempDir::new().expect("a temporary folder");
        let report = folder.path().join("report.json");
        goaccess.arg(&log).args(["--log-format=COMBINED", "--no-global-config", "--no-progress"]);
        let output = goaccess.arg("-o").arg(&report).output().expect("GoAccess can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // Not parsed as JSON: GoAccess writes odd paths into it in a way that is none.
        let report = fs::read(&report).expect("GoAccess writes its report");
        let report = String::from_utf8_lossy(&report).into_owned();
        let number = |key: &str| {
            let (_, rest) = report.split_once(&format!("\"{key}\":"))?;
            let digits = rest.trim_start().split(|byte: char| !byte.is_ascii_digit()).next()?;
            digits.parse().ok()
        };
        let number = |key: &str| number(key).unwrap_or(u64::MAX);
        let text = fs::read_to_string(&log).unwrap_or_default();
        let nameless = text.lines().filter(|line| line.starts_with("unix:")).count() as u64;
        let (valid, failed) = (number("valid_requests"), number("failed_requests"));
        Some(ReadLog { lines: text.lines().count() as u64, valid, failed, nameless })
    }
}

/// Whether after logrotate's work the new lines are in the new file and the old ones in the old, or what is wrong. `None`
/// when it is not installed.
///
/// # Panics
/// When the proxy does not start.
#[must_use]
pub fn rotation() -> Option<Result<(), String>> {
    let mut logrotate = Tool::Logrotate.command()?;
    let proxy = Proxy::start(&logging());
    let log = proxy.folder().join("access.log");
    wait_for(&log, "/before", || drop(proxy.get("/before")));
    let config = format!(
        "{} {{\n  rotate 3\n  nocompress\n  su\n  postrotate\n    kill -USR1 $(cat {}/switchback.pid)\n  endscript\n}}\n",
        log.display(),
        proxy.folder().display()
    );
    let config = config.replace("  su\n", "");
    let file = proxy.folder().join("logrotate.conf");
    fs::write(&file, config).expect("a temporary folder takes files");
    let state = proxy.folder().join("logrotate.state");
    let output = logrotate.args(["--force", "--state"]).arg(state).arg(&file).output();
    let output = output.expect("logrotate can be started");
    if !output.status.success() {
        return Some(Err(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    wait_for(&log, "/after", || drop(proxy.get("/after")));
    let rotated = fs::read_to_string(log.with_extension("log.1")).unwrap_or_default();
    let new = fs::read_to_string(&log).unwrap_or_default();
    Some(if rotated.contains("/before") && !new.contains("/before") {
        Ok(())
    } else {
        Err(format!("old file:\n{rotated}\nnew file:\n{new}"))
    })
}

fn logging() -> crate::config::Config {
    text(
        "[[log.access]]\nfile = \"access.log\"\n\n[[listeners]]\nname = \"web\"\naddress = \"127.0.0.1:0\"\n\n\
         [[sites]]\n\n[[sites.routes]]\nrespond = { status = 404, body = \"none\\n\" }\n",
    )
}

/// Sends, says that nothing follows, and reads to the end, whatever comes.
fn exchange(mut client: Client, request: &[u8]) {
    if client.try_send(request).is_ok() {
        // A server that answered and closed is not waited for any more.
        let _half = client.try_finish_sending();
        while client.try_read().is_ok_and(|bytes| !bytes.is_empty()) {}
    }
}

/// Asks until the log holds this text: what was asked before the log file was opened again may be in the old one.
fn wait_for(log: &Path, wanted: &str, ask: impl Fn()) {
    ask();
    let what = format!("{wanted} is in {}", log.display());
    let mut tries = 0_u32;
    eventually(&what, Deadline::soon(), || {
        tries += 1;
        if tries.is_multiple_of(500) {
            ask();
        }
        fs::read_to_string(log).unwrap_or_default().contains(wanted).then_some(())
    });
}

/// The requests, with their status, of the lines that the filter matches.
fn matched(log: &Path, filter: &str) -> Vec<String> {
    let mut command = Command::new("fail2ban-regex");
    let output = command.arg(log).args([filter, "--print-all-matched"]).output();
    let output = output.expect("fail2ban can be started");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = printed.lines().skip_while(|line| !line.contains("Matched line(s)"));
    let lines = lines.take_while(|line| !line.starts_with('`')).filter(|line| line.contains('"'));
    let request = |line: &str| {
        let (_, rest) = line.split_once('"')?;
        let (request, rest) = rest.split_once("\" ")?;
        Some(format!("{request} {}", rest.split(' ').next()?))
    };
    lines.filter_map(request).collect()
}
