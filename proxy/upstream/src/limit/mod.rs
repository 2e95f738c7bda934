//! Keeping a service from being asked for more than it can do: how much is retried, who is not asked for a while, how many
//! requests are at it at once, and who waits for how long.
//!
//! Nothing here waits or reads a clock. A request that need not wait meets two atomic additions, no lock and no allocation.

mod adaptive;
mod breaker;
mod budget;
mod gate;
mod hedge;
mod queue;
#[cfg(test)]
mod simulation;
mod window;

pub use adaptive::{Adaptive, Certainty, Sample};
pub use breaker::{Breaker, BreakerRules, Pass};
pub use budget::{BudgetRules, RetryBudget};
pub use gate::{Ceiling, Gate, Left, QueueRules, Waiting};
pub use hedge::{Allowance, Latencies};
pub use queue::{CLASSES, Class};
