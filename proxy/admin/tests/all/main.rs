//! The control socket as its callers meet it: over a real Unix socket.

#[cfg(test)]
mod socket;
