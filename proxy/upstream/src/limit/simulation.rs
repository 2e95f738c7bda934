//! A service with its clients, event by event and without a clock: the same seed gives the same run.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use super::*;

/// What a run is about.
#[derive(Clone, Copy)]
struct Scene {
    /// Requests that the service works at, at once.
    tokens: usize,
    /// How long it works at one, by half as much more or less, while it works at this time.
    service: fn(Duration) -> Duration,
    /// Requests in a second.
    rate: fn(Duration) -> f64,
    /// Whether it answers what comes at this time, or fails at once.
    works: fn(Duration) -> bool,
    ceiling: Ceiling,
    retries: usize,
    until: Duration,
}

const MS: Duration = Duration::from_millis(1);
const RULES: BudgetRules = BudgetRules { percent: 20, least: 3 };

impl Scene {
    /// 20 at once, 20 ms each: 1,000 in a second.
    fn usual() -> Self {
        Self {
            tokens: 20,
            service: |_| 20 * MS,
            rate: |_| 500.0,
            works: |_| true,
            ceiling: Ceiling::Adaptive,
            retries: 0,
            until: 10_000 * MS,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival,
    /// The service is done with this request.
    Done(usize, Outcome),
    /// Whoever waits longer has gone.
    Impatient(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Answered,
    Failed,
}

struct Request {
    came: Duration,
    sent: Duration,
    tries: usize,
    ticket: Option<u64>,
}

/// When a request came, and how long its answer took.
type Answer = (Duration, Duration);

struct World {
    scene: Scene,
    start: Instant,
    now: Duration,
    seed: u64,
    events: BinaryHeap<Reverse<(Duration, usize, Event)>>,
    gate: Gate<usize>,
    budget: RetryBudget,
    requests: Vec<Request>,
    busy: usize,
    line: VecDeque<usize>,
    answers: Vec<Answer>,
    failures: Vec<Duration>,
    shed: Vec<Duration>,
    tries: Vec<Duration>,
}

impl World {
    fn run(scene: Scene) -> Self {
        let start = Instant::now();
        let mut world = Self {
            scene,
            start,
            now: Duration::ZERO,
            seed: 0x9e37_79b9_7f4a_7c15,
            events: BinaryHeap::new(),
            gate: Gate::default(),
            budget: RetryBudget::new(RULES, start),
            requests: Vec::new(),
            busy: 0,
            line: VecDeque::new(),
            answers: Vec::new(),
            failures: Vec::new(),
            shed: Vec::new(),
            tries: Vec::new(),
        };
        world.at(Duration::ZERO, Event::Arrival);
        while let Some(Reverse((time, _, event))) = world.events.pop() {
            world.now = time;
            if time > scene.until {
                break;
            }
            world.happens(event);
        }
        world
    }

    fn random(&mut self) -> f64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn at(&mut self, time: Duration, event: Event) {
        let number = self.requests.len() * 8 + self.events.len();
        self.events.push(Reverse((time, number, event)));
    }

    fn instant(&self) -> Instant {
        self.start + self.now
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Arrival => self.arrives(),
            Event::Done(request, outcome) => self.done(request, outcome),
            Event::Impatient(request) => {
                if let Some(ticket) = self.requests[request].ticket.take() {
                    self.gate.remove(ticket);
                    self.shed.push(self.now);
                }
            }
        }
    }

    fn arrives(&mut self) {
        let pause = -(1.0 - self.random()).ln() / (self.scene.rate)(self.now);
        self.at(self.now + Duration::from_secs_f64(pause), Event::Arrival);
        let request = self.requests.len();
        self.requests.push(Request { came: self.now, sent: self.now, tries: 0, ticket: None });
        if self.gate.enter(self.scene.ceiling) {
            self.first(request);
            return;
        }
        let deadline = self.now + 1000 * MS;
        let waiting = Waiting {
            class: Class::default(),
            who: request,
            now: self.instant(),
            deadline: self.start + deadline,
        };
        let rules = QueueRules { most: 100, wait: 1000 * MS };
        match self.gate.wait(waiting, rules) {
            Left::Shed(_) => self.shed.push(self.now),
            Left::Waits(ticket, gone) => {
                self.requests[request].ticket = Some(ticket);
                self.at(deadline, Event::Impatient(request));
                gone.into_iter().for_each(|gone| self.sheds(gone));
                self.let_in();
            }
        }
    }

    fn sheds(&mut self, request: usize) {
        self.requests[request].ticket = None;
        self.shed.push(self.now);
    }

    fn let_in(&mut self) {
        let mut gone = Vec::new();
        while let Some(next) =
            self.gate.next(self.scene.ceiling, self.instant(), |who| gone.push(who))
        {
            self.requests[next].ticket = None;
            self.first(next);
        }
        gone.into_iter().for_each(|gone| self.sheds(gone));
    }

    fn first(&mut self, request: usize) {
        self.budget.earn(RULES, self.gate.in_flight());
        self.send(request);
    }

    fn send(&mut self, request: usize) {
        self.tries.push(self.now);
        self.requests[request].tries += 1;
        self.requests[request].sent = self.now;
        if !(self.scene.works)(self.now) {
            self.at(self.now + 2 * MS, Event::Done(request, Outcome::Failed));
        } else if self.busy < self.scene.tokens {
            self.work(request);
        } else {
            self.line.push_back(request);
        }
    }

    fn work(&mut self, request: usize) {
        self.busy += 1;
        let time = (self.scene.service)(self.now).mul_f64(0.5 + self.random());
        self.at(self.now + time, Event::Done(request, Outcome::Answered));
    }

    fn done(&mut self, request: usize, outcome: Outcome) {
        let Request { came, sent, tries, .. } = self.requests[request];
        if outcome == Outcome::Answered {
            self.busy -= 1;
            if let Some(next) = self.line.pop_front() {
                self.work(next);
            }
            self.answers.push((came, self.now - came));
            self.gate.learn(self.now - sent, self.instant());
        } else if tries <= self.scene.retries && self.budget.take(RULES, self.instant()) {
            self.send(request);
            return;
        } else {
            self.failures.push(self.now);
        }
        self.gate.leave();
        self.let_in();
    }

    /// Answers in a second, of requests that came in this time.
    fn goodput(&self, from: Duration, to: Duration) -> f64 {
        let answers = self.answers.iter().filter(|(came, _)| (from..to).contains(came)).count();
        answers as f64 / (to - from).as_secs_f64()
    }

    fn percentile(&self, percent: usize, from: Duration, to: Duration) -> Duration {
        let came = self.answers.iter().filter(|(came, _)| (from..to).contains(came));
        let mut times: Vec<Duration> = came.map(|(_, took)| *took).collect();
        times.sort_unstable();
        times[times.len() * percent / 100]
    }

    fn count(times: &[Duration], from: Duration, to: Duration) -> f64 {
        times.iter().filter(|time| (from..to).contains(time)).count() as f64
    }
}

#[test]
fn at_five_times_its_capacity_a_service_does_what_it_can_without_a_set_limit() {
    let scene = Scene {
        rate: |now| if now < 2000 * MS { 500.0 } else { 5000.0 },
        until: 20_000 * MS,
        ..Scene::usual()
    };
    let world = World::run(scene);
    let calm = world.percentile(99, Duration::ZERO, 2000 * MS);
    let (from, to) = (4000 * MS, 19_000 * MS);
    let (goodput, p99) = (world.goodput(from, to), world.percentile(99, from, to));
    assert!(goodput >= 950.0, "{goodput}");
    assert!(p99 <= calm * 2, "{p99:?} against {calm:?}");
}

#[test]
fn without_a_limit_the_same_service_answers_far_too_late() {
    let scene = Scene {
        ceiling: Ceiling::Off,
        rate: |now| if now < 2000 * MS { 500.0 } else { 5000.0 },
        until: 5000 * MS,
        ..Scene::usual()
    };
    let world = World::run(scene);
    assert!(world.line.len() > 10_000, "{}", world.line.len());
}

#[test]
fn overload_from_the_first_moment_is_found_out_too() {
    let world = World::run(Scene { rate: |_| 5000.0, ..Scene::usual() });
    let (from, to) = (4000 * MS, 9000 * MS);
    let (goodput, p99) = (world.goodput(from, to), world.percentile(99, from, to));
    assert!(goodput >= 950.0, "{goodput}");
    assert!(p99 <= 60 * MS, "{p99:?}");
}

#[test]
fn a_service_within_its_capacity_is_never_limited() {
    for rate in [5.0, 100.0, 500.0, 800.0] {
        let rates: fn(Duration) -> f64 = match rate {
            5.0 => |_| 5.0,
            100.0 => |_| 100.0,
            500.0 => |_| 500.0,
            _ => |_| 800.0,
        };
        let world = World::run(Scene { rate: rates, until: 60_000 * MS, ..Scene::usual() });
        assert_eq!(world.shed.len(), 0, "{rate}: {:?}", world.gate);
        assert_eq!(world.gate.limit(Ceiling::Adaptive), None, "{rate}: {:?}", world.gate);
    }
}

#[test]
fn a_service_that_is_slow_by_nature_or_becomes_so_is_not_throttled() {
    let slow = Scene { tokens: 100_000, service: |_| 3000 * MS, ..Scene::usual() };
    let world = World::run(Scene { until: 30_000 * MS, ..slow });
    assert_eq!(world.shed.len(), 0);
    assert!(world.gate.in_flight() > 1000, "{}", world.gate.in_flight());
    // Ten times slower from one moment to the next, and not because of those who wait.
    let becomes = Scene { service: |now| if now < 5000 * MS { 20 * MS } else { 200 * MS }, ..slow };
    let world = World::run(Scene { until: 30_000 * MS, ..becomes });
    let all = world.requests.len();
    assert!(world.shed.len() * 1000 < all, "{} of {all}", world.shed.len());
    assert_eq!(world.gate.limit(Ceiling::Adaptive), None);
}

#[test]
fn capacity_that_halves_under_overload_is_found_again() {
    let scene = Scene {
        // As long for each: half as many in a second.
        service: |now| if now < 10_000 * MS { 20 * MS } else { 40 * MS },
        rate: |_| 3000.0,
        until: 30_000 * MS,
        ..Scene::usual()
    };
    let world = World::run(scene);
    let (from, to) = (14_000 * MS, 28_000 * MS);
    assert!(world.goodput(from, to) >= 475.0, "{}", world.goodput(from, to));
    assert!(world.percentile(99, from, to) <= 120 * MS, "{:?}", world.percentile(99, from, to));
}

#[test]
fn after_overload_the_limit_is_lifted() {
    let scene = Scene {
        rate: |now| if now < 5000 * MS { 5000.0 } else { 200.0 },
        until: 20_000 * MS,
        ..Scene::usual()
    };
    let world = World::run(scene);
    assert_eq!(world.gate.limit(Ceiling::Adaptive), None);
    let late = World::count(&world.shed, 6000 * MS, 20_000 * MS);
    assert_eq!(late, 0.0);
}

#[test]
fn a_service_that_fails_for_ten_seconds_is_not_stormed_and_recovers_at_once() {
    let failing: fn(Duration) -> bool = |now| !(5000 * MS..15_000 * MS).contains(&now);
    let scene =
        Scene { rate: |_| 700.0, works: failing, retries: 2, until: 30_000 * MS, ..Scene::usual() };
    let world = World::run(scene);
    let (from, to) = (5000 * MS, 15_000 * MS);
    let came: Vec<Duration> = world.requests.iter().map(|request| request.came).collect();
    let load = World::count(&world.tries, from, to) / World::count(&came, from, to);
    assert!(load <= 1.205, "{load}");
    assert!(load > 1.15, "the budget is used: {load}");
    for half_second in 30..58 {
        let (from, to) = (500 * MS * half_second, 500 * MS * (half_second + 1));
        let share = world.goodput(from, to) / (World::count(&came, from, to) * 2.0);
        assert!(share >= 0.99, "{share} from {from:?}");
    }
}
