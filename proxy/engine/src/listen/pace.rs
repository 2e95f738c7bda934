//! The least rate at which a body has to move, either way. Only time spent waiting for the client counts, and only a client
//! that lets us wait costs memory.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use switchback_conf::plan::MinRate;

use super::connection::Connection;
use super::lane::Slow;
use super::seats::{Seat, Waits};

/// How fast a client has to be while a request of its is served, and how it does.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Whose listener says so; `None` where nothing is expected, such as between requests.
    of: Option<Arc<Connection>>,
    meter: Option<Box<Meter>>,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client.
    Receive,
    /// To the client.
    Send,
}

#[derive(Debug, Default)]
struct Meter {
    receive: Window,
    send: Window,
    crumbs: Crumbs,
}

/// Whether a body comes in pieces that are hardly worth reading one by one.
#[derive(Debug, Default)]
struct Crumbs {
    /// The last one was such a piece.
    is_one: bool,
    slow: Option<Arc<Slow>>,
}

/// A time spent waiting, and what moved meanwhile. Milliseconds by the clock of the seats.
#[derive(Debug, Default)]
struct Window {
    moved: u64,
    waited: u64,
    /// Since when it waits now.
    since: Option<u64>,
    /// What the kernel still had to send when counting began.
    queued: u64,
    /// After how much waiting counting began; `None` as long as what moves may only fill the buffers of the client's kernel.
    settled: Option<u64>,
}

/// A client's kernel takes kilobytes for it within a moment. They say nothing of how fast the client reads.
const MOST_SETTLING: Duration = Duration::from_secs(1);
/// A piece of a body is a crumb below this. What an ordinary link carries comes in packets that are larger.
const CRUMB: usize = 1024;

impl Pace {
    /// Expects from now on what the listener of `connection` does.
    pub(crate) fn expect(&mut self, connection: Arc<Connection>) {
        self.of = Some(connection);
    }

    /// Expects nothing more.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Notes that the client lets us wait.
    ///
    /// # Errors
    /// It has done so for too long.
    pub(crate) fn waiting(
        &mut self,
        way: Way,
        client: (&Seat, RawFd),
        cx: &Context<'_>,
    ) -> io::Result<()> {
        let Some(connection) = &self.of else { return Ok(()) };
        let least = connection.listener.plan.min_rate;
        let meter = self.meter.get_or_insert_default();
        if way.of(&least) == 0 {
            return Ok(());
        }
        let (seat, socket) = client;
        let now = seat.now();
        let window = meter.window(way);
        if window.since.is_some() && !seat.is_over(cx) {
            return Ok(());
        }
        window.wait(now);
        if window.settles_in(now, least.after).is_zero() {
            window.settle(now, queued(way, socket));
        }
        if window.left(now, least.after).is_zero() {
            if window.is_too_slow(way.of(&least), now, queued(way, socket)) {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the client is too slow"));
            }
            *window = Window::default();
            window.wait(now);
            window.settle(now, queued(way, socket));
        }
        seat.wait(Waits::Client, meter.left(now, least.after), cx);
        Ok(())
    }

    /// Notes that so many bytes moved.
    pub(crate) fn moved(&mut self, way: Way, bytes: usize, seat: &Seat) {
        let Some(meter) = &mut self.meter else { return };
        if way == Way::Receive {
            meter.crumbs.note(bytes);
        }
        let window = meter.window(way);
        window.moved += bytes as u64;
        if let Some(since) = window.since.take() {
            window.waited += seat.now() - since;
        }
    }

    /// What the kernel is to wake in the place of the task in hand when there is more of a body, if that comes in crumbs: others
    /// go first then.
    pub(crate) fn lane(&mut self, seat: &Seat, cx: &Context<'_>) -> Option<Waker> {
        let crumbs = &mut self.meter.as_mut()?.crumbs;
        if !crumbs.is_one {
            return None;
        }
        let new = || Slow::new(Arc::clone(seat.lane()), cx);
        Some(crumbs.slow.get_or_insert_with(new).waker(cx))
    }
}

impl Crumbs {
    fn note(&mut self, bytes: usize) {
        self.is_one = bytes < CRUMB;
    }
}

impl Way {
    fn of(self, least: &MinRate) -> u64 {
        match self {
            Self::Receive => least.receive,
            Self::Send => least.send,
        }
    }
}

impl Meter {
    fn window(&mut self, way: Way) -> &mut Window {
        match way {
            Way::Receive => &mut self.receive,
            Way::Send => &mut self.send,
        }
    }

    /// Until the first of those that wait has to be judged.
    fn left(&self, now: u64, after: Duration) -> Duration {
        let waiting =
            [&self.receive, &self.send].into_iter().filter(|window| window.since.is_some());
        waiting.map(|window| window.due(now, after)).min().unwrap_or(after)
    }
}

