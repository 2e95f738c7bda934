//! Operations of the host, and what comes of them.

use core::ffi::c_void;

use crate::value::{Bytes, Field};

/// A request of the plugin's own, to a configured upstream.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct HttpOperation {
    /// Size of this struct.
    pub size: u32,
    /// 0
    pub reserved: u32,
    /// Name of the upstream.
    pub upstream: Bytes,
    /// `GET` if there is none.
    pub method: Bytes,
    /// Path and query, encoded as in a request line.
    pub target: Bytes,
    /// Headers; `Content-Length` is the proxy's to say.
    pub headers: *const Field,
    /// How many headers.
    pub header_count: usize,
    /// The body.
    pub body: Bytes,
    /// Nanoseconds that all of it may take; 0: as long as the plugin may.
    pub timeout: u64,
    /// How many bytes of the response's body are taken: more is an error.
    pub body_limit: u64,
    /// What finds the shard, where the upstream has shards.
    pub shard_key: Bytes,
}

/// To wait.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SleepOperation {
    /// Size of this struct.
    pub size: u32,
    /// 0
    pub reserved: u32,
    /// How long.
    pub nanoseconds: u64,
}

/// To read or change what plugins keep.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StoreOperation {
    /// Size of this struct.
    pub size: u32,
    /// What to do: `SB_STORE_..`
    pub action: u32,
    /// Name of the store.
    pub store: Bytes,
    /// The key.
    pub key: Bytes,
    /// For `SB_STORE_PUT` and `SB_STORE_SWAP`.
    pub value: Bytes,
    /// For `SB_STORE_SWAP`; absent: nothing must be there.
    pub expected: Bytes,
    /// For `SB_STORE_ADD`.
    pub delta: i64,
    /// Nanoseconds until it is forgotten; 0: as long as there is room.
    pub ttl: u64,
}

/// All of the request's body. It is sent on as if nobody had read it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BodyOperation {
    /// Size of this struct.
    pub size: u32,
    /// 0
    pub reserved: u32,
    /// How many bytes at most.
    pub limit: u64,
}

/// Work that takes long, done by a thread beside the way. `run` is called once, or `discard` if nobody will; both may be called on any
/// thread, also after the request has ended.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BlockingOperation {
    /// Size of this struct.
    pub size: u32,
    /// 0
    pub reserved: u32,
    /// The work.
    pub run: Option<unsafe extern "C" fn(work: *mut c_void)>,
    /// Frees what the work needs, where it is not done; may be null.
    pub discard: Option<unsafe extern "C" fn(work: *mut c_void)>,
    /// What both are called with.
    pub work: *mut c_void,
}

/// The addresses of a name, or the names of an address.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ResolveOperation {
    /// Size of this struct.
    pub size: u32,
    /// 0
    pub reserved: u32,
    /// The name, or the address as text.
    pub name: Bytes,
}

/// What came of an operation. Valid as other bytes of the host are.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Size of this struct, set by whoever wants to have it filled.
    pub size: u32,
    /// What there is: `SB_OUTCOME_..`
    pub kind: u32,
    /// Status of a response.
    pub status: u32,
    /// 1 where a value was put there, otherwise 0.
    pub swapped: u32,
    /// The value, or the body of a response.
    pub value: Bytes,
    /// Headers of a response.
    pub headers: *const Field,
    /// How many headers.
    pub header_count: usize,
    /// Addresses or names.
    pub texts: *const Bytes,
    /// How many of them.
    pub text_count: usize,
}
