//! Fuzzes `plugin_options`; the body stands in the library, so that the corpus is replayed by an ordinary test.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchback_integration::fuzz("plugin_options", data));
