//! What programs of other hands make of what they are sent.

use std::time::Instant;

use switchback_integration::{OtherHand, Show, matrix};

/// All forms of clients by all types, lengths and pieces.
pub(crate) fn all(show: &mut Show, quick: bool) {
    for (by, name, over) in [
        (OtherHand::Python, "Python", "HTTP/1, with and without TLS"),
        (OtherHand::Node, "Node", "HTTP/2, with and without TLS"),
        (OtherHand::Curl, "curl", "HTTP/1 and TLS with HTTP/1 and HTTP/2"),
        (OtherHand::Chromium, "Chromium", "HTTP/1, and HTTP/2 with TLS"),
    ] {
        let what = format!("answers that are wrong, as {name} reads them over {over}");
        let begun = Instant::now();
        let Some(found) = matrix(by, quick) else {
            show.absent(&what, name);
            continue;
        };
        let (faults, answers) = (found.faults.len(), found.answers);
        let holds = faults == 0 && answers > 0;
        show.line(&what, &format!("{faults} of {answers}"), "0", holds);
        if found.unread > 0 {
            let unread = found.unread;
            show.say(&format!("  {unread} were in a coding that {name} does not know, so their heads alone were read"));
        }
        show.say(&format!("  in {:.0} s", begun.elapsed().as_secs_f64()));
        found.faults.iter().take(20).for_each(|fault| show.say(&format!("  {fault}")));
    }
}
