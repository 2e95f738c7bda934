//! Measuring what takes nanoseconds, for the benches of all packages here.

use std::time::Instant;

/// Something that is called again and again.
pub(crate) struct Case<'a> {
    pub(crate) name: String,
    /// Calls it so often; how many nanoseconds a call took, unless one went wrong.
    batch: Box<dyn FnMut(u32) -> Option<f64> + 'a>,
}

impl<'a> Case<'a> {
    /// `call` says whether it went as it should.
    pub(crate) fn new(name: impl Into<String>, mut call: impl FnMut() -> bool + 'a) -> Self {
        let batch = move |calls| {
            let start = Instant::now();
            let is_right = (0..calls).fold(true, |is_right, _| is_right & call());
            is_right.then(|| start.elapsed().as_secs_f64() * 1e9 / f64::from(calls))
        };
        Self { name: name.into(), batch: Box::new(batch) }
    }
}

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    turns: u32,
    rounds: u32,
    calls: u32,
}

impl Size {
    /// So many rounds of so many calls, in ten turns; next to nothing in one where a bench only shows that it runs: as a test, with `--tiny` or
    /// with `SWITCHBACK_BENCH_TINY=1`.
    pub(crate) fn of(rounds: u32, calls: u32) -> Self {
        if is_tiny() {
            Self { turns: 1, rounds: 2, calls: 100 }
        } else {
            Self { turns: 10, rounds: rounds.div_ceil(10), calls }
        }
    }
}

fn is_tiny() -> bool {
    // Cargo gives `--bench` to benches that are run as such, and nothing to those that it runs as tests.
    let has = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    has("--tiny")
        || !has("--bench")
        || std::env::var("SWITCHBACK_BENCH_TINY").is_ok_and(|tiny| tiny == "1")
}

/// The lowest mean of a round of each case, in nanoseconds. `None` where a call went wrong.
///
/// Cases take turns: a machine that is busy with something else for a second is so for all of them, and not for the other turns.
pub(crate) fn lowest(cases: &mut [Case<'_>], size: Size) -> Option<Vec<f64>> {
    let mut lowest = vec![f64::INFINITY; cases.len()];
    for _ in 0..size.turns {
        for (case, lowest) in cases.iter_mut().zip(&mut lowest) {
            for _ in 0..size.rounds {
                *lowest = lowest.min((case.batch)(size.calls)?);
            }
        }
    }
    Some(lowest)
}
