//! What goes wrong with a plugin of each kind, through the real proxy: exactly the requests that it is about end as the operator has
//! declared, all others are answered meanwhile, the process lives, and what was taken is given back.

mod acts;
mod others;
mod world;

use std::fmt;
use std::time::Duration;

use switchback_plugin::Kind;

use crate::message::Response;
use crate::patience::Deadline;
use crate::wire::WireError;
use others::Others;
use world::World;

/// What goes wrong with a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginFault {
    /// It panics, at one hook or another.
    Panic,
    /// It panics while other requests wait in it.
    PanicBesideOthers,
    /// A hook computes and computes.
    Spin,
    /// It takes all memory that it can get.
    Memory,
    /// A hook waits for longer than it may.
    Timeout,
    /// The client leaves while a hook waits.
    ClientGone,
}

impl PluginFault {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Panic,
        Self::PanicBesideOthers,
        Self::Spin,
        Self::Memory,
        Self::Timeout,
        Self::ClientGone,
    ];

    /// Whether a plugin of that kind can be kept from taking the process with it. What is part of the process has all of its memory.
    #[must_use]
    pub fn is_for(self, kind: Kind) -> bool {
        self != Self::Memory || kind == Kind::Wasm
    }
}

impl fmt::Display for PluginFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Panic => "a panic",
            Self::PanicBesideOthers => "a panic while others wait in it",
            Self::Spin => "a hook that never ends",
            Self::Memory => "memory without end",
            Self::Timeout => "a hook over its time",
            Self::ClientGone => "clients gone while a hook waits",
        })
    }
}

/// What a fault came to.
#[derive(Clone, Debug, Default)]
pub struct Faulted {
    /// Requests that it was about.
    pub affected: usize,
    /// Those of them that ended as the operator has declared.
    pub as_declared: usize,
    /// Other requests, all of which were answered with 200.
    pub others: u64,
    /// Everything that was not as it should have been.
    pub wrong: Vec<String>,
    /// Failures that the proxy has counted, beside those that it should have.
    pub counted: (u64, u64),
    /// Whether it is the process that was started, and it answers.
    pub lives: bool,
    /// KiB of memory, before and after.
    pub memory: (u64, u64),
}

impl Faulted {
    /// By how much more memory there may be afterwards, in KiB. An instance that is not let go of keeps what it took, 64 MiB where it
    /// takes all it gets; a request that is not, the 64 KiB of its buffers and more. What allocators hold back between two moments is less.
    pub const MORE: u64 = 24 << 10;

    /// Whether memory has come back.
    #[must_use]
    pub fn gave_back(&self) -> bool {
        self.memory.1 <= self.memory.0 + Self::MORE
    }

    /// Whether all is as it should be.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.wrong.is_empty()
            && self.as_declared == self.affected
            && self.counted.0 == self.counted.1
            && self.lives
            && self.gave_back()
    }

    /// An answer to somebody whom the fault is about.
    fn affected(&mut self, declared: Declared, target: &str, answer: Result<Response, WireError>) {
        self.affected += 1;
        match answer {
            Ok(answer) if answer.status == declared.status() => self.as_declared += 1,
            Ok(answer) => self.wrong.push(format!("{target}: {}", answer.status)),
            Err(error) => self.wrong.push(format!("{target}: {error:?}")),
        }
    }

    /// An answer to somebody else.
    fn other(&mut self, target: &str, answer: Result<Response, WireError>) {
        match answer {
            Ok(answer) if answer.status == 200 => self.others += 1,
            Ok(answer) => self.wrong.push(format!("{target}: {} for nothing", answer.status)),
            Err(error) => self.wrong.push(format!("{target}: {error:?} for nothing")),
        }
    }
}

/// What the operator has declared of a plugin: `on_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Declared {
    Closed,
    Open,
}

impl Declared {
    const BOTH: [Self; 2] = [Self::Closed, Self::Open];

    fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
        }
    }

    /// How a request ends at which the plugin fails.
    fn status(self) -> u16 {
        match self {
            Self::Closed => 500,
            Self::Open => 200,
        }
    }
}

/// A round more is played first, so that what is taken once is there before memory is looked at.
const WARM: usize = 3;

/// Plays `fault` so many times with a plugin of that kind, once for each thing that an operator may declare, while others ask without pause.
///
/// # Panics
/// When the proxy does not start, or answers nobody any more.
#[must_use]
#[track_caller]
pub fn plugin_fault(kind: Kind, fault: PluginFault, rounds: usize) -> Faulted {
    let world = World::start(kind, fault, WARM + rounds);
    let others = Others::start(world.address(), &world.bystanders());
    let mut played = Faulted::default();
    for number in 0..WARM {
        acts::play(&world, fault, number, &mut played);
        others.all_are_answered();
    }
    let before = world.resident();
    for number in WARM..WARM + rounds {
        acts::play(&world, fault, number, &mut played);
        others.all_are_answered();
    }
    played.memory = (before, settled(&world, before));
    let seen = others.stop();
    played.others += seen.answered;
    played.wrong.extend(seen.wrong);
    played.counted = (world.failures(), acts::counted(kind, fault, WARM + rounds));
    played.lives = world.lives();
    played
}

/// What memory comes to: allocators give back a while later, when something else is asked of them.
fn settled(world: &World, before: u64) -> u64 {
    let deadline = Deadline::after(Duration::from_secs(10));
    loop {
        let now = world.resident();
        if now <= before + Faulted::MORE || deadline.has_passed() {
            return now;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
