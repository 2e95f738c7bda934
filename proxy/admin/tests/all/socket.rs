//! Asked with our own client and with raw bytes; behind it, a `Control` that only records.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use switchback_admin::message::{self, StopMode};
use switchback_admin::{CallError, Client, ControlSocket};
use switchback_engine::control::{
    self, Control, ListenerStatus, State, Status, Upgraded, Verdict, Version,
};
use switchback_engine::purge::{
    self, KeyPage, PurgeError, PurgeTarget, Purged, StoredKey, ZoneStatus,
};
use switchback_engine::reshard::{Reshard, ReshardError, ReshardStatus};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// Records what it is asked; accepts reloads unless told otherwise.
#[derive(Default)]
struct FakeControl {
    refuses: AtomicBool,
    generation: AtomicU64,
    graceful_stops: AtomicU64,
    fast_stops: AtomicU64,
    reopened: AtomicU64,
}

impl FakeControl {
    fn verdict(&self) -> Verdict {
        let accepted = !self.refuses.load(Ordering::Relaxed);
        Verdict {
            accepted,
            generation: self.generation.load(Ordering::Relaxed),
            diagnostics: Vec::new(),
        }
    }
}

impl Control for FakeControl {
    fn version(&self) -> Version {
        Version { name: "switchback", version: "1.2.3" }
    }

    fn status(&self) -> Status {
        Status {
            pid: 42,
            config: Some(PathBuf::from("/etc/switchback/switchback.toml")),
            generation: self.generation.load(Ordering::Relaxed),
            started: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000),
            uptime: Duration::from_millis(61_900),
            state: State::Draining,
            workers: 2,
            listeners: vec![ListenerStatus {
                name: "main".into(),
                address: "127.0.0.1:8443".into(),
                tls: true,
            }],
            connections: 3,
            requests_in_flight: 1,
            requests: 99,
            log_lines_lost: 5,
            upgrade_failure: Some("no such file".into()),
        }
    }

    fn check(&self) -> Verdict {
        self.verdict()
    }

    fn reload(&self) -> Verdict {
        if !self.refuses.load(Ordering::Relaxed) {
            self.generation.fetch_add(1, Ordering::Relaxed);
        }
        self.verdict()
    }

    fn upgrade(&self) -> Upgraded {
        if self.refuses.load(Ordering::Relaxed) {
            return Upgraded::Failed { reason: "no such file".into() };
        }
        Upgraded::TakenOver { pid: 43 }
    }

    fn stop(&self, mode: control::StopMode) {
        match mode {
            control::StopMode::Graceful => self.graceful_stops.fetch_add(1, Ordering::Relaxed),
            control::StopMode::Fast => self.fast_stops.fetch_add(1, Ordering::Relaxed),
        };
    }

    fn metrics(&self, out: &mut String) {
        out.push_str("switchback_requests_total 99\n");
    }

    fn reopen_logs(&self) {
        self.reopened.fetch_add(1, Ordering::Relaxed);
    }

    fn purge(&self, wanted: &purge::Purge) -> Result<Purged, PurgeError> {
        if let Some(name) = wanted.zones.iter().find(|name| &***name != "main") {
            return Err(PurgeError::UnknownZone(name.clone()));
        }
        match &wanted.target {
            PurgeTarget::Host(host) => Err(PurgeError::BadUrl(host.clone())),
            _ => Ok(Purged { zones: vec!["main".into()] }),
        }
    }

    fn reshard(&self, wanted: &Reshard) -> Result<ReshardStatus, ReshardError> {
        Err(ReshardError::UnknownUpstream(wanted.upstream.clone()))
    }

    fn zones(&self) -> Vec<ZoneStatus> {
        vec![ZoneStatus { name: "main".into(), entries: 7, ..ZoneStatus::default() }]
    }

    fn keys(&self, zone: &str, after: Option<u128>, most: usize) -> Option<KeyPage> {
        let entry = StoredKey {
            hash: after.unwrap_or_default() + 1,
            url: "http://a.example/".into(),
            status: 200,
            length: most as u64,
            tags: vec!["a".into()],
            purged: false,
        };
        (zone == "main").then(|| KeyPage { entries: vec![entry], next: Some(2) })
    }
}

