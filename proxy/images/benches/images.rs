//! What pictures cost and save.
fn main() {}
