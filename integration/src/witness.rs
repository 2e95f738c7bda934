//! What went wrong in a test, said while the others go on: a log that is cut short keeps it beside the test's name.

use std::io::Write;
use std::sync::Once;

/// From now on a panic is told at once in one line, past the capture of a test's output, which comes at the very end.
pub(crate) fn tell_panics_at_once() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("a thread");
            // What cannot be written is told by the usual hook.
            let _written = writeln!(std::io::stderr(), "panic in {name}: {panic}");
            usual(panic);
        }));
    });
}
