//! The functions of proxy-wasm that a guest imports, and no others: each host has these.
#![expect(unsafe_code, reason = "the other side is another language")]

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    pub(super) fn proxy_log(level: u32, data: *const u8, size: usize) -> i32;
    pub(super) fn proxy_get_current_time_nanoseconds(out: *mut u64) -> i32;
    pub(super) fn proxy_set_tick_period_milliseconds(period: u32) -> i32;
    pub(super) fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize)
    -> i32;
    pub(super) fn proxy_get_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
    pub(super) fn proxy_add_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        data: *const u8,
        size: usize,
    ) -> i32;
    pub(super) fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        data: *const u8,
        size: usize,
    ) -> i32;
    pub(super) fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> i32;
    pub(super) fn proxy_get_buffer_bytes(
        buffer: u32,
        from: usize,
        most: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
    pub(super) fn proxy_set_buffer_bytes(
        buffer: u32,
        from: usize,
        length: usize,
        data: *const u8,
        size: usize,
    ) -> i32;
    pub(super) fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
    pub(super) fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        data: *const u8,
        size: usize,
    ) -> i32;
    pub(super) fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc: i32,
    ) -> i32;
    pub(super) fn proxy_http_call(
        upstream: *const u8,
        upstream_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout: u32,
        id: *mut u32,
    ) -> i32;
    pub(super) fn proxy_continue_stream(stream: u32) -> i32;
    pub(super) fn proxy_set_effective_context(context: u32) -> i32;
    pub(super) fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        number: *mut u32,
    ) -> i32;
    pub(super) fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        data: *const u8,
        size: usize,
        number: u32,
    ) -> i32;
    pub(super) fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32)
    -> i32;
    pub(super) fn proxy_record_metric(id: u32, value: u64) -> i32;
    pub(super) fn proxy_increment_metric(id: u32, delta: i64) -> i32;
    pub(super) fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        data: *const u8,
        size: usize,
        out: *mut *mut u8,
        out_size: *mut usize,
    ) -> i32;
}
