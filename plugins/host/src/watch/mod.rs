//! A watchdog for calls that do not come back: a plugin of this process that spins cannot be stopped, but it can be told of, and others can be
//! kept from asking it.
//!
//! Each thread says at its [`Post`] which call it is in. One thread for the whole process looks at all posts from time to time: whoever is in
//! the same call at several looks is held up by it. What calls plugins reads no clock for that.

mod post;
mod spent;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use switchback_plugin::Hook;

use crate::configured::Configured;
use crate::guard;

use post::Holder;
pub(crate) use post::{Mark, Post, mine};
use spent::Spent;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(25);

/// No call is told of that holds its thread for less. A few looks, which is what can be told from chance; and as long as a large page of a
/// cache on a slow disk takes, which nobody would call a plugin gone wild.
pub(crate) const LEAST: Duration = Duration::from_millis(50);

/// How far the hook's number goes in a mark.
const HOOK_BITS: u32 = 4;

/// Who is watched, and where. Of the process, because threads are.
static GROUND: Mutex<Ground> =
    Mutex::new(Ground { posts: Vec::new(), plugins: Vec::new(), is_watched: false });

struct Ground {
    /// By number. Those of threads that have ended are given to others.
    posts: Vec<&'static Post>,
    /// By number, from 1.
    plugins: Vec<Option<Weak<Configured>>>,
    is_watched: bool,
}

/// The number of a plugin that is watched, its own as long as this is there. 0 for one that is not.
#[derive(Debug)]
pub(crate) struct Number {
    /// Where it is found; none for one that nobody watches.
    place: Option<usize>,
    /// The part of a mark that is the plugin's.
    mark: Mark,
}

impl Number {
    /// Of one that nobody watches.
    pub(crate) const NONE: Self = Self { place: None, mark: 0 };

    /// Of this one.
    pub(crate) fn of(plugin: &Weak<Configured>) -> Self {
        let mut ground = GROUND.lock();
        let free = ground.plugins.iter().position(Option::is_none);
        let place = free.unwrap_or(ground.plugins.len());
        let Some(number) = u32::try_from(place + 1).ok().filter(|number| number >> 28 == 0) else {
            return Self::NONE;
        };
        match ground.plugins.get_mut(place) {
            Some(entry) => *entry = Some(Weak::clone(plugin)),
            None => ground.plugins.push(Some(Weak::clone(plugin))),
        }
        ground.watch();
        Self { place: Some(place), mark: number << HOOK_BITS }
    }

    /// What a thread says that is in this hook of it.
    #[inline]
    pub(crate) fn mark(&self, hook: Hook) -> Mark {
        self.mark | hook as u32
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        if let Some(entry) = GROUND.lock().plugins.get_mut(place) {
            *entry = None;
        }
    }
}

/// A post for a thread that has none.
fn post(holder: Holder) -> &'static Post {
    let mut ground = GROUND.lock();
    let free = ground.posts.iter().copied().find(|post| post.is_taken_by(&holder));
    let post = match free {
        Some(post) => post,
        None => {
            // As many as there ever were threads at once: each is used by others when its thread has ended.
            let post: &'static Post = Box::leak(Box::new(Post::new(ground.posts.len(), holder)));
            ground.posts.push(post);
            post
        }
    };
    ground.watch();
    post
}

impl Ground {
    fn has_plugins(&self) -> bool {
        self.plugins.iter().any(Option::is_some)
    }

    /// Has somebody look, from when there is somebody to be looked at: in the process that serves, whatever was begun before it.
    fn watch(&mut self) {
        if self.is_watched || self.posts.is_empty() || !self.has_plugins() {
            return;
        }
        let watching = std::thread::Builder::new().name("plugin-watch".to_owned()).spawn(watch);
        // One that the system has no room for is tried again with the next thread or plugin.
        self.is_watched = watching.is_ok();
    }
}

/// Looks until there is no plugin any more.
fn watch() {
    let mut watch = Watch::default();
    let mut looked = Instant::now();
    loop {
        std::thread::sleep(LOOK);
        let passed = looked.elapsed();
        looked += passed;
        let posts = {
            let mut ground = GROUND.lock();
            if !ground.has_plugins() {
                ground.is_watched = false;
                return;
            }
            ground.posts.clone()
        };
        // What is seen last of a plugin is its end, and that is its own code.
        drop(guard::caught(|| watch.look(&posts, passed, |holder| spent::of(holder.thread))));
    }
}

