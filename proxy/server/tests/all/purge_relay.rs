//! Two servers that tell each other what is purged on them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use switchback::purge::{Heard, Purge, PurgeError, PurgeRelay, PurgeTarget};
use switchback::{Handle, Server};
use switchback_conf::read_text;

use crate::command::Folder;

/// Keeps what it hears for whoever hands it on.
struct Keeps(Sender<Purge>);

impl PurgeRelay for Keeps {
    fn purged(&self, purge: &Purge) {
        self.0.send(purge.clone()).unwrap();
    }
}

/// A server with a cache of its own.
struct Node {
    handle: Handle,
    heard: Receiver<Purge>,
}

/// Two nodes before one origin.
struct Pair {
    nodes: [Node; 2],
    fetches: Arc<AtomicUsize>,
    folder: Folder,
}

impl Pair {
    fn start() -> Self {
        let (origin, fetches) = origin();
        let folder = Folder::empty();
        let nodes = [0, 1].map(|number| {
            let socket = folder.path().join(format!("{number}.sock"));
            let text = format!(
                "workers = 1\ncontrol = {{ socket = {socket:?} }}\n\
                 [[listeners]]\naddress = \"127.0.0.1:0\"\n\
                 [[sites]]\n[[sites.routes]]\nproxy = \"app\"\ncache = \"main\"\n\
                 [upstreams.app]\nendpoints = [\"{origin}\"]\n\
                 [zones.main]\npurge = {{ allow = [\"127.0.0.0/8\"] }}\n"
            );
            let config = read_text("test.toml", &text, &BTreeMap::new()).into_result().unwrap();
            let (keeps, heard) = channel();
            let handle = Server::new(config).purge_relay(Keeps(keeps)).spawn().unwrap();
            Node { handle, heard }
        });
        Self { nodes, fetches, folder }
    }

    fn ask(&self, node: usize, method: &str, fields: &str) {
        let mut stream =
            TcpStream::connect(&self.nodes[node].handle.status().listeners[0].address).unwrap();
        write!(
            stream,
            "{method} /in/page HTTP/1.1\r\nHost: shop.example\r\n{fields}Connection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    /// How often the page is fetched when it is asked for on both.
    fn fetches(&self) -> usize {
        let before = self.fetches.load(Ordering::SeqCst);
        (0..2).for_each(|node| self.ask(node, "GET", ""));
        self.fetches.load(Ordering::SeqCst) - before
    }

    /// Hands on what each has heard, until nobody hears anything; how much that was. A purge has been heard when it is done.
    fn hand_on(&self) -> usize {
        let mut handed = 0;
        loop {
            let before = handed;
            for (node, other) in [(0, 1), (1, 0)] {
                while let Ok(purge) = self.nodes[node].heard.try_recv() {
                    self.nodes[other].handle.purge(&purge, Heard::Elsewhere).unwrap();
                    handed += 1;
                    assert!(handed < 100, "an echo");
                }
            }
            if handed == before {
                return handed;
            }
        }
    }
}

/// An origin that answers everything with a page that may be stored, and how often it was asked with GET.
fn origin() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let fetches = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&fetches);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut first = String::new();
            reader.read_line(&mut first).unwrap();
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 2 {
                line.clear();
            }
            counted.fetch_add(usize::from(first.starts_with("GET ")), Ordering::SeqCst);
            let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nxkey: red\r\n\
                          Cache-Groups: \"one\"\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx";
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (address, fetches)
}

fn of(target: PurgeTarget) -> Purge {
    Purge { target, zones: Vec::new(), soft: false }
}

#[test]
fn what_is_purged_on_one_is_purged_on_the_other_and_told_once() {
    let pair = Pair::start();
    assert_eq!((pair.fetches(), pair.fetches()), (2, 0));
    let (origin, group) = ("http://shop.example".into(), "one".into());
    let targets = [
        PurgeTarget::Urls(vec!["http://shop.example/in/page".into()]),
        PurgeTarget::Prefix("shop.example/in/".into()),
        PurgeTarget::Host("shop.example".into()),
        PurgeTarget::Tags(vec!["red".into()]),
        PurgeTarget::Group { origin, group },
        PurgeTarget::All,
    ];
    for target in targets {
        for node in [0, 1] {
            let wanted = of(target.clone());
            pair.nodes[node].handle.purge(&wanted, Heard::Here).unwrap();
            assert_eq!(pair.fetches(), 1, "before the other has heard of {wanted}");
            pair.nodes[node].handle.purge(&wanted, Heard::Here).unwrap();
            assert_eq!(pair.hand_on(), 2, "{wanted}");
            assert_eq!((pair.fetches(), pair.fetches()), (2, 0), "{wanted}");
        }
    }
}

#[test]
fn whoever_purges_whatever_way_the_other_hears_of_it_as_it_was_said() {
    let pair = Pair::start();
    assert_eq!(pair.fetches(), 2);
    pair.ask(0, "PURGE", "X-Purge: soft\r\n");
    let heard = pair.nodes[0].heard.try_recv().unwrap();
    assert!(heard.soft && *heard.zones == ["main".into()], "{heard:?}");
    assert_eq!(heard.target, PurgeTarget::Urls(vec!["shop.example/in/page".into()]));
    pair.nodes[1].handle.purge(&heard, Heard::Elsewhere).unwrap();
    assert_eq!((pair.hand_on(), pair.fetches()), (0, 2));
    pair.ask(1, "PURGE", "xkey: red\r\n");
    assert_eq!((pair.hand_on(), pair.fetches()), (1, 2));
    let purge = ["purge", "--control", "0.sock", "--tag", "red"];
    pair.folder.run(&purge).expect_code(0);
    assert_eq!((pair.hand_on(), pair.fetches()), (1, 2));
}

#[test]
fn nobody_is_told_of_what_was_not_purged_nor_of_what_an_answer_made_invalid() {
    let pair = Pair::start();
    assert_eq!(pair.fetches(), 2);
    let purge = |wanted: &Purge| pair.nodes[0].handle.purge(wanted, Heard::Here);
    let unknown = Purge { zones: vec!["other".into()], ..of(PurgeTarget::All) };
    assert_eq!(purge(&unknown), Err(PurgeError::UnknownZone("other".into())));
    assert!(purge(&of(PurgeTarget::Urls(vec!["ftp://a/".into()]))).is_err());
    assert!(purge(&of(PurgeTarget::Tags(Vec::new()))).is_err());
    assert_eq!((pair.hand_on(), pair.fetches()), (0, 0));
    pair.ask(0, "DELETE", "");
    assert_eq!((pair.hand_on(), pair.fetches()), (0, 1));
}
