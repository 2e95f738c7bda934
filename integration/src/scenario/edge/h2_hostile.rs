//! Hostile HTTP/2 connections, made of frames by a grammar, and what each costs until it is cut.

use std::time::{Duration, Instant};

use crate::config::config;
use crate::h2::{Frame, FrameClient, encode_fields, get_fields};
use crate::message::{Reply, pattern};
use crate::origin::Origin;
use crate::patience::Deadline;
use crate::proc_stats::ProcessStats;
use crate::proxy::Proxy;

/// How long one connection floods, if it is not cut.
const FLOOD: Duration = Duration::from_secs(3);
/// Connections at once: memory is measured over all of them, so that allocators' rounding does not hide it.
const CROWD: usize = 8;

/// What the worst of the connections cost.
#[derive(Clone, Debug, Default)]
pub struct H2Hostile {
    /// Connections made.
    pub connections: usize,
    /// Of these, cut before they gave up by themselves.
    pub cut: usize,
    /// The most memory that a crowd added, for each of its connections, in KiB.
    pub worst_kib: u64,
    /// Which crowd that was.
    pub worst_kib_in: String,
    /// The most processor time that a crowd took, for each of its connections.
    pub worst_time: Duration,
    /// Which crowd that was.
    pub worst_time_in: String,
    /// What a connection cost that asks for a large answer on every stream and takes none, until it is cut, in KiB.
    pub stalled_kib: u64,
}

/// A small generator of numbers: the same seed, the same connections (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u32) -> u32 {
        u32::try_from(self.next() % u64::from(end)).unwrap_or(0)
    }
}

