//! The options of a TCP socket as the configuration has them.

use std::io;
use std::time::Duration;

use libc::c_int;
use socket2::{Domain, Socket, TcpKeepalive};
use switchback_conf::At;
use switchback_conf::plan::{KeepalivePlan, SocketPlan};

use super::option;
use super::socket::Refusal;

/// Sets what differs from `before`, or from what a new socket has. Accepted sockets inherit all of it.
///
/// Everything here acts on a socket that listens already, too; only the interface is for sockets that are not bound yet.
pub(crate) fn apply(
    socket: &Socket,
    plan: &SocketPlan,
    before: Option<&SocketPlan>,
) -> Result<(), Refusal> {
    if let (Some(device), None) = (&plan.device, before) {
        let set = socket.bind_device(Some(device.as_bytes()));
        set.map_err(refused("device", device))?;
    }
    if before.map_or(plan.transparent.value, |before| before.transparent != plan.transparent) {
        let set = transparent(socket, plan.transparent.value);
        set.map_err(refused("transparent", &plan.transparent))?;
    }
    let old = before.and_then(|before| before.keepalive.value);
    if plan.keepalive.value != old {
        let set = keepalive(socket, plan.keepalive.value);
        set.map_err(refused("keepalive", &plan.keepalive))?;
    }
    counts(socket, plan, before)?;
    before.map_or(Ok(()), |before| unlock_buffers(socket, plan, before))
}

/// Those that are a number, or off.
fn counts(socket: &Socket, plan: &SocketPlan, before: Option<&SocketPlan>) -> Result<(), Refusal> {
    type Named = (
        &'static str,
        fn(&SocketPlan) -> &Option<At<u32>>,
        fn(&Socket, Option<u32>) -> io::Result<()>,
    );
    const COUNTS: [Named; 5] = [
        (
            "defer_accept",
            |plan| &plan.defer_accept,
            |socket, seconds| {
                option::set(socket, (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT), whole(seconds))
            },
        ),
        (
            "fast_open",
            |plan| &plan.fast_open,
            |socket, most| {
                option::set(socket, (libc::IPPROTO_TCP, libc::TCP_FASTOPEN), whole(most))
            },
        ),
        (
            "receive_buffer",
            |plan| &plan.receive_buffer,
            |socket, bytes| buffer(socket, &RECEIVE, bytes),
        ),
        ("send_buffer", |plan| &plan.send_buffer, |socket, bytes| buffer(socket, &SEND, bytes)),
        (
            "notsent_lowat",
            |plan| &plan.notsent_lowat,
            |socket, bytes| {
                option::set(socket, (libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT), whole(bytes))
            },
        ),
    ];
    for (name, of, set) in COUNTS {
        let value = of(plan).as_ref();
        let old = before.and_then(|before| of(before).as_ref());
        if value == old {
            continue;
        }
        let location = value.or(old).map(|value| value.at.clone());
        set(socket, value.map(|value| value.value))
            .map_err(|error| Refusal { option: location.map(|at| (name, at)), error })?;
    }
    Ok(())
}

fn refused<T>(name: &'static str, value: &At<T>) -> impl FnOnce(io::Error) -> Refusal {
    let at = value.at.clone();
    move |error| Refusal { option: Some((name, at)), error }
}

/// Zero is off.
fn whole(count: Option<u32>) -> c_int {
    count.map_or(0, |count| c_int::try_from(count).unwrap_or(c_int::MAX))
}

fn transparent(socket: &Socket, is_on: bool) -> io::Result<()> {
    match socket.domain()? {
        Domain::IPV6 => socket.set_ip_transparent_v6(is_on),
        _ => socket.set_ip_transparent_v4(is_on),
    }
}

fn keepalive(socket: &Socket, plan: Option<KeepalivePlan>) -> io::Result<()> {
    let Some(plan) = plan else { return socket.set_keepalive(false) };
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let keepalive = TcpKeepalive::new()
        .with_time(seconds(plan.idle))
        .with_interval(seconds(plan.interval))
        .with_retries(plan.count);
    socket.set_tcp_keepalive(&keepalive)
}

/// One of a socket's two buffers.
struct Buffer {
    set: fn(&Socket, usize) -> io::Result<()>,
    /// The middle of the three numbers here is what a new socket has.
    sizes: &'static str,
}

const RECEIVE: Buffer =
    Buffer { set: Socket::set_recv_buffer_size, sizes: "/proc/sys/net/ipv4/tcp_rmem" };
const SEND: Buffer =
    Buffer { set: Socket::set_send_buffer_size, sizes: "/proc/sys/net/ipv4/tcp_wmem" };

/// Without `bytes`, what a new socket has.
fn buffer(socket: &Socket, buffer: &Buffer, bytes: Option<u32>) -> io::Result<()> {
    if let Some(bytes) = bytes {
        return (buffer.set)(socket, usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    let sizes = std::fs::read_to_string(buffer.sizes)?;
    let usual = sizes.split_whitespace().nth(1).and_then(|size| size.parse::<usize>().ok());
    // The kernel doubles what it is given.
    (buffer.set)(socket, usual.ok_or(io::ErrorKind::InvalidData)? / 2)
}

/// Has buffers follow the traffic again that were of a set size before.
fn unlock_buffers(socket: &Socket, plan: &SocketPlan, before: &SocketPlan) -> Result<(), Refusal> {
    const SO_BUF_LOCK: c_int = 72;
    let locks = |plan: &SocketPlan| {
        c_int::from(plan.send_buffer.is_some()) | c_int::from(plan.receive_buffer.is_some()) << 1
    };
    if locks(before) & !locks(plan) == 0 {
        return Ok(());
    }
    Ok(option::set(socket, (libc::SOL_SOCKET, SO_BUF_LOCK), locks(plan))?)
}
