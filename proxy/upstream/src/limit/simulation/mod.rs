//! A service with its clients, event by event and without a clock: the same seed gives the same run.

mod crowded;
mod harmless;
mod machine;
mod overload;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use super::*;
use machine::{Program, Share};

/// What a run is about.
#[derive(Clone, Copy)]
struct Scene {
    /// Requests that the service works at, at once.
    tokens: usize,
    /// How long it works at one that it begins with at this time, by chance.
    service: fn(Duration, f64) -> Duration,
    /// Requests in a second.
    rate: fn(Duration) -> f64,
    /// Clients that come again as soon as they are answered; then there is no rate.
    crowd: usize,
    seed: u64,
    /// Of so many requests one waits at the service for an event, for 20 s, and costs it nothing.
    polls: f64,
    /// Whether it answers what comes at this time, or fails at once.
    works: fn(Duration) -> bool,
    ceiling: Ceiling,
    retries: usize,
    /// What the proxy has of its machine, and the service of its own.
    proxy: Share,
    host: Share,
    until: Duration,
}

const MS: Duration = Duration::from_millis(1);
const SEEDS: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0x1234_5678_9abc_def1, 0xfeed_beef_0123_4567];
const RULES: BudgetRules = BudgetRules { percent: 20, least: 3 };

impl Scene {
    /// 20 at once, 20 ms each: 1,000 in a second.
    fn usual() -> Self {
        Self {
            tokens: 20,
            service: |_, chance| about(20 * MS, chance),
            rate: |_| 500.0,
            crowd: 0,
            seed: 0x9e37_79b9_7f4a_7c15,
            polls: 0.0,
            works: |_| true,
            ceiling: Ceiling::Adaptive,
            retries: 0,
            proxy: Share::default(),
            host: Share::default(),
            until: 10_000 * MS,
        }
    }
}

