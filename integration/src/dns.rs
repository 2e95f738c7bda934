//! A name server that says what a test has told it to.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

/// What it says of a name.
#[derive(Clone, Debug)]
pub enum Says {
    /// These addresses, for so many seconds.
    Addresses(Vec<IpAddr>, u32),
    /// These services, for so many seconds.
    Services(Vec<Service>, u32),
    /// That it is another name for this one, which holds so many seconds.
    Alias(String, u32),
    /// That it has failed.
    Failure,
    /// Nothing at all.
    Silence,
}

/// An SRV record.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its priority.
    pub priority: u16,
    /// Its weight.
    pub weight: u16,
    /// Its port.
    pub port: u16,
    /// Its host.
    pub host: String,
}

/// A name server on loopback, over UDP and TCP. What it was told nothing of does not exist. It goes away when dropped.
pub struct NameServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    names: Mutex<HashMap<String, Says>>,
    asked: Mutex<Vec<String>>,
    is_stopped: AtomicBool,
}

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const SRV: u16 = 33;
/// What fits into a packet.
const PACKET: usize = 1232;

impl NameServer {
    /// On a port of its own.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn start() -> Self {
        let (udp, tcp) = (0..20).find_map(|_| sockets()).expect("a port for both");
        let address = udp.local_addr().expect("a bound socket");
        let shared = Arc::<Shared>::default();
        let (one, other) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            thread::spawn(move || serve_udp(&udp, &one)),
            thread::spawn(move || serve_tcp(&tcp, &other)),
        ];
        Self { address, shared, threads }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on says this of `name`.
    pub fn say(&self, name: &str, says: Says) {
        self.shared.names.lock().insert(name.to_owned(), says);
    }

    /// From now on says that `name` has these addresses, for a second.
    pub fn say_addresses(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().expect("an address"));
        self.say(name, Says::Addresses(addresses.collect(), 1));
    }

    /// How often it was asked for `name`, whatever for.
    #[must_use]
    pub fn asked(&self, name: &str) -> usize {
        self.shared.asked.lock().iter().filter(|asked| *asked == name).count()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::Release);
        // Each waits for something to come.
        let _told =
            UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(&[0], self.address));
        let _told = std::net::TcpStream::connect(self.address);
        for thread in self.threads.drain(..) {
            let _ended = thread.join();
        }
    }
}

fn sockets() -> Option<(UdpSocket, TcpListener)> {
    let udp = UdpSocket::bind("127.0.0.1:0").ok()?;
    let tcp = TcpListener::bind(udp.local_addr().ok()?).ok()?;
    Some((udp, tcp))
}

fn serve_udp(socket: &UdpSocket, shared: &Shared) {
    let mut packet = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut packet) {
        if shared.is_stopped.load(Ordering::Acquire) {
            return;
        }
        let Some(mut answer) = answer(&packet[..length], shared) else { continue };
        if answer.len() > PACKET {
            // Cut: the question alone.
            answer.truncate(question_end(&answer).unwrap_or(12));
            answer[2] |= 2;
            answer[6..8].copy_from_slice(&[0, 0]);
        }
        let _sent = socket.send_to(&answer, from);
    }
}

fn serve_tcp(listener: &TcpListener, shared: &Shared) {
    use std::io::{Read as _, Write as _};
    while let Ok((mut stream, _)) = listener.accept() {
        if shared.is_stopped.load(Ordering::Acquire) {
            return;
        }
        let mut length = [0; 2];
        if stream.read_exact(&mut length).is_err() {
            continue;
        }
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut question).is_ok()
            && let Some(answer) = answer(&question, shared)
        {
            let length = u16::try_from(answer.len()).expect("a short answer").to_be_bytes();
            let _sent = stream.write_all(&[&length[..], &answer].concat());
        }
    }
}

/// Where the question ends, and what it asks for.
fn question_end(message: &[u8]) -> Option<usize> {
    let mut at = 12;
    while *message.get(at)? != 0 {
        at += usize::from(message[at]) + 1;
    }
    Some(at + 5)
}

fn name_of(message: &[u8]) -> Option<String> {
    let (mut at, mut labels) = (12, Vec::new());
    while *message.get(at)? != 0 {
        let length = usize::from(message[at]);
        labels.push(String::from_utf8_lossy(message.get(at + 1..=at + length)?).to_lowercase());
        at += length + 1;
    }
    Some(labels.join("."))
}

fn answer(question: &[u8], shared: &Shared) -> Option<Vec<u8>> {
    let end = question_end(question)?;
    let kind = u16::from_be_bytes(question.get(end - 4..end - 2)?.try_into().ok()?);
    let name = name_of(question)?;
    shared.asked.lock().push(name.clone());
    let mut records = Vec::new();
    let names = shared.names.lock();
    let rcode = collect(&names, (&name, kind), &mut records)?;
    let mut answer = question.get(..end)?.to_vec();
    let count = u16::try_from(records.len()).expect("few records").to_be_bytes();
    answer[2..12].copy_from_slice(&[0x81, 0x80 | rcode, 0, 1, count[0], count[1], 0, 0, 0, 0]);
    records.into_iter().for_each(|record| answer.extend(record));
    Some(answer)
}

/// The code of the answer; `None` is none.
fn collect(
    names: &HashMap<String, Says>,
    (name, kind): (&str, u16),
    records: &mut Vec<Vec<u8>>,
) -> Option<u8> {
    match names.get(name) {
        None => return Some(3),
        Some(Says::Failure) => return Some(2),
        Some(Says::Silence) => return None,
        Some(Says::Alias(other, ttl)) => {
            records.push(record(name, CNAME, *ttl, &wire(other)));
            return collect(names, (other, kind), records);
        }
        Some(Says::Addresses(addresses, ttl)) => {
            for address in addresses {
                match (address, kind) {
                    (IpAddr::V4(address), A) => {
                        records.push(record(name, A, *ttl, &address.octets()));
                    }
                    (IpAddr::V6(address), AAAA) => {
                        records.push(record(name, AAAA, *ttl, &address.octets()));
                    }
                    _ => {}
                }
            }
        }
        Some(Says::Services(services, ttl)) if kind == SRV => {
            for service in services {
                let numbers = [service.priority, service.weight, service.port];
                let mut value: Vec<u8> = numbers.iter().flat_map(|one| one.to_be_bytes()).collect();
                value.extend(wire(&service.host));
                records.push(record(name, SRV, *ttl, &value));
            }
        }
        Some(Says::Services(..)) => {}
    }
    Some(0)
}

fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut wire: Vec<u8> = labels
        .flat_map(|label| {
            let length = u8::try_from(label.len()).expect("a label");
            std::iter::once(length).chain(label.bytes())
        })
        .collect();
    wire.push(0);
    wire
}

fn record(name: &str, kind: u16, ttl: u32, value: &[u8]) -> Vec<u8> {
    let mut record = wire(name);
    record.extend(kind.to_be_bytes());
    record.extend([0, 1]);
    record.extend(ttl.to_be_bytes());
    record.extend(u16::try_from(value.len()).expect("a short value").to_be_bytes());
    record.extend(value);
    record
}
