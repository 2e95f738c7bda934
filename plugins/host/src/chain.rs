//! Plugins in their order, and one request's way through them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use switchback_plugin::{Answer, Exchange, Hook, Hooks};

use crate::call::Call;
use crate::configured::Configured;
use crate::plan::{Denial, Node, Outcome, Plan};
use crate::running::Running;
use crate::watch;

/// Plugins in the order in which a request meets them. Made when a configuration is put in force; never changes.
pub struct Chain {
    plugins: Box<[Arc<Configured>]>,
    plans: [Plan; Hook::ALL.len()],
    hooks: Hooks,
    /// Those where somebody may wait.
    waiting: Hooks,
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
        let may_wait = |hook: &Hook| {
            let mut with = plugins.iter().filter(|plugin| plugin.hooks().contains(*hook));
            with.any(|plugin| !plugin.immediate().contains(*hook))
        };
        let waiting: Vec<Hook> = subscribed.iter().copied().filter(may_wait).collect();
        let (hooks, waiting) = (Hooks::of(&subscribed), Hooks::of(&waiting));
        Self { plugins: plugins.into(), plans, hooks, waiting }
    }

    /// The hooks that somebody has.
    #[must_use]
    #[inline]
    pub fn hooks(&self) -> Hooks {
        self.hooks
    }

    /// Those where somebody may wait.
    #[must_use]
    #[inline]
    pub fn waiting(&self) -> Hooks {
        self.waiting
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
    /// Where nobody waits, all of it is done before this returns, and nothing is taken from the heap. Dropping what it returns gives up what
    /// is awaited, and the operations that belong to it.
    #[inline]
    pub fn run<'a>(
        &'a self,
        hook: Hook,
        running: &'a mut Running,
        exchange: &'a mut (dyn Exchange + 'a),
    ) -> Run<'a> {
        if !self.hooks.contains(hook) {
            Run::Done(Verdict::Continue)
        } else if self.waiting.contains(hook) {
            Run::Waits(Box::pin(self.run_waiting(hook, running, exchange)))
        } else {
            Run::Done(self.run_now(hook, running, exchange))
        }
    }

    async fn run_waiting(
        &self,
        hook: Hook,
        running: &mut Running,
        exchange: &mut dyn Exchange,
    ) -> Verdict {
        let Some(plan) = self.plan(hook) else { return Verdict::Continue };
        let mut walk = plan.walk();
        while let Some(number) = walk.next() {
            let Some(call) = self.call(number, hook) else { continue };
            let outcome = if call.plugin.immediate().contains(hook) {
                call.now(watch::mine(), running, exchange)
            } else {
                call.wait(running, exchange).await
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
        let Some(plan) = self.plan(hook) else { return Verdict::Continue };
        let Some(row) = plan.row() else { return self.run_tree(plan, hook, running, exchange) };
        let post = watch::mine();
        for number in row {
            let Some(call) = self.call(*number, hook) else { continue };
            match call.now(post, running, exchange) {
                Outcome::Denied(denial) if hook != Hook::Log => return over(denial, running),
                _ => {}
            }
        }
        Verdict::Continue
    }

    /// The same with groups.
    fn run_tree(
        &self,
        plan: &Plan,
        hook: Hook,
        running: &mut Running,
        exchange: &mut dyn Exchange,
    ) -> Verdict {
        let (mut walk, post) = (plan.walk(), watch::mine());
        while let Some(number) = walk.next() {
            let Some(call) = self.call(number, hook) else { continue };
            if let Some(denial) = walk.take(call.now(post, running, exchange)) {
                return over(denial, running);
            }
        }
        Verdict::Continue
    }

    #[inline]
    fn plan(&self, hook: Hook) -> Option<&Plan> {
        if self.hooks.contains(hook) { self.plans.get(hook as usize) } else { None }
    }

    #[inline]
    fn call(&self, number: u32, hook: Hook) -> Option<Call<'_>> {
        let plugin = self.plugins.get(number as usize)?;
        Some(Call { plugin, number, count: self.plugins.len(), hook })
    }
}

/// A hook of a chain, on its way.
#[must_use = "the request waits for it"]
pub enum Run<'a> {
    /// It has ended.
    Done(Verdict),
    /// Somebody may wait.
    Waits(Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>),
}

impl Future for Run<'_> {
    type Output = Verdict;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Verdict> {
        match &mut *self {
            Self::Done(verdict) => Poll::Ready(std::mem::replace(verdict, Verdict::Continue)),
            Self::Waits(future) => future.as_mut().poll(context),
        }
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
