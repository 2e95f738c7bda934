//! Shards, and endpoints that fail.
