//! The examples, run as parts of this program: each serves over real sockets, stops, and leaves nothing behind.
//!
//! One test in a process of its own, because it counts the threads and descriptors of the process.

#[cfg(test)]
#[expect(dead_code, reason = "the test calls what `main` calls")]
#[path = "../../examples/config_in_code.rs"]
mod config_in_code;
#[cfg(test)]
#[expect(dead_code, reason = "the test calls what `main` calls")]
#[path = "../../examples/embed.rs"]
mod embed;
#[cfg(test)]
#[expect(dead_code, reason = "the test calls what `main` calls")]
#[path = "../../examples/own_action.rs"]
mod own_action;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::SocketAddr;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    use switchback::{Config, Drained, Handle};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::spawn_blocking;

    use super::{config_in_code, embed, own_action};

    /// What a stopped server must give back.
    #[derive(Debug, PartialEq)]
    struct Held {
        threads: Vec<String>,
        descriptors: usize,
    }

    fn held() -> Held {
        let entries = |folder: &str| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        // A thread that ends between the two readings has no name any more.
        let name = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("comm")).ok();
        let mut threads: Vec<_> = entries("/proc/self/task").filter_map(name).collect();
        threads.sort();
        // Pingora's clock for time-outs: one for the process, which stays.
        if let Ok(clock) = threads.binary_search(&"Timer thread\n".to_owned()) {
            threads.remove(clock);
        }
        Held { threads, descriptors: entries("/proc/self/fd").count() }
    }

    /// Threads of a runtime that was shut down end a moment later.
    #[track_caller]
    fn expect_given_back(before: &Held) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while held() != *before {
            assert!(Instant::now() < deadline, "before: {before:?}, after: {:?}", held());
            std::thread::yield_now();
        }
    }

    /// The signals that this process catches.
    fn signal_handlers() -> String {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        status.lines().find(|line| line.starts_with("SigCgt:")).unwrap().to_owned()
    }

    async fn ask(address: &str, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn get(address: &str, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = ask(address, &request).await;
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn address(handle: &Handle) -> String {
        handle.status().listeners[0].address.clone()
    }

    /// Calls that block are made as an async program makes them.
    async fn aside<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
        spawn_blocking(call).await.unwrap()
    }

    async fn expect_stopped(address: &str, stopped: Drained) {
        assert_eq!(stopped, Drained::Clean);
        TcpStream::connect(address).await.unwrap_err();
    }

    fn write(folder: &Path, body: &str) -> PathBuf {
        let file = folder.join("site.toml");
        let text = format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\n[[sites]]\n[[sites.routes]]\nrespond = {{ body = \"{body}\" }}\n"
        );
        fs::write(&file, text).unwrap();
        file
    }

    async fn a_file_is_served_and_read_again(folder: &Path) {
        let file = write(folder, "one");
        let handle = aside(move || embed::start(&file)).await.unwrap();
        let address = address(&handle);
        assert_eq!(get(&address, "/").await, "one");
        write(folder, "two");
        let (reloaded, handle) = aside(move || (embed::reload(&handle), handle)).await;
        assert!(reloaded);
        assert_eq!(get(&address, "/").await, "two");
        fs::write(folder.join("site.toml"), "what = 1").unwrap();
        let (reloaded, handle) = aside(move || (embed::reload(&handle), handle)).await;
        assert!(!reloaded);
        assert_eq!(get(&address, "/").await, "two");
        expect_stopped(&address, aside(move || embed::stop(handle)).await).await;
    }

    async fn a_configuration_in_code_is_served_and_replaced() {
        let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app_address = app.local_addr().unwrap();
        let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let config: Config = config_in_code::config(listen, app_address).unwrap();
        let handle = aside(|| switchback::Server::new(config).spawn()).await.unwrap();
        let address = address(&handle);
        assert_eq!(get(&address, "/hello").await, "hello 127.0.0.1\n");
        let answer = async {
            let (mut stream, _) = app.accept().await.unwrap();
            let mut received = [0; 1024];
            let length = stream.read(&mut received).await.unwrap();
            assert!(received[..length].starts_with(b"GET /shop HTTP/1.1\r\n"));
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n";
            stream.write_all(format!("{head}app").as_bytes()).await.unwrap();
        };
        let ((), shown) = tokio::join!(answer, get(&address, "/shop"));
        assert_eq!(shown, "app");
        let replace = move || (handle.replace(config_in_code::closed(listen)).accepted, handle);
        let (accepted, handle) = aside(replace).await;
        assert!(accepted);
        assert_eq!(get(&address, "/hello").await, "closed\n");
        expect_stopped(&address, aside(move || config_in_code::stop(handle)).await).await;
    }

    async fn an_action_of_ones_own_answers() {
        let site = own_action::SITE.replace("${LISTEN:-127.0.0.1:8080}", "127.0.0.1:0");
        let handle = aside(move || own_action::server(&site).unwrap().spawn()).await.unwrap();
        let address = address(&handle);
        for (number, name) in [(1, "ann"), (2, "bob")] {
            let head = format!("POST /guests/{name} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n");
            let answer = ask(&address, &format!("{head}Connection: close\r\n\r\nhi")).await;
            assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
            assert!(answer.ends_with(&format!("\r\n\r\n{number}. {name}: hi\n")), "{answer}");
        }
        expect_stopped(&address, aside(move || config_in_code::stop(handle)).await).await;
    }

    #[test]
    fn every_example_serves_twice_and_gives_everything_back() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(1)
            .thread_keep_alive(Duration::from_secs(600))
            .enable_all()
            .build()
            .unwrap();
        // The runtime's own thread for blocking calls is there before anything is counted.
        runtime.block_on(aside(|| ()));
        let (before, handlers) = (held(), signal_handlers());
        for _ in 0..2 {
            runtime.block_on(a_file_is_served_and_read_again(folder.path()));
            expect_given_back(&before);
            runtime.block_on(a_configuration_in_code_is_served_and_replaced());
            expect_given_back(&before);
            runtime.block_on(an_action_of_ones_own_answers());
            expect_given_back(&before);
        }
        assert_eq!(signal_handlers(), handlers, "signals are the program's");
        assert!(!tracing::dispatcher::has_been_set(), "the logger is the program's");
        assert_eq!(log::max_level(), log::LevelFilter::Off, "the logger is the program's");
    }
}
