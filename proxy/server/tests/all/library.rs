//! The server as a part of another program.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use switchback::{Config, Drained, Error, Handle, Server, State, StopMode, Upgraded};
use switchback_conf::{Code, read_text};

use crate::command::{Folder, GOOD, binary};

fn config(text: &str) -> Config {
    read_text("test.toml", text, &BTreeMap::new()).into_result().unwrap()
}

fn answering(body: &str) -> String {
    GOOD.replace("\"x\"", &format!("\"{body}\""))
}

fn file(folder: &Folder) -> PathBuf {
    folder.path().join("switchback.toml")
}

fn address(handle: &Handle) -> String {
    handle.status().listeners[0].address.clone()
}

fn body(handle: &Handle) -> String {
    ask(&address(handle))
}

fn ask(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn a_server_built_in_code_serves_until_it_is_stopped() {
    let handle = Server::new(config(&answering("hello"))).spawn().unwrap();
    assert_eq!((handle.status().state, handle.status().generation), (State::Serving, 1));
    assert_eq!(handle.status().config, None);
    assert_eq!(body(&handle), "hello");
    let address = address(&handle);
    handle.stop(StopMode::Graceful);
    assert_eq!(handle.wait(), Drained::Clean);
    TcpStream::connect(address).unwrap_err();
}

#[test]
fn a_dropped_handle_stops_its_server() {
    let handle = Server::new(config(GOOD)).spawn().unwrap();
    let address = address(&handle);
    drop(handle);
    TcpStream::connect(address).unwrap_err();
}

#[test]
fn two_servers_live_side_by_side_in_one_process() {
    let first = Server::new(config(&answering("first"))).spawn().unwrap();
    let second = Server::new(config(&answering("second"))).spawn().unwrap();
    drop(body(&first));
    assert_eq!(body(&second), "second");
    drop(first);
    assert_eq!(body(&second), "second");
}

#[test]
fn a_reload_puts_the_changed_file_in_force() {
    let folder = Folder::with("switchback.toml", &answering("one"));
    let handle = Server::from_file(file(&folder)).spawn().unwrap();
    assert_eq!(body(&handle), "one");
    folder.write("switchback.toml", &answering("two"));
    assert!(handle.check().accepted);
    assert_eq!(body(&handle), "one", "a check changes nothing");
    let verdict = handle.reload();
    assert!(verdict.accepted, "{:?}", verdict.diagnostics);
    assert_eq!(verdict.generation, 2);
    assert_eq!(body(&handle), "two");
}

#[test]
fn a_refused_reload_leaves_the_old_configuration_in_force() {
    let folder = Folder::with("switchback.toml", &answering("one"));
    let handle = Server::from_file(file(&folder)).spawn().unwrap();
    folder.write("switchback.toml", "what = 1\nlisteners = 2");
    let (checked, reloaded) = (handle.check(), handle.reload());
    assert!(!checked.accepted && !reloaded.accepted);
    assert!(reloaded.diagnostics.len() >= 2, "all mistakes at once: {:?}", reloaded.diagnostics);
    assert_eq!(checked.diagnostics.len(), reloaded.diagnostics.len());
    assert_eq!(reloaded.generation, 1);
    assert_eq!(body(&handle), "one");
}

#[test]
fn a_configuration_built_in_code_can_be_replaced_by_another() {
    let handle = Server::new(config(&answering("one"))).spawn().unwrap();
    let verdict = handle.replace(config(&answering("two")));
    assert!(verdict.accepted, "{:?}", verdict.diagnostics);
    assert_eq!((verdict.generation, body(&handle)), (2, "two".to_owned()));
    assert!(!handle.replace(Config::default()).accepted, "nothing can be served");
    assert_eq!(body(&handle), "two");
    assert!(handle.reload().accepted);
    assert_eq!(body(&handle), "two", "a reload takes the last one that was accepted");
}

#[test]
fn what_a_reload_cannot_move_is_said() {
    let folder = Folder::with("switchback.toml", GOOD);
    let handle = Server::from_file(file(&folder)).spawn().unwrap();
    folder.write("switchback.toml", &format!("pid_file = \"late.pid\"\n{GOOD}"));
    let verdict = handle.reload();
    assert!(verdict.accepted);
    let warned: Vec<_> =
        verdict.diagnostics.iter().filter(|found| found.code == Code::NoEffect).collect();
    assert!(warned.iter().any(|found| found.message.contains("`pid_file`")), "{warned:?}");
    assert!(warned.iter().any(|found| found.message.contains("`control.socket`")), "{warned:?}");
    assert!(!folder.path().join("late.pid").exists());
}

#[test]
fn the_pid_file_and_the_control_socket_are_there_while_it_runs() {
    let folder = Folder::with("switchback.toml", &format!("pid_file = \"run.pid\"\n{GOOD}"));
    let handle = Server::from_file(file(&folder)).spawn().unwrap();
    assert_eq!(folder.read("run.pid"), format!("{}\n", std::process::id()));
    folder.run(&["status"]).expect_code(0).expect_stdout("serving").expect_stdout("generation 1");
    folder.run(&["reload"]).expect_code(0).expect_stdout("generation 2 is in force");
    folder.run(&["run"]).expect_code(1).expect_stderr("held by running process");
    folder.run(&["stop"]).expect_code(0);
    assert_eq!(handle.wait(), Drained::Clean);
    for name in ["run.pid", "run.sock"] {
        assert!(!folder.path().join(name).exists(), "{name} is left");
    }
}

#[test]
fn a_log_that_was_moved_away_is_opened_again_when_asked() {
    let log = "pid_file = \"run.pid\"\n[[log.access]]\nfile = \"access.log\"\n";
    let folder = Folder::with("switchback.toml", &format!("{log}{GOOD}"));
    let handle = Server::from_file(file(&folder)).spawn().unwrap();
    let [moved, now] = ["access.log.1", "access.log"].map(|name| folder.path().join(name));
    body(&handle);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !std::fs::read_to_string(&now).unwrap().ends_with('\n') {
        assert!(Instant::now() < deadline, "the first line was never written");
        std::thread::yield_now();
    }
    std::fs::rename(&now, &moved).unwrap();
    folder.run(&["reopen"]).expect_code(0);
    assert!(now.exists(), "the command waited for it");
    body(&handle);
    handle.stop(StopMode::Graceful);
    assert_eq!(handle.wait(), Drained::Clean);
    let lines = [moved, now].map(|path| std::fs::read_to_string(path).unwrap().lines().count());
    assert_eq!(lines, [1, 1]);
}

#[test]
fn the_command_line_finds_a_process_whose_file_names_no_socket() {
    let folder = Folder::with("switchback.toml", &answering("found"));
    let server = Server::from_file(file(&folder)).runtime_files();
    let handle = server.spawn().unwrap();
    let socket = Server::runtime_socket(&file(&folder));
    assert_eq!(handle.control_socket(), Some(socket.as_path()));
    folder.run(&["status"]).expect_code(0).expect_stdout("serving");
    drop(handle);
    assert!(!socket.exists());
    assert!(!socket.with_extension("pid").exists());
}

#[test]
fn a_configuration_that_cannot_be_served_is_an_error_with_all_of_it() {
    let folder = Folder::with("switchback.toml", "what = 1\nlisteners = 2");
    let Err(Error::Config(found)) = Server::from_file(file(&folder)).spawn() else {
        panic!("it started")
    };
    assert!(found.len() >= 2, "{found:?}");
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = Server::new(config(&GOOD.replace("127.0.0.1:0", &address))).spawn();
    let error = refused.err().unwrap().to_string();
    assert!(error.contains(&address), "{error}");
}

#[test]
fn the_service_manager_hears_of_readiness_before_the_start_returns() {
    let folder = Folder::with("switchback.toml", GOOD);
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_nonblocking(true).unwrap();
    let handle = Server::from_file(file(&folder)).notify(socket.to_str().unwrap()).spawn().unwrap();
    let heard = || {
        let mut datagram = [0; 256];
        let length = manager.recv(&mut datagram).unwrap();
        String::from_utf8_lossy(&datagram[..length]).into_owned()
    };
    assert!(heard().starts_with("READY=1\n"));
    assert!(handle.reload().accepted);
    assert!(heard().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert!(heard().starts_with("READY=1\n"));
    drop(handle);
    assert_eq!(heard(), "STOPPING=1\n");
}

#[tokio::test]
async fn it_can_be_driven_from_the_callers_runtime() {
    let handle = Server::new(config(GOOD)).spawn().unwrap();
    assert_eq!(handle.status().state, State::Serving);
    handle.stop(StopMode::Graceful);
    assert_eq!(handle.wait(), Drained::Clean);
}

#[tokio::test]
async fn a_start_that_fails_inside_a_runtime_is_an_error_and_no_panic() {
    let folder = Folder::with("switchback.toml", "what = 1");
    assert!(Server::from_file(file(&folder)).spawn().is_err());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert!(Server::new(config(&GOOD.replace("127.0.0.1:0", &address))).spawn().is_err());
}

#[test]
fn a_server_starts_nothing_that_it_was_not_told_to_start() {
    let handle = Server::new(config(&answering("here"))).spawn().unwrap();
    let Upgraded::Failed { reason } = handle.upgrade() else { panic!("by whom?") };
    assert!(reason.contains("no way to start another"), "{reason}");
    assert_eq!(handle.status().upgrade_failure, Some(reason));
    assert_eq!(body(&handle), "here");
}

#[test]
fn a_server_gives_way_to_the_process_that_it_was_told_to_start() {
    let folder = Folder::with("switchback.toml", &answering("there"));
    let file = file(&folder);
    let successor = move || {
        let mut command = Command::new(binary());
        command.args(["run", "-c"]).arg(&file).stderr(Stdio::null());
        command
    };
    let handle = Server::new(config(&answering("here"))).successor(successor).spawn().unwrap();
    let address = address(&handle);
    assert_eq!(body(&handle), "here");
    let Upgraded::TakenOver { pid } = handle.upgrade() else {
        panic!("{:?}", handle.status().upgrade_failure)
    };
    assert_eq!(handle.wait(), Drained::Clean);
    let answer = ask(&address);
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    assert_eq!(answer, "there");
}
