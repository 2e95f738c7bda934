//! Actions of the embedding program, asked over real sockets.

use std::collections::BTreeMap;
use std::future::pending;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use switchback::{
    Action, Config, Drained, Error, Handle, Request, Response, Server, StopMode, async_trait,
};
use switchback_conf::{Code, read_text};

use crate::command::Folder;

/// Tells all that it sees.
struct Mirror;

#[async_trait]
impl Action for Mirror {
    async fn answer(&self, request: &Request<'_>) -> Response {
        let body = request.body().await.unwrap_or_default();
        let again = request.body().await.unwrap_or_default();
        assert_eq!(body, again);
        let seen = format!(
            "{} {} path={} id={:?} none={:?} host={} client={:?} x={:?} body={} named={}",
            request.method(),
            request.uri(),
            request.path(),
            request.capture("id"),
            request.capture("other"),
            request.host(),
            request.client(),
            request.headers().get("x-sent"),
            String::from_utf8_lossy(&body),
            request.id().len(),
        );
        Response::new(seen.into())
    }
}

struct Deaf;

#[async_trait]
impl Action for Deaf {
    async fn answer(&self, _: &Request<'_>) -> Response {
        let mut response = Response::new(Bytes::from_static(b"not listening"));
        *response.status_mut() = http::StatusCode::ACCEPTED;
        response.headers_mut().insert("x-action", http::HeaderValue::from_static("deaf"));
        response
    }
}

struct Clumsy;

#[async_trait]
impl Action for Clumsy {
    async fn answer(&self, _: &Request<'_>) -> Response {
        panic!("dropped it")
    }
}

struct Slow;

#[async_trait]
impl Action for Slow {
    async fn answer(&self, _: &Request<'_>) -> Response {
        pending().await
    }

    fn deadline(&self) -> Duration {
        Duration::from_millis(20)
    }
}

const SITE: &str = r#"
workers = 1

[[listeners]]
address = "127.0.0.1:0"

[[sites]]
body_limit = "100KiB"

[[sites.routes]]
match = { path = "/mirror/{id}" }
action = "mirror"

[[sites.routes]]
match = { path = "/old/{name}" }
rewrite = "/mirror/{name}?now=new"

[[sites.routes]]
match = { path = "/deaf" }
action = "deaf"
response_headers = { set = { x-rule = "$route" }, remove = ["x-action"] }

[[sites.routes]]
match = { path = "/clumsy" }
action = "clumsy"

[[sites.routes]]
match = { path = "/slow" }
action = "slow"
"#;

fn config(text: &str) -> Config {
    read_text("test.toml", text, &BTreeMap::new()).into_result().unwrap()
}

fn with_actions(server: Server) -> Server {
    server
        .action("mirror", Mirror)
        .action("deaf", Deaf)
        .action("clumsy", Clumsy)
        .action("slow", Slow)
}

fn serve() -> Handle {
    with_actions(Server::new(config(SITE))).spawn().unwrap()
}

fn connect(handle: &Handle) -> TcpStream {
    TcpStream::connect(&handle.status().listeners[0].address).unwrap()
}

