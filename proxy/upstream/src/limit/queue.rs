//! Who waits to be let in, and who waits in vain.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How important a request is: 0 comes first, as in RFC 9218.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class(u8);

/// Classes there are.
pub const CLASSES: usize = 8;

impl Class {
    /// The class by number; beyond the last there is none.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        (usize::from(number) < CLASSES).then_some(Self(number))
    }

    /// What a request said of itself: a digit, `high`, `normal` or `low`, or a `Priority` field with its `u=`; whatever else
    /// is normal.
    #[must_use]
    pub fn of_text(text: &[u8]) -> Self {
        let digit = |byte: &u8| byte.checked_sub(b'0').and_then(Self::new);
        match text.trim_ascii() {
            [byte] => digit(byte).unwrap_or_default(),
            b"high" => Self(1),
            b"low" => Self(5),
            field => {
                let mut members = field.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                let urgency = members.find_map(|member| member.strip_prefix(b"u="));
                urgency.and_then(|value| digit(value.first()?)).unwrap_or_default()
            }
        }
    }
}

impl Default for Class {
    fn default() -> Self {
        Self(3)
    }
}

/// One that waits.
#[derive(Debug)]
struct Entry<T> {
    ticket: u64,
    came: Instant,
    deadline: Instant,
    who: T,
}

/// Those who wait, by class. Bounded by what is passed to [`Queue::push`].
#[derive(Debug)]
pub(super) struct Queue<T> {
    classes: [VecDeque<Entry<T>>; CLASSES],
    length: usize,
    tickets: u64,
    /// When not all could be served in time last.
    pressed: Option<Instant>,
}

/// How long one may wait where not all can be served in time; `None` is as long as it likes.
pub(super) type Patience = Option<Duration>;

/// For so long after not all could be served in time, nobody waits for long.
const PRESSED: Duration = Duration::from_secs(1);

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self { classes: Default::default(), length: 0, tickets: 0, pressed: None }
    }

    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Somebody more. Where `most` wait already, one of those less important goes, or among equals the one who came first, if
    /// waiting has an end, else the newcomer.
    pub(super) fn push(
        &mut self,
        (class, who): (Class, T),
        (now, deadline): (Instant, Instant),
        (most, patience): (usize, Patience),
    ) -> (Option<u64>, Option<T>) {
        let mut gone = None;
        if self.length >= most {
            let own = usize::from(class.0);
            let last = (0..CLASSES).rev().find(|class| !self.is_empty(*class));
            let is_pressed = self.is_pressed(now, patience);
            self.pressed = Some(now);
            match last.filter(|last| *last > own || (*last == own && is_pressed)) {
                Some(last) => gone = self.take(last, 0).map(|entry| entry.who),
                None => return (None, Some(who)),
            }
        }
        self.tickets += 1;
        if let Some(queue) = self.classes.get_mut(usize::from(class.0)) {
            queue.push_back(Entry { ticket: self.tickets, came: now, deadline, who });
            self.length += 1;
        }
        (Some(self.tickets), gone)
    }

    /// Who is next; `shed` are told that they are not. While all can be served in time they are, in turn. Where somebody has
    /// waited for three quarters of what it may, or the queue is full, they cannot: from then on the last to come is the first, and who has
    /// waited longer than `patience` is not served any more, until that has not been necessary for a while.
    pub(super) fn pop(
        &mut self,
        now: Instant,
        patience: Patience,
        mut shed: impl FnMut(T),
    ) -> Option<T> {
        if self.classes.iter().filter_map(VecDeque::front).any(|first| first.is_nearly_over(now)) {
            self.pressed = Some(now);
        }
        let patience = patience.filter(|_| self.is_pressed(now, patience));
        for class in 0..CLASSES {
            while !self.is_empty(class) {
                // Those in front came first. A service has rather one who is late than nobody.
                let is_alone = self.classes.get(class).is_some_and(|queue| queue.len() == 1);
                let is_late = |entry: &Entry<T>| {
                    let waited = now.saturating_duration_since(entry.came);
                    let waits_in_vain = patience.is_some_and(|patience| waited > patience);
                    entry.deadline <= now || (waits_in_vain && !is_alone)
                };
                let front = self.classes.get(class).and_then(VecDeque::front);
                let position = match front {
                    Some(front) if is_late(front) => {
                        if patience.is_some() {
                            self.pressed = Some(now);
                        }
                        self.take(class, 0).into_iter().for_each(|entry| shed(entry.who));
                        continue;
                    }
                    _ if patience.is_some() => self.classes.get(class).map_or(0, VecDeque::len) - 1,
                    _ => 0,
                };
                return self.take(class, position).map(|entry| entry.who);
            }
        }
        None
    }

    /// Somebody has gone by itself.
    pub(super) fn remove(&mut self, ticket: u64) {
        let place = self.classes.iter().enumerate().find_map(|(class, queue)| {
            Some((class, queue.iter().position(|entry| entry.ticket == ticket)?))
        });
        if let Some((class, position)) = place {
            self.take(class, position);
        }
    }

    fn is_pressed(&self, now: Instant, patience: Patience) -> bool {
        let is_recent = |pressed| now.saturating_duration_since(pressed) < PRESSED;
        patience.is_some() && self.pressed.is_some_and(is_recent)
    }

    fn is_empty(&self, class: usize) -> bool {
        self.classes.get(class).is_none_or(VecDeque::is_empty)
    }

    fn take(&mut self, class: usize, position: usize) -> Option<Entry<T>> {
        let entry = self.classes.get_mut(class)?.remove(position)?;
        self.length -= 1;
        Some(entry)
    }
}

