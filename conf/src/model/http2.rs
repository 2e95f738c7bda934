//! What one HTTP/2 connection may cost.

use super::define::model;
use super::text::Count;

model! {
    /// What a client may do on one HTTP/2 connection (RFC 9113). One that goes over any of these is told GOAWAY
    /// (ENHANCE_YOUR_CALM) and closed, except where another answer is named. The number of headers is that of `limits`.
    pub struct Http2: Default {
        /// Requests at once; further ones are refused (REFUSED_STREAM), and clients send them again.
        pub max_streams: Count<1, 10_000> = Count::clamped(100),
        /// Requests that are begun at once on a new connection; four more for each answer taken in full, one more for each
        /// 4 MiB. Further ones begin one by one after a fifth of a second, but none while as many answers as this, and one
        /// for each 4 MiB taken, wait for the client to take them: such a connection is closed when it takes nothing for 5 s
        /// or half of `timeouts.write`.
        pub first_streams: Count<1, 10_000> = Count::clamped(2),
        /// CONTINUATION frames of one request.
        pub continuations: Count<0, 1_000> = Count::clamped(20),
        /// Requests cancelled in a second (RST_STREAM).
        pub resets_per_second: Count<1, 1_000_000> = Count::clamped(100),
        /// Requests cancelled before their answer began, beyond those that were answered in full.
        pub early_resets: Count<1, 1_000_000> = Count::clamped(50),
        /// Requests that had to be reset by this side, beyond those that were answered in full.
        pub faulty_streams: Count<1, 1_000_000> = Count::clamped(500),
        /// PING frames in a second, beyond one for each DATA frame sent.
        pub pings_per_second: Count<1, 1_000_000> = Count::clamped(100),
        /// SETTINGS frames in a second.
        pub settings_per_second: Count<1, 1_000_000> = Count::clamped(50),
        /// PRIORITY and unknown frames in a second, beyond one for each request.
        pub priorities_per_second: Count<1, 1_000_000> = Count::clamped(100),
        /// DATA frames without a byte in a second.
        pub empty_data_per_second: Count<1, 1_000_000> = Count::clamped(100),
        /// WINDOW_UPDATE frames in a second, beyond two for each DATA frame sent.
        pub window_updates_per_second: Count<1, 1_000_000> = Count::clamped(100),
        /// Frames of each of these kinds while the connection lasts, not counting ten in each second.
        pub frames: Count<1, { u32::MAX }> = Count::clamped(10_000),
        /// Answers not taken in time: each is reset when no 16 KiB of it were taken within `timeouts.write`.
        pub stalled_streams: Count<1, 10_000> = Count::clamped(4),
    }
}
