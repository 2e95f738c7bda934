//! What serving files costs, beside nginx with the same settings.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tempfile::TempDir;

use crate::config::site;
use crate::message::pattern;
use crate::peer::{Peer, Tool, free_address};
use crate::proc_stats::ProcessStats;
use crate::proxy::Proxy;

/// Processor time for one unit of work: the lowest of all rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// nginx's, in seconds.
    pub nginx: f64,
    /// Ours, in seconds.
    pub ours: f64,
}

impl Cost {
    /// How many times nginx's cost ours is.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.ours / self.nginx
    }
}

/// Two servers of the same files.
pub struct Downloads {
    nginx: Peer,
    ours: Proxy,
    _files: TempDir,
}

const GIGABYTE: u64 = 1 << 30;

impl Downloads {
    /// Both, with two workers, without access logs; `None` when nginx is not installed.
    ///
    /// # Panics
    /// When the files cannot be made, or one of the two does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let files = TempDir::new().expect("a temporary folder");
        let root = files.path();
        std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o755))
            .expect("a folder of our own");
        std::fs::write(root.join("small"), pattern(100_000)).expect("room for a file");
        let big = File::create(root.join("big")).expect("room for a file");
        big.set_len(GIGABYTE).expect("room for a file");
        let address = free_address();
        let config = format!(
            "worker_processes 2; pid nginx.pid; error_log stderr;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n access_log off; sendfile on; keepalive_requests 1000;\n\
             server {{ listen {address}; root {}; }} }}\n",
            root.display()
        );
        let nginx = Peer::nginx_whole(&config, address)?;
        let files_key = format!("files = {}", serde_json::Value::from(root.to_string_lossy()));
        let ours = Proxy::start(&site().top("workers = 2").route("/*", files_key));
        Some(Self { nginx, ours, _files: files })
    }

    /// Processor time for a file of one gigabyte, over this many rounds of three downloads.
    ///
    /// # Panics
    /// When a download is not whole.
    #[must_use]
    pub fn gigabyte(&self, rounds: usize) -> Cost {
        self.measure(rounds, |address| {
            (0..3).for_each(|_| fetch(address, "/big", GIGABYTE));
            3.0
        })
    }

    /// Processor time for a request for a file of 100 KB on kept connections, over this many rounds; `None` when wrk is not
    /// installed.
    ///
    /// # Panics
    /// When an answer is wrong.
    #[must_use]
    pub fn small_file(&self, rounds: usize, each: Duration) -> Option<Cost> {
        Tool::Wrk.command()?;
        Some(self.measure(rounds, |address| load(address, "/small", each)))
    }

    /// Does `work` against each in turn, and divides the processor time of the whole process tree by what it returns.
    fn measure(&self, rounds: usize, work: impl Fn(SocketAddr) -> f64) -> Cost {
        let targets =
            [(self.nginx.pid(), self.nginx.address()), (self.ours.pid(), self.ours.address("web"))];
        let mut lowest = [f64::INFINITY; 2];
        // The first round fills the page cache.
        for round in 0..=rounds {
            for (number, (pid, address)) in targets.into_iter().enumerate() {
                let before = ProcessStats::processor_time_of_tree(pid);
                let done = work(address);
                let spent = ProcessStats::processor_time_of_tree(pid) - before;
                if round > 0 {
                    lowest[number] = lowest[number].min(spent.as_secs_f64() / done);
                }
            }
        }
        Cost { nginx: lowest[0], ours: lowest[1] }
    }
}

/// Downloads and counts.
fn fetch(address: SocketAddr, path: &str, length: u64) {
    let mut stream = TcpStream::connect(address).expect("a server that listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a server that reads");
    let mut block = vec![0; 1 << 20];
    let mut got = 0;
    loop {
        let read = stream.read(&mut block).expect("a server that sends");
        if read == 0 {
            break;
        }
        got += read as u64;
    }
    assert!(got > length && got < length + 1000, "{got} bytes of {length} from {address}");
}

/// How many requests wrk made.
fn load(address: SocketAddr, path: &str, each: Duration) -> f64 {
    let mut wrk = Tool::Wrk.quiet_command().expect("wrk was there a moment ago");
    let seconds = format!("-d{}s", each.as_secs().max(1));
    wrk.args(["-t1", "-c16", &seconds, &format!("http://{address}{path}")]);
    let output = wrk.output().expect("wrk can be started");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!printed.contains("Non-2xx"), "{address}: {printed}");
    let line = printed.lines().find(|line| line.contains(" requests in "));
    let count = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    count.unwrap_or_else(|| panic!("wrk prints no count: {printed}"))
}
