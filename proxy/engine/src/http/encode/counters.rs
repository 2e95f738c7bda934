//! What is counted of encodings, in the Prometheus text format.

use std::fmt::Write as _;

use switchback_variant::Coding;

use crate::metrics::{Counter, Gauge, header, sample};

/// Of routes that encode.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Answers by what they were sent in.
    answers: [Counter; Coding::ALL.len()],
    encoded: [Bytes; Coding::ALL.len()],
    decoded: [Bytes; Coding::ALL.len()],
    /// Bodies that could not be encoded or decoded.
    pub(crate) failures: Counter,
    /// Answers that stayed as they were because too many others were being encoded.
    refused: Counter,
    /// Forms that were stored.
    pub(crate) stored: Counter,
    /// Stored forms that were made again, as small as can be.
    pub(crate) improved: Counter,
    /// Answers from stored forms, by what these are in.
    hits: [Counter; Coding::ALL.len()],
    /// Bytes by which whole bodies of stored forms were shorter than what they were made of.
    saved: Counter,
    running: Gauge,
}

#[derive(Debug, Default)]
struct Bytes {
    taken: Counter,
    made: Counter,
}

/// As many encoders and decoders as there may be at once: each holds up to 7 MiB.
const MOST: u64 = 512;

impl Counters {
    /// Counts an answer. What is coded as nobody here knows is not counted.
    pub(super) fn answered(&self, coding: Option<Coding>) {
        if let Some(counter) = coding.and_then(|coding| self.answers.get(coding as usize)) {
            counter.add();
        }
    }

    /// Counts an answer from a stored form, whose body was shorter by so many bytes.
    pub(super) fn hit(&self, coding: Coding, saved: u64) {
        self.hits.get(coding as usize).into_iter().for_each(Counter::add);
        self.saved.add_many(saved);
    }

    /// One more encoder, if there may be; then [`Counters::leave`] ends it.
    pub(super) fn enter(&self) -> bool {
        // Some more at the same moment do no harm.
        if self.running.value() >= MOST {
            self.refused.add();
            return false;
        }
        self.running.up();
        true
    }

    /// One less.
    pub(super) fn leave(&self) {
        self.running.down();
    }

    /// Counts what was encoded.
    pub(super) fn encoded(&self, coding: Coding, taken: u64, made: u64) {
        self.encoded.get(coding as usize).into_iter().for_each(|bytes| bytes.add(taken, made));
    }

    /// Counts what was decoded.
    pub(super) fn decoded(&self, coding: Coding, taken: u64, made: u64) {
        self.decoded.get(coding as usize).into_iter().for_each(|bytes| bytes.add(taken, made));
    }

    /// Appends everything.
    pub(crate) fn render(&self, out: &mut String) {
        let help = "Answers of routes that encode, by coding.";
        by_coding(out, ("encode_answers_total", help), &self.answers);
        let help = "Answers from stored forms, by coding.";
        by_coding(out, ("encode_form_hits_total", help), &self.hits);
        let help = "Bytes that went into encoders and came out, by coding.";
        bytes(out, ("encode_bytes_total", help), &self.encoded);
        let help = "Bytes that went into decoders and came out, by coding.";
        bytes(out, ("decode_bytes_total", help), &self.decoded);
        let help = "Answers that could not be encoded or decoded.";
        sample(out, ("encode_failures_total", help, "counter"), self.failures.value());
        let help = "Answers left as they were because too many others were being encoded.";
        sample(out, ("encode_refused_total", help, "counter"), self.refused.value());
        for (name, help, counter) in [
            ("encode_stored_total", "Encoded and decoded forms that were stored.", &self.stored),
            ("encode_improved_total", "Those made again at the best level.", &self.improved),
            (
                "encode_saved_bytes_total",
                "Bytes by which whole answers from stored forms were shorter.",
                &self.saved,
            ),
        ] {
            sample(out, (name, help, "counter"), counter.value());
        }
        let help = "Answers being encoded or decoded now.";
        sample(out, ("encoders", help, "gauge"), self.running.value());
    }
}

impl Bytes {
    fn add(&self, taken: u64, made: u64) {
        self.taken.add_many(taken);
        self.made.add_many(made);
    }
}

fn by_coding(out: &mut String, (name, help): (&str, &str), counted: &[Counter]) {
    header(out, (name, help, "counter"));
    for (coding, counter) in Coding::ALL.into_iter().zip(counted) {
        // Writing to a String cannot fail.
        let (coding, count) = (coding.name(), counter.value());
        let _ = writeln!(out, "switchback_{name}{{coding=\"{coding}\"}} {count}");
    }
}

fn bytes(out: &mut String, (name, help): (&str, &str), counted: &[Bytes]) {
    header(out, (name, help, "counter"));
    for (coding, bytes) in Coding::ALL.into_iter().zip(counted) {
        for (side, count) in [("in", &bytes.taken), ("out", &bytes.made)] {
            let (coding, count) = (coding.name(), count.value());
            let _ =
                writeln!(out, "switchback_{name}{{coding=\"{coding}\",side=\"{side}\"}} {count}");
        }
    }
}