/// What a connection is made of: each is sent now and then, as often as its weight says.
const WORDS: [(&str, Word); 15] = [
    ("get large", |_, stream| get(stream, true)),
    ("get", |random, stream| get(stream, random.below(3) == 0)),
    ("post", |_, stream| {
        headers(Frame::END_HEADERS, stream, &encode_fields(&get_fields("/small")))
    }),
    ("reset", |_, stream| frame(Frame::RST_STREAM, 0, stream, &[0, 0, 0, 8])),
    ("get and reset", |_, stream| {
        [get(stream, false), frame(Frame::RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    }),
    ("malformed", |_, stream| headers(5, stream, &encode_fields(&[("A", "b")]))),
    ("tiny fields", |_, stream| {
        let tiny: Vec<u8> =
            (0..120_u8).flat_map(|number| vec![0, 1, b'a' + number % 26, 0]).collect();
        headers(5, stream, &[encode_fields(&get_fields("/large")), tiny].concat())
    }),
    ("large field", |_, stream| {
        let value = "x".repeat(12_000);
        headers(5, stream, &encode_fields(&[&get_fields("/large")[..], &[("a", &value)]].concat()))
    }),
    ("table bomb", |_, stream| {
        // A field of 3 KiB goes into the table, and is then named by one byte a hundred times.
        let mut block = encode_fields(&get_fields("/large"));
        block.extend([0x40, 1, b'a', 0x7f, 0x81, 0x17]);
        block.extend(vec![b'x'; 3072]);
        block.extend(vec![0xbe; 100]);
        headers(5, stream, &block)
    }),
    ("open block", |random, stream| {
        let flags = u8::try_from(random.below(2)).unwrap_or(0);
        headers(flags, stream, &encode_fields(&get_fields("/small")))
    }),
    ("continuation", |_, stream| frame(Frame::CONTINUATION, 0, stream, b"")),
    ("ping", |_, _| frame(Frame::PING, 0, 0, &[0; 8]).repeat(20)),
    ("settings", |random, _| {
        let window = random.below(70_000).to_be_bytes();
        frame(Frame::SETTINGS, 0, 0, &[&[0, 4][..], &window].concat()).repeat(5)
    }),
    ("window", |random, stream| {
        let target = if random.below(2) == 0 { 0 } else { stream };
        frame(Frame::WINDOW_UPDATE, 0, target, &[0, 0, 0, 1]).repeat(10)
    }),
    ("data", |random, stream| {
        let length = [0, 0, 1, 1000][random.below(4) as usize];
        frame(Frame::DATA, 0, stream, &vec![b'x'; length]).repeat(10)
    }),
];

type Word = fn(&mut Random, u32) -> Vec<u8>;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    Frame::new(kind, flags, stream, payload).to_bytes()
}

fn headers(flags: u8, stream: u32, block: &[u8]) -> Vec<u8> {
    frame(Frame::HEADERS, flags, stream, block)
}

fn get(stream: u32, large: bool) -> Vec<u8> {
    let path = if large { "/large" } else { "/small" };
    headers(5, stream, &encode_fields(&get_fields(path)))
}

/// A connection that says a few of the words again and again.
struct Hostile {
    client: FrameClient,
    random: Random,
    words: Vec<usize>,
    stream: u32,
    /// How many words it says before it only waits.
    left: u32,
}

impl Hostile {
    fn new(proxy: &Proxy, seed: u64) -> Self {
        let mut random = Random(seed);
        let count = 1 + random.below(3);
        // The length of a fixed list.
        let all = u32::try_from(WORDS.len()).unwrap_or(1);
        let words = (0..count).map(|_| random.below(all) as usize).collect();
        let window = [0, 0, 1, 65_535][random.below(4) as usize];
        let client = FrameClient::greet(proxy.address("web"), &[(4, window)]);
        let left = [u32::MAX, u32::MAX, 100, 30][random.below(4) as usize];
        Self { client, random, words, stream: 1, left }
    }

    fn name(&self) -> String {
        let words: Vec<_> = self.words.iter().map(|word| WORDS[*word].0).collect();
        let most =
            if self.left < u32::MAX { format!(", {} at most", self.left) } else { String::new() };
        words.join(", ") + &most
    }

    /// Says one word; whether it is still listened to.
    fn say(&mut self) -> bool {
        if self.left == 0 {
            return true;
        }
        self.left -= 1;
        let next = self.random.below(u32::try_from(self.words.len()).unwrap_or(1));
        let word = self.words[next as usize];
        let bytes = WORDS[word].1(&mut self.random, self.stream);
        // Some words need the stream of the one before.
        if self.random.below(3) > 0 {
            self.stream += 2;
        }
        self.client.send(&bytes)
    }

    /// Reads what has come; whether the connection still stands.
    fn stands(&mut self) -> bool {
        let now = Deadline::after(Duration::from_millis(1));
        loop {
            match self.client.next(now) {
                Ok(Some(frame)) if frame.kind == Frame::GOAWAY => return false,
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }
}

/// So many hostile connections, [`CROWD`] alike at a time, from this seed on.
///
/// # Panics
/// When the proxy does not start, or does not serve others in between.
#[must_use]
#[track_caller]
pub fn h2_hostile(count: usize, seed: u64) -> H2Hostile {
    let origin = Origin::start()
        .serve("/small", Reply::ok("small"))
        .serve("/large", Reply::ok(pattern(256 * 1024)));
    let proxy = Proxy::start(
        &config()
            .top("workers = 1")
            .web("h2c = true\ntimeouts = { write = \"1s\", header = \"1s\" }")
            .site("")
            .proxy_to(&origin),
    );
    // What the first requests allocate once and for all is nobody's cost. What a crowd leaves behind is.
    (0..20).for_each(|_| drop(proxy.get("/large")));
    let before = proxy.stats().resident_kib;
    let mut found = H2Hostile::default();
    for number in 0..count.div_ceil(CROWD) as u64 {
        let seed = seed.wrapping_add(number.wrapping_mul(7919));
        crowd(&proxy, before, seed, &mut found);
        proxy.get("/small").expect_status(200);
    }
    found.stalled_kib = stalled(&proxy);
    found
}

/// Memory for each connection that asks a hundred times and opens no window.
fn stalled(proxy: &Proxy) -> u64 {
    const CONNECTIONS: usize = 8;
    let before = proxy.stats().resident_kib;
    let greet = |_| FrameClient::greet(proxy.address("web"), &[(4, 0)]);
    let mut clients: Vec<_> = (0..CONNECTIONS).map(greet).collect();
    for client in &mut clients {
        let asked: Vec<u8> = (0..100).flat_map(|number| get(2 * number + 1, true)).collect();
        assert!(client.send(&asked), "a connection that has done nothing yet is cut");
    }
    let (deadline, mut most) = (Deadline::soon(), before);
    for client in &mut clients {
        let is_cut = |client: &mut FrameClient| {
            let now = Deadline::after(Duration::from_millis(20));
            client.find(now, |frame| frame.kind == Frame::GOAWAY).is_ok()
        };
        while !is_cut(client) {
            assert!(!deadline.has_passed(), "a connection that takes nothing is kept");
            most = most.max(proxy.stats().resident_kib);
        }
    }
    most.saturating_sub(before) / CONNECTIONS as u64
}

fn crowd(proxy: &Proxy, before: u64, seed: u64, found: &mut H2Hostile) {
    let time_before = ProcessStats::processor_time_of_tree(proxy.pid());
    let mut crowd: Vec<Hostile> = (0..CROWD).map(|_| Hostile::new(proxy, seed)).collect();
    let name = crowd[0].name();
    let began = Instant::now();
    let mut most = before;
    while began.elapsed() < FLOOD && !crowd.is_empty() {
        let all = crowd.len();
        crowd.retain_mut(|hostile| (0..20).all(|_| hostile.say()) && hostile.stands());
        found.cut += all - crowd.len();
        most = most.max(proxy.stats().resident_kib);
    }
    found.connections += CROWD;
    let time = ProcessStats::processor_time_of_tree(proxy.pid()).saturating_sub(time_before);
    // A small number.
    let each = u32::try_from(CROWD).unwrap_or(1);
    if most.saturating_sub(before) / u64::from(each) > found.worst_kib {
        found.worst_kib = (most - before) / u64::from(each);
        found.worst_kib_in = format!("{name} (seed {seed})");
    }
    if time / each > found.worst_time {
        found.worst_time = time / each;
        found.worst_time_in = format!("{name} (seed {seed})");
    }
}
