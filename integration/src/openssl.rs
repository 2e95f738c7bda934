//! `openssl s_client`: another implementation of TLS as the client.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

/// A TLS client that is about to ask for `/`.
pub struct OpenSsl<'a> {
    address: SocketAddr,
    folder: &'a Path,
    host: String,
    arguments: Vec<String>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Session {
    /// Everything that it said, with the answer in it.
    pub said: String,
}

impl<'a> OpenSsl<'a> {
    /// For the server at `address`; files are in `folder`.
    #[must_use]
    pub fn new(address: SocketAddr, folder: &'a Path) -> Self {
        let arguments = vec!["-noservername".to_owned()];
        Self { address, folder, host: "localhost".to_owned(), arguments }
    }

    /// Asks for this name, in the handshake and as the host.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.arguments.retain(|argument| argument != "-noservername");
        self.host = name.to_owned();
        self.with(&["-servername", name])
    }

    /// Asks for another host than in the handshake.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    /// With these arguments of `s_client`.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Does it.
    ///
    /// # Panics
    /// When there is no `openssl`.
    #[must_use]
    pub fn ask(self) -> Session {
        let mut command = Command::new("timeout");
        command.args(["20", "openssl", "s_client", "-ign_eof", "-connect"]);
        command.arg(self.address.to_string()).args(&self.arguments).current_dir(self.folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("openssl is installed");
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.host);
        // Where the handshake fails, nobody reads it.
        let _ = child.stdin.take().expect("it was piped").write_all(request.as_bytes());
        let output = child.wait_with_output().expect("it ends");
        let said = [output.stdout, output.stderr].concat();
        Session { said: String::from_utf8_lossy(&said).into_owned() }
    }
}

impl Session {
    /// The subject's common name in the certificate that was shown.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        let line = self.said.lines().find_map(|line| line.strip_prefix("subject=CN = "));
        line.map(str::trim)
    }

    /// The status of the answer, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let line = self.said.split("HTTP/1.1 ").nth(1)?;
        line.get(..3)?.parse().ok()
    }

    /// It said this.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn expect(&self, part: &str) -> &Self {
        assert!(self.said.contains(part), "no {part:?} in:\n{}", self.said);
        self
    }

    /// There was an answer with this status.
    ///
    /// # Panics
    /// When there was none, or another.
    #[track_caller]
    pub fn expect_status(&self, status: u16) -> &Self {
        assert_eq!(self.status(), Some(status), "{}", self.said);
        self
    }

    /// There was no answer at all.
    ///
    /// # Panics
    /// When there was one.
    #[track_caller]
    pub fn expect_refused(&self) -> &Self {
        assert_eq!(self.status(), None, "{}", self.said);
        self
    }
}
