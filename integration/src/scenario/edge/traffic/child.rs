//! The process of clients: orders in, counts out.

use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::interval;

use super::backend;
use super::clients;
use super::state::{Guests, Kind, State};

/// What `show-edge --traffic` does: obeys until it is told to stop or standard input ends.
///
/// # Panics
/// When loopback cannot be used.
pub fn traffic() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        say(&format!("origin {}", listener.local_addr().expect("a bound socket")));
        spawn_local(backend::serve(listener));
        obey(orders()).await;
    });
}

/// Lines of standard input. A thread reads them, because they wait for people.
fn orders() -> UnboundedReceiver<String> {
    let (sender, orders) = unbounded_channel();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    orders
}

async fn obey(mut orders: UnboundedReceiver<String>) {
    let Some((plain, tls)) = orders.recv().await.as_deref().and_then(parse_start) else { return };
    let state = Rc::new(State::new(plain, tls));
    let start = |kind: Kind| {
        let state = Rc::clone(&state);
        (0..kind.clients()).map(move |_| spawn_local(clients::run(kind, Rc::clone(&state))))
    };
    let running: Vec<JoinHandle<()>> = Kind::ALL.into_iter().flat_map(start).collect();
    let mut tick = interval(Duration::from_millis(10));
    loop {
        tokio::select! {
            _ = tick.tick() => tell(&state),
            order = orders.recv() => match order.as_deref() {
                None => return,
                Some("stop") => break,
                Some(order) => send_guests(&state, order).await,
            }
        }
    }
    state.stop();
    for client in running {
        if client.await.is_err() {
            state.count(Kind::Kept, Err("a client panicked".to_owned()));
        }
    }
    tell(&state);
    for kind in Kind::ALL {
        say(&format!("kind {} {}", state.answered(kind), kind.name()));
    }
}

fn parse_start(order: &str) -> Option<(SocketAddr, SocketAddr)> {
    let (plain, tls) = order.strip_prefix("start ")?.split_once(' ')?;
    Some((plain.parse().ok()?, tls.parse().ok()?))
}

async fn send_guests(state: &State, order: &str) {
    let to = match order.strip_prefix("guests ") {
        Some("stay") => Guests::Stay,
        Some(address) => address.parse().map_or(Guests::Home, Guests::At),
        None => Guests::Home,
    };
    state.guests.send_replace(to);
    let settled = || match to {
        Guests::At(_) => true,
        Guests::Stay => state.arriving.get() == 0,
        Guests::Home => state.arriving.get() == 0 && state.visiting.get() == 0,
    };
    while !settled() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    say("settled");
}

fn tell(state: &State) {
    let (answered, failed) = state.counts();
    state
        .new_failures()
        .iter()
        .for_each(|failure| say(&format!("failed {}", failure.replace('\n', " "))));
    say(&format!("seen {answered} {failed}"));
}

fn say(line: &str) {
    // When nobody listens any more, standard input ends as well.
    let _said = writeln!(std::io::stdout(), "{line}");
}
