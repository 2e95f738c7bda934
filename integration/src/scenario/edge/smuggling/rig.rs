//! A proxy, its origin and its log.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use switchback_conf::plan::Tolerance;

use super::ledger::Ledger;
use super::origin::{MARK, Origin};
use super::player::{self, Played};
use crate::config::{Config, config};
use crate::grammar::Intended;
use crate::patience::{Deadline, eventually};
use crate::proxy::Proxy;

/// Everything that a batch needs.
pub(super) struct Rig {
    proxy: Proxy,
    ledger: Arc<Mutex<Ledger>>,
    log: RefCell<Log>,
    _origin: Origin,
    _folder: tempfile::TempDir,
}

/// Where sound requests are announced.
pub(super) struct Intentions(Arc<Mutex<Ledger>>);

impl Intentions {
    pub(super) fn intend(&self, intended: &Intended) {
        self.0.lock().intend(intended);
    }
}

struct Log {
    file: File,
    rest: Vec<u8>,
}

impl Rig {
    #[track_caller]
    pub(super) fn start() -> Self {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let secret = folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let socket = folder.path().join("origin.sock");
        let origin = Origin::start(&socket, secret.clone(), Arc::clone(&ledger));
        let proxy = Proxy::start(&configuration(&secret, &format!("unix:{}", socket.display())));
        let file = eventually("an access log", Deadline::soon(), || {
            File::open(proxy.folder().join("access.log")).ok()
        });
        Self {
            proxy,
            ledger,
            log: RefCell::new(Log { file, rest: Vec::new() }),
            _origin: origin,
            _folder: folder,
        }
    }

    pub(super) fn intentions(&self) -> Intentions {
        Intentions(Arc::clone(&self.ledger))
    }

    /// Plays, so many connections at a time.
    pub(super) fn play(
        &self,
        clients: usize,
        next: impl FnMut() -> Option<Played> + 'static,
    ) -> u64 {
        player::play(self.proxy.folder(), clients, next)
    }

    /// Waits for the log to be written, then says what does not fit.
    pub(super) fn settle(&self) -> Vec<String> {
        // The log is written once in a second at least.
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            self.read_log();
            if self.ledger.lock().is_settled() {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        self.ledger.lock().settle()
    }

    pub(super) fn matched(&self) -> u64 {
        self.ledger.lock().matched()
    }

    fn read_log(&self) {
        let mut log = self.log.borrow_mut();
        let mut rest = std::mem::take(&mut log.rest);
        log.file.read_to_end(&mut rest).expect("a file can be read");
        let end = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut ledger = self.ledger.lock();
        rest[..end].split(|byte| *byte == b'\n').for_each(|line| ledger.log(line));
        log.rest = rest.split_off(end);
    }
}

fn configuration(secret: &str, endpoint: &str) -> Config {
    let words: Vec<String> = Tolerance::ALL.iter().map(|(_, word)| format!("\"{word}\"")).collect();
    let tolerate = format!("tolerate = [{}]", words.join(", "));
    let mark = format!("{secret} $connection $connection_requests");
    config()
        .listener("address = \"unix:strict.sock\"")
        .listener(format!("address = \"unix:tolerant.sock\"\n{tolerate}"))
        .site("")
        .route(
            "/*",
            format!("proxy = \"app\"\nrequest_headers = {{ set = {{ {MARK} = \"{mark}\" }} }}"),
        )
        .endpoints("app", &[endpoint], "")
        .toml(
            "[log]\nlevel = \"error\"\n[[log.access]]\nfile = \"access.log\"\nescape = \"none\"\n\
             format = \"$connection\\t$connection_requests\\t$request_method\\t$upstream_status\\t$content_length\\t$request_uri\"",
        )
}
