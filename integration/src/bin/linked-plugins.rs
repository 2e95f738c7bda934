//! A program that Switchback is built into, with plugins of its own linked in: it takes `run -c FILE` and `check -c FILE`, as the binary
//! does. What tests play linked plugins through.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use switchback::{Drained, Server, Signals};
use switchback_example_conformance::Conformance;
use switchback_plugin::{BuildError, Done, Level, Plugin, Setup, hooks};

/// Is told of the end of requests alone, and never waits. It writes down what it finds in the answer's `x-b`.
struct Ends;

#[hooks]
impl Plugin for Ends {
    const NAME: &'static str = "ends";
    type Options = BTreeMap<String, String>;
    type State = ();

    fn build(_: Self::Options, _: &mut Setup<'_>) -> Result<Self, BuildError> {
        Ok(Self)
    }

    fn on_log(&self, (): &mut (), done: &Done<'_>) {
        done.log(Level::Info, &format!("ended with {:?}", done.response_header("x-b")));
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["run", "-c", file] => run(server(file)),
        ["check", "-c", file] => check(&server(file)),
        _ => {
            tell("linked-plugins: run -c FILE, or check -c FILE");
            ExitCode::from(2)
        }
    }
}

fn server(file: &str) -> Server {
    Server::from_file(file).runtime_files().logger().plugin::<Conformance>().plugin::<Ends>()
}

fn run(server: Server) -> ExitCode {
    let mut server = server.signals(Signals::Native);
    if let Ok(socket) = std::env::var("NOTIFY_SOCKET") {
        server = server.notify(socket);
    }
    match server.run() {
        Ok(Drained::Clean) => ExitCode::SUCCESS,
        Ok(Drained::Forced { .. }) => ExitCode::from(3),
        Err(error) => {
            tell(error);
            ExitCode::FAILURE
        }
    }
}

fn check(server: &Server) -> ExitCode {
    let outcome = server.check();
    tell(outcome.report());
    if outcome.value.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(text: impl Display) {
    // Nobody is left to be told that they cannot be told.
    let (Ok(()) | Err(_)) = writeln!(std::io::stderr(), "{text}");
}
