//! Whether a client goes where nginx's `ip_hash` sends it: both are asked, in front of the same endpoints.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::nginx_hash::{Agreement, put};
use crate::client::Client;
use crate::config::{Config, site};
use crate::grammar::Random;
use crate::message::get;
use crate::peer::{Peer, free_address};
use crate::proxy::Proxy;

const WEIGHTS: [u32; 5] = [1, 5, 2, 3, 1];

/// nginx looks for an endpoint at 20 places, which for a few clients are all of the dead one; those get whoever is next in turn, and so
/// one after the other when they ask this often.
const TURNS: usize = 12;

/// Says so many client addresses to nginx and to us; `None` where nginx is not installed.
///
/// # Panics
/// When one of them does not start or answer.
#[must_use]
pub fn ip_hash_beside_nginx(addresses: usize) -> Option<Agreement> {
    let address = free_address();
    let all = WEIGHTS.map(|weight| (free_address(), weight));
    let mut with_dead = all;
    with_dead[1].0 = free_address();
    let nginx = Peer::nginx_whole(&nginx_config(address, &all, &with_dead), address)?;
    let proxy = Proxy::start(&config(&all, &with_dead));
    let (mut theirs, mut ours) = (nginx.client(), proxy.client());
    let mut found = Agreement::new("ip_hash");
    let mut random = Random::new(7);
    for number in 0..addresses {
        let client = client(&mut random, number).to_string();
        let said = [
            ask(&mut theirs, "/all", &client, None),
            ask(&mut ours, "/all", &client, Some(&proxy)),
        ];
        found.keys += 1;
        found.alike += usize::from(found.is_said_alike(&client, &said[0], &said[1]));
        if said[0] == "1" {
            let said = [
                ask(&mut theirs, "/dead", &client, None),
                ask(&mut ours, "/dead", &client, Some(&proxy)),
            ];
            let mut varies = |connection: &mut Client, own: Option<&Proxy>| {
                let first = ask(connection, "/dead", &client, own);
                (0..TURNS).any(|_| ask(connection, "/dead", &client, own) != first)
            };
            if said[0] != said[1] && varies(&mut theirs, None) && varies(&mut ours, Some(&proxy)) {
                found.in_turn += 1;
                continue;
            }
            found.second_keys += 1;
            found.second_alike += usize::from(found.is_said_alike(&client, &said[0], &said[1]));
        }
    }
    Some(found)
}

/// Who answers a client, by its place.
fn ask(connection: &mut Client, path: &str, client: &str, proxy: Option<&Proxy>) -> String {
    let asked = get(path).header("X-Real-IP", client).header("X-Forwarded-For", client);
    let answer = connection.ask(&asked);
    // Ours ends connections that have served many.
    if let Some(proxy) = proxy.filter(|_| answer.headers.all("connection").contains(&"close")) {
        *connection = proxy.client();
    }
    answer.expect_status(200).text()
}

/// One of four has an address of IPv6; some differ in the last octet alone, which does not count.
fn client(random: &mut Random, number: usize) -> IpAddr {
    let bits = random.number();
    match number % 4 {
        0 => Ipv6Addr::from((u128::from(bits) << 64) | u128::from(random.number())).into(),
        1 => Ipv4Addr::from(0xc000_0200 | (bits as u32 & 0xff)).into(),
        _ => Ipv4Addr::from(bits as u32).into(),
    }
}

type Servers = [(SocketAddr, u32); WEIGHTS.len()];

fn config(all: &Servers, with_dead: &Servers) -> Config {
    let mut text = String::new();
    for (name, servers) in [("all", all), ("dead", with_dead)] {
        put(
            &mut text,
            format_args!(
                "[upstreams.{name}]\nbalance = \"ip_hash\"\noutliers = \"off\"\nendpoints = ["
            ),
        );
        for (server, weight) in servers {
            put(&mut text, format_args!("{{ address = \"{server}\", weight = {weight} }}, "));
        }
        text.push_str("]\n");
    }
    site()
        .top("trusted_proxies = [\"127.0.0.0/8\"]")
        .route("/all", "proxy = \"all\"")
        .route("/dead", "proxy = \"dead\"")
        .toml(text)
}

fn nginx_config(address: SocketAddr, all: &Servers, with_dead: &Servers) -> String {
    let mut text = String::from(
        "worker_processes 1; pid nginx.pid; error_log /dev/null;\nevents { worker_connections 512; }\n\
         http {\n access_log off; keepalive_requests 100000000;\n \
         proxy_http_version 1.1; proxy_set_header Connection \"\";\n \
         set_real_ip_from 127.0.0.0/8; real_ip_header X-Real-IP;\n",
    );
    for (name, servers) in [("all", all), ("dead", with_dead)] {
        put(&mut text, format_args!(" upstream {name} {{ ip_hash; "));
        for (server, weight) in servers {
            put(&mut text, format_args!("server {server} weight={weight} max_fails=0; "));
        }
        text.push_str("keepalive 16; }\n");
    }
    for (place, (server, _)) in all.iter().enumerate() {
        put(&mut text, format_args!(" server {{ listen {server}; return 200 \"{place}\"; }}\n"));
    }
    put(&mut text, format_args!(" server {{ listen {address};\n"));
    for name in ["all", "dead"] {
        put(&mut text, format_args!("  location = /{name} {{ proxy_pass http://{name}; }}\n"));
    }
    text + " }\n}\n"
}
