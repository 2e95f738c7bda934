//! A page with pictures in a browser: in which forms it comes, and that a second visit finds all of it unchanged.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use image::ImageFormat;

use super::chromium::Chromium;
use super::{pictures, texts};
use crate::config::site;
use crate::message::{Reply, get};
use crate::origin::{Answer, Choice, Origin, Received, Step};
use crate::patience::{Deadline, eventually};
use crate::peer::Tool;
use crate::proxy::Proxy;

/// Pictures on the page.
pub const PICTURES: usize = 20;
/// What else there is on it, and itself.
const TEXTS: [(&str, &str); 3] =
    [("/page", "text/html"), ("/app.js", "text/javascript"), ("/style.css", "text/css")];

/// What a browser was sent, and curl.
#[derive(Clone, Debug, Default)]
pub struct Browsed {
    /// Pictures that came to the browser as WebP.
    pub webp: usize,
    /// Texts that came as `br`, of so many.
    pub br: (usize, usize),
    /// Pictures that came as the origin has them to a curl that says nothing of what it takes.
    pub originals: usize,
    /// Answers to the second visit, and those of them that were no 304.
    pub second: usize,
    /// What they were.
    pub changed: Vec<String>,
}

/// Shows the page twice; `None` where there is no browser.
///
/// # Panics
/// When the proxy does not start, or the page is not loaded.
#[must_use]
pub fn browse() -> Option<Browsed> {
    Tool::Chromium.quiet_command()?;
    let all = pictures();
    let origin = origin(&all);
    let proxy = start(&origin);
    let mut found = Browsed { originals: by_curl(&proxy, &all), ..Browsed::default() };
    warm(&proxy, &all);
    // Over TLS it would keep nothing on disk that came with a certificate of ours.
    let browser = Chromium::open("http", proxy.address("web"), "/start")?;
    let log =
        eventually("the page is loaded twice", Deadline::after(Duration::from_secs(60)), || {
            let log = fs::read_to_string(proxy.folder().join("a.log")).ok()?;
            log.contains("/loaded?2|").then_some(log)
        });
    drop(browser);
    let visits: Vec<&str> = log.lines().filter(|line| line.contains("Chrome")).collect();
    let first = visits.iter().position(|line| line.contains("/loaded?1|")).unwrap_or_default();
    let (first, second) = visits.split_at(first);
    found.read_first(first);
    found.read_second(second);
    Some(found)
}

impl Browsed {
    fn read_first(&mut self, lines: &[&str]) {
        self.webp = lines.iter().filter(|line| line.contains("|image/webp|")).count();
        let texts =
            lines.iter().filter(|line| line.contains("|text/") && !line.contains("/start|"));
        let texts: Vec<bool> = texts.map(|line| line.contains("|br|")).collect();
        self.br = (texts.iter().filter(|is_br| **is_br).count(), texts.len());
    }

    fn read_second(&mut self, lines: &[&str]) {
        let others = ["/loaded", "/favicon", "/start"];
        let own = |line: &&&str| !others.iter().any(|other| line.contains(other));
        let lines: Vec<&str> = lines.iter().filter(own).copied().collect();
        self.second = lines.len();
        let changed = lines.iter().filter(|line| !line.starts_with("304|"));
        self.changed = changed.map(|line| (*line).to_owned()).collect();
    }
}

/// Photos as JPEG, and a few windows as PNG.
fn pictures() -> BTreeMap<String, Vec<u8>> {
    (0..PICTURES)
        .map(|number| {
            let more = u32::try_from(number).unwrap_or_default() * 4;
            if number % 4 == 3 {
                let window = pictures::screenshot(320 + more, 240);
                return (format!("/{number}.png"), pictures::encoded(window, ImageFormat::Png));
            }
            let photo = pictures::photo(320 + more, 240);
            (format!("/{number}.jpg"), pictures::jpeg(&photo, 90, None))
        })
        .collect()
}

