//! Where the configuration comes from, each time it is read.

use std::path::{Path, PathBuf};

use switchback_conf::plan::{Plan, UpstreamPlan};
use switchback_conf::{
    Config, Environment, Loaded, Outcome, ProcessEnvironment, load_file, plan, plan_upstream,
    read_file,
};
use switchback_engine::Engine;
use switchback_engine::plugins::Additions;

use crate::runtime_files;

/// Where the configuration comes from.
pub(crate) enum Source {
    /// A file, read anew each time.
    File {
        path: PathBuf,
        environment: Box<dyn Environment + Send + Sync>,
        /// Whether pid file and control socket have a place when the file names neither.
        runtime_files: bool,
    },
    /// Built in code.
    Fixed(Box<Config>),
}

impl Source {
    /// The file, where there is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::Fixed(_) => None,
        }
    }

    /// The plan as the configuration stands now.
    pub(crate) fn plan(&self) -> Outcome<Plan> {
        match self {
            Self::File { path, environment, runtime_files } => {
                load_file(path, environment.as_ref()).and_then(|Loaded { config, mut plan }| {
                    let fill = || runtime_files::fill(&mut plan.process, &config, path);
                    let found = runtime_files.then(fill).flatten();
                    Outcome::new(plan, found.into_iter().collect())
                })
            }
            Self::Fixed(config) => plan(config),
        }
    }

    /// What it says of one upstream now; `to` is another file to read it from.
    pub(crate) fn upstream(&self, name: &str, to: Option<&Path>) -> Outcome<Option<UpstreamPlan>> {
        let of = |config: Config| plan_upstream(&config, name);
        match self {
            Self::File { path, environment, .. } => {
                read_file(to.unwrap_or(path), environment.as_ref()).and_then(of)
            }
            Self::Fixed(config) => match to {
                Some(path) => read_file(path, &ProcessEnvironment).and_then(of),
                None => plan_upstream(config, name),
            },
        }
    }

    /// The plan, and also what the engine finds in it without putting it in force.
    pub(crate) fn check(&self, additions: &Additions) -> Outcome<Plan> {
        self.plan().and_then(|plan| {
            let found = Engine::check(&plan, additions);
            Outcome::new(plan, found)
        })
    }
}
