//! What the kernel says about a process.

use std::fs;
use std::time::Duration;

/// Descriptors, threads and memory of a process at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessStats {
    /// Open file descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
    /// Resident memory in KiB.
    pub resident_kib: u64,
}

impl ProcessStats {
    /// Of the process with this id, if there is one.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        Some(Self {
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count(),
            threads: usize::try_from(field("Threads:")?).ok()?,
            resident_kib: field("VmRSS:")?,
        })
    }

    /// How long the process with this id and all that descend from it have been on a processor, ended threads included.
    #[must_use]
    pub fn processor_time_of_tree(pid: u32) -> Duration {
        let processes: Vec<Accounted> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| Accounted::of(entry.ok()?.file_name().to_str()?.parse().ok()?))
            .collect();
        let mut family = vec![pid];
        let mut known = 0;
        while let Some(parent) = family.get(known).copied() {
            known += 1;
            let children = processes.iter().filter(|process| process.parent == parent);
            family.extend(children.map(|process| process.pid));
        }
        let members = processes.iter().filter(|process| family.contains(&process.pid));
        let ticks: u64 = members.map(|process| process.ticks).sum();
        // The kernel counts for user space in hundredths of a second, whatever its own tick is.
        Duration::from_millis(ticks * 10)
    }
}

/// A line of `/proc/PID/stat`.
struct Accounted {
    pid: u32,
    parent: u32,
    ticks: u64,
}

impl Accounted {
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in parentheses and may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let parent = u32::try_from(number(1)?).ok()?;
        Some(Self { pid, parent, ticks: number(11)? + number(12)? })
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::ProcessStats;
    use crate::patience::{Deadline, eventually};

    #[test]
    fn the_processor_time_of_a_tree_counts_its_children() {
        // The shell waits for its child, which works until it is told to end.
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", "yes >/dev/null & echo $!; wait"]).stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let family = shell.id();
        eventually("a child has worked", Deadline::soon(), || {
            let spent = ProcessStats::processor_time_of_tree(family);
            (spent.as_millis() >= 50).then_some(())
        });
        let mut child = String::new();
        let mut told = std::io::BufReader::new(shell.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut told, &mut child).unwrap();
        assert!(Command::new("kill").arg(child.trim()).status().unwrap().success());
        shell.wait().unwrap();
    }
}
