//! Ends the processes of a test or show that was killed and could not end them itself.
//!
//! A shell waits at the end of a pipe that this process alone holds open; each process that is started is told to it. When the
//! pipe closes, whatever still runs is killed: a process is known by its number and the time at which it began.

use std::fs;
use std::io::Write;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use parking_lot::Mutex;

/// Has the process with this id killed when this one is gone.
pub(crate) fn must_not_outlive(pid: u32) {
    // One for all tests of the process: there is no other owner that would be dropped when it is killed.
    static GUARD: OnceLock<Option<Mutex<ChildStdin>>> = OnceLock::new();
    let guard = GUARD.get_or_init(|| start().map(Mutex::new));
    if let (Some(guard), Some(began)) = (guard, began(pid)) {
        // Without a shell nobody guards, and everything else goes on as ever.
        let _told = writeln!(guard.lock(), "{pid} {began}");
    }
}

const SCRIPT: &str = r#"
trap '' INT TERM HUP
told=''
while read -r pid began; do told="$told $pid:$began"; done
for known in $told; do
    pid=${known%%:*}
    { read -r stat < "/proc/$pid/stat"; } 2>/dev/null || continue
    set -- ${stat##*) }
    [ "${20}" = "${known##*:}" ] && kill -KILL "$pid"
done
"#;

fn start() -> Option<ChildStdin> {
    let mut shell = Command::new("sh");
    shell.args(["-c", SCRIPT]).stdin(Stdio::piped());
    shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?.stdin
}

/// When the process began, as the kernel counts.
fn began(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::{began, start};
    use crate::patience::{Deadline, eventually};
    use std::io::Write;

    fn sleeper() -> Child {
        Command::new("sleep").arg("100").spawn().unwrap()
    }

    #[test]
    fn who_was_told_of_ends_with_the_pipe_and_nobody_else() {
        let (mut told, mut other) = (sleeper(), sleeper());
        let mut guard = start().unwrap();
        writeln!(guard, "{} {}", told.id(), began(told.id()).unwrap()).unwrap();
        // Another process had this number before.
        writeln!(guard, "{} 1", other.id()).unwrap();
        assert_eq!(told.try_wait().unwrap(), None);
        drop(guard);
        eventually("the process is killed", Deadline::soon(), || told.try_wait().unwrap());
        assert_eq!(other.try_wait().unwrap(), None);
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