/// The plugin of a mark, with the hook.
fn marked(mark: Mark) -> Option<(Arc<Configured>, Hook)> {
    let place = (mark >> HOOK_BITS).checked_sub(1)?;
    let hook = Hook::ALL.get((mark & ((1 << HOOK_BITS) - 1)) as usize)?;
    let plugin = GROUND.lock().plugins.get(place as usize).cloned()??;
    Some((plugin.upgrade()?, *hook))
}

/// What was seen so far.
#[derive(Default)]
struct Watch {
    /// By the number of the post.
    sights: Vec<Sight>,
    /// Plugins that came back, and how long they are still left alone.
    resting: Vec<(Weak<Configured>, Duration)>,
}

/// A call that was at hand at the last look.
#[derive(Default)]
struct Sight {
    at: u64,
    /// For how long its thread was held up by it, at least.
    held: Duration,
    /// Since the second look, which is seldom.
    since: Option<(Instant, Option<Spent>)>,
    told: Option<Told>,
}

/// A call that takes too long.
struct Told {
    plugin: Weak<Configured>,
    hook: Hook,
    worker: String,
}

impl Watch {
    /// Looks at all posts, when so much time has `passed` since the last look. `spent` tells how a thread stands.
    fn look(
        &mut self,
        posts: &[&Post],
        passed: Duration,
        spent: impl Fn(&Holder) -> Option<Spent>,
    ) {
        self.rest(passed);
        for post in posts {
            while self.sights.len() <= post.number() {
                self.sights.push(Sight::default());
            }
            let Some(sight) = self.sights.get_mut(post.number()) else { continue };
            let (at, mark) = post.at();
            if sight.at != at {
                let before = std::mem::replace(sight, Sight { at, ..Sight::default() });
                if let Some(told) = before.told {
                    post.is_over(before.at);
                    self.resting.extend(told.came_back(before.since.map(|(since, _)| since)));
                }
            } else if mark >> HOOK_BITS != 0 {
                // The watchdog may have stood still itself, and everything else with it.
                sight.again(post, mark, passed.min(2 * LOOK), &spent);
            }
        }
    }

    fn rest(&mut self, passed: Duration) {
        self.resting.retain_mut(|(plugin, left)| {
            *left = left.saturating_sub(passed);
            let is_over = left.is_zero();
            if is_over && let Some(plugin) = plugin.upgrade() {
                plugin.breaker.release();
            }
            !is_over
        });
    }
}

impl Sight {
    /// The same call once more.
    #[cold]
    fn again(
        &mut self,
        post: &Post,
        mark: Mark,
        passed: Duration,
        spent: &impl Fn(&Holder) -> Option<Spent>,
    ) {
        if self.told.is_some() {
            return;
        }
        let Some(holder) = post.holder() else { return };
        let now = spent(&holder);
        let Some((since, before)) = &mut self.since else {
            self.since = Some((Instant::now(), now));
            return;
        };
        self.held += spent::held(std::mem::replace(before, now), now, passed);
        let Some((plugin, hook)) = marked(mark) else { return };
        if self.held < plugin.patience(hook) || !post.is_late(self.at) {
            return;
        }
        let worker = format!("{} (thread {})", holder.name, holder.thread);
        plugin.spins(hook, &worker, since.elapsed());
        self.told = Some(Told { plugin: Arc::downgrade(&plugin), hook, worker });
    }
}

impl Told {
    /// The call is over. Returns how long the plugin is left alone from now on.
    fn came_back(self, since: Option<Instant>) -> Option<(Weak<Configured>, Duration)> {
        let plugin = self.plugin.upgrade()?;
        let time = since.map_or(Duration::ZERO, |since| since.elapsed());
        plugin.came_back(self.hook, &self.worker, time);
        Some((self.plugin, plugin.policy().breaker.rest))
    }
}

#[cfg(test)]
mod tests;