fn origin(pictures: &BTreeMap<String, Vec<u8>>) -> Origin {
    // From here the page is visited, as by a link.
    let start = Reply::ok("<!doctype html><script>location = '/page'</script>");
    let start = start.header("Content-Type", "text/html");
    let mut origin = Origin::start().serve("/loaded", Reply::ok("noted")).serve("/start", start);
    let names: String =
        pictures.keys().map(|name| format!("<img src=\"{name}\" alt=\"\">\n")).collect();
    let page = format!(
        "<!doctype html><link rel=\"stylesheet\" href=\"/style.css\"><script src=\"/app.js\"></script>\n{names}\
         <script>onload = async () => {{\n\
         const visit = 1 + Number(sessionStorage.visit || 0);\n\
         sessionStorage.visit = visit;\n\
         await fetch(`/loaded?${{visit}}`, {{ cache: 'no-store' }});\n\
         if (visit < 2) location = '/start';\n}}</script>\n"
    );
    let script = format!("/*\n{}*/\n", String::from_utf8_lossy(&texts::page(200)));
    let bodies = [page, script.clone(), script].map(String::into_bytes);
    for ((target, content_type), body) in TEXTS.into_iter().zip(bodies) {
        origin = origin.serve(target, unchanging(target, content_type, body));
    }
    for (target, body) in pictures {
        let content_type = if target.ends_with("png") { "image/png" } else { "image/jpeg" };
        origin = origin.serve(target, unchanging(target, content_type, body.clone()));
    }
    origin
}

/// To be asked for again each time, and the same each time.
fn unchanging(target: &str, content_type: &'static str, body: Vec<u8>) -> Answer {
    let tag = format!("\"{}\"", target.trim_start_matches('/'));
    Answer::Chosen(Choice::new(move |asked: &Received| {
        let head =
            format!("ETag: {tag}\r\nCache-Control: no-cache\r\nContent-Type: {content_type}\r\n");
        if asked.headers.get("if-none-match").is_some_and(|known| known.contains(&tag)) {
            return vec![Step::send(format!("HTTP/1.1 304 Same\r\n{head}\r\n")), Step::Next];
        }
        let length = body.len();
        let head = format!("HTTP/1.1 200 Fine\r\n{head}Content-Length: {length}\r\n\r\n");
        vec![Step::Send([head.as_bytes(), &body].concat()), Step::Next]
    }))
}

fn start(origin: &Origin) -> Proxy {
    let format = "$status|$request_uri|$content_coding|$sent_http_content_type|$http_user_agent";
    let cache = "cache = { zone = \"main\", key = \"$uri\" }";
    let route = format!("proxy = \"app\"\nencode = \"on\"\nimages = \"on\"\n{cache}");
    let log = format!("[[log.access]]\nfile = \"a.log\"\nformat = \"{format}\"");
    let config = site().route("/*", route).upstream("app", &[origin], "");
    Proxy::start(&config.toml("[zones.main]\nmemory = \"64MiB\"").toml(log))
}

/// How many pictures a curl that says nothing of what it takes gets as they are.
fn by_curl(proxy: &Proxy, pictures: &BTreeMap<String, Vec<u8>>) -> usize {
    let web = proxy.address("web");
    // Whoever asked for forms before has had them made: each is asked for twice.
    let is_original = |(target, body): &(&String, &Vec<u8>)| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--header", "Accept:", &format!("http://{web}{target}")]);
        curl.output().is_ok_and(|output| output.stdout == **body)
    };
    warm(proxy, pictures);
    pictures.iter().filter(is_original).count()
}

/// Asks as a browser does until pictures come in their new form, or a while has passed.
fn warm(proxy: &Proxy, pictures: &BTreeMap<String, Vec<u8>>) {
    let deadline = Deadline::after(Duration::from_secs(5));
    let mut client = proxy.client();
    for target in pictures.keys() {
        let asked = get(target).header("Accept", "image/avif,image/webp,*/*;q=0.8");
        let is_form = |answer: &crate::message::Response| {
            answer.headers.get("content-type") == Some("image/webp")
        };
        while !is_form(&client.ask(&asked)) && !deadline.has_passed() {
            thread::park_timeout(Duration::from_millis(5));
        }
    }
}
