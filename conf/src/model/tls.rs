//! TLS towards clients and towards upstreams.

use std::path::PathBuf;

use super::define::model;
use crate::at::At;

model! {
    /// TLS towards clients: either `certificate` and `key`, or `self_signed`.
    pub struct ListenerTls: Default {
        /// A PEM file with the certificate chain, the server's own certificate first.
        pub certificate: Option<At<PathBuf>> = None,
        /// A PEM file with the private key of the certificate.
        pub key: Option<At<PathBuf>> = None,
        /// Names and addresses for a certificate that is made when the listener starts; for trying things out.
        pub self_signed: Option<Vec<At<Box<str>>>> = None,
    }
}

model! {
    /// TLS towards an upstream. `{}` takes all defaults.
    pub struct UpstreamTls: Default {
        /// The name that the certificate must bear, also sent as SNI. Without it, the host name of each endpoint; endpoints
        /// that are addresses or Unix sockets have none, so there it must be written.
        pub server_name: Option<At<Box<str>>> = None,
        /// A PEM file with the certificates that are trusted. Without it, those of the system.
        pub ca: Option<At<PathBuf>> = None,
        /// Whether the certificate is verified. Turn it off for tests alone.
        pub verify: bool = true,
    }
}