/// A control socket that answers on its own thread until it is dropped.
struct Running {
    folder: TempDir,
    control: Arc<FakeControl>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = ControlSocket::bind(&folder.path().join("control.sock")).unwrap();
        Self::serve(folder, socket)
    }

    fn serve(folder: TempDir, socket: ControlSocket) -> Self {
        let control = Arc::new(FakeControl::default());
        let (stop, stopped) = oneshot::channel();
        let asked: Arc<dyn Control> = control.clone();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(socket.serve(asked, async { drop(stopped.await) })).unwrap();
        });
        Self { folder, control, stop: Some(stop), thread: Some(thread) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    fn client(&self) -> Client {
        Client::new(self.path())
    }

    fn raw(&self, request: &str) -> String {
        let mut stream = UnixStream::connect(self.path()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn close(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.close();
    }
}

#[test]
fn version_names_the_program() {
    let running = Running::start();
    let version = running.client().version().unwrap();
    assert_eq!((version.name.as_str(), version.version.as_str()), ("switchback", "1.2.3"));
}

#[test]
fn status_has_the_documented_form() {
    let running = Running::start();
    let answer = running.raw("GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    let expected = serde_json::json!({
        "pid": 42, "config": "/etc/switchback/switchback.toml", "generation": 0, "started": 1000, "uptime_seconds": 61,
        "state": "draining", "workers": 2,
        "listeners": [{"name": "main", "address": "127.0.0.1:8443", "tls": true}],
        "connections": 3, "requests_in_flight": 1, "requests": 99, "log_lines_lost": 5,
        "upgrade_failure": "no such file",
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap(), expected);
}

#[test]
fn the_client_reads_what_the_socket_says() {
    let running = Running::start();
    let status = running.client().status().unwrap();
    assert_eq!(status.listeners.len(), 1);
    assert_eq!(running.client().metrics().unwrap(), "switchback_requests_total 99\n");
}

#[test]
fn an_accepted_reload_answers_with_the_new_generation() {
    let running = Running::start();
    let verdict = running.client().reload().unwrap();
    assert!(verdict.accepted);
    assert_eq!(verdict.generation, 1);
}

#[test]
fn a_refused_reload_is_422_and_still_a_verdict() {
    let running = Running::start();
    running.control.refuses.store(true, Ordering::Relaxed);
    assert!(!running.client().reload().unwrap().accepted);
    assert!(!running.client().check().unwrap().accepted);
    let answer = running
        .raw("POST /reload HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
}

#[test]
fn an_upgrade_says_who_serves_or_why_nothing_has_changed() {
    let running = Running::start();
    let upgraded = running.client().upgrade().unwrap();
    assert!(upgraded.taken_over && upgraded.pid == 43 && upgraded.report.is_empty());
    running.control.refuses.store(true, Ordering::Relaxed);
    let upgraded = running.client().upgrade().unwrap();
    assert_eq!((upgraded.taken_over, upgraded.pid), (false, std::process::id()));
    assert_eq!(upgraded.report, "no such file");
    let answer = running
        .raw("POST /upgrade HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
}

#[test]
fn a_socket_that_was_left_answers_from_the_process_that_shares_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sock");
    let socket = ControlSocket::bind(&path).unwrap();
    let share = socket.share().unwrap();
    let old = Running::serve(folder, socket);
    let running = {
        let descriptor = share.descriptor().try_clone().unwrap();
        Running::serve(
            tempfile::tempdir().unwrap(),
            ControlSocket::adopt(&path, descriptor).unwrap(),
        )
    };
    running.control.generation.store(7, Ordering::Relaxed);
    share.leave();
    // A call that the old one has accepted is still its own.
    let all_new = (0..20).map(|_| Client::new(&path).status().unwrap().generation);
    assert_eq!(all_new.skip(1).filter(|generation| *generation == 7).count(), 19);
    drop(running);
    assert!(!path.exists(), "the file goes with the one that took it over");
    drop(old);
}

#[test]
fn stop_is_graceful_unless_fast_is_asked_for() {
    let running = Running::start();
    let answer = running
        .raw("POST /stop HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    running.client().stop(StopMode::Graceful).unwrap();
    running.client().stop(StopMode::Fast).unwrap();
    assert_eq!(running.control.graceful_stops.load(Ordering::Relaxed), 2);
    assert_eq!(running.control.fast_stops.load(Ordering::Relaxed), 1);
}

#[test]
fn a_stop_that_is_not_understood_stops_nothing() {
    let running = Running::start();
    let body = r#"{"mode":"gently"}"#;
    let answer = running.raw(&format!(
        "POST /stop HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("graceful") && answer.contains("fast"), "{answer}");
    assert_eq!(running.control.graceful_stops.load(Ordering::Relaxed), 0);
}

#[test]
fn a_body_beyond_the_limit_is_413() {
    let running = Running::start();
    let answer = running.raw(
        "POST /stop HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("\"error\""), "{answer}");
}

#[test]
fn logs_are_reopened_when_asked() {
    let running = Running::start();
    running.client().reopen_logs().unwrap();
    assert_eq!(running.control.reopened.load(Ordering::Relaxed), 1);
}

#[test]
fn what_is_purged_is_told_and_what_cannot_be_is_refused() {
    let running = Running::start();
    let purge = |wanted: message::Purge| running.client().purge(&wanted);
    let all = message::Purge { all: true, ..message::Purge::default() };
    assert_eq!(purge(all.clone()).unwrap().zones, ["main"]);
    let statuses = [
        message::Purge { zones: vec!["other".into()], ..all.clone() },
        message::Purge { host: Some("a b".into()), ..message::Purge::default() },
        message::Purge { host: Some("a".into()), ..all },
        message::Purge::default(),
    ];
    let statuses = statuses.map(|wanted| match purge(wanted) {
        Err(CallError::Refused { status, .. }) => status.as_u16(),
        other => panic!("{other:?}"),
    });
    assert_eq!(statuses, [404, 400, 400, 400]);
}

#[test]
fn caches_are_listed_with_their_keys_page_by_page() {
    let running = Running::start();
    let client = running.client();
    let zones = client.caches().unwrap().zones;
    assert_eq!((&*zones[0].name, zones[0].entries), ("main", 7));
    let page = client.keys("main", None, 5).unwrap();
    assert_eq!((page.entries[0].length, page.next.as_deref()), (5, Some(&*format!("{:032x}", 2))));
    let next = client.keys("main", page.next.as_deref(), 5).unwrap();
    assert_eq!(next.entries[0].hash, format!("{:032x}", 3));
    assert!(matches!(client.keys("other", None, 5), Err(CallError::Refused { .. })));
}

#[test]
fn unknown_paths_and_methods_are_refused_in_json() {
    let running = Running::start();
    let unknown = running.raw("GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(unknown.starts_with("HTTP/1.1 404"), "{unknown}");
    assert!(
        unknown.ends_with("{\"error\":\"the control socket knows no /nothing\"}\n"),
        "{unknown}"
    );
    let wrong = running.raw("GET /reload HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(wrong.starts_with("HTTP/1.1 405"), "{wrong}");
    assert!(wrong.ends_with("{\"error\":\"/reload does not take GET\"}\n"), "{wrong}");
}

#[test]
fn asking_a_process_that_is_gone_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = Client::new(folder.path().join("control.sock")).status().unwrap_err();
    assert!(matches!(error, CallError::NotRunning { .. }), "{error}");
}

#[test]
fn a_connection_that_says_nothing_does_not_hold_up_the_end() {
    let mut running = Running::start();
    let mut idle = UnixStream::connect(running.path()).unwrap();
    running.client().version().unwrap();
    running.close();
    assert!(!running.path().exists());
    assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0);
}
