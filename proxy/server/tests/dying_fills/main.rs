//! Fetches for a cache whose task panics.
//!
//! One test in a process of its own: what panics is the logger, which a process has one of.

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    use switchback::{Handle, Server, read_text};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    /// Whether the next fault that is logged ends the task that logs it.
    static IS_ARMED: AtomicBool = AtomicBool::new(false);
    /// Requests to the origin since the last panic.
    static ASKED: AtomicUsize = AtomicUsize::new(0);

    struct Fragile;

    impl Subscriber for Fragile {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "switchback_engine::http::fail"
        }

        fn event(&self, _: &Event<'_>) {
            if IS_ARMED.swap(false, Ordering::SeqCst) {
                panic!("on purpose");
            }
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    /// Answers with something broken while a panic is awaited, each time when it is let, and with a page afterwards.
    fn origin(broken: &'static str) -> (String, std::sync::mpsc::Sender<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (gate, let_go): (_, Receiver<()>) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let mut line = String::new();
                while reader.read_line(&mut line).unwrap() > 2 {
                    line.clear();
                }
                let answer = if IS_ARMED.load(Ordering::SeqCst) {
                    let_go.recv().unwrap();
                    broken
                } else {
                    ASKED.fetch_add(1, Ordering::SeqCst);
                    "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwhole"
                };
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        (address, gate)
    }

    fn serve(origin: &str) -> Handle {
        let text = format!(
            "workers = 2\n[[listeners]]\naddress = \"127.0.0.1:0\"\n\
             [[sites]]\n[[sites.routes]]\nproxy = \"app\"\n\
             cache = {{ zone = \"main\", lock = {{ wait = \"60s\", age = \"60s\" }} }}\n\
             [upstreams.app]\nendpoints = [\"{origin}\"]\n[zones.main]\n"
        );
        let config = read_text("test.toml", &text, &BTreeMap::new()).into_result().unwrap();
        Server::new(config).spawn().unwrap()
    }

    fn asking(handle: &Handle) -> TcpStream {
        let mut stream = TcpStream::connect(&handle.status().listeners[0].address).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        stream
    }

    /// All that comes; a reset ends it as an end does.
    fn read(mut stream: TcpStream) -> String {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    /// Has a crowd wait for an answer to which such a broken one comes first; what each gets.
    fn answers(broken: &'static str) -> (Vec<String>, Handle) {
        IS_ARMED.store(true, Ordering::SeqCst);
        ASKED.store(0, Ordering::SeqCst);
        let (address, gate) = origin(broken);
        let handle = serve(&address);
        let crowd: Vec<_> = (0..30).map(|_| asking(&handle)).collect();
        // It may be asked more than once before the fault is told.
        (0..30).for_each(|_| gate.send(()).unwrap());
        let answers = crowd.into_iter().map(read).collect();
        assert!(!IS_ARMED.load(Ordering::SeqCst), "nothing has panicked");
        (answers, handle)
    }

    #[test]
    fn one_of_those_who_wait_fetches_once_more_and_nobody_is_shown_a_part_as_the_whole() {
        tracing::subscriber::set_global_default(Fragile).unwrap();
        let (whole, _handle) = answers("no answer\r\n\r\n");
        for answer in whole {
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("whole"), "{answer}");
        }
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);

        // It dies when a part is out.
        let cut = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 5\r\n\r\nwho";
        let (parts, handle) = answers(cut);
        for answer in parts {
            let is_whole = answer.ends_with("whole");
            assert!(is_whole || answer.ends_with("\r\n\r\nwho"), "{answer}");
        }
        let again = read(asking(&handle));
        assert!(again.starts_with("HTTP/1.1 200 ") && again.ends_with("whole"), "{again}");
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);
    }
}