/// So long, by half as much more or less.
fn about(time: Duration, chance: f64) -> Duration {
    time.mul_f64(0.5 + chance)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival,
    /// The proxy has read it.
    Read(usize),
    /// The service has worked at it for as long as it takes.
    Worked(usize),
    /// The proxy has seen its answer.
    Seen(usize, Outcome),
    /// The service is done with this request.
    Done(usize, Outcome),
    /// Whoever waits longer has gone.
    Impatient(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Answered,
    /// After it has waited for an event.
    Polled,
    Failed,
}

struct Request {
    came: Duration,
    sent: Duration,
    tries: usize,
    ticket: Option<u64>,
    in_flight: u32,
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
    proxy: Program,
    host: Program,
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
            seed: scene.seed,
            events: BinaryHeap::new(),
            gate: Gate::default(),
            proxy: Program::new(scene.proxy, scene.seed ^ 1),
            host: Program::new(scene.host, scene.seed ^ 2),
            budget: RetryBudget::new(RULES, start),
            requests: Vec::new(),
            busy: 0,
            line: VecDeque::new(),
            answers: Vec::new(),
            failures: Vec::new(),
            shed: Vec::new(),
            tries: Vec::new(),
        };
        (0..scene.crowd.max(1)).for_each(|_| world.at(Duration::ZERO, Event::Arrival));
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
            Event::Read(request) => self.read(request),
            Event::Worked(request) => self.worked(request),
            Event::Done(request, outcome) => self.done(request, outcome),
            Event::Seen(request, outcome) => self.seen(request, outcome),
            Event::Impatient(request) => {
                if let Some(ticket) = self.requests[request].ticket.take() {
                    self.gate.remove(ticket);
                    match self.gate.is_on_trial(self.scene.ceiling) {
                        true => self.first(request, self.gate.come()),
                        false => self.sheds(request),
                    }
                }
            }
        }
    }

    fn arrives(&mut self) {
        if self.scene.crowd == 0 {
            let pause = -(1.0 - self.random()).ln() / (self.scene.rate)(self.now);
            self.at(self.now + Duration::from_secs_f64(pause), Event::Arrival);
        }
        let request = self.requests.len();
        self.requests.push(Request {
            came: self.now,
            sent: self.now,
            tries: 0,
            ticket: None,
            in_flight: 0,
        });
        let read = self.proxy.does(self.now);
        self.at(read, Event::Read(request));
    }

    fn read(&mut self, request: usize) {
        if let Some(in_flight) = self.gate.enter(self.scene.ceiling) {
            self.first(request, in_flight);
            return;
        }
        let deadline = self.now + 1000 * MS;
        let waiting = Waiting {
            class: Class::default(),
            who: request,
            now: self.instant(),
            deadline: self.start + deadline,
        };
        let rules = QueueRules { most: 1000, wait: 1000 * MS };
        match self.gate.wait(waiting, self.scene.ceiling, rules) {
            Left::Entered(in_flight, _) => self.first(request, in_flight),
            Left::Shed(request) => self.sheds(request),
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
        self.comes_again(100 * MS);
    }

    fn comes_again(&mut self, pause: Duration) {
        if self.scene.crowd > 0 {
            self.at(self.now + pause, Event::Arrival);
        }
    }

    fn let_in(&mut self) {
        let mut gone = Vec::new();
        while let Some((in_flight, next)) =
            self.gate.next(self.scene.ceiling, self.instant(), |who| gone.push(who))
        {
            self.requests[next].ticket = None;
            self.first(next, in_flight);
        }
        gone.into_iter().for_each(|gone| self.sheds(gone));
    }

    fn first(&mut self, request: usize, in_flight: u32) {
        self.requests[request].in_flight = in_flight;
        self.budget.earn(RULES, self.gate.in_flight());
        self.send(request);
    }

    fn send(&mut self, request: usize) {
        self.tries.push(self.now);
        self.requests[request].tries += 1;
        self.requests[request].sent = self.now;
        if !(self.scene.works)(self.now) {
            self.at(self.now + 2 * MS, Event::Done(request, Outcome::Failed));
        } else if self.scene.polls > 0.0 && self.random() < self.scene.polls {
            self.at(self.now + 20_000 * MS, Event::Done(request, Outcome::Polled));
        } else if self.busy < self.scene.tokens {
            self.work(request);
        } else {
            self.line.push_back(request);
        }
    }

    fn work(&mut self, request: usize) {
        self.busy += 1;
        let chance = self.random();
        let time = (self.scene.service)(self.now, chance);
        self.at(self.now + time, Event::Worked(request));
    }

    fn worked(&mut self, request: usize) {
        let done = self.host.does(self.now);
        self.at(done, Event::Done(request, Outcome::Answered));
    }

    fn done(&mut self, request: usize, outcome: Outcome) {
        if outcome == Outcome::Answered {
            self.busy -= 1;
            if let Some(next) = self.line.pop_front() {
                self.work(next);
            }
        }
        let seen = self.proxy.does(self.now);
        self.at(seen, Event::Seen(request, outcome));
    }

    fn seen(&mut self, request: usize, outcome: Outcome) {
        let Request { came, sent, tries, in_flight, .. } = self.requests[request];
        if outcome == Outcome::Answered {
            self.answers.push((came, self.now - came));
            self.gate.learn(Sample { took: self.now - sent, in_flight }, self.instant());
        } else if outcome == Outcome::Polled {
            self.gate.learn(Sample { took: self.now - sent, in_flight }, self.instant());
        } else if tries <= self.scene.retries && self.budget.take(RULES, self.instant()) {
            self.send(request);
            return;
        } else {
            self.failures.push(self.now);
        }
        self.gate.leave();
        self.comes_again(Duration::ZERO);
        self.let_in();
    }

    /// Answers in a second, of requests that came in this time.
    fn goodput(&self, from: Duration, to: Duration) -> f64 {
        let answers = self.answers.iter().filter(|(came, _)| (from..to).contains(came)).count();
        answers as f64 / (to - from).as_secs_f64()
    }

    /// Answers in a second that were given in this time.
    fn answered(&self, from: Duration, to: Duration) -> f64 {
        let answers =
            self.answers.iter().filter(|(came, took)| (from..to).contains(&(*came + *took)));
        answers.count() as f64 / (to - from).as_secs_f64()
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
