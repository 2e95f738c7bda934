//! Sockets that a service manager has bound before the process was there.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use switchback_integration::{Client, Proxy, config, get};

#[test]
fn a_passed_socket_is_served_by_the_listener_of_its_address() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    // Nobody else could bind it: it is not shared.
    let mut early = Client::tcp(address);
    early.send(get("/early").to_bytes());
    let config = config()
        .listener(format_args!("name = \"web\"\naddress = \"{address}\""))
        .site("")
        .respond("/*", "x");
    let mut proxy = Proxy::start_activated(&config, socket.into());
    early.response().expect_status(200);
    assert_eq!(proxy.address("web"), address);
    for _ in 0..8 {
        Client::tcp(address).ask(&get("/")).expect_status(200);
    }
    assert!(!proxy.stderr().contains("no listener wants"), "{}", proxy.stderr());
    proxy.upgrade().expect_code(0);
    for _ in 0..8 {
        Client::tcp(address).ask(&get("/")).expect_status(200);
    }
}

#[test]
fn a_passed_unix_socket_is_served_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let config = config()
        .listener(format_args!("name = \"web\"\naddress = \"unix:{}\"", path.display()))
        .site("")
        .respond("/*", "x");
    let _proxy = Proxy::start_activated(&config, socket.into());
    Client::unix(&path).ask(&get("/").host("x")).expect_status(200);
}

#[test]
fn a_passed_socket_that_no_listener_wants_is_told() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let config =
        config().listener("name = \"web\"\naddress = \"127.0.0.1:0\"").site("").respond("/*", "x");
    let proxy = Proxy::start_activated(&config, socket.into());
    proxy.wait_for_stderr(&format!("a socket at {address}, which no listener wants"));
    proxy.get("/").expect_status(200);
    assert!(std::net::TcpStream::connect(address).is_err(), "it is closed");
}
