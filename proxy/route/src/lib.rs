//! Hosts and paths to a route: pure, allocation-free decisions.
//!
//! - [`NormalPath`] is the one path that all decisions see: decoded once, nothing left in it to resolve.
//! - [`HostTable`] finds the site that answers for a host.
//! - [`RouteTable`] finds the route of a site that answers for a path, and [`Captures`] what its pattern captured.
//!
//! Nothing here waits, reads a clock or knows configuration: tables are built of plain parameters.

mod captures;
mod host_table;
mod normal_path;
mod route_table;

pub use captures::Captures;
pub use host_table::{HostTable, Taken};
pub use normal_path::{EncodedSlash, NormalPath, PathError};
pub use route_table::{RouteId, RouteSpec, RouteTable};
