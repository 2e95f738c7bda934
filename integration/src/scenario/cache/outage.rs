//! An origin that is dead for an hour of the proxy's time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

use super::wire::{Asker, serve};
use crate::config::config;
use crate::peer::Tool;
use crate::proxy::Proxy;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct OutagePlan {
    /// Pages that are in the cache when it begins.
    pub pages: usize,
    /// How long the origin is dead, by the proxy's clock.
    pub dead: Duration,
    /// How many times faster that clock runs.
    pub speed: u32,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outage {
    /// Requests during the outage.
    pub asked: u64,
    /// Those that got the page.
    pub served: u64,
    /// How often the dead origin was tried.
    pub probes: u64,
    /// How long it was dead, by the proxy's clock.
    pub lasted: Duration,
    /// Pages that were fresh again once the origin was back and had been asked.
    pub recovered: usize,
    /// What went wrong, a few of them.
    pub failures: Vec<String>,
}

/// Plays it; `None` when libfaketime is not installed.
///
/// # Panics
/// When the proxy does not start.
#[must_use]
pub fn outage(plan: &OutagePlan) -> Option<Outage> {
    Tool::Faketime.quiet_command()?;
    let library = faketime()?;
    let origin = Mortal::start();
    let speed = format!("+0 x{}", plan.speed);
    let proxy = Proxy::start_with(
        &config()
            .top("workers = 2")
            .web("limits = { keepalive_requests = 1000000 }")
            .toml("[zones.main]\nmemory = \"64MiB\"\n")
            .site("")
            .route("/*", "proxy = \"app\"\ncache = { zone = \"main\", always_online = true }")
            .endpoints("app", &[origin.address.to_string()], ""),
        &[("LD_PRELOAD", &library), ("FAKETIME", &speed)],
    );
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    Some(runtime.block_on(play(plan, &proxy, &origin)))
}

async fn play(plan: &OutagePlan, proxy: &Proxy, origin: &Mortal) -> Outage {
    let mut found = Outage::default();
    let mut asker = Asker::connect(proxy.address("web")).await.expect("a proxy that listens");
    for page in 0..plan.pages {
        let got = asker.get(&format!("/page/{page}")).await.expect("an origin that lives");
        assert_eq!(got.status, 200, "{}", got.head);
    }
    origin.dead.store(true, Ordering::Release);
    let before = origin.probes.load(Ordering::Acquire);
    let began = Instant::now();
    let real = plan.dead / plan.speed;
    let mut page = 0;
    while began.elapsed() < real {
        page = (page + 1) % plan.pages;
        found.asked += 1;
        match asker.get(&format!("/page/{page}")).await {
            Ok(got) if got.status == 200 && got.length == length(page) => found.served += 1,
            Ok(got) => found.failures.push(format!("/page/{page}: {}", got.head)),
            Err(error) => {
                found.failures.push(format!("/page/{page}: {error}"));
                asker = Asker::connect(proxy.address("web")).await.expect("it listens");
            }
        }
    }
    found.lasted = began.elapsed() * plan.speed;
    found.probes = origin.probes.load(Ordering::Acquire) - before;
    origin.dead.store(false, Ordering::Release);
    found.recovered = recovered(plan, &mut asker, origin).await;
    found.failures.truncate(5);
    found
}

/// Asks for every page until the origin has been asked for it again, for a while.
async fn recovered(plan: &OutagePlan, asker: &mut Asker, origin: &Mortal) -> usize {
    let began = Instant::now();
    let before = origin.answered.load(Ordering::Acquire);
    while began.elapsed() < Duration::from_secs(20) {
        for page in 0..plan.pages {
            let _page = asker.get(&format!("/page/{page}")).await;
        }
        let asked = origin.answered.load(Ordering::Acquire) - before;
        if asked >= plan.pages as u64 {
            return plan.pages;
        }
    }
    usize::try_from(origin.answered.load(Ordering::Acquire) - before).unwrap_or(usize::MAX)
}

fn length(page: usize) -> usize {
    1000 + page
}

/// The library that shifts the clock.
fn faketime() -> Option<String> {
    let machine = std::env::consts::ARCH;
    let folders = [format!("/usr/lib/{machine}-linux-gnu"), "/usr/lib".to_owned()];
    let paths = folders.map(|folder| format!("{folder}/faketime/libfaketime.so.1"));
    paths.into_iter().find(|path| std::path::Path::new(path).exists())
}

/// An origin that answers, or accepts and resets while it is dead.
struct Mortal {
    address: SocketAddr,
    dead: Arc<AtomicBool>,
    probes: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
}

impl Mortal {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("a bound socket");
        listener.set_nonblocking(true).expect("a socket of ours");
        let origin = Self {
            address,
            dead: Arc::default(),
            probes: Arc::default(),
            answered: Arc::default(),
        };
        let life = Life {
            dead: Arc::clone(&origin.dead),
            probes: Arc::clone(&origin.probes),
            answered: Arc::clone(&origin.answered),
        };
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listening socket");
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(life.clone().serve(stream));
                }
            });
        });
        origin
    }
}

/// What its connections share.
#[derive(Clone)]
struct Life {
    dead: Arc<AtomicBool>,
    probes: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
}

impl Life {
    async fn serve(self, stream: TcpStream) {
        if self.dead.load(Ordering::Acquire) {
            self.probes.fetch_add(1, Ordering::AcqRel);
            let _reset = set_socket_linger(&stream, Some(Duration::ZERO));
            return;
        }
        let _ended = serve(stream, |target| self.answer(target)).await;
    }

    fn answer(&self, target: &str) -> (String, usize) {
        if self.dead.load(Ordering::Acquire) {
            // On a connection that was kept: what is dead answers nothing of use there either.
            self.probes.fetch_add(1, Ordering::AcqRel);
            return ("HTTP/1.1 503 Dead\r\nContent-Length: 0\r\n\r\n".to_owned(), 0);
        }
        self.answered.fetch_add(1, Ordering::AcqRel);
        let page = target.rsplit('/').next().and_then(|page| page.parse().ok());
        let length = length(page.unwrap_or_default());
        let head = format!(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=1\r\nContent-Length: {length}\r\n\r\n"
        );
        (head, length)
    }
}
