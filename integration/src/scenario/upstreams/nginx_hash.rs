//! Whether a key goes where nginx sends it: asked of a real one, whose endpoints say who they are.

use std::fmt::Write as _;
use std::net::SocketAddr;

use switchback_upstream::shard::{Mapping, Shard, ShardMap};

use crate::client::Client;
use crate::grammar::Random;
use crate::message::get;
use crate::peer::{Peer, free_address};

/// What nginx and a map of ours said of the same keys.
#[derive(Clone, Debug)]
pub struct Agreement {
    /// nginx's directive.
    pub directive: &'static str,
    /// How many keys were asked for while all endpoints answered.
    pub keys: usize,
    /// Of how many both named the same endpoint.
    pub alike: usize,
    /// How many keys of an endpoint were asked for while it refused connections.
    pub second_keys: usize,
    /// Of how many both named the same endpoint instead.
    pub second_alike: usize,
    /// How many of them both send to whoever is next in turn, another one each time: these are not among those above.
    pub in_turn: usize,
    /// The first keys of which they did not, and what was said.
    pub differences: Vec<String>,
}

/// Endpoints of nginx, and what they weigh.
struct Endpoints {
    servers: Vec<(String, u32)>,
    /// The last is nobody's.
    with_dead: Vec<(String, u32)>,
}

const WEIGHTS: [u32; 4] = [1, 5, 2, 3];

/// Asks nginx for so many keys, of each kind of hash; `None` where it is not installed.
///
/// # Panics
/// When nginx does not start or answer.
#[must_use]
pub fn beside_nginx(keys: usize) -> Option<Vec<Agreement>> {
    let address = free_address();
    let endpoints = Endpoints::new();
    let nginx = Peer::nginx_whole(&endpoints.config(address), address)?;
    let kinds = [
        ("hash $arg_k", "/plain", Mapping::Modulo),
        ("hash $arg_k consistent", "/ring", Mapping::Ketama),
    ];
    let mut client = nginx.client();
    Some(
        kinds
            .map(|(directive, path, mapping)| {
                let (map, with_dead) =
                    (map(&mapping, &endpoints.servers), map(&mapping, &endpoints.with_dead));
                let mut found = Agreement::new(directive);
                let mut random = Random::new(7);
                for number in 0..keys {
                    let key = key(&mut random, number);
                    let named = ask(&mut client, path, &key);
                    found.keys += 1;
                    found.alike +=
                        usize::from(found.is_alike(&key, &named, map.order(key.as_bytes()).next()));
                    let mut order = with_dead.order(key.as_bytes());
                    if order.next() == Some(WEIGHTS.len() - 1) {
                        let named = ask(&mut client, &format!("{path}-dead"), &key);
                        found.second_keys += 1;
                        found.second_alike +=
                            usize::from(found.is_alike(&key, &named, order.next()));
                    }
                }
                found
            })
            .into(),
    )
}

impl Agreement {
    /// Nothing was asked yet.
    pub(super) fn new(directive: &'static str) -> Self {
        Self {
            directive,
            keys: 0,
            alike: 0,
            second_keys: 0,
            second_alike: 0,
            in_turn: 0,
            differences: Vec::new(),
        }
    }

    fn is_alike(&mut self, key: &str, nginx: &str, ours: Option<usize>) -> bool {
        self.is_said_alike(key, nginx, &ours.map(|shard| shard.to_string()).unwrap_or_default())
    }

    /// Whether both said the same of a key.
    pub(super) fn is_said_alike(&mut self, key: &str, nginx: &str, ours: &str) -> bool {
        if nginx != ours && self.differences.len() < 10 {
            self.differences.push(format!("{key}: {nginx} to nginx, {ours} to us"));
        }
        nginx == ours
    }
}

fn map(mapping: &Mapping, servers: &[(String, u32)]) -> ShardMap {
    let shards: Vec<Shard> =
        servers.iter().map(|(server, weight)| Shard::new(server, *weight)).collect();
    ShardMap::build(mapping, &shards).expect("endpoints that differ, with weights")
}

/// Who answers for a key, by its place.
fn ask(client: &mut Client, path: &str, key: &str) -> String {
    client.ask(&get(&format!("{path}?k={key}"))).expect_status(200).text()
}

/// Numbers, names, addresses, codes, and what is long.
fn key(random: &mut Random, number: usize) -> String {
    match number % 5 {
        0 => number.to_string(),
        1 => format!("{:x}", random.number()),
        2 => format!("user-{}@mail{}.example", random.below(1_000_000), random.below(50)),
        3 => format!("%2F{}/a.b~c:{}", random.below(10_000), random.below(10_000)),
        _ => "k".repeat(1 + random.below(200)) + &random.below(100_000).to_string(),
    }
}

impl Endpoints {
    fn new() -> Self {
        let [one, two, three] = [(); 3].map(|()| free_address().to_string());
        let mut names = [one, two, "unix:third.sock".to_owned(), three];
        let servers = names.iter().cloned().zip(WEIGHTS).collect();
        names[WEIGHTS.len() - 1] = free_address().to_string();
        Self { servers, with_dead: names.into_iter().zip(WEIGHTS).collect() }
    }

    fn config(&self, address: SocketAddr) -> String {
        let mut text = String::from(
            "worker_processes 1; pid nginx.pid; error_log /dev/null;\nevents { worker_connections 512; }\n\
             http {\n access_log off; keepalive_requests 100000000;\n \
             proxy_http_version 1.1; proxy_set_header Connection \"\";\n",
        );
        for (path, servers) in [("", &self.servers), ("-dead", &self.with_dead)] {
            for (name, how) in [("plain", "hash $arg_k"), ("ring", "hash $arg_k consistent")] {
                let mut block = format!(" upstream {name}{path} {{ {how}; ");
                for (server, weight) in servers {
                    put(&mut block, format_args!("server {server} weight={weight} max_fails=0; "));
                }
                put(&mut text, format_args!("{block} keepalive 16; }}\n"));
            }
        }
        for (place, (server, _)) in self.servers.iter().enumerate() {
            put(
                &mut text,
                format_args!(" server {{ listen {server}; return 200 \"{place}\"; }}\n"),
            );
        }
        put(&mut text, format_args!(" server {{ listen {address};\n"));
        for name in ["plain", "ring", "plain-dead", "ring-dead"] {
            put(&mut text, format_args!("  location = /{name} {{ proxy_pass http://{name}; }}\n"));
        }
        text + " }\n}\n"
    }
}

pub(super) fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a text takes everything");
}
