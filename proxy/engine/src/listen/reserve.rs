//! A descriptor kept for when there are no others: with it a connection can be refused that could not even be accepted.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};
use socket2::SockRef;

use super::accept::accept;
use super::socket::Listening;

/// One worker's.
#[derive(Debug, Default)]
pub(crate) struct Reserve(Mutex<Option<OwnedFd>>);

/// Connections that are refused one after the other.
const AT_ONCE: u64 = 64;

impl Reserve {
    /// Takes one if there is none.
    pub(crate) fn fill(&self) {
        let mut kept = self.0.lock();
        if kept.is_none() {
            // Without one, those that wait go on waiting.
            *kept = eventfd(0, EventfdFlags::CLOEXEC).ok();
        }
    }

    /// Resets connections that wait to be accepted, and says how many.
    pub(crate) fn shed(&self, socket: &Listening) -> u64 {
        self.fill();
        let mut refused = 0;
        while refused < AT_ONCE && self.0.lock().take().is_some() {
            // Another thread may take what was given back; then it is for the next time.
            let Ok((stream, _)) = accept(socket) else { break };
            reset(stream);
            refused += 1;
            self.fill();
        }
        self.fill();
        refused
    }
}

/// Closes at once, without the kernel keeping anything for the other side.
pub(crate) fn reset(stream: impl AsFd) {
    // Unix sockets know no such thing: they close as usual.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    drop(stream);
}

/// How long accepting has failed for want of something.
#[derive(Debug, Default)]
pub(crate) struct Shortage {
    since: Option<Instant>,
    pause: Duration,
}

/// What is to be done about a shortage.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// It may be over soon: those that wait can wait.
    Wait(Duration),
    /// It lasts: those that wait are refused, then the next pause.
    Shed(Duration),
}

/// Those that wait to be accepted wait so long before they are refused.
const PATIENCE: Duration = Duration::from_millis(200);
/// The first pause; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// No pause is longer: so soon it is seen that the shortage is over.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

impl Shortage {
    /// Whether `error` says that descriptors or memory are short.
    pub(crate) fn is_told_by(error: &io::Error) -> bool {
        const SHORT_OF_SOMETHING: [i32; 4] =
            [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS];
        error.raw_os_error().is_some_and(|code| SHORT_OF_SOMETHING.contains(&code))
    }

    /// Once more.
    pub(crate) fn again(&mut self, now: Instant) -> Remedy {
        let since = *self.since.get_or_insert(now);
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        if now.saturating_duration_since(since) < PATIENCE {
            Remedy::Wait(self.pause)
        } else {
            Remedy::Shed(self.pause)
        }
    }

    /// Whether it has only just begun.
    pub(crate) fn is_new(&self) -> bool {
        self.since.is_none()
    }

    /// It is over.
    pub(crate) fn end(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_waited_out_in_growing_pauses_before_anybody_is_refused() {
        let mut shortage = Shortage::default();
        let start = Instant::now();
        let ms = Duration::from_millis;
        assert!(shortage.is_new());
        assert_eq!(shortage.again(start), Remedy::Wait(ms(5)));
        assert_eq!(shortage.again(start + ms(5)), Remedy::Wait(ms(10)));
        assert_eq!(shortage.again(start + ms(199)), Remedy::Wait(ms(20)));
        assert_eq!(shortage.again(start + ms(200)), Remedy::Shed(ms(40)));
        assert_eq!(shortage.again(start + ms(300)), Remedy::Shed(ms(50)));
        shortage.end();
        assert_eq!(shortage.again(start + ms(400)), Remedy::Wait(ms(5)));
    }

    #[test]
    fn want_of_descriptors_is_a_shortage_and_a_client_that_is_gone_is_none() {
        let is_short = |code| Shortage::is_told_by(&io::Error::from_raw_os_error(code));
        assert!(
            [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS].into_iter().all(is_short)
        );
        assert!(!is_short(libc::ECONNABORTED));
    }
}
