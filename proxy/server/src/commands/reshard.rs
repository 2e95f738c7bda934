//! `switchback reshard`.

use std::fmt::Write as _;

use switchback_admin::message::{Compared, Reshard, ReshardAction, Resharding};

use super::control::{ask, show_json};
use crate::cli;
use crate::exit::Exit;
use crate::output::{fail, show};

/// Has the running process take a step in giving keys to other shards.
pub(crate) fn reshard(wanted: cli::Reshard) -> Exit {
    let cli::Reshard { action, upstream, to, compare, process, json } = wanted;
    let action = match action {
        cli::ReshardAction::Plan => ReshardAction::Plan,
        cli::ReshardAction::Start => ReshardAction::Start,
        cli::ReshardAction::Status => ReshardAction::Status,
        cli::ReshardAction::Cutover => ReshardAction::Cutover,
        cli::ReshardAction::Abort => ReshardAction::Abort,
    };
    // The process may be in another directory.
    let to = match to.map(std::path::absolute).transpose() {
        Ok(to) => to,
        Err(error) => return fail(error),
    };
    let wanted = Reshard { upstream, action, to, compare };
    ask(process, |client| {
        let told = client.reshard(&wanted)?;
        Ok(if json { show_json(&told, true) } else { show(describe(&told)) })
    })
}

fn describe(told: &Resharding) -> String {
    let Resharding { upstream, epoch, .. } = told;
    let mut text = match told.next_epoch {
        Some(next) => format!("{upstream}: epoch {epoch}, next {next}\n"),
        None => format!("{upstream}: epoch {epoch}\n"),
    };
    let percent = |part: f64| part * 100.0;
    // Writing to a String cannot fail.
    if told.next_epoch.is_some() {
        let (moved, ideal) = (percent(told.moved), percent(told.ideal));
        let _ = writeln!(text, "moves {moved:.2} % of keys; the least that could: {ideal:.2} %");
        let Resharding { keys_seen, keys_moved, reads, misses, kept, bytes, .. } = told;
        let _ = writeln!(text, "keys seen {keys_seen}, of which {keys_moved} move");
        let _ = writeln!(
            text,
            "reads of them {reads}, misses {misses}, kept at the old shard {kept}, bytes from new shards {bytes}"
        );
    }
    if let Some(Compared { share, equal, different, failed, skipped }) = told.compared {
        let share = percent(share);
        let _ = writeln!(
            text,
            "compared {share} % of reads: equal {equal}, different {different}, failed {failed}, skipped {skipped}"
        );
    }
    if told.is_ahead_of_configuration {
        text.push_str("the configuration still says the old shards: a restart goes back to them\n");
    }
    for shard in &told.shards {
        let _ = write!(text, "  {:<16} {:>6.2} %", shard.name, percent(shard.share));
        if let Some(next) = shard.next_share {
            let _ = write!(text, " -> {:>6.2} %", percent(next));
        }
        if let Some((keys, next)) = shard.keys_seen.zip(shard.next_keys_seen) {
            let _ = write!(text, "  keys seen {keys} -> {next},");
        }
        let _ = writeln!(
            text,
            "  requests {}, failures {}, bytes {}",
            shard.requests, shard.failures, shard.bytes
        );
    }
    text
}
