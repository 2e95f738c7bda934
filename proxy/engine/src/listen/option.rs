//! Options of sockets that no safe wrapper sets.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_int, sock_filter, sock_fprog, socklen_t};

/// Sets a whole number.
pub(crate) fn set(
    socket: impl AsFd,
    (level, name): (c_int, c_int),
    value: c_int,
) -> io::Result<()> {
    set_raw(socket, (level, name), &value)
}

/// Takes a listening socket out of the kernel's choice: no interface has that index, so nothing new comes in by it. What is
/// queued stays, and handshakes that have begun still end in its queue.
pub(crate) fn mute(socket: impl AsFd) -> io::Result<()> {
    set(socket, (libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX), c_int::MAX)
}

/// Has the kernel choose, at random, among the first `count` listening sockets of the group that `socket` is of.
///
/// They count in the order in which they began to listen; a socket that closes is replaced by the last.
pub(crate) fn steer_to_first(socket: impl AsFd, count: u32) -> io::Result<()> {
    const RANDOM: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM) as u32;
    let step = |code: u32, k: u32| sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, RANDOM),
        step(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, count.max(1)),
        step(libc::BPF_RET | libc::BPF_A, 0),
    ];
    attach(socket, libc::SO_ATTACH_REUSEPORT_CBPF, &mut steps)
}

/// Leaves the choice among a group's sockets to the kernel again.
pub(crate) fn steer_to_all(socket: impl AsFd) -> io::Result<()> {
    set(socket, (libc::SOL_SOCKET, libc::SO_DETACH_REUSEPORT_BPF), 0)
}

/// Drops what would begin a connection; clients try again after a second. For where [`mute`] is not allowed.
pub(crate) fn drop_new(socket: impl AsFd) -> io::Result<()> {
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    let step = |code: u32, jt: u8, jf: u8, k: u32| sock_filter { code: code as u16, jt, jf, k };
    // The filter sees the TCP header first.
    let mut steps = [
        step(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, FLAGS),
        step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, SYN | ACK),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, SYN),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
    ];
    attach(socket, libc::SO_ATTACH_FILTER, &mut steps)
}

fn attach(socket: impl AsFd, name: c_int, steps: &mut [sock_filter]) -> io::Result<()> {
    let len = u16::try_from(steps.len()).map_err(io::Error::other)?;
    let program = sock_fprog { len, filter: steps.as_mut_ptr() };
    set_raw(socket, (libc::SOL_SOCKET, name), &program)
}

#[expect(unsafe_code, reason = "neither socket2 nor rustix knows these options")]
fn set_raw<T>(socket: impl AsFd, (level, name): (c_int, c_int), value: &T) -> io::Result<()> {
    let length = size_of::<T>() as socklen_t;
    // SAFETY: the descriptor is open, `value` is read for its own size, and the steps that a program points to live in the
    // caller; the kernel copies both before it returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