impl Window {
    fn wait(&mut self, now: u64) {
        self.since.get_or_insert(now);
    }

    /// Counting begins: what has moved until now may wait at the client.
    fn settle(&mut self, now: u64, queued: u64) {
        if self.settled.is_none() {
            (self.settled, self.moved, self.queued) = (Some(self.waited(now)), 0, queued);
        }
    }

    fn settles_in(&self, now: u64, after: Duration) -> Duration {
        let waited = Duration::from_millis(self.waited(now));
        MOST_SETTLING.min(after / 4).saturating_sub(waited)
    }

    /// Until something is to be done about it.
    fn due(&self, now: u64, after: Duration) -> Duration {
        match self.settled {
            Some(_) => self.left(now, after),
            None => self.settles_in(now, after),
        }
    }

    fn waited(&self, now: u64) -> u64 {
        self.waited + self.since.map_or(0, |since| now.saturating_sub(since))
    }

    fn left(&self, now: u64, after: Duration) -> Duration {
        after.saturating_sub(Duration::from_millis(self.waited(now)))
    }

    /// What the socket took may still be with us: the kernel holds megabytes for a client that takes hardly anything.
    fn is_too_slow(&self, rate: u64, now: u64, queued: u64) -> bool {
        let moved = (self.moved + self.queued).saturating_sub(queued);
        let counted = self.waited(now) - self.settled.unwrap_or_default();
        u128::from(moved) * 1000 < u128::from(rate) * u128::from(counted)
    }
}

/// What the kernel has taken for the client and the client has not.
fn queued(way: Way, socket: RawFd) -> u64 {
    if way == Way::Receive {
        return 0;
    }
    let mut bytes: libc::c_int = 0;
    #[expect(unsafe_code, reason = "no safe crate asks a socket for the length of its queue")]
    // SAFETY: the descriptor is open as long as the stream that it was taken from, and TIOCOUTQ writes one `int`, which
    // outlives the call.
    let asked = unsafe { libc::ioctl(socket, libc::TIOCOUTQ, &raw mut bytes) };
    if asked == 0 { u64::try_from(bytes).unwrap_or_default() } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::super::seats::Seats;
    use super::*;

    #[test]
    fn only_waiting_counts() {
        let mut window =
            Window { moved: 100, waited: 500, since: Some(1000), queued: 0, settled: Some(0) };
        assert_eq!(window.left(1200, Duration::from_secs(1)), Duration::from_millis(300));
        assert!(window.is_too_slow(101, 1500, 0) && !window.is_too_slow(100, 1500, 0));
        // Of what was written, and what was queued before, 60 bytes have not left.
        window.queued = 10;
        assert!(window.is_too_slow(51, 1500, 60) && !window.is_too_slow(50, 1500, 60));
    }

    #[test]
    fn a_piece_worth_reading_is_no_crumb() {
        let seats = Seats::new();
        let seat = seats.take();
        let cx = Context::from_waker(Waker::noop());
        let mut pace = Pace { of: None, meter: Some(Box::default()) };
        let mut is_slow = |bytes| {
            pace.moved(Way::Receive, bytes, &seat);
            pace.lane(&seat, &cx).is_some()
        };
        assert!(is_slow(1) && is_slow(CRUMB - 1) && !is_slow(CRUMB) && is_slow(1));
        // What goes to a client says nothing of what comes.
        pace.moved(Way::Send, CRUMB, &seat);
        assert!(pace.lane(&seat, &cx).is_some());
    }

    #[test]
    fn what_moves_at_first_may_only_fill_buffers() {
        let after = Duration::from_secs(20);
        let mut window = Window { moved: 9000, ..Window::default() };
        window.wait(1000);
        assert_eq!(window.due(1000, after), MOST_SETTLING);
        assert_eq!(window.due(1000, Duration::from_secs(2)), Duration::from_millis(500));
        window.settle(2000, 70);
        window.settle(9000, 1);
        assert_eq!(window.due(2000, after), Duration::from_secs(19));
        // Nothing but 19 bytes has moved in 19 seconds.
        assert!(window.is_too_slow(2, 21_000, 51) && !window.is_too_slow(1, 21_000, 51));
    }

    #[test]
    fn the_kernel_tells_what_a_client_has_not_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _taken = listener.accept().unwrap();
        assert_eq!(queued(Way::Send, client.as_raw_fd()), 0);
        client.set_nonblocking(true).unwrap();
        while client.write(&[0; 65536]).is_ok() {}
        assert!(queued(Way::Send, client.as_raw_fd()) > 0);
        assert_eq!(queued(Way::Receive, client.as_raw_fd()), 0);
    }
}
