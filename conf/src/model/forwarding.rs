//! What upstreams are told about the client.

use super::define::model;
use super::text::OrOff;
use crate::at::At;

model! {
    /// What upstreams are told about the client.
    pub struct Forwarding: Default {
        /// Whether they are sent `X-Forwarded-For`, `-Proto`, `-Host` and `-Port`.
        pub x_forwarded: bool = true,
        /// Whether they are sent `Forwarded` (RFC 7239).
        pub forwarded: bool = false,
        /// Whether they are sent `X-Request-ID`.
        pub request_id: bool = true,
        /// The name of this proxy in `Via` (RFC 9110, section 7.6.3), or `"off"` to pass that header on as it came.
        pub via: At<OrOff<Box<str>>> = OrOff::On("switchback".into()).into(),
    }
}
