//! What is written about requests and about the process itself.

use super::define::model;
use super::text::TemplateText;
use crate::at::At;
use crate::plan::{LogLevel, LogTarget};

model! {
    /// What is written about requests and about the process itself.
    pub struct Log: Default {
        /// The most detailed level that is written: `"error"`, `"warn"`, `"info"`, `"debug"` or `"trace"`.
        pub level: LogLevel = LogLevel::Info,
        /// Where messages about the process go: `"stderr"`, `"stdout"` or a file, opened again on SIGUSR1.
        pub file: LogTarget = LogTarget::Stderr,
        /// Access logs: `[[log.access]]`. Without one, requests are not logged.
        pub access: Vec<At<AccessLog>> = Vec::new(),
    }
}

model! {
    /// A line for each request.
    pub struct AccessLog {
        /// Where lines go: `"stdout"`, `"stderr"` or a file, opened again on SIGUSR1.
        pub file: LogTarget,
        /// A template for the line, or `"combined"` for nginx's format of that name.
        pub format: At<TemplateText> = TemplateText::from("combined").into(),
        /// A condition for the requests to log, such as `'$status == "500"'`. Without it, all of them.
        pub when: Option<At<Box<str>>> = None,
    }
}
