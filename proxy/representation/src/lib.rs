//! Which bytes of a representation answer a request, and whether any do (RFC 9110, sections 8.8, 13 and 14).
//!
//! Files and stored responses are asked for alike: [`Validators::judge`] says whether what the client has is still right,
//! [`Ranges::parse`] which bytes it wants, and [`Multipart`] how several ranges share a body. What the RFC leaves open is
//! answered as nginx does.

mod conditions;
pub mod date;
mod parts;
mod ranges;
mod short;

pub use conditions::{Validators, Verdict};
pub use parts::{Multipart, Part, content_range};
pub use ranges::{MAX_RANGES, Ranges};
pub use short::{Short, number};
