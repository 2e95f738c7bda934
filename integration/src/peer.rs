//! Real programs from the distribution, for comparison and as clients.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::client::Client;
use crate::notify::NotifySocket;
use crate::patience::{Deadline, eventually};
use crate::proxy::Child;

/// A program from the distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Varnish.
    Varnish,
    /// Redis.
    Redis,
    /// The load generator for HTTP/1.1.
    Wrk,
    /// The load generator for HTTP/2.
    H2load,
    /// The slow client.
    Slowhttptest,
    /// The browser.
    Chromium,
    /// The memory checker.
    Valgrind,
    /// The clock shifter.
    Faketime,
    /// The client of the people.
    Curl,
    /// The tracer of system calls.
    Strace,
    /// The reader of access logs.
    Goaccess,
    /// The watcher of logs: tells which lines a filter matches.
    Fail2ban,
    /// The rotator of logs.
    Logrotate,
}

impl Tool {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Nginx,
        Self::Haproxy,
        Self::Varnish,
        Self::Redis,
        Self::Wrk,
        Self::H2load,
        Self::Slowhttptest,
        Self::Chromium,
        Self::Valgrind,
        Self::Faketime,
        Self::Curl,
        Self::Strace,
        Self::Goaccess,
        Self::Fail2ban,
        Self::Logrotate,
    ];

    /// The program's name and the argument that makes it print its version.
    fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::Nginx => ("nginx", "-v"),
            Self::Haproxy => ("haproxy", "-v"),
            Self::Varnish => ("varnishd", "-V"),
            Self::Redis => ("redis-server", "--version"),
            Self::Wrk => ("wrk", "-v"),
            Self::H2load => ("h2load", "--version"),
            Self::Slowhttptest => ("slowhttptest", "-h"),
            Self::Chromium => ("chromium", "--version"),
            Self::Valgrind => ("valgrind", "--version"),
            Self::Faketime => ("faketime", "--version"),
            Self::Curl => ("curl", "--version"),
            Self::Strace => ("strace", "--version"),
            Self::Goaccess => ("goaccess", "--version"),
            Self::Fail2ban => ("fail2ban-regex", "--version"),
            Self::Logrotate => ("logrotate", "--version"),
        }
    }

    /// A command that runs it, if it is installed; nothing is printed.
    pub(crate) fn quiet_command(self) -> Option<Command> {
        find(self.program().0).map(Command::new)
    }

    /// A command that runs it, once its version has been printed; `None`, said loudly, when it is not installed.
    ///
    /// # Panics
    /// When it is not installed and `$CI` is set: there a skip would hide a missing test.
    #[must_use]
    pub fn command(self) -> Option<Command> {
        let (name, version) = self.program();
        let Some(path) = find(name) else {
            assert!(
                std::env::var_os("CI").is_none(),
                "{name} is not installed: run integration/setup.sh"
            );
            announce(&format!("SKIPPED: {name} is not installed; run integration/setup.sh"));
            return None;
        };
        let printed = Command::new(&path)
            .arg(version)
            .output()
            .map(|output| [output.stdout, output.stderr].concat());
        let printed = String::from_utf8_lossy(&printed.unwrap_or_default()).into_owned();
        let line = printed.lines().find(|line| line.chars().any(|letter| letter.is_ascii_digit()));
        announce(&format!("{name}: {}", line.unwrap_or("prints no version").trim()));
        Some(Command::new(path))
    }
}

/// A peer that serves, on a Unix socket and, where it can, a TCP port of loopback.
pub struct Peer {
    folder: TempDir,
    address: SocketAddr,
    child: Child,
}

impl Peer {
    /// nginx with this text inside `http { server { } }`; `None` when it is not installed.
    #[must_use]
    pub fn nginx(server: &str) -> Option<Self> {
        Self::nginx_with("", server)
    }

    /// nginx with this text inside `http { }` and that inside its `server { }`; `None` when it is not installed.
    #[must_use]
    pub fn nginx_with(http: &str, server: &str) -> Option<Self> {
        let mut command = Tool::Nginx.command()?;
        let (folder, address) = (new_folder(), free_address());
        let config = format!(
            "worker_processes 1; pid nginx.pid; error_log stderr; daemon off;\n\
             events {{ worker_connections 512; }}\n\
             http {{ access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; \
             uwsgi_temp_path u; scgi_temp_path s; {http}\n\
             server {{ listen {address}; listen unix:{}; {server} }} }}\n",
            socket(&folder).display(),
        );
        write(&folder, "nginx.conf", &config);
        command.args(["-e", "stderr", "-c", "nginx.conf", "-p"]).arg(folder.path());
        Some(Self::run(command, folder, address))
    }

