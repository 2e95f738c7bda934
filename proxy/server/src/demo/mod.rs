//! The demo's origins: two small servers inside this process, so that a first run needs nothing else.

mod origin;
mod page;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use switchback_conf::{Environment, ProcessEnvironment};
use tokio::runtime;

use origin::Origin;

/// Running origins, at ports that the kernel chose. They end with the process.
#[derive(Debug)]
pub(crate) struct Origins {
    pub(crate) a: SocketAddr,
    pub(crate) b: SocketAddr,
}

impl Origins {
    /// Binds both, then serves them on one thread of their own.
    pub(crate) fn start() -> io::Result<Self> {
        let (a, b) = (bind()?, bind()?);
        let origins = Self { a: a.local_addr()?, b: b.local_addr()? };
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("demo-origins".into()).spawn(move || {
            runtime.block_on(async { tokio::join!(Origin("A").serve(a), Origin("B").serve(b)) })
        })?;
        Ok(origins)
    }
}

fn bind() -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Tells the demo's configuration where the origins are; everything else comes from the process.
#[derive(Debug)]
pub(crate) struct DemoEnvironment {
    a: String,
    b: String,
}

impl DemoEnvironment {
    pub(crate) fn new(origins: &Origins) -> Self {
        Self { a: origins.a.to_string(), b: origins.b.to_string() }
    }
}

impl Environment for DemoEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "DEMO_ORIGIN_A" => Some(self.a.clone()),
            "DEMO_ORIGIN_B" => Some(self.b.clone()),
            _ => ProcessEnvironment.variable(name),
        }
    }
}
