//! What is bound, and how that changes without losing a connection.
//!
//! A change is prepared, which may fail and then leaves everything as it was, and put in force with the snapshot, which may not
//! fail. A socket is left in four steps: the kernel sends it nothing new, handshakes that have begun may end in its queue for a
//! while, the queue is emptied, and it closes. [`Listeners`] holds every socket last, so that it knows the order in which those
//! of one place listen.

mod change;

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use switchback_conf::plan::{ListenAddress, SocketPlan};

use crate::control::ListenerStatus;
use crate::listen::handover::{self, ListeningSocket};
use crate::listen::socket::{Listening, Sockets};
use crate::listen::worker::{Accepting, Farewell, Order, Shared, WorkerHandle};

pub(crate) use change::{Change, Crew};

/// Every listening socket of the process.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    table: Mutex<Table>,
    /// One change at a time.
    changing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Table {
    groups: Vec<Group>,
    leaving: Vec<Group>,
    /// What took part in the last change.
    workers: usize,
}

/// The sockets of one listener.
#[derive(Debug)]
struct Group {
    address: ListenAddress,
    sockets: Sockets,
    options: SocketPlan,
    /// Whether the kernel was told which of them to choose from.
    is_steered: bool,
}

/// How long handshakes that have begun may take to end at a socket that gets no new ones: a lost packet is sent again after one
/// second, and after two more.
const SETTLE: Duration = Duration::from_secs(4);

impl Listeners {
    /// Keeps everything as it is until what is returned is dropped.
    pub(crate) fn hold(&self) -> MutexGuard<'_, ()> {
        self.changing.lock()
    }

    /// What is bound now, by name.
    pub(crate) fn status(&self) -> Vec<ListenerStatus> {
        let table = self.table.lock();
        let mut listeners: Vec<ListenerStatus> = table.groups.iter().map(Group::status).collect();
        listeners.sort_by(|a, b| a.name.cmp(&b.name));
        listeners
    }

    /// Lets go of every socket; each closes when the workers have let go of it too.
    pub(crate) fn release(&self) {
        let mut table = self.table.lock();
        table.leaving.clear();
        for group in &mut table.groups {
            group.sockets.listening.clear();
        }
    }

    /// Descriptors of all sockets that are accepted from, for another process; those of one place in the order in which they
    /// listen.
    pub(crate) fn export(&self) -> io::Result<Vec<ListeningSocket>> {
        let table = self.table.lock();
        let sockets = table.groups.iter().flat_map(|group| {
            let sockets = group.sockets.listening.iter();
            sockets.map(|socket| handover::export(&group.address, socket))
        });
        sockets.collect()
    }

    /// Leaves the sockets of these names, with what waits in them, and their files, to another process.
    pub(crate) fn leave_to_another(&self, names: &[String], workers: &[WorkerHandle]) {
        let mut table = self.table.lock();
        let is_left = |group: &mut Group| names.contains(&handover::name(&group.address));
        for group in table.groups.extract_if(.., is_left) {
            for socket in &group.sockets.listening {
                for worker in workers {
                    // Those who do not accept from it have nothing to leave.
                    let order = Order::Leave(Arc::clone(socket), Farewell::ToAnother);
                    let _ = worker.orders.send(order);
                }
            }
        }
    }

    /// Takes away the files of Unix sockets.
    pub(crate) fn remove_files(&self) {
        self.table.lock().groups.iter().for_each(Group::remove_file);
    }

    /// Closes what has been left by all workers. Whether anything remains to be closed.
    pub(crate) fn close_left(&self) -> bool {
        let Some(_unchanged) = self.changing.try_lock() else { return true };
        let mut table = self.table.lock();
        let workers = table.workers;
        for group in &mut table.groups {
            group.close_left(workers);
        }
        let is_held = |socket: &Arc<Listening>| Arc::strong_count(socket) > 1;
        table.leaving.retain(|group| group.sockets.listening.iter().any(is_held));
        !table.leaving.is_empty() || table.groups.iter().any(|group| group.has_leaving(workers))
    }
}

