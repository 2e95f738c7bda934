//! Serves a configuration that is built in code, and changes it while it serves.
//!
//! `cargo run -p switchback --example config_in_code`

use std::net::SocketAddr;

use switchback::model::{Listener, Name, NotAName, Proxy, Respond, Route, Site, Upstream};
use switchback::{Config, Drained, Handle, Server, StopMode};

/// What is at `/hello` is answered here, all else by the application at `app`.
pub(crate) fn config(listen: SocketAddr, app: SocketAddr) -> Result<Config, NotAName> {
    let name: Name = "app".parse()?;
    let mut config = Config::default();
    config.listeners.push(Listener::new(listen.into()).into());
    config.upstreams.insert(name.clone(), Upstream::new([app.into()]).into());
    config.sites.push(
        Site::new([
            Route::respond(Respond::text("hello $remote_addr\n")).path("/hello"),
            Route::proxy(Proxy::to(name)),
        ])
        .into(),
    );
    Ok(config)
}

/// The same without the application.
pub(crate) fn closed(listen: SocketAddr) -> Config {
    let mut config = Config::default();
    config.listeners.push(Listener::new(listen.into()).into());
    config.sites.push(Site::new([Route::respond(Respond::text("closed\n"))]).into());
    config
}

/// Starts with the application, and lets it go.
pub(crate) fn stop(handle: Handle) -> Drained {
    handle.stop(StopMode::Graceful);
    handle.wait()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listen: SocketAddr = "127.0.0.1:8080".parse()?;
    let config = config(listen, "127.0.0.1:3000".parse()?)?;
    eprintln!("as a file:\n\n{}", config.to_toml());
    let handle = Server::new(config).spawn()?;
    eprintln!("http://{listen}/hello; Enter closes the shop, a second one stops");
    std::io::stdin().read_line(&mut String::new())?;
    eprintln!("closed: {}", handle.replace(closed(listen)).accepted);
    std::io::stdin().read_line(&mut String::new())?;
    eprintln!("{:?}", stop(handle));
    Ok(())
}
