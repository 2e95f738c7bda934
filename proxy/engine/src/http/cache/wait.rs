//! One fetches what many want.

use std::time::{Duration, SystemTime};

use pingora_http::RequestHeader;
use switchback_cache::fill::{Joined, Outcome as Came, Wish};
use switchback_cache::policy::{self, Forwarded, Use};
use switchback_cache::{Found, Key, Standing};

use super::counters::Outcome;
use super::fetch::{Behalf, Order};
use super::lookup::{Step, Wanted, note, pass};
use super::slices::Slice;
use super::{Failure, Fills, Reader, Source, Tier, forms, serve};
use crate::http::answer::{self, Made};
use crate::http::context::Context;
use crate::http::errors;
use crate::http::fault::{Fault, Kind, Side};

/// How often a request begins anew, because what it waited for is lost or another's.
const TURNS: usize = 4;

/// How long a disk may look for a response; then the origin is asked.
const DISK_PATIENCE: Duration = Duration::from_secs(5);

/// Where a turn has led.
enum Turn {
    Use(Source),
    Pass,
    /// To nothing: the next one may lead further.
    Again,
}

/// Waits for what is wanted, and answers with it, or with what the routes say that are answered with instead.
pub(crate) async fn wait(
    mut wanted: Box<Wanted>,
    head: &mut RequestHeader,
    context: &mut Context,
) -> Result<Made, Fault> {
    loop {
        let source = match wanted.usable.take() {
            Some(entry) => Some(Source::Stored(entry)),
            None => wanted.come_by(head, context).await?,
        };
        let Some(source) = source else { return Ok(Made::Proxy) };
        let served = forms::obtain(source, &wanted, head, context).await?;
        let answer = serve::answer(head, context, &wanted, served)?;
        let Some(replacement) = errors::of_answer(answer.head.status(), context) else {
            return Ok(Made::Answer(answer));
        };
        drop(answer);
        errors::enter(replacement, head, context)?;
        match answer::make(head, context)? {
            Made::Cache(next) => wanted = next,
            made => return Ok(made),
        }
    }
}

/// What a request would have fetched.
pub(super) fn wish<'w>(wanted: &'w Wanted, likeness: &'w Key, head: &'w RequestHeader) -> Wish<'w> {
    Wish {
        zone: wanted.settings.zone.number,
        key: wanted.partly.as_ref().and_then(|partly| partly.key()).unwrap_or(likeness),
        request: &head.headers,
        age: wanted.settings.lock.map_or(Duration::ZERO, |lock| lock.age),
    }
}

impl Wanted {
    /// What is stored, or else comes; `None` where the cache has no part in it.
    pub(super) async fn obtain(
        &mut self,
        head: &RequestHeader,
        context: &mut Context,
    ) -> Result<Option<Source>, Fault> {
        let found = self.settings.zone.stored.find(&self.key, &head.headers);
        match self.judge(found, Tier::Memory, head, context)? {
            Step::Pass => Ok(None),
            Step::Use(source) => Ok(Some(source)),
            Step::Wait => self.come_by(head, context).await,
        }
    }

    /// An answer, sooner or later; `None` is to ask the origin the usual way.
    async fn come_by(
        &mut self,
        head: &RequestHeader,
        context: &mut Context,
    ) -> Result<Option<Source>, Fault> {
        for turn in 0..TURNS {
            if turn > 0 {
                match self.look_again(head, context)? {
                    Step::Pass => return Ok(None),
                    Step::Use(source) => return Ok(Some(source)),
                    Step::Wait => {}
                }
            }
            match self.turn(head, context).await? {
                Turn::Use(source) => return Ok(Some(source)),
                Turn::Pass => break,
                Turn::Again => {}
            }
        }
        let why = context.cache.as_ref().and_then(|facts| facts.forwarded);
        pass(why.unwrap_or(Forwarded::Miss), context);
        Ok(None)
    }

    fn look_again(&mut self, head: &RequestHeader, context: &mut Context) -> Result<Step, Fault> {
        if self.is_bypass {
            return Ok(Step::Wait);
        }
        let found = self.settings.zone.stored.find(&self.key, &head.headers);
        self.judge(found, Tier::Memory, head, context)
    }

    async fn turn(&mut self, head: &RequestHeader, context: &mut Context) -> Result<Turn, Fault> {
        if self.is_on_disk {
            let reading = self.settings.zone.stored.read(&self.key, &head.headers);
            let found = tokio::time::timeout(DISK_PATIENCE, reading).await;
            // What the disk does not have after all, or does not bring, is not looked for there again.
            let found = found.ok().filter(|found| !matches!(found, Found::Ask));
            let found = found.unwrap_or(Found::Nothing);
            match self.judge(found, Tier::Disk, head, context)? {
                Step::Pass => return Ok(Turn::Pass),
                Step::Use(source) => return Ok(Turn::Use(source)),
                Step::Wait => {}
            }
        }
        match self.join(head, context) {
            (Joined::Leader(filling, reader), is_shared) => {
                // Between the look and the lead, another may have fetched it.
                if is_shared && let Some(found) = self.found_meanwhile(head, context)? {
                    return Ok(found);
                }
                let Some(fetcher) = context.fetcher.clone() else { return Ok(Turn::Pass) };
                let order = Order {
                    settings: &self.settings,
                    key: &self.key,
                    slice: self.slice.as_ref(),
                    partly: self.partly.as_deref(),
                    stored: self.stored.as_ref().map(|(entry, if_error)| (entry, *if_error)),
                    behalf: Behalf::Request,
                    ahead: self.ahead.as_ref(),
                };
                fetcher.fetch(&order, filling, head, context);
                self.led(reader, context).await
            }
            (Joined::Follower(_), _) if self.while_revalidating => {
                let Some((entry, _)) = self.stored.take() else { return Ok(Turn::Again) };
                note(context, Outcome::Updating, None);
                Ok(Turn::Use(Source::Stored(entry)))
            }
            (Joined::Follower(reader), _) => self.followed(reader, head, context).await,
        }
    }

