//! A change of what is bound: first all that may fail, then all that may not.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use switchback_conf::plan::ListenerPlan;
use switchback_conf::{Code, Diagnostic};

use super::{Group, Listeners, Table};
use crate::listen::handover::{self, Inheritance};
use crate::listen::socket::{self, Listening, Place, Refusal, Sockets};
use crate::listen::worker::{Shared, WorkerHandle};
use crate::snapshot::Listener;

/// What is to be bound from now on, and is already. Dropped, it is let go of.
#[derive(Debug)]
pub(crate) struct Change {
    parts: Vec<(Arc<Listener>, Part)>,
    workers: usize,
}

/// One listener of it.
#[derive(Debug)]
enum Part {
    /// Its sockets are new.
    New(Sockets),
    /// Its sockets were bound by others. There may be more or fewer than workers.
    Adopted(Sockets),
    /// Its sockets are those of the group at this index, and more for new workers.
    Kept(usize, Vec<Arc<Listening>>),
}

/// The workers before and after a change, those that stay first.
pub(crate) struct Crew<'w> {
    /// All of them.
    pub(crate) all: &'w [WorkerHandle],
    /// How many there were.
    pub(crate) before: usize,
    /// What they share.
    pub(crate) shared: &'w Arc<Shared>,
}

impl Listeners {
    /// Binds whatever `wanted` has more than there is, for so many workers, or nothing. Between this and
    /// [`Listeners::put_in_force`] the listeners are to be held.
    ///
    /// # Errors
    /// Every listener that cannot be had as it is wanted.
    pub(crate) fn prepare(
        &self,
        wanted: Vec<Arc<Listener>>,
        workers: usize,
        inheritance: &mut Inheritance,
    ) -> Result<Change, Vec<Diagnostic>> {
        let mut table = self.table.lock();
        let kept = table.kept(&wanted);
        let own = table.leaving_inodes(&kept.iter().copied().flatten().collect::<Vec<_>>());
        let mut change = Change { parts: Vec::with_capacity(wanted.len()), workers };
        let mut found = Vec::new();
        for (listener, kept) in wanted.into_iter().zip(kept) {
            let inherited = inheritance.claim(&listener.plan.address);
            let part = match kept {
                None if !inherited.is_empty() => {
                    Sockets::adopt(&listener, inherited).map(Part::Adopted)
                }
                None => Sockets::bind(&listener, workers, &own).map(Part::New),
                Some(at) => table.more(at, &listener.plan, workers),
            };
            match part {
                Ok(part) => change.parts.push((listener, part)),
                Err(refusal) => found.push(refused(&listener.plan, &refusal)),
            }
        }
        if found.is_empty() {
            found.extend(table.apply(&change.parts).err());
        }
        if found.is_empty() {
            found.extend(change.listen().err());
            if !found.is_empty() {
                table.restore(&change.parts);
            }
        }
        if found.is_empty() {
            return Ok(change);
        }
        change.abandon();
        Err(found)
    }

    /// Hands the sockets of a prepared change to the workers, and has them leave all others. Returns how long it may take until
    /// workers that leave are sent nothing more.
    pub(crate) fn put_in_force(&self, change: Change, crew: &Crew<'_>) -> Duration {
        let mut table = self.table.lock();
        let workers = change.workers;
        let mut before: Vec<Option<Group>> = table.groups.drain(..).map(Some).collect();
        for (listener, part) in change.parts {
            let (address, options) = (listener.plan.address.clone(), listener.plan.socket.clone());
            let staying = crew.all.get(..workers).unwrap_or(crew.all);
            let group = match part {
                Part::New(sockets) => {
                    let group = Group { address, sockets, options, is_steered: false };
                    group.listen(staying, 0, crew.shared);
                    group
                }
                Part::Adopted(sockets) => {
                    let mut group = Group { address, sockets, options, is_steered: false };
                    group.steer(workers);
                    group.listen(staying, 0, crew.shared);
                    group.leave_surplus(staying, crew.shared);
                    group
                }
                Part::Kept(at, more) => {
                    let Some(mut group) = before.get_mut(at).and_then(Option::take) else {
                        continue;
                    };
                    group.sockets.listening.extend(more);
                    (group.address, group.options) = (address, options);
                    group.sockets.serve(&listener);
                    group.steer(workers);
                    group.listen(staying, crew.before, crew.shared);
                    group.leave(crew.all, workers);
                    group
                }
            };
            table.groups.push(group);
        }
        for group in before.into_iter().flatten() {
            group.mute();
            group.leave(crew.all.get(..crew.before).unwrap_or(crew.all), 0);
            table.leaving.push(group);
        }
        table.workers = workers;
        table.groups.iter().map(Group::settle).max().unwrap_or_default()
    }
}

impl Change {
    /// The names of the addresses whose sockets others have bound.
    pub(crate) fn adopted(&self) -> Vec<String> {
        let adopted = self.parts.iter().filter(|(_, part)| matches!(part, Part::Adopted(_)));
        adopted.map(|(listener, _)| handover::name(&listener.plan.address)).collect()
    }

