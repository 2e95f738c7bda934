//! What is counted of pictures, in the Prometheus text format.

use std::fmt::Write as _;
use std::time::Duration;

use parking_lot::Mutex;
use switchback_images::{Counts, Flaw, Reason};
use switchback_variant::ImageType;

use crate::metrics::{Counter, header, sample};

/// Of routes that make pictures.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    webp: Counter,
    avif: Counter,
    originals: Counter,
    /// Forms that were stored.
    pub(crate) stored: Counter,
    /// Bytes by which whole bodies of forms were shorter than their originals.
    pub(crate) saved: Counter,
    /// Pictures that found no room.
    pub(crate) refused: Counter,
    /// What threads have done that there are no more.
    before: Mutex<Done>,
}

/// What threads have done.
#[derive(Clone, Debug, Default)]
struct Done {
    made: u64,
    bytes: [u64; 2],
    worked: u64,
    originals: [u64; Reason::ALL.len()],
    broken: [u64; Flaw::ALL.len()],
}

impl Counters {
    /// Counts an answer with a picture; `None` is in its original form.
    pub(crate) fn answered(&self, format: Option<ImageType>) {
        match format {
            Some(ImageType::Avif) => self.avif.add(),
            Some(_) => self.webp.add(),
            None => self.originals.add(),
        }
    }

    /// Counts on from here what threads have done that end.
    pub(super) fn remember(&self, counts: &Counts) {
        self.before.lock().add(counts);
    }

    /// Appends everything; `now` is of the threads that there are.
    pub(super) fn render(&self, now: Option<&Counts>, waiting: u64, out: &mut String) {
        let mut done = self.before.lock().clone();
        now.into_iter().for_each(|counts| done.add(counts));
        let name = "images_answers_total";
        header(out, (name, "Answers with images, by the format that was sent.", "counter"));
        for (format, answers) in
            [("avif", &self.avif), ("webp", &self.webp), ("original", &self.originals)]
        {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "switchback_{name}{{format=\"{format}\"}} {}", answers.value());
        }
        for (name, help, value) in [
            ("images_made_total", "Images that were made.", done.made),
            ("images_stored_total", "Those that were stored.", self.stored.value()),
            (
                "images_saved_bytes_total",
                "Bytes by which whole answers with images that were made were shorter.",
                self.saved.value(),
            ),
            ("images_refused_total", "Images for which there was no room.", self.refused.value()),
        ] {
            sample(out, (name, help, "counter"), value);
        }
        done.render(out);
        let help = "Images that wait to be made.";
        let queued = now.map_or(0, |counts| counts.waiting);
        sample(out, ("images_queue", help, "gauge"), queued + waiting);
        let help = "Images that are being made.";
        sample(out, ("images_running", help, "gauge"), now.map_or(0, |counts| counts.running));
    }
}

impl Done {
    fn add(&mut self, counts: &Counts) {
        self.made += counts.made;
        self.worked += counts.worked;
        self.bytes[0] += counts.bytes_in;
        self.bytes[1] += counts.bytes_out;
        for (count, reason) in self.originals.iter_mut().zip(Reason::ALL) {
            *count += counts.originals(reason);
        }
        for (count, flaw) in self.broken.iter_mut().zip(Flaw::ALL) {
            *count += counts.broken(flaw);
        }
    }

    fn render(&self, out: &mut String) {
        let name = "images_bytes_total";
        let help = "Bytes of images that others were made of, and of those that were made.";
        header(out, (name, help, "counter"));
        for (side, bytes) in ["in", "out"].into_iter().zip(self.bytes) {
            let _ = writeln!(out, "switchback_{name}{{side=\"{side}\"}} {bytes}");
        }
        let name = "images_left_total";
        let help = "Images that stayed as they were after a look at them, by reason.";
        header(out, (name, help, "counter"));
        let originals = Reason::ALL.iter().map(|reason| reason.name()).zip(self.originals);
        let broken = Flaw::ALL.iter().map(|flaw| flaw.name()).zip(self.broken);
        for (reason, count) in originals.chain(broken) {
            let _ = writeln!(out, "switchback_{name}{{reason=\"{reason}\"}} {count}");
        }
        let name = "images_work_seconds_total";
        header(out, (name, "Time that threads spent on images.", "counter"));
        let seconds = Duration::from_micros(self.worked).as_secs_f64();
        let _ = writeln!(out, "switchback_{name} {seconds}");
    }
}
