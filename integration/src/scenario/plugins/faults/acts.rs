//! One round of each fault.

use switchback_plugin::Kind;

use super::world::{World, is_guest};
use super::{Declared, Faulted, PluginFault};
use crate::client::Client;
use crate::message::get;

/// How many wait while another request breaks the plugin, and how many stay for too long or leave at once.
const SEVERAL: usize = 4;
/// How many come next.
const NEXT: usize = 3;
/// The hooks at which it panics: before the request is sent anywhere, and after it was answered.
const HOOKS: [(&str, bool); 3] =
    [("x-on-request", true), ("x-on-response", false), ("x-on-route", true)];
/// How long a hook computes that ends by itself, because nothing else could end it, in milliseconds.
const SPIN: u64 = 600;
/// Nobody waits for so long, in milliseconds.
const FOR_EVER: u64 = 3_600_000;

/// Plays one round, for all that an operator may declare.
pub(super) fn play(world: &World, fault: PluginFault, round: usize, played: &mut Faulted) {
    for declared in Declared::BOTH {
        let act = Act { world, declared, round };
        match fault {
            PluginFault::Panic => act.panic(played),
            PluginFault::PanicBesideOthers => act.panic_beside_others(played),
            PluginFault::Spin => act.spin(played),
            PluginFault::Memory => act.breaks("memory", ("x-do", "memory"), played),
            PluginFault::Timeout => act.timeout(played),
            PluginFault::ClientGone => act.gone(played),
        }
        act.next(is_left_alone(world.kind, fault), played);
    }
}

/// Whether a plugin is not asked for a while afterwards: one that cannot be ended must not be begun again.
fn is_left_alone(kind: Kind, fault: PluginFault) -> bool {
    fault == PluginFault::Spin && kind != Kind::Wasm
}

/// How many failures are counted in so many rounds, beside requests that find a plugin left alone.
pub(super) fn counted(kind: Kind, fault: PluginFault, rounds: usize) -> u64 {
    let of_one = match (fault, kind) {
        (PluginFault::Panic | PluginFault::Memory | PluginFault::Spin, _) => 1,
        // Those who waited in the instance are lost with it.
        (PluginFault::PanicBesideOthers, Kind::Wasm) => 1 + SEVERAL,
        (PluginFault::PanicBesideOthers, _) => 1,
        (PluginFault::Timeout, _) => SEVERAL,
        // Nobody's failure.
        (PluginFault::ClientGone, _) => 0,
    };
    (of_one * Declared::BOTH.len() * rounds) as u64
}

/// One round with one plugin.
struct Act<'w> {
    world: &'w World,
    declared: Declared,
    round: usize,
}

impl Act<'_> {
    fn target(&self, page: &str) -> String {
        self.world.target(self.declared, self.round, page)
    }

    /// How often the origin was asked for this.
    fn asked(&self, target: &str) -> usize {
        self.world.origin.requests(target).len()
    }

    /// One request that breaks the plugin before it is sent anywhere.
    fn breaks(&self, page: &str, says: (&str, &str), played: &mut Faulted) {
        self.breaks_at(page, says, true, played);
    }

    /// The same, before it is sent or after it was answered.
    fn breaks_at(
        &self,
        page: &str,
        (name, value): (&str, &str),
        is_before: bool,
        played: &mut Faulted,
    ) {
        let target = self.target(page);
        let answer = self.world.ask(&get(&target).header(name, value));
        played.affected(self.declared, &target, answer);
        let meant = usize::from(!is_before || self.declared == Declared::Open);
        let asked = self.asked(&target);
        if asked != meant {
            played.wrong.push(format!("{target}: the origin was asked {asked} times"));
        }
    }

    fn panic(&self, played: &mut Faulted) {
        let (hook, is_before) = HOOKS[self.round % HOOKS.len()];
        self.breaks_at("panic", (hook, "panic told to"), is_before, played);
    }

    /// Requests that wait in the plugin, each for an answer that comes when the gate is passed.
    fn waiting(&self, page: &str) -> Vec<(String, Client)> {
        let before = self.world.asked.heads();
        let begin = |number| {
            let target = self.target(&format!("{page}/{number}"));
            let request = get(&target).header("x-on-request", "http asked /");
            let mut client = self.world.proxy.client();
            client.send(request.to_bytes());
            (target, client)
        };
        let waiting = (0..SEVERAL).map(begin).collect();
        self.world.asked.wait_for_heads(before + SEVERAL);
        waiting
    }

    fn panic_beside_others(&self, played: &mut Faulted) {
        let waiting = self.waiting("waiting");
        self.breaks("panic", ("x-on-request", "panic told to"), played);
        let is_shared = self.world.kind == Kind::Wasm;
        if !is_shared {
            self.world.answer(SEVERAL);
        }
        for (target, mut client) in waiting {
            let answer = client.try_response_to("GET");
            match is_shared {
                true => played.affected(self.declared, &target, answer),
                false => played.other(&target, answer),
            }
        }
        if is_shared {
            self.world.answer(SEVERAL);
        }
    }

    fn spin(&self, played: &mut Faulted) {
        if is_guest(self.world.kind, PluginFault::Spin) {
            return self.breaks("spin", ("x-do", "spin"), played);
        }
        // Nothing can end it, so it ends itself; what it says then does not count.
        self.breaks("spin", ("x-on-request", &format!("spin {SPIN}")), played);
    }

    /// Those who come next: they find it as it was, unless it is left alone.
    fn next(&self, is_left_alone: bool, played: &mut Faulted) {
        for number in 0..NEXT {
            let target = self.target(&format!("next/{number}"));
            let answer = self.world.ask_for_nothing(&target);
            match is_left_alone {
                true => played.affected(self.declared, &target, answer),
                false => played.other(&target, answer),
            }
        }
    }

    fn timeout(&self, played: &mut Faulted) {
        let begin = |page: &str, time: u64| {
            let target = self.target(page);
            let request = get(&target).header("x-on-request", &format!("sleep {time}"));
            let mut client = self.world.proxy.client();
            client.send(request.to_bytes());
            (target, client)
        };
        let late: Vec<_> =
            (0..SEVERAL).map(|number| begin(&format!("late/{number}"), FOR_EVER)).collect();
        let quick: Vec<_> =
            (0..SEVERAL).map(|number| begin(&format!("quick/{number}"), 20)).collect();
        for (target, mut client) in quick {
            played.other(&target, client.try_response_to("GET"));
        }
        for (target, mut client) in late {
            played.affected(self.declared, &target, client.try_response_to("GET"));
        }
    }

    fn gone(&self, played: &mut Faulted) {
        let target = self.target("gone");
        let hint = format!("waits-{}-{}", self.declared.name(), self.round);
        let script = format!("log 2 {hint}; sleep {FOR_EVER}");
        for number in 0..SEVERAL {
            let mark = format!("{hint}-{number}");
            let request = get(&format!("{target}/{number}"))
                .header("x-on-request", &script.replace(&hint, &mark));
            let mut client = self.world.proxy.client();
            client.send(request.to_bytes());
            self.world.proxy.wait_for_stderr(&mark);
            match number % 2 {
                0 => drop(client),
                _ => client.reset(),
            }
        }
        self.world.wait_until_left(&target, SEVERAL);
        played.affected += SEVERAL;
        played.as_declared += SEVERAL;
        for number in 0..SEVERAL {
            let target = format!("{target}/{number}");
            if self.asked(&target) > 0 {
                played.wrong.push(format!("{target}: the origin was asked for nobody"));
            }
        }
    }
}
