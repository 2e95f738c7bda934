//! Many clients that send their bodies in crumbs keep nobody waiting.

use std::fs;
use std::time::Duration;

use switchback_integration::{Client, Deadline, Origin, Proxy, config, eventually, get};

/// So many have a crumb ready at the same moment.
const SLOW: usize = 400;
/// More than those who are let go on until the test has stopped the proxy, if it gets a processor at once.
const MOST_SERVED: usize = SLOW / 2;

/// How long a head may take.
const HEADER: Duration = Duration::from_secs(2);

/// A proxy with one worker, and clients that are slow.
struct Crowd {
    proxy: Proxy,
    /// A proxy that is stopped does not tell.
    port: u16,
    clients: Vec<Client>,
    origin: Origin,
}

impl Crowd {
    /// They have sent this, and the proxy has read it.
    fn of(sent: &str) -> Self {
        let origin = Origin::start();
        let config = config()
            .top("workers = 1")
            .web("min_rate = { receive = \"0\" }\ntimeouts = { header = \"2s\" }");
        let config = config.site("").respond("/soon", "soon").proxy_to(&origin);
        let proxy = Proxy::start(&config);
        let port = proxy.address("web").port();
        let open = |_| {
            let mut client = proxy.client();
            client.send(sent);
            client
        };
        let clients: Vec<Client> = (0..SLOW).map(open).collect();
        let crowd = Self { proxy, port, clients, origin };
        crowd.wait_until_read();
        crowd
    }

    /// Their bodies come byte by byte.
    fn with_crumbs() -> Self {
        let mut crowd = Self::of("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
        crowd.origin.wait_for_heads(SLOW);
        crowd.clients.iter_mut().for_each(|client| _ = client.send("x"));
        crowd.wait_until_read();
        crowd
    }

    /// Everybody has a crumb ready, and then `last` sends something, before the proxy looks. How many had been served when the
    /// answer to the last one was there.
    fn served_before(&mut self, last: &mut Client, sends: &str) -> usize {
        self.stop();
        self.clients.iter_mut().for_each(|client| _ = client.send("x"));
        last.send(sends);
        self.proxy.signal("CONT");
        last.response().expect_status(200);
        self.stop();
        let waiting = self.waiting();
        self.proxy.signal("CONT");
        self.wait_until_read();
        SLOW.saturating_sub(waiting)
    }

    /// No thread runs once this returns.
    fn stop(&self) {
        self.proxy.signal("STOP");
        let tasks = format!("/proc/{}/task", self.proxy.pid());
        let is_stopped = |task: fs::DirEntry| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
        };
        eventually("the process stops", Deadline::soon(), || {
            fs::read_dir(&tasks).ok()?.flatten().all(is_stopped).then_some(())
        });
    }

    /// Connections to the proxy on which there is something to read.
    fn waiting(&self) -> usize {
        self.established(|queues| !queues.ends_with(":00000000"))
    }

    /// Connections to the proxy that neither end has closed, and whose queues in the kernel are such.
    fn established(&self, such: impl Fn(&str) -> bool) -> usize {
        // Clients of other tests may have the same port at another address.
        let address = format!("0100007F:{:04X}", self.port);
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let is_such = |line: &&str| {
            let mut fields = line.split_ascii_whitespace();
            let is_ours = fields.nth(1).is_some_and(|local| local == address);
            let (state, queues) = (fields.nth(1), fields.next());
            is_ours && state == Some("01") && queues.is_some_and(&such)
        };
        table.lines().filter(is_such).count()
    }

    fn wait_until_read(&self) {
        eventually("all is read", Deadline::soon(), || (self.waiting() == 0).then_some(()));
    }
}

/// Whether it was so once. A machine that is busy may let the proxy run on before it is stopped; whoever waits behind all others
/// is last each time.
fn is_once_before_most(mut served: impl FnMut() -> usize) -> Result<(), Vec<usize>> {
    let mut seen = Vec::new();
    for _ in 0..20 {
        seen.push(served());
        if seen.last().is_some_and(|served| *served <= MOST_SERVED) {
            return Ok(());
        }
    }
    Err(seen)
}

#[test]
fn a_request_does_not_wait_for_all_who_send_crumbs() {
    let mut crowd = Crowd::with_crumbs();
    let mut other = crowd.proxy.client();
    other.ask(&get("/soon")).expect_body("soon");
    let request = get("/soon").to_bytes();
    let request = String::from_utf8(request).unwrap();
    let found = is_once_before_most(|| crowd.served_before(&mut other, &request));
    assert_eq!(found, Ok(()), "of {SLOW} crumbs so many were served first");
}

#[test]
fn an_upload_in_whole_pieces_does_not_wait_for_all_who_send_crumbs() {
    const PIECE: usize = 4000;
    let mut crowd = Crowd::with_crumbs();
    let piece = "x".repeat(PIECE);
    let found = is_once_before_most(|| {
        let mut upload = crowd.proxy.client();
        let heads = crowd.origin.heads();
        upload.send(format!(
            "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            2 * PIECE
        ));
        crowd.origin.wait_for_heads(heads + 1);
        upload.send(&piece).wait_until_read();
        crowd.served_before(&mut upload, &piece)
    });
    assert_eq!(found, Ok(()), "of {SLOW} crumbs so many were served first");
}

#[test]
fn a_request_does_not_wait_for_all_whose_time_is_up() {
    let found = is_once_before_most(|| {
        let crowd = Crowd::of("GET / HTTP/1.1\r\n");
        let due = Deadline::after(HEADER);
        let mut other = crowd.proxy.client();
        crowd.stop();
        while !due.has_passed() {
            std::thread::park_timeout(due.left());
        }
        // Those whose time is up come between its way to the origin and its way back.
        other.send(get("/other").to_bytes());
        crowd.proxy.signal("CONT");
        other.response().expect_status(200);
        crowd.stop();
        let waiting = crowd.established(|_| true);
        crowd.proxy.signal("CONT");
        (SLOW + 1).saturating_sub(waiting)
    });
    assert_eq!(found, Ok(()), "of {SLOW} whose time was up so many were cut first");
}
