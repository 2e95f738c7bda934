//! Where everything lies, asserted here and, by the header, in C. What is written here is never changed, only appended to.

use core::mem::{offset_of, size_of};

use crate::{
    BlockingOperation, BodyOperation, Bytes, Endpoint, Field, Host, HttpOperation, Metric, Outcome,
    Plugin, ResolveOperation, SleepOperation, Steer, StoreOperation,
};

/// Size of [`Plugin`] in version 1.0: a module with less is none.
pub const PLUGIN_SIZE_1_0: u32 = 120;
/// Size of [`Host`] in version 1.0.
pub const HOST_SIZE_1_0: u32 = 264;

/// One struct: its name, its size, its members with their offsets.
pub type Layout = (&'static str, usize, &'static [(&'static str, usize)]);

macro_rules! layouts {
    ($($name:ident: $size:literal { $($member:ident: $offset:literal),* $(,)? })*) => {
        /// All structs that cross the border, on processors with 64-bit addresses.
        pub const LAYOUTS: &[Layout] =
            &[$((stringify!($name), $size, &[$((stringify!($member), $offset)),*])),*];

        const _: () = {
            $(
                assert!(size_of::<$name>() == $size);
                $(assert!(offset_of!($name, $member) == $offset);)*
            )*
        };
    };
}

layouts! {
    Bytes: 16 { data: 0, length: 8 }
    Field: 32 { name: 0, value: 16 }
    Endpoint: 40 { size: 0, weight: 4, in_flight: 8, ready: 12, latency: 16, address: 24 }
    Steer: 32 { size: 0, kind: 4, text: 8, number: 24 }
    Metric: 56 { size: 0, kind: 4, name: 8, help: 24, labels: 40, label_count: 48 }
    HttpOperation: 120 {
        size: 0, reserved: 4, upstream: 8, method: 24, target: 40, headers: 56, header_count: 64,
        body: 72, timeout: 88, body_limit: 96, shard_key: 104,
    }
    SleepOperation: 16 { size: 0, reserved: 4, nanoseconds: 8 }
    StoreOperation: 88 {
        size: 0, action: 4, store: 8, key: 24, value: 40, expected: 56, delta: 72, ttl: 80,
    }
    BodyOperation: 16 { size: 0, reserved: 4, limit: 8 }
    BlockingOperation: 32 { size: 0, reserved: 4, run: 8, discard: 16, work: 24 }
    ResolveOperation: 24 { size: 0, reserved: 4, name: 8 }
    Outcome: 64 {
        size: 0, kind: 4, status: 8, swapped: 12, value: 16, headers: 32, header_count: 40,
        texts: 48, text_count: 56,
    }
    Host: 264 {
        size: 0, abi_major: 4, abi_minor: 6, field: 8, fields: 16, change_field: 24, fact: 32,
        variable: 40, set_variable: 48, set_part: 56, set_status: 64, steer: 72,
        endpoint_count: 80, endpoint: 88, prefer: 96, piece: 104, set_piece: 112, hold_piece: 120,
        inform: 128, begin: 136, poll: 144, cancel: 152, now: 160, log: 168, answer: 176,
        fail: 184, define_metric: 192, meter_add: 200, meter_set: 208, meter_free: 216,
        set_time: 224, has: 232, about: 240, setup_log: 248, refuse: 256,
    }
    Plugin: 120 {
        size: 0, abi_major: 4, abi_minor: 6, hooks: 8, immediate: 16, name: 24, version: 40,
        schema: 56, instance_new: 72, instance_free: 80, request_new: 88, request_free: 96,
        hook: 104, abandon: 112,
    }
}
