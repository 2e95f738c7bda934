//! Prints what everyday sites were promised beside what was found: `line: figure (wanted)`.
//!
//! A line that falls short is marked so, and the exit code says whether any does.

#![expect(clippy::expect_used, reason = "a show that cannot play its part has nothing to show")]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use switchback_integration::{
    Cost, Downloads, LogTools, Show, escapes, everyday, rotation, slow_logs,
};

fn main() -> ExitCode {
    let mut played = EverydaySites::default();
    played.sites();
    played.escapes();
    played.log_tools();
    played.downloads();
    played.slow_logs();
    played.embedding();
    played.image();
    played.show.verdict()
}

#[derive(Default)]
struct EverydaySites {
    show: Show,
}

impl EverydaySites {
    fn sites(&mut self) {
        let what = "requests to ten sites answered as nginx answers them";
        let Some(found) = everyday() else { return self.show.absent(what, "nginx") };
        let same = found.equal + found.as_intended;
        let figure = format!(
            "{same} of {}, {} of them with intended differences of {} kinds",
            found.requests,
            found.as_intended,
            found.intended.iter().filter(|(_, count)| *count > 0).count()
        );
        let holds = found.differences.is_empty() && same == found.requests && same >= 300;
        self.show.line(what, &figure, "all of at least 300", holds);
        for (site, requests, differing) in &found.sites {
            self.show.say(&format!("  {site}: {requests} requests, {differing} differ otherwise"));
        }
        for (reason, count) in &found.intended {
            self.show.say(&format!("  {count} intended: {reason}"));
        }
        found
            .differences
            .iter()
            .take(5)
            .for_each(|difference| self.show.say(&format!("  {difference}")));
    }

    fn escapes(&mut self) {
        let what = "files opened outside the directory that is served, by strace";
        let Some(found) = escapes() else { return self.show.absent(what, "strace") };
        let figure = format!(
            "{} in {} requests that try ({} opened inside, {} answered with a file)",
            found.outside.len(),
            found.requests,
            found.inside,
            found.served
        );
        let holds = found.outside.is_empty() && found.served == 0 && found.inside > 0;
        self.show.line(what, &figure, "0", holds);
        found.outside.iter().take(3).for_each(|line| self.show.say(&format!("  {line}")));
    }

    fn log_tools(&mut self) {
        let Some(tools) = LogTools::start() else { return self.show.absent("logs", "nginx") };
        match tools.fail2ban() {
            None => self.show.absent("fail2ban", "fail2ban"),
            Some(filters) => {
                for found in filters {
                    let what = format!("lines that fail2ban's {} matches", found.filter);
                    let figure =
                        format!("{}, in nginx's log {}", found.ours.len(), found.nginx.len());
                    let holds = found.ours == found.nginx && !found.ours.is_empty();
                    self.show.line(&what, &figure, "the same ones", holds);
                }
            }
        }
        match tools.goaccess() {
            None => self.show.absent("GoAccess", "goaccess"),
            Some(read) => {
                let figure = format!("{} of {}, {} failed", read.valid, read.lines, read.failed);
                let holds = read.valid == read.lines && read.failed == 0;
                self.show.line("lines that GoAccess reads", &figure, "all, none failed", holds);
            }
        }
        match rotation() {
            None => self.show.absent("logrotate", "logrotate"),
            Some(result) => {
                let figure = result.as_ref().map_or("no", |()| "yes");
                self.show.line(
                    "after logrotate, lines go to the new file",
                    figure,
                    "yes",
                    result.is_ok(),
                );
            }
        }
    }

    fn downloads(&mut self) {
        let Some(downloads) = Downloads::start() else {
            return self.show.absent("downloads", "nginx");
        };
        let big = downloads.gigabyte(5);
        self.cost("processor time for a file of 1 GiB", &big, 1.1);
        match downloads.small_file(5, Duration::from_secs(3)) {
            None => self.show.absent("a file of 100 KB", "wrk"),
            Some(small) => self.cost("processor time for a file of 100 KB", &small, 1.2),
        }
    }

    fn cost(&mut self, what: &str, cost: &Cost, most: f64) {
        let written = |seconds: f64| match seconds < 0.01 {
            true => format!("{:.1} us", seconds * 1e6),
            false => format!("{seconds:.3} s"),
        };
        let ratio = cost.ratio();
        let (ours, nginx) = (written(cost.ours), written(cost.nginx));
        let figure = format!("{ours}, {ratio:.2} times nginx's {nginx}");
        self.show.line(what, &figure, &format!("at most {most} times"), ratio <= most);
    }

    fn slow_logs(&mut self) {
        let found = slow_logs(5, 4000);
        let bound = (found.file.mul_f64(1.1)).max(found.file + Duration::from_micros(200));
        let wanted = format!("{:?} with a file, and 10 % or 0.2 ms more", found.file);
        for (what, time, lost) in [
            ("/dev/full", found.full, found.lost_to_full),
            ("a FIFO that nobody reads", found.fifo, found.lost_to_fifo),
        ] {
            let what = format!("99 of 100 answers while the access log is {what}");
            self.show.line(&what, &format!("{time:?}"), &wanted, time <= bound);
            self.show.line("  lines lost and counted", &lost.to_string(), "more than 0", lost > 0);
        }
    }

    fn embedding(&mut self) {
        let mut command = Command::new("cargo");
        command.args(["test", "--quiet", "-p", "switchback", "--test", "examples"]);
        let output = command.current_dir(repository()).output().expect("cargo can be started");
        let holds = output.status.success();
        let figure = if holds { "yes" } else { "no" };
        self.show.line(
            "the embedding examples serve, stop and leave nothing",
            figure,
            "yes",
            holds,
        );
        if !holds {
            self.show.say(&String::from_utf8_lossy(&output.stderr));
        }
    }

    fn image(&mut self) {
        let script = repository().join("integration/show/image.sh");
        let status = Command::new(&script).current_dir(repository()).status();
        let code = status.ok().and_then(|status| status.code());
        let (figure, holds) = match code {
            Some(0) => ("yes", true),
            Some(NO_ENGINE) => ("not shown: there is no container engine here", true),
            _ => ("no", false),
        };
        self.show.line(
            "the container image is built and serves",
            figure,
            "yes, where it can be",
            holds,
        );
    }
}

/// What the script of the image says where nothing can build one.
const NO_ENGINE: i32 = 77;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a package lies in the repository")
        .to_owned()
}