/// The whole answer to this request, on a connection of its own.
fn ask(handle: &Handle, head: &str, body: &str) -> String {
    let mut stream = connect(handle);
    write!(stream, "{head}\r\nHost: Shop.example\r\nConnection: close\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[test]
fn an_action_sees_the_request_with_its_body_and_captures() {
    let handle = serve();
    let head = "POST /mirror/a%20b/../%41?q=1 HTTP/1.1\r\nX-Sent: yes\r\nContent-Length: 5";
    let answer = ask(&handle, head, "hello");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let seen = concat!(
        "POST /mirror/a%20b/../%41?q=1 path=/mirror/A id=Some(\"A\") none=None host=shop.example ",
        "client=Some(127.0.0.1) x=Some(\"yes\") body=hello named=32"
    );
    assert_eq!(body(&answer), seen);
}

#[test]
fn a_rewrite_leads_to_an_action() {
    let answer = ask(&serve(), "POST /old/one HTTP/1.1\r\nContent-Length: 5", "hello");
    let seen = "POST /mirror/one?now=new path=/mirror/one id=Some(\"one\")";
    assert!(body(&answer).starts_with(seen), "{answer}");
    assert!(body(&answer).contains("body=hello"), "{answer}");
}

#[test]
fn a_long_body_without_a_length_arrives_whole() {
    let handle = serve();
    let chunk = "x".repeat(30_000);
    let chunks = format!("{:x}\r\n{chunk}\r\n{:x}\r\n{chunk}\r\n0\r\n\r\n", 30_000, 30_000);
    let answer = ask(&handle, "POST /mirror/1 HTTP/1.1\r\nTransfer-Encoding: chunked", &chunks);
    assert!(body(&answer).contains(&format!("body={chunk}{chunk} ")));
}

#[test]
fn a_body_over_the_limit_is_refused_whatever_the_action_says() {
    let handle = serve();
    let announced = ask(&handle, "POST /mirror/1 HTTP/1.1\r\nContent-Length: 102401", "");
    assert!(announced.starts_with("HTTP/1.1 413 "), "{announced}");
    let chunk = "x".repeat(102_401);
    let chunks = format!("{:x}\r\n{chunk}\r\n0\r\n\r\n", chunk.len());
    let counted = ask(&handle, "POST /mirror/1 HTTP/1.1\r\nTransfer-Encoding: chunked", &chunks);
    assert!(counted.starts_with("HTTP/1.1 413 "), "{counted}");
}

#[test]
fn header_rules_apply_to_its_answer() {
    let handle = serve();
    let answer = ask(&handle, "GET /deaf HTTP/1.1", "");
    assert!(answer.starts_with("HTTP/1.1 202 Accepted\r\n"), "{answer}");
    let head = answer.to_ascii_lowercase();
    assert!(head.contains("\r\nx-rule: /deaf\r\n"), "{answer}");
    assert!(!head.contains("x-action"), "{answer}");
    assert_eq!(body(&answer), "not listening");
    let silent = ask(&handle, "HEAD /deaf HTTP/1.1", "");
    assert!(silent.to_ascii_lowercase().contains("\r\ncontent-length: 13\r\n"), "{silent}");
    assert_eq!(body(&silent), "");
}

/// Both requests on one connection, and all that comes back until it is closed.
fn ask_twice(handle: &Handle, first: &str) -> String {
    let mut stream = connect(handle);
    let second = "GET /mirror/next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    write!(stream, "{first}{second}").unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    answers
}

#[test]
fn a_body_that_nobody_asked_for_does_not_become_the_next_request() {
    let handle = serve();
    let first = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nGET / HTT")
    };
    let unread = ask_twice(&handle, &first("/deaf"));
    assert_eq!(unread.matches("HTTP/1.1 ").count(), 1, "{unread}");
    assert!(unread.contains("Connection: close\r\n"), "{unread}");
    let read = ask_twice(&handle, &first("/mirror/first"));
    assert!(read.contains("body=GET / HTT "), "{read}");
    assert!(
        read.contains("id=Some(\"next\")"),
        "a body that was read keeps the connection: {read}"
    );
}

#[test]
fn a_panic_loses_one_request() {
    let handle = serve();
    let answer = ask(&handle, "GET /clumsy HTTP/1.1", "");
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(!answer.contains("dropped it"), "a reason is for the log: {answer}");
    assert!(ask(&handle, "GET /deaf HTTP/1.1", "").starts_with("HTTP/1.1 202 "));
    assert_eq!(handle.status().requests, 2);
}

#[test]
fn an_action_that_never_ends_is_given_up() {
    let answer = ask(&serve(), "GET /slow HTTP/1.1", "");
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    assert_eq!(Deaf.deadline(), Duration::from_secs(60), "without a word of its own");
}

#[test]
fn its_answers_are_logged_like_others() {
    let folder = Folder::empty();
    let log = folder.path().join("access.log");
    let format = "$request_method $uri $route $status $body_bytes_sent";
    let text = format!("[[log.access]]\nfile = {log:?}\nformat = \"{format}\"\n\n{SITE}");
    let text = text.replace("workers = 1\n", "");
    let handle = with_actions(Server::new(config(&text))).spawn().unwrap();
    for path in ["/deaf", "/clumsy", "/slow"] {
        ask(&handle, &format!("GET {path} HTTP/1.1"), "");
    }
    handle.stop(StopMode::Graceful);
    assert_eq!(handle.wait(), Drained::Clean);
    let lines = folder.read("access.log");
    // Each worker writes its lines when its request is over, so that those of two workers come in any order.
    let mut statuses: Vec<_> = lines.lines().map(|line| line.split(' ').nth(3).unwrap()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, ["202", "500", "504"], "{lines}");
    assert!(lines.lines().any(|line| line == "GET /deaf /deaf 202 13"), "{lines}");
}

#[test]
fn a_name_that_nobody_registered_is_refused_with_its_place() {
    let text = SITE.replace("\"deaf\"\n", "\"daef\"\n");
    let Err(Error::Config(found)) = with_actions(Server::new(config(&text))).spawn() else {
        panic!("it started")
    };
    let unknown = found.iter().find(|found| found.code == Code::UnknownAction).unwrap();
    assert_eq!(unknown.message, "this program has no action `daef`");
    assert_eq!(unknown.at.line(), Some(20));
    assert_eq!(unknown.hint.as_deref(), Some("did you mean `deaf`?"));

    let text = SITE.replace("\"deaf\"\n", "\"something-else\"\n");
    let report = with_actions(Server::new(config(&text))).check().report();
    assert!(report.contains("it has `clumsy`, `deaf`, `mirror`, `slow`"), "{report}");
}

#[test]
fn the_command_line_has_no_actions() {
    let folder = Folder::with("switchback.toml", SITE);
    folder
        .run(&["check"])
        .expect_code(1)
        .expect_stderr("switchback.toml:12:10")
        .expect_stderr("this program has no action `mirror`")
        .expect_stderr("Server::action");
    folder.run(&["run"]).expect_code(1).expect_stderr("this program has no action `slow`");
}

#[test]
fn actions_outlive_a_reload_and_a_reload_cannot_name_others() {
    let folder = Folder::with("switchback.toml", SITE);
    let file = folder.path().join("switchback.toml");
    let handle = with_actions(Server::from_file(file)).spawn().unwrap();
    folder.write("switchback.toml", &SITE.replace("/deaf", "/moved"));
    assert!(handle.check().accepted && handle.reload().accepted);
    assert!(ask(&handle, "GET /moved HTTP/1.1", "").starts_with("HTTP/1.1 202 "));
    folder.write("switchback.toml", &SITE.replace("action = \"slow\"", "action = \"fast\""));
    assert!(!handle.check().accepted);
    let refused = handle.reload();
    assert!(refused.diagnostics.iter().any(|found| found.code == Code::UnknownAction));
    assert!(ask(&handle, "GET /moved HTTP/1.1", "").starts_with("HTTP/1.1 202 "));
}

/// An origin that answers one request with 404.
fn missing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut received = BufReader::new(&stream);
        let mut line = String::new();
        while received.read_line(&mut line).unwrap() > 2 {
            line.clear();
        }
        received.read_exact(&mut [0; 5]).unwrap();
        (&stream).write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    address
}

#[test]
fn an_action_that_stands_in_for_an_upstreams_answer_gets_the_body_too() {
    let text = format!(
        r#"{SITE}
[[sites.routes]]
match = {{ path = "/app/*" }}
proxy = "app"
errors = {{ 404 = "instead" }}

[[sites.routes]]
name = "instead"
internal = true
action = "mirror"

[upstreams.app]
endpoints = ["{}"]
"#,
        missing()
    );
    let handle = with_actions(Server::new(config(&text))).spawn().unwrap();
    let answer = ask(&handle, "POST /app/x HTTP/1.1\r\nContent-Length: 5", "hello");
    assert!(body(&answer).contains("path=/app/x"), "{answer}");
    assert!(body(&answer).contains("body=hello"), "{answer}");
}
