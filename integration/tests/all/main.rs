//! One test binary, a module per theme.

#[cfg(test)]
mod access;
#[cfg(test)]
mod access_log;
#[cfg(test)]
mod access_log_formats;
#[cfg(test)]
mod admission;
#[cfg(test)]
mod balance;
mod body_buffering;
#[cfg(test)]
mod bombs;
#[cfg(test)]
mod byte_positions;
#[cfg(test)]
mod cache_accel;
#[cfg(test)]
mod cache_ahead;
#[cfg(test)]
mod cache_config;
#[cfg(test)]
mod cache_conformance;
#[cfg(test)]
mod cache_crashes;
#[cfg(test)]
mod cache_disk;
#[cfg(test)]
mod cache_fills;
#[cfg(test)]
mod cache_groups;
#[cfg(test)]
mod cache_growing;
#[cfg(test)]
mod cache_leaving;
#[cfg(test)]
mod cache_locks;
#[cfg(test)]
mod cache_parts;
#[cfg(test)]
mod cache_post;
#[cfg(test)]
mod cache_purge;
#[cfg(test)]
mod cache_purge_lasts;
#[cfg(test)]
mod cache_query;
#[cfg(test)]
mod cache_search;
#[cfg(test)]
mod cache_serve;
#[cfg(test)]
mod cache_slices;
#[cfg(test)]
mod cache_stale;
#[cfg(test)]
mod cache_unwritable;
#[cfg(test)]
mod cache_uses;
#[cfg(test)]
mod check_and_tools;
#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod control_socket;
#[cfg(test)]
mod cookies;
#[cfg(test)]
mod dependency_rows;
#[cfg(test)]
mod descriptors;
#[cfg(test)]
mod dictionary;
#[cfg(test)]
mod dictionary_browser;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod edge_changes;
#[cfg(test)]
mod edge_idle;
#[cfg(test)]
mod edge_slow_clients;
#[cfg(test)]
mod encode;
#[cfg(test)]
mod encode_conditions;
mod encode_stored;
#[cfg(test)]
mod error_log;
#[cfg(test)]
mod error_pages;
#[cfg(test)]
mod everyday_sites;
#[cfg(test)]
mod expect_continue;
#[cfg(test)]
mod files;
#[cfg(test)]
mod first_run;
#[cfg(test)]
mod forwarded_headers;
#[cfg(test)]
mod fragmentation;
#[cfg(test)]
mod fuzz_corpus;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod header_rules;
#[cfg(test)]
mod health;
#[cfg(test)]
mod hedging;
#[cfg(test)]
mod hedging_elsewhere;
#[cfg(test)]
mod http2;
#[cfg(test)]
mod http2_conformance;
#[cfg(test)]
mod http2_floods;
#[cfg(test)]
mod http2_stalls;
#[cfg(test)]
mod idle_connections;
#[cfg(test)]
mod images;
#[cfg(test)]
mod images_conditions;
#[cfg(test)]
mod leaks;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod listeners;
#[cfg(test)]
mod log_targets;
#[cfg(test)]
mod log_tools;
#[cfg(test)]
mod malformed;
#[cfg(test)]
mod maps;
#[cfg(test)]
mod min_rate;
#[cfg(test)]
mod overload;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod plugins;
#[cfg(test)]
mod plugins_reload;
#[cfg(test)]
mod proxy_protocol;
#[cfg(test)]
mod proxying_h1;
#[cfg(test)]
mod re_entry;
#[cfg(test)]
mod redaction;
#[cfg(test)]
mod redirects;
#[cfg(test)]
mod refused_configs;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod request_targets;
#[cfg(test)]
mod reshard;
#[cfg(test)]
mod reshard_compare;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod route_limits;
#[cfg(test)]
mod routing;
#[cfg(test)]
mod send_proxy;
#[cfg(test)]
mod shard_endpoints;
#[cfg(test)]
mod shards;
#[cfg(test)]
mod signals;
#[cfg(test)]
mod slow_lane;
#[cfg(test)]
mod smuggling;
#[cfg(test)]
mod socket_activation;
#[cfg(test)]
mod spill;
#[cfg(test)]
mod sticky;
#[cfg(test)]
mod timeouts;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tls_clients;
#[cfg(test)]
mod tls_tickets;
#[cfg(test)]
mod tolerate;
#[cfg(test)]
mod truncation;
#[cfg(test)]
mod unix_sockets;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod upstream_mapping;
#[cfg(test)]
mod upstream_tls;
mod variants;
#[cfg(test)]
mod websocket;
#[cfg(test)]
mod workers;