    /// Makes sure that every worker has a socket of its own where others have bound too few. Only when accepting begins: what
    /// the kernel queues on a new socket would be lost if it did not come to that.
    pub(crate) fn complete(&mut self) {
        for (listener, part) in &mut self.parts {
            let Part::Adopted(sockets) = part else { continue };
            if let Err(refusal) = sockets.complete(&listener.plan.socket, self.workers) {
                let (error, address) = (refusal.error, sockets.place.shown());
                tracing::warn!(%error, address, "some workers have nothing to accept from");
            }
        }
    }

    fn listen(&self) -> Result<(), Diagnostic> {
        for (listener, part) in &self.parts {
            let new = match part {
                Part::New(Sockets { listening: new, .. }) | Part::Kept(_, new) => new,
                Part::Adopted(_) => continue,
            };
            for listening in new {
                socket::listen(listening, &listener.plan.socket)
                    .map_err(|refusal| refused(&listener.plan, &refusal))?;
            }
        }
        Ok(())
    }

    /// Lets go of what was bound in vain.
    pub(crate) fn abandon(self) {
        for (_, part) in self.parts {
            if let Part::New(Sockets { place: Place::Unix(path), .. }) = part {
                // It was made here.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

impl Table {
    /// For each of `wanted`, the index of the group that it can have as it is, or as it is but for options.
    fn kept(&self, wanted: &[Arc<Listener>]) -> Vec<Option<usize>> {
        let same = |listener: &Arc<Listener>| {
            let (place, address) = (Place::wanted(&listener.plan), &listener.plan.address);
            self.groups
                .iter()
                .position(|group| group.address == *address && group.sockets.place.serves(&place))
        };
        let mut kept: Vec<_> = wanted.iter().map(same).collect();
        for (at, listener) in wanted.iter().enumerate() {
            let place = Place::wanted(&listener.plan);
            // The port that the kernel chose has been written down, say.
            let bound = self.groups.iter().position(|group| group.sockets.place == place);
            if kept.get(at) == Some(&None) && !kept.contains(&bound) {
                kept.splice(at..=at, [bound]);
            }
        }
        kept
    }

    /// Sockets for workers that are new at the group of that index.
    fn more(&mut self, at: usize, plan: &ListenerPlan, workers: usize) -> Result<Part, Refusal> {
        let Some(group) = self.groups.get_mut(at) else { return Ok(Part::Kept(at, Vec::new())) };
        let missing = workers.saturating_sub(group.sockets.listening.len());
        let more = group.sockets.bind_more(&plan.socket, missing)?;
        Ok(Part::Kept(at, more))
    }

    /// Changes the options of sockets that stay, of all or of none.
    fn apply(&self, parts: &[(Arc<Listener>, Part)]) -> Result<(), Diagnostic> {
        for (listener, group) in self.staying(parts) {
            let plan = &listener.plan.socket;
            if *plan == group.options {
                continue;
            }
            let set = |listening| socket::apply(listening, plan, &group.options);
            let set = group.sockets.listening.iter().map(Arc::as_ref).try_for_each(set);
            if let Err(refusal) = set {
                self.restore(parts);
                return Err(refused(&listener.plan, &refusal));
            }
        }
        Ok(())
    }

    /// Gives sockets that stay the options back that they had.
    fn restore(&self, parts: &[(Arc<Listener>, Part)]) {
        for (listener, group) in self.staying(parts) {
            for listening in &group.sockets.listening {
                // The kernel has taken them before.
                let _ = socket::apply(listening, &group.options, &listener.plan.socket);
            }
        }
    }

    fn staying<'t>(
        &'t self,
        parts: &'t [(Arc<Listener>, Part)],
    ) -> impl Iterator<Item = (&'t Listener, &'t Group)> {
        parts.iter().filter_map(|(listener, part)| match part {
            Part::New(_) | Part::Adopted(_) => None,
            Part::Kept(at, _) => Some((&**listener, self.groups.get(*at)?)),
        })
    }
}

/// Why a plan cannot be listened by.
fn refused(plan: &ListenerPlan, refusal: &Refusal) -> Diagnostic {
    let (address, error) = (Place::wanted(plan).shown(), &refusal.error);
    let Some((option, at)) = &refusal.option else {
        let message = format!("cannot listen on {address}: {error}");
        return Diagnostic::error(Code::Bind, plan.at.clone(), message).hint(hint(error));
    };
    let message = format!("cannot set `{option}` of {address}: {error}");
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => needed(option),
        io::ErrorKind::NotFound if *option == "owner" => "a number is not looked up",
        _ => option_hint(option, error),
    };
    Diagnostic::error(Code::SocketOption, at.clone(), message).hint(hint)
}

fn needed(option: &str) -> &'static str {
    match option {
        "device" => "an interface other than the first needs the capability CAP_NET_RAW",
        "transparent" => "foreign addresses need the capability CAP_NET_ADMIN",
        "owner" => "only root gives files away; anybody may give them to a group of theirs",
        _ => "the process lacks a right that this needs",
    }
}

fn option_hint(option: &str, error: &io::Error) -> &'static str {
    match (option, error.raw_os_error()) {
        ("device", Some(libc::ENODEV)) => "no interface of this machine has that name",
        _ => "the system refused it for this reason",
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process listens there: stop it, or choose another address"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need root or the capability CAP_NET_BIND_SERVICE"
        }
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address",
        _ => "the system refused it for this reason",
    }
}
