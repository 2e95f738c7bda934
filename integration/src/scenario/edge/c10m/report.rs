//! `bench/c10m.md`: what was measured, and the arithmetic to ten million clients.

use std::fmt::Write;

use super::{Fit, IdleFound};

/// Clients, and the machines that share them.
const CLIENTS: f64 = 10e6;
const MACHINES: f64 = 4.0;
/// Of each machine, in bytes.
const MEMORY: f64 = 64e9;
/// Of each machine's network, in bits per second each way.
const LINK: f64 = 1e9;
/// Smallest packets that such a network carries in a second, each way.
const PACKETS: f64 = LINK / (84.0 * 8.0);
/// How often each client asks, in seconds.
const PERIOD: f64 = 60.0;
/// Within how many seconds all clients of a machine come back.
const RETURN: f64 = 600.0;
/// Around each packet: preamble, frame, gap (38), IP (20), TCP with time stamps (32).
const AROUND: f64 = 90.0;
/// Around each TLS 1.3 record: header, type, tag.
const RECORD: f64 = 22.0;

/// One thing that ten million clients need of each machine.
#[derive(Clone, Debug)]
pub struct Need {
    /// Of what.
    pub what: &'static str,
    /// How it is computed, in numbers.
    pub arithmetic: String,
    /// What that comes to.
    pub comes_to: String,
    /// What a machine has, and which share of it is needed; of processors, it has as many as are bought.
    pub share: Option<(String, f64)>,
}

impl Need {
    /// Whether a machine has as much.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.share.as_ref().is_none_or(|(_, share)| *share <= 1.0)
    }
}

/// What one machine needs for its share of ten million clients that behave as these did; nothing where a figure is missing.
#[must_use]
pub fn needs(found: &IdleFound) -> Vec<Need> {
    let (Some(fit), Some(kernel)) = (found.fit(), found.kernel()) else { return Vec::new() };
    let clients = CLIENTS / MACHINES;
    let after_loss = CLIENTS / (MACHINES - 1.0);
    let rate = clients / PERIOD;
    let back = clients / RETURN;
    let answer = found.not_modified as f64 + AROUND + if found.plan.tls { RECORD } else { 0.0 };
    let returning = found.opening.bytes + found.opening.packets * AROUND;
    vec![
        memory("memory", clients, &fit, kernel),
        memory("memory with one machine lost", after_loss, &fit, kernel),
        share(
            "bandwidth for answers that nothing has changed",
            format!("{clients} clients / {PERIOD} s = {rate:.0}/s, each {answer} bytes x 8"),
            (rate * answer * 8.0 / 1e6, LINK / 1e6, "Mbit/s"),
        ),
        share(
            "packets, both ways",
            format!("{rate:.0}/s x {:.1}", found.asking.packets),
            (rate * found.asking.packets / 1e3, 2.0 * PACKETS / 1e3, "thousand/s"),
        ),
        processors("processors for these answers", rate, found.asking.processor.as_secs_f64()),
        share(
            "bandwidth for all clients to come back",
            format!(
                "{clients} clients / {RETURN} s = {back:.0}/s, each {:.0} bytes and {:.0} packets x {AROUND} both ways x 8",
                found.opening.bytes, found.opening.packets
            ),
            (back * returning * 8.0 / 1e6, 2.0 * LINK / 1e6, "Mbit/s"),
        ),
        processors(
            if found.plan.tls { "processors for their handshakes" } else { "processors for that" },
            back,
            found.opening.processor.as_secs_f64(),
        ),
    ]
}

fn memory(what: &'static str, clients: f64, fit: &Fit, kernel: f64) -> Need {
    share(
        what,
        format!("{clients:.0} clients x ({:.0} + {kernel:.0} of the kernel) bytes", fit.slope),
        (clients * (fit.slope + kernel) / 1e9, MEMORY / 1e9, "GB"),
    )
}

fn share(what: &'static str, arithmetic: String, of: (f64, f64, &str)) -> Need {
    let (needed, has, unit) = of;
    let share = Some((format!("{has:.0} {unit}"), needed / has));
    Need { what, arithmetic, comes_to: format!("{needed:.1} {unit}"), share }
}

fn processors(what: &'static str, rate: f64, each: f64) -> Need {
    let arithmetic = format!("{rate:.0}/s x {:.0} us", each * 1e6);
    Need { what, arithmetic, comes_to: format!("{:.1}", rate * each), share: None }
}

/// The whole page; `of` says which run it is.
#[must_use]
pub fn report(found: &[IdleFound], of: &str) -> String {
    let mut page = format!(
        "# Ten million clients on four machines\n\n\
         Written by `make show-edge`; the figures are those of one run: {of}.\n\
         Each connection asked once for a file of 1000 bytes, waited, and asked once more, whether it had changed.\n"
    );
    for found in found {
        section(&mut page, found);
    }
    page
}

