//! Plugins in their order, and one request's way through them.

use std::sync::Arc;

use switchback_plugin::{Answer, Exchange, Hook, Hooks};

use crate::call::Call;
use crate::configured::Configured;
use crate::guard::Began;
use crate::plan::{Denial, Node, Outcome, Plan, Walk};
use crate::running::Running;

/// Plugins in the order in which a request meets them. Made when a configuration is put in force; never changes.
pub struct Chain {
    plugins: Box<[Arc<Configured>]>,
    plans: [Plan; Hook::ALL.len()],
    hooks: Hooks,
}

/// What becomes of a request after a hook.
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    /// It goes on.
    Continue,
    /// This is its answer.
    Answer(Box<Answer>),
    /// A plugin failed that must not be passed over: 500 as long as no head was sent, else the stream is broken off.
    Refuse,
}

impl Chain {
    /// Of `nodes`, all of which must let a request through.
    #[must_use]
    pub fn new(nodes: Vec<Node>) -> Self {
        let plans = Hook::ALL.map(|hook| Plan::new(&nodes, hook));
        let subscribed: Vec<Hook> = Hook::ALL
            .into_iter()
            .zip(&plans)
            .filter_map(|(hook, plan)| (!plan.is_empty()).then_some(hook))
            .collect();
        let mut plugins = Vec::new();
        nodes.into_iter().for_each(|node| collect(node, &mut plugins));
        Self { plugins: plugins.into(), plans, hooks: Hooks::of(&subscribed) }
    }

    /// The hooks that somebody has.
    #[must_use]
    #[inline]
    pub fn hooks(&self) -> Hooks {
        self.hooks
    }

    /// The plugins, in order: [`Exchange::enter`] has their numbers.
    #[must_use]
    pub fn plugins(&self) -> &[Arc<Configured>] {
        &self.plugins
    }

    /// What its plugins remember of a request that begins: nothing yet.
    #[must_use]
    #[inline]
    pub fn start(&self) -> Running {
        Running::default()
    }

    /// Asks at a hook: those of requests in order, those of responses in the opposite one, until one does not let the request through.
    ///
    /// Dropping the future gives up what is awaited, and the operations that belong to it.
    #[inline]
    pub async fn run(
        &self,
        hook: Hook,
        running: &mut Running,
        exchange: &mut dyn Exchange,
    ) -> Verdict {
        let Some(mut walk) = self.walk(hook) else { return Verdict::Continue };
        while let Some(number) = walk.next() {
            let Some(call) = self.call(number, hook) else { continue };
            let outcome = match call.admit(running, exchange) {
                Err(outcome) => outcome,
                Ok(sample) => {
                    let flow = match call.begin(running, exchange) {
                        Began::Done(flow) => flow,
                        Began::Waits(waiting) => waiting.within(call.timeout()).await,
                    };
                    call.end(flow, sample, running, exchange)
                }
            };
            if let Some(denial) = walk.take(outcome) {
                return over(denial, running);
            }
        }
        Verdict::Continue
    }

    /// The same where nobody can wait: for [`Hook::ResponseBody`] and [`Hook::Log`]. The latter asks everybody, whatever they say.
    #[inline]
    pub fn run_now(
        &self,
        hook: Hook,
        running: &mut Running,
        exchange: &mut dyn Exchange,
    ) -> Verdict {
        let Some(mut walk) = self.walk(hook) else { return Verdict::Continue };
        while let Some(number) = walk.next() {
            let Some(call) = self.call(number, hook) else { continue };
            let outcome = match call.admit(running, exchange) {
                Err(outcome) => outcome,
                Ok(sample) => {
                    let flow = match call.begin(running, exchange) {
                        Began::Done(flow) => flow,
                        Began::Waits(waiting) => waiting.now(),
                    };
                    call.end(flow, sample, running, exchange)
                }
            };
            let outcome = if hook == Hook::Log { Outcome::Passed } else { outcome };
            if let Some(denial) = walk.take(outcome) {
                return over(denial, running);
            }
        }
        Verdict::Continue
    }

    #[inline]
    fn walk(&self, hook: Hook) -> Option<Walk<'_>> {
        if !self.hooks.contains(hook) {
            return None;
        }
        self.plans.get(hook as usize).map(Plan::walk)
    }

    #[inline]
    fn call(&self, number: u32, hook: Hook) -> Option<Call<'_>> {
        let plugin = self.plugins.get(number as usize)?;
        Some(Call { plugin, number, count: self.plugins.len(), hook })
    }
}

fn over(denial: Denial, running: &mut Running) -> Verdict {
    running.is_over = true;
    denial.into()
}

fn collect(node: Node, plugins: &mut Vec<Arc<Configured>>) {
    match node {
        Node::One(configured) => plugins.push(configured),
        Node::All(members) | Node::Any(members) => {
            members.into_iter().for_each(|member| collect(member, plugins));
        }
    }
}
