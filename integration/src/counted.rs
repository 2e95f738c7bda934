//! A proxy whose instructions in user space are counted: what a request costs, to a few in a thousand on any machine.

use std::path::Path;
use std::process::Command;

use crate::command::switchback_binary;
use crate::config::Config;
use crate::patience::{Deadline, eventually};
use crate::peer::Tool;
use crate::proxy::Proxy;

/// A proxy that callgrind runs.
pub(crate) struct Counted {
    /// The proxy, some fifty times slower than it is.
    pub(crate) proxy: Proxy,
    dumps: usize,
}

impl Counted {
    /// Starts it; `None` where the counting program is not installed.
    ///
    /// # Panics
    /// When the proxy does not start.
    #[track_caller]
    pub(crate) fn start(config: &Config) -> Option<Self> {
        Self::start_program(&switchback_binary(), config)
    }

    /// Starts this program instead, which takes the arguments of `switchback run`; `None` where the counting program is not installed.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub(crate) fn start_program(program: &Path, config: &Config) -> Option<Self> {
        let mut counter = Tool::Valgrind.command()?;
        counter.args(["--tool=callgrind", "--callgrind-out-file=counted"]);
        Some(Self { proxy: Proxy::start_under(counter, program, config), dumps: 0 })
    }

    /// Instructions since it was asked last.
    ///
    /// # Panics
    /// When they are not told.
    #[track_caller]
    pub(crate) fn taken(&mut self) -> u64 {
        let mut ask = Command::new("callgrind_control");
        let asked = ask.args(["-d", &self.proxy.pid().to_string()]).output();
        let asked = asked.expect("it comes with valgrind");
        assert!(asked.status.success(), "{asked:?}");
        self.dumps += 1;
        let file = self.proxy.folder().join(format!("counted.{}", self.dumps));
        eventually("the counts are written", Deadline::soon(), || {
            let written = std::fs::read_to_string(&file).ok()?;
            let total = written.lines().find_map(|line| line.strip_prefix("totals: "))?;
            total.trim().parse().ok()
        })
    }

    /// What each of so many turns of `play` takes, in the mean.
    ///
    /// # Panics
    /// When that is not told.
    #[track_caller]
    pub(crate) fn each(&mut self, turns: usize, mut play: impl FnMut()) -> f64 {
        self.taken();
        (0..turns).for_each(|_| play());
        self.taken() as f64 / turns.max(1) as f64
    }
}