    /// nginx with this whole configuration, in whose folder relative paths lie; it listens on `address`. `None` when it is
    /// not installed.
    #[must_use]
    pub fn nginx_whole(config: &str, address: SocketAddr) -> Option<Self> {
        let mut command = Tool::Nginx.command()?;
        let folder = new_folder();
        let paths = "http {\n    client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; \
                     uwsgi_temp_path u; scgi_temp_path s;\n";
        write(&folder, "nginx.conf", &config.replacen("http {\n", paths, 1));
        // The workers of a master that is root would be nobody, who may not read what lies here.
        command.args(["-e", "stderr", "-g", "daemon off; user root;", "-c", "nginx.conf", "-p"]);
        command.arg(folder.path());
        let peer = Self::spawn(command, folder, address);
        eventually(&format!("nginx listens on {address}"), Deadline::soon(), || {
            TcpStream::connect(address).ok()
        });
        Some(peer)
    }

    /// HAProxy with this text inside one `listen` section in mode http; `None` when it is not installed.
    #[must_use]
    pub fn haproxy(section: &str) -> Option<Self> {
        let mut command = Tool::Haproxy.command()?;
        let (folder, address) = (new_folder(), free_address());
        let config = format!(
            "defaults\n mode http\n timeout client 30s\n timeout server 30s\n timeout connect 5s\n\
             listen peer\n bind {address}\n bind unix@{}\n {section}\n",
            socket(&folder).display(),
        );
        write(&folder, "haproxy.cfg", &config);
        command.args(["-db", "-f", "haproxy.cfg"]);
        Some(Self::run(command, folder, address))
    }

    /// Varnish before this backend; `None` when it is not installed.
    #[must_use]
    pub fn varnish(backend: SocketAddr) -> Option<Self> {
        Self::varnish_with(backend, 16, &[])
    }

    /// The same with so many megabytes for what it stores, and these parameters.
    #[must_use]
    pub fn varnish_with(
        backend: SocketAddr,
        megabytes: usize,
        parameters: &[&str],
    ) -> Option<Self> {
        let mut command = Tool::Varnish.command()?;
        for parameter in parameters {
            command.args(["-p", parameter]);
        }
        let (folder, address) = (new_folder(), free_address());
        let store = format!("malloc,{megabytes}m");
        command.args(["-F", "-s", &store, "-j", "none", "-b", &backend.to_string()]);
        command.arg("-n").arg(folder.path().join("work"));
        command.arg("-a").arg(socket(&folder)).arg("-a").arg(address.to_string());
        Some(Self::run(command, folder, address))
    }

    /// Redis without persistence; `None` when it is not installed.
    #[must_use]
    pub fn redis() -> Option<Self> {
        let mut command = Tool::Redis.command()?;
        let (folder, address) = (new_folder(), free_address());
        command.args([
            "--save",
            "",
            "--bind",
            "127.0.0.1",
            "--port",
            &address.port().to_string(),
            "--unixsocket",
        ]);
        command.arg(socket(&folder));
        Some(Self::run(command, folder, address))
    }

    fn spawn(mut command: Command, folder: TempDir, address: SocketAddr) -> Self {
        command.current_dir(folder.path());
        let ended = NotifySocket::bind(folder.path()).expect("a socket in an empty folder");
        let child = Child::spawn(command, ended.path().to_owned()).ended_gently();
        Self { folder, address, child }
    }

    fn run(command: Command, folder: TempDir, address: SocketAddr) -> Self {
        let peer = Self::spawn(command, folder, address);
        let path = socket(&peer.folder);
        let what = format!("the peer listens on {}", path.display());
        eventually(&what, Deadline::soon(), || UnixStream::connect(&path).ok());
        peer
    }

    /// Its Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        socket(&self.folder)
    }

    /// Its TCP address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection to it.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::tcp(self.address)
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process id; it may have children.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// What it wrote to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.child.stderr()
    }
}

/// A port that was free a moment ago, for programs that cannot be told to choose one.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
    listener.local_addr().expect("a bound socket")
}

fn new_folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("peer.sock")
}

fn write(folder: &TempDir, name: &str, text: &str) {
    std::fs::write(folder.path().join(name), text).expect("a temporary folder takes files");
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let candidates = std::env::split_paths(&path).chain(sbin).map(|folder| folder.join(name));
    candidates.into_iter().find(|candidate: &PathBuf| Path::is_file(candidate))
}

/// Past the test runner's capture: versions and skips belong in every log.
pub(crate) fn announce(line: &str) {
    // A closed standard error is no reason to fail a test.
    let _said = writeln!(std::io::stderr(), "{line}");
}
