//! Properties of the public types, checked against chance.
#![expect(clippy::unwrap_used, reason = "what a test writes itself is right")]

mod normal_path;
mod route_table;
