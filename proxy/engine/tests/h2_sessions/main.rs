//! HTTP/2 sessions between a real client and a real origin, with Pingora's proxy in the middle.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod others;
#[cfg(test)]
mod tls;