impl Table {
    /// The inodes of what leaves, or has no part in what is `kept`.
    fn leaving_inodes(&self, kept: &[usize]) -> HashSet<u64> {
        let groups = self.groups.iter().enumerate().filter(|(at, _)| !kept.contains(at));
        let groups = groups.map(|(_, group)| group).chain(&self.leaving);
        let sockets = groups.flat_map(|group| &group.sockets.listening);
        sockets.filter_map(|socket| socket.inode()).collect()
    }
}

impl Group {
    fn status(&self) -> ListenerStatus {
        let listener = self.sockets.listener();
        ListenerStatus {
            name: listener.plan.name.to_string(),
            address: self.sockets.place.shown(),
            tls: listener.plan.tls.is_some(),
        }
    }

    /// The socket of worker number `worker`.
    fn socket_of(&self, worker: usize) -> Option<&Arc<Listening>> {
        let sockets = &self.sockets;
        sockets.listening.get(if sockets.place.is_tcp() { worker } else { 0 })
    }

    /// How long its sockets are accepted from after they are to be left.
    fn settle(&self) -> Duration {
        if !self.sockets.place.is_tcp() {
            return Duration::ZERO;
        }
        let deferred = self.options.defer_accept.as_ref().map_or(0, |seconds| seconds.value);
        SETTLE + Duration::from_secs(deferred.into())
    }

    fn has_leaving(&self, workers: usize) -> bool {
        self.sockets.place.is_tcp() && self.sockets.listening.len() > workers
    }

    /// From the last on: the kernel would put the last in the place of another.
    fn close_left(&mut self, workers: usize) {
        while self.has_leaving(workers)
            && self.sockets.listening.last().is_some_and(|last| Arc::strong_count(last) == 1)
        {
            self.sockets.listening.pop();
        }
        if !self.has_leaving(workers) {
            self.steer(workers);
        }
    }

    /// Has new connections go to the sockets of so many workers.
    fn steer(&mut self, workers: usize) {
        let is_needed = self.has_leaving(workers);
        if !is_needed && !self.is_steered {
            return;
        }
        self.is_steered = is_needed;
        if let Err(error) = self.sockets.steer(is_needed.then_some(workers)) {
            let address = self.sockets.place.shown();
            tracing::warn!(address, %error, "connections may be lost while workers leave");
        }
    }

    /// Has nothing new come in.
    fn mute(&self) {
        self.remove_file();
        if let Err(error) = self.sockets.mute() {
            let address = self.sockets.place.shown();
            tracing::warn!(address, %error, "connections may be lost while a listener closes");
        }
    }

    fn remove_file(&self) {
        if let ListenAddress::Unix { path } = &self.address {
            // Somebody may have taken it away already.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Has these workers, of which the first is number `first`, accept here.
    fn listen(&self, workers: &[WorkerHandle], first: usize, shared: &Arc<Shared>) {
        for (number, worker) in workers.iter().enumerate().skip(first) {
            let Some(socket) = self.socket_of(number) else { continue };
            socket.claim();
            // A worker that is gone has nothing to listen with.
            let _ = worker.orders.send(Order::Listen(Arc::clone(socket), Accepting::count(shared)));
        }
    }

    /// Has these workers accept here no more, once what is on its way has come.
    fn leave(&self, workers: &[WorkerHandle], first: usize) {
        for (number, worker) in workers.iter().enumerate().skip(first) {
            let Some(socket) = self.socket_of(number) else { continue };
            // A worker that is gone has left.
            let farewell = Farewell::After(self.settle());
            let _ = worker.orders.send(Order::Leave(Arc::clone(socket), farewell));
        }
    }

    /// Has these workers empty the sockets that were inherited beyond their number, which nothing new is sent to.
    fn leave_surplus(&self, workers: &[WorkerHandle], shared: &Arc<Shared>) {
        if !self.sockets.place.is_tcp() {
            return;
        }
        let surplus = self.sockets.listening.iter().skip(workers.len());
        for (worker, socket) in workers.iter().cycle().zip(surplus) {
            socket.claim();
            let _ = worker.orders.send(Order::Listen(Arc::clone(socket), Accepting::count(shared)));
            let farewell = Farewell::After(self.settle());
            let _ = worker.orders.send(Order::Leave(Arc::clone(socket), farewell));
        }
    }
}