    /// What another has stored between the look and the lead.
    fn found_meanwhile(
        &self,
        head: &RequestHeader,
        context: &mut Context,
    ) -> Result<Option<Turn>, Fault> {
        let zone = &self.settings.zone.stored;
        let Found::Entry(entry) = zone.find(&self.key, &head.headers) else { return Ok(None) };
        let rules = &self.settings.rules;
        if policy::judge(&entry.meta, &self.asks, rules, SystemTime::now()) != Use::Fresh {
            return Ok(None);
        }
        note(context, Outcome::Hit, None);
        Ok(Some(Turn::Use(Source::Stored(entry))))
    }

    /// Joins the fill that is in progress, or begins one, which others find unless it is this request's own affair.
    fn join(&self, head: &RequestHeader, context: &Context) -> (Joined<Failure>, bool) {
        let is_own = self.is_bypass
            || self.settings.lock.is_none()
            || head.headers.contains_key(http::header::AUTHORIZATION);
        if is_own {
            let (filling, reader) = Fills::alone(&head.headers);
            return (Joined::Leader(filling, reader), false);
        }
        (context.resident.fills.join(wish(self, &self.likeness(), head)), true)
    }

    async fn followed(
        &mut self,
        reader: Reader,
        head: &RequestHeader,
        context: &mut Context,
    ) -> Result<Turn, Fault> {
        let patience = self.settings.lock.map_or(Duration::ZERO, |lock| lock.wait);
        // As it was when this request joined: what comes may teach that others are alike, too.
        let likeness = self.likeness();
        let Ok(came) = tokio::time::timeout(patience, reader.outcome()).await else {
            return Ok(Turn::Pass);
        };
        if let Came::Arrived(arrived) = &came
            && let Some(meta) = &arrived.stored
            && self.settings.zone.stored.standing(meta) != Standing::Holds
        {
            // It was purged since it was asked for: whoever comes after that is to have what the origin says now.
            context.resident.fills.forget(wish(self, &likeness, head), &reader);
            return Ok(Turn::Again);
        }
        context.cache.get_or_insert_default().is_collapsed = true;
        if !self.is_met(&came) {
            self.is_apart = true;
            return Ok(Turn::Again);
        }
        if !reader.answers(&head.headers) {
            return Ok(Turn::Again);
        }
        self.settings.zone.counters.collapsed.add();
        self.came(came, reader, context)
    }

    /// Whether what has come for another, who asked with another query perhaps, is an answer to this request, too.
    fn is_met(&self, came: &Came<Failure>) -> bool {
        if self.partly.as_ref().is_some_and(|partly| partly.key().is_some()) {
            // Who waits for a range has asked for the very same.
            return true;
        }
        let key = match came {
            Came::Arrived(arrived) => arrived.stored.as_ref().map(|meta| &meta.key),
            Came::Validated(entry) => Some(&entry.meta.key),
            Came::NotShared | Came::Failed(_) | Came::Lost => None,
        };
        key.is_none_or(|key| self.key.is_met_by(key))
    }

    async fn led(&mut self, reader: Reader, context: &mut Context) -> Result<Turn, Fault> {
        let came = reader.outcome().await;
        self.came(came, reader, context)
    }

    /// What is done with what has come.
    fn came(
        &mut self,
        came: Came<Failure>,
        reader: Reader,
        context: &mut Context,
    ) -> Result<Turn, Fault> {
        match came {
            Came::Arrived(arrived) => {
                let is_stored = arrived.stored.is_some();
                if self.slice.is_some() && !is_stored && Slice::is_about_range(&arrived.head) {
                    // Of a whole that cannot be put together.
                    return Ok(Turn::Pass);
                }
                context.cache.get_or_insert_default().is_stored = is_stored;
                Ok(Turn::Use(Source::Arriving(reader, arrived)))
            }
            Came::Validated(entry) => {
                let why = context.cache.as_ref().and_then(|facts| facts.forwarded);
                note(context, Outcome::Revalidated, why);
                let facts = context.cache.get_or_insert_default();
                facts.forward_status = Some(http::StatusCode::NOT_MODIFIED);
                Ok(Turn::Use(Source::Stored(entry)))
            }
            Came::NotShared => Ok(Turn::Pass),
            Came::Failed(failure) => self.failed(failure, context),
            Came::Lost => Ok(Turn::Again),
        }
    }

    /// What is stored stands in, if it may; else what has failed is the answer.
    fn failed(&mut self, failure: Failure, context: &mut Context) -> Result<Turn, Fault> {
        if self.counts(&failure)
            && let Some((entry, true)) = self.stored.take()
        {
            if let Failure::Status(status) = failure {
                context.cache.get_or_insert_default().forward_status = Some(status);
            }
            note(context, Outcome::Stale, Some(Forwarded::Stale));
            return Ok(Turn::Use(Source::Stored(entry)));
        }
        match failure {
            Failure::Fault(fault) => Err(fault),
            Failure::Status(_) => Ok(Turn::Pass),
        }
    }

    /// Whether what is stored may stand in for this.
    fn counts(&self, failure: &Failure) -> bool {
        let on = &self.settings.stale_on;
        match failure {
            Failure::Status(status) => on.statuses.contains(status),
            Failure::Fault(fault) if fault.side() != Side::Upstream => false,
            Failure::Fault(fault) if fault.kind() == Kind::UpstreamTimeout => on.timeout,
            Failure::Fault(_) => on.error,
        }
    }
}