fn section(page: &mut String, found: &IdleFound) {
    let protocol = if found.plan.tls { "TLS 1.3" } else { "plain text" };
    let place = if found.shared { "on one address" } else { "each on an address of its own" };
    let mut line = |text: String| writeln!(page, "{text}").unwrap_or_default();
    line(format!("\n## Idle connections, {protocol}\n"));
    line(format!(
        "{} processes {place}, one worker each; at the end each had {} to {} connections. {} were answered again, {} failed.\n",
        found.plan.processes, found.spread.0, found.spread.1, found.answered, found.failed
    ));
    line("| connections | of each process | memory of the processes | for each connection | of the kernel |".to_owned());
    line("| --- | --- | --- | --- | --- |".to_owned());
    for step in &found.steps {
        let each = step.user / step.connections.max(1) as f64;
        line(format!(
            "| {} | {} | {:.1} MB | {each:.0} bytes | {} |",
            step.connections,
            step.connections / usize::from(found.plan.processes.max(1)),
            step.user / 1e6,
            step.kernel.map_or_else(|| "not seen".to_owned(), |bytes| format!("{bytes:.0} bytes")),
        ));
    }
    if let Some(Fit { slope, r2 }) = found.fit() {
        line(format!("\nBy least squares: {slope:.0} bytes for each connection, R2 = {r2:.4}."));
    }
    line(format!(
        "To open one and be answered: {:?} of a processor, {:.0} bytes and {:.1} packets both ways. To be answered again: {:?}, \
         {:.0} bytes, {:.1} packets; the head of that answer has {} bytes.",
        found.opening.processor,
        found.opening.bytes,
        found.opening.packets,
        found.asking.processor,
        found.asking.bytes,
        found.asking.packets,
        found.not_modified
    ));
    line(format!("\n### {CLIENTS:.0} of them on {MACHINES} machines: what each needs\n"));
    line("| of what | arithmetic | comes to | has | share |".to_owned());
    line("| --- | --- | --- | --- | --- |".to_owned());
    for need in needs(found) {
        let (has, share) = need.share.map_or_else(
            || (String::new(), String::new()),
            |(has, share)| (has, format!("{:.0} %", share * 100.0)),
        );
        line(format!(
            "| {} | {} | {} | {has} | {share} |",
            need.what, need.arithmetic, need.comes_to
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Effort, IdleFound, IdlePlan, IdleStep};
    use super::{needs, report};

    fn found(user: f64) -> IdleFound {
        let step = |connections: usize| IdleStep {
            connections,
            user: user * connections as f64,
            kernel: Some(4000.0),
        };
        let effort = Effort { processor: Duration::from_micros(24), bytes: 300.0, packets: 3.0 };
        IdleFound {
            plan: IdlePlan { processes: 2, steps: vec![500, 1000], tls: true },
            shared: true,
            steps: vec![step(1000), step(2000)],
            spread: (990, 1010),
            failed: 0,
            answered: 2000,
            opening: effort,
            asking: effort,
            not_modified: 188,
        }
    }

    #[test]
    fn the_arithmetic_goes_from_one_connection_to_ten_million() {
        let needs = needs(&found(6000.0));
        let shares: Vec<f64> =
            needs.iter().filter_map(|need| need.share.as_ref().map(|(_, share)| *share)).collect();
        // 2.5 million times 10,000 bytes of 64 GB; a third more; 41,667 times 300 bytes of a gigabit.
        assert!((shares[0] - 25.0 / 64.0).abs() < 1e-3, "{needs:#?}");
        assert!((shares[1] - 33.3333 / 64.0).abs() < 1e-3, "{needs:#?}");
        assert!((shares[2] - 0.1).abs() < 1e-3, "{needs:#?}");
        assert_eq!(needs[4].comes_to, "1.0");
        assert!(needs.iter().all(super::Need::is_met));
    }

    #[test]
    fn what_does_not_fit_is_not_met() {
        let needs = needs(&found(30_000.0));
        assert!(!needs[0].is_met() && needs[2].is_met(), "{needs:#?}");
    }

    #[test]
    fn the_page_bears_its_run_and_its_fit() {
        let page = report(&[found(6000.0)], "2026-01-01, commit abc");
        for part in [
            "2026-01-01, commit abc",
            "6000 bytes for each connection, R2 = 1.0000",
            "| 2000 | 1000 | 12.0 MB |",
            "25.0 GB | 64 GB | 39 %",
        ] {
            assert!(page.contains(part), "no {part:?} in\n{page}");
        }
    }
}