impl<T> Entry<T> {
    /// Whether three quarters of its time are over.
    fn is_nearly_over(&self, now: Instant) -> bool {
        let allowed = self.deadline.saturating_duration_since(self.came);
        now.saturating_duration_since(self.came) >= allowed * 3 / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Some(Duration::from_millis(5));

    struct Line {
        queue: Queue<&'static str>,
        start: Instant,
    }

    impl Line {
        fn new() -> Self {
            Self { queue: Queue::new(), start: Instant::now() }
        }

        fn at(&self, millis: u64) -> Instant {
            self.start + Duration::from_millis(millis)
        }

        fn push(&mut self, class: u8, who: &'static str, at: u64) -> Option<&'static str> {
            let times = (self.at(at), self.at(at + 1000));
            self.queue.push((Class::new(class).unwrap(), who), times, (3, PATIENCE)).1
        }

        fn pop(&mut self, at: u64) -> (Option<&'static str>, Vec<&'static str>) {
            let mut shed = Vec::new();
            let now = self.at(at);
            (self.queue.pop(now, PATIENCE, |who| shed.push(who)), shed)
        }
    }

    #[test]
    fn while_all_can_be_served_in_time_they_are_in_turn() {
        let mut line = Line::new();
        line.push(3, "a", 0);
        line.push(3, "b", 1);
        assert_eq!(line.pop(400), (Some("a"), vec![]));
        line.push(3, "c", 450);
        assert_eq!(line.pop(490), (Some("b"), vec![]));
        assert_eq!(line.pop(1000), (Some("c"), vec![]));
        assert_eq!(line.pop(1001), (None, vec![]));
    }

    #[test]
    fn where_not_all_can_be_served_in_time_the_newest_are_and_those_who_waited_too_long_are_not() {
        let mut line = Line::new();
        line.push(3, "a", 0);
        line.push(3, "b", 748);
        line.push(3, "c", 749);
        assert_eq!(line.pop(750), (Some("c"), vec!["a"]));
        assert_eq!(line.pop(751), (Some("b"), vec![]));
        line.push(3, "d", 752);
        line.push(3, "e", 758);
        assert_eq!(
            line.pop(760),
            (Some("e"), vec!["d"]),
            "an empty queue is not yet the end of it"
        );
        line.push(3, "f", 1750);
        line.push(3, "g", 1751);
        assert_eq!(line.pop(1761), (Some("f"), vec![]), "a second without need is");
    }

    #[test]
    fn who_waits_alone_is_served_however_late_that_is() {
        let mut line = Line::new();
        for at in 0..4 {
            line.push(3, "a", at);
        }
        assert_eq!(line.pop(500), (Some("a"), vec!["a", "a"]));
    }

    #[test]
    fn nobody_waits_too_long_where_that_is_not_told() {
        let mut line = Line::new();
        line.push(3, "a", 0);
        line.push(3, "b", 600);
        let mut shed = Vec::new();
        let next = line.queue.pop(line.at(800), None, |who| shed.push(who));
        assert_eq!((next, shed), (Some("a"), vec![]));
    }

    #[test]
    fn the_more_important_come_first_and_push_others_out() {
        let mut line = Line::new();
        assert_eq!(line.push(3, "a", 0), None);
        assert_eq!(line.push(5, "low", 0), None);
        assert_eq!(line.push(1, "high", 0), None);
        assert_eq!(line.push(3, "b", 0), Some("low"));
        assert_eq!(line.push(3, "c", 1), Some("a"), "once it was full the newest is served");
        assert_eq!(line.queue.length(), 3);
        let (next, shed) = line.pop(6);
        assert_eq!((next, shed), (Some("high"), vec![]), "alone in its class");
        line.push(3, "e", 200);
        line.push(1, "f", 201);
        assert_eq!(line.pop(202).0, Some("f"));
        let mut line = Line::new();
        (0..3).for_each(|_| assert_eq!(line.push(3, "a", 0), None));
        assert_eq!(line.push(3, "b", 0), Some("b"), "nobody less important is there");
    }

    #[test]
    fn who_is_past_its_deadline_or_has_gone_is_passed_over() {
        let mut line = Line::new();
        line.push(3, "a", 0);
        let times = (line.at(0), line.at(10));
        let (ticket, _) = line.queue.push((Class::default(), "gone"), times, (9, PATIENCE));
        line.queue.push((Class::default(), "late"), times, (9, PATIENCE));
        line.queue.remove(ticket.unwrap());
        assert_eq!(line.pop(20), (Some("a"), vec![]));
        assert_eq!(line.pop(20), (None, vec!["late"]));
        assert_eq!(line.queue.length(), 0);
    }

    #[test]
    fn a_class_is_a_digit_a_word_or_a_priority_field() {
        let cases: [(&[u8], u8); 9] = [
            (b"0", 0),
            (b" 7 ", 7),
            (b"8", 3),
            (b"high", 1),
            (b"low", 5),
            (b"normal", 3),
            (b"u=1, i", 1),
            (b"i, u=6", 6),
            (b"", 3),
        ];
        for (text, class) in cases {
            assert_eq!(Class::of_text(text), Class(class), "{text:?}");
        }
    }
}
