//! A browser takes the old version of a script for its dictionary and reads the new one, coded in each way.
#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use switchback_variant::{
    Announcement, Capabilities, Coding, Digest, Levels, Needs, Pattern, Scope, Store, encode_whole,
};

/// Fetches the old version, then the new one in each coding until the answer has it, and says what it has read.
const PAGE: &str = r#"<!doctype html><script>
const hex = bytes => [...new Uint8Array(bytes)].map(byte => byte.toString(16).padStart(2, '0')).join('');
const read = async (coding, round) => {
  const answer = await fetch(`/app.2.js?${coding}&${round}`, { cache: 'no-store' });
  const body = await answer.arrayBuffer();
  return answer.headers.get('content-encoding') === coding && hex(await crypto.subtle.digest('SHA-256', body));
};
(async () => {
  await (await fetch('/app.1.js')).text();
  const found = [];
  for (const coding of ['gzip', 'br', 'zstd', 'dcb', 'dcz']) {
    let hash = false;
    for (let round = 0; !hash && round < 200; round++) {
      hash = await read(coding, round).catch(error => `${error}`);
      if (!hash) await new Promise(done => setTimeout(done, 25));
    }
    found.push(`${coding}:${hash}`);
  }
  await fetch(`/found?${found.join(',')}`);
})();
</script>"#;

const SCOPE: Scope = Scope(1);

fn version(number: usize) -> Vec<u8> {
    let line = |at: usize| {
        let changed = if at.is_multiple_of(40) { number } else { 0 };
        format!("export const name{at} = (value) => value.part{} + {changed};\n", at * 7919 % 1000)
    };
    (0..3000).map(line).collect::<String>().into_bytes()
}

/// What the browser asks.
struct Asked {
    target: String,
    client: Capabilities,
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let lines: Vec<String> = BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let (first, fields) = lines.split_first()?;
    let target = first.split(' ').nth(1)?.to_owned();
    let fields = fields.iter().filter_map(|line| line.split_once(':'));
    let fields = fields.map(|(name, value)| (name.as_bytes(), value.trim().as_bytes()));
    Some(Asked { target, client: Capabilities::read(fields, Needs::DICTIONARY) })
}

fn write(mut stream: &TcpStream, head: &str, body: &[u8]) {
    let length = body.len();
    let head =
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n{head}\r\n");
    // Who does not read on is no concern of ours.
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
}

/// The new version in the coding that the query names, where the client takes it.
fn new_version(asked: &Asked, store: &Store) -> (String, Vec<u8>) {
    let wanted =
        asked.target.split(['?', '&']).nth(1).and_then(|name| Coding::named(name.as_bytes()));
    let coding = wanted.filter(|&coding| asked.client.takes(coding)).unwrap_or(Coding::Identity);
    let target = asked.target.as_bytes();
    let known = asked.client.dictionary();
    let dictionary = known.and_then(|digest| store.find(SCOPE, &digest, target, Instant::now()));
    let level = Levels::FAST.of(coding);
    let body = encode_whole(coding, level, &version(2), dictionary.as_deref()).unwrap();
    (format!("Content-Encoding: {}\r\n", coding.name()), body)
}

fn answer(stream: &TcpStream, store: &Store, announcement: &Announcement, found: &Sender<String>) {
    let Some(asked) = read(stream) else { return };
    match asked.target.split('?').next().unwrap_or_default() {
        "/" => write(stream, "Content-Type: text/html\r\n", PAGE.as_bytes()),
        "/app.1.js" => {
            let announced = announcement.header();
            let head = format!(
                "Cache-Control: max-age=3600\r\nUse-As-Dictionary: {}\r\n",
                announced.to_str().unwrap()
            );
            write(stream, &head, &version(1));
        }
        "/app.2.js" => {
            let (head, body) = new_version(&asked, store);
            write(stream, &head, &body);
        }
        "/found" => {
            write(stream, "", b"");
            let _ = found.send(asked.target);
        }
        _ => write(stream, "", b""),
    }
}

/// Ends with the test.
struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn browse(url: &str, profile: &tempfile::TempDir) -> Browser {
    let mut command = Command::new("chromium");
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
    ]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.args(["--remote-debugging-port=0", url]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Browser(command.spawn().unwrap())
}

#[test]
fn a_browser_reads_the_new_version_with_the_help_of_the_old_one() {
    let store = Store::new(64 << 20);
    let pattern = Arc::new(Pattern::parse("/app.*.js").unwrap());
    let announcement = Announcement::new(&pattern, &[], Some("app")).unwrap();
    let until = Instant::now() + Duration::from_secs(3600);
    store.keep(SCOPE, &pattern, Bytes::from(version(1)), until).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (found, finding) = channel();
    // They go with the process. A browser connects before it has anything to ask, so each connection has its own.
    let (store, announcement) = (Arc::new(store), Arc::new(announcement));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (store, announcement) = (Arc::clone(&store), Arc::clone(&announcement));
            let found = found.clone();
            std::thread::spawn(move || answer(&stream, &store, &announcement, &found));
        }
    });
    let profile = tempfile::tempdir().unwrap();
    let _browser = browse(&url, &profile);
    let said = finding.recv_timeout(Duration::from_secs(120)).unwrap();

    let digest = Digest::of(&version(2));
    let hash: String = digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    for coding in ["gzip", "br", "zstd", "dcb", "dcz"] {
        assert!(said.contains(&format!("{coding}:{hash}")), "{coding} in {said}");
    }
}
