//! A plugin in a module: what the host calls, and what is remembered between calls.
#![expect(unsafe_code, reason = "a module has one thread, and its plugin lives as long as it")]

use std::cell::{RefCell, RefMut};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::mem::needs_drop;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::flow::{Answer, Flow};
use crate::hook::{Hook, Hooks};
use crate::linked::{self, Linked};
use crate::module::Called;
use crate::operation::{HttpResponse, OperationError, Outcome};
use crate::plugin::Plugin;
use crate::wasm::border::Border;
use crate::wasm::context::{ById, Context};
use crate::wasm::landing;
use crate::wasm::plain::{each_pair, pairs};
use crate::wasm::services::HostServices;
use crate::wasm::system;
use crate::wasm::wire::{self, Writer};

/// What `switchback_hook` and `switchback_resume` give back.
const GOES_ON: u32 = 0;
const ANSWERS: u32 = 1;
const WAITS: u32 = 2;
const FAILS: u32 = 3;

/// The context of the plugin itself.
const ROOT: u32 = 1;

/// Where a module keeps its plugin.
pub struct Slot<P: Plugin>(RefCell<Guest<P>>);

// SAFETY: a module has one thread.
unsafe impl<P: Plugin> Sync for Slot<P> {}

/// A plugin, and the requests that it knows of.
pub struct Guest<P: Plugin> {
    /// It is there as long as the module: never freed.
    plugin: Option<&'static P>,
    contexts: HashMap<u32, Context<P>, BuildHasherDefault<ById>>,
    is_known: bool,
}

impl<P: Plugin> Slot<P> {
    /// With nothing in it.
    #[must_use]
    pub const fn new() -> Self {
        let contexts = HashMap::with_hasher(BuildHasherDefault::new());
        Self(RefCell::new(Guest { plugin: None, contexts, is_known: false }))
    }

    fn guest(&self) -> RefMut<'_, Guest<P>> {
        self.0.borrow_mut()
    }

    /// What the plugin is, as JSON: where in the memory (upper half) and how long (lower half).
    pub fn describe(&self) -> u64 {
        let schema = Linked::<P>::module().schema().unwrap_or_default();
        let schema: serde_json::Value = serde_json::from_str(&schema).unwrap_or_default();
        let text = serde_json::json!({
            "wire": wire::VERSION,
            "name": P::NAME,
            "version": P::VERSION,
            "hooks": P::HOOKS.bits(),
            "schema": schema,
        });
        // It is read as long as the module is there.
        let text = text.to_string().leak();
        (text.as_ptr() as usize as u64) << 32 | text.len() as u64
    }

    /// Makes the plugin of its options, `size` bytes of them; 0 if they are not right.
    pub fn configure(&self, size: usize) -> u32 {
        std::panic::set_hook(Box::new(|panic| {
            let message = panic.payload_as_str().unwrap_or("no message");
            let message = Writer::default().text(message).bytes();
            // It is the reason of the failure that follows; another host has only the log.
            let _ = system::beyond("switchback.panic", &message);
            system::log(4, &panic.to_string());
        }));
        let is_known = system::is_known();
        let options = String::from_utf8(system::buffer(system::CONFIGURATION, size));
        let options = options.unwrap_or_default();
        let mut services = HostServices::new(is_known);
        match Linked::<P>::instance(&options, &mut services) {
            Ok(plugin) => {
                let guest = &mut *self.guest();
                guest.plugin = Some(Box::leak(Box::new(plugin)));
                guest.is_known = is_known;
                1
            }
            Err(error) => {
                let mut message = Writer::default();
                message.text(&error.path).text(&error.message).maybe(error.help.as_ref());
                if system::beyond("switchback.refuse", &message.bytes()).is_err() {
                    system::log(4, &error.to_string());
                }
                0
            }
        }
    }

    /// Calls a hook: how the request goes on.
    pub fn hook(&self, context: u32, hook: u32, is_last: bool) -> u32 {
        let Some(hook) = Hook::ALL.into_iter().find(|known| *known as u32 == hook) else {
            return GOES_ON;
        };
        said(self.begin(context, hook, is_last))
    }

    fn begin(&self, context: u32, hook: Hook, is_last: bool) -> Option<Flow> {
        let guest = &mut *self.guest();
        let Some(plugin) = guest.plugin else {
            return Some(Flow::fail("called before it was configured"));
        };
        let is_known = guest.is_known;
        landing::clear();
        if keeps_nothing::<P>(hook) {
            // One that is nothing is like another, and need not be looked for.
            // SAFETY: the hook ends before this function does.
            let mut border = unsafe { Border::new(is_known) };
            border.begin_hook(hook, is_last);
            return match linked::call(plugin, hook, &mut P::State::default(), &mut border) {
                Called::Done(flow) => Some(flow),
                Called::Waits(_) => Some(Flow::fail("a hook that is said never to wait did")),
            };
        }
        let entry = guest.contexts.entry(context).or_insert_with(|| Context::new(is_known));
        entry.begin(plugin, hook, is_last)
    }

    /// Goes on with a hook that waits.
    pub fn resume(&self, context: u32) -> u32 {
        let guest = &mut *self.guest();
        match guest.context(context) {
            Some(entry) => said(entry.poll()),
            None => GOES_ON,
        }
    }

    /// Gives up a hook that waits.
    pub fn abandon(&self, context: u32) {
        if let Some(entry) = self.guest().context(context) {
            entry.abandon();
        }
    }

    /// Forgets a request.
    pub fn delete(&self, context: u32) {
        self.guest().contexts.remove(&context);
    }

    // What follows is for hosts that have only proxy-wasm: the hooks that they know, one after the other.

    /// The head of a request: what may be asked before it goes on is asked at once.
    pub fn request_headers(&self, context: u32) -> u32 {
        self.plain(context, &[Hook::Request, Hook::Route, Hook::UpstreamRequest])
    }

    /// The head of a response.
    pub fn response_headers(&self, context: u32) -> u32 {
        self.plain(context, &[Hook::UpstreamResponse, Hook::Response])
    }

    /// A piece of a body.
    pub fn body(&self, context: u32, is_response: bool, is_last: bool) -> u32 {
        let hook = if is_response { Hook::ResponseBody } else { Hook::RequestBody };
        if !P::HOOKS.contains(hook) {
            return 0;
        }
        plain(self.begin(context, hook, is_last))
    }

    /// The end of a request.
    pub fn log(&self, context: u32) {
        if P::HOOKS.contains(Hook::Log) {
            drop(self.begin(context, Hook::Log, false));
        }
    }

    /// Time has passed.
    pub fn tick(&self, context: u32) {
        if P::HOOKS.contains(Hook::Tick) && self.guest().is_idle(context) {
            drop(self.begin(context, Hook::Tick, false));
        }
    }

    fn plain(&self, context: u32, hooks: &[Hook]) -> u32 {
        for hook in hooks.iter().filter(|hook| P::HOOKS.contains(**hook)) {
            match plain(self.begin(context, *hook, false)) {
                0 => {}
                pause => return pause,
            }
        }
        0
    }

    /// A request of the plugin's own has come to an end.
    pub fn called(&self, call: u32, count: u32, size: usize) {
        let outcome = response(count, size);
        let found = {
            let guest = &mut *self.guest();
            let mut contexts = guest.contexts.iter_mut();
            contexts.find_map(|(id, entry)| entry.called(call, &outcome).then_some(*id))
        };
        let Some(context) = found else { return };
        system::mean(context);
        let (hook, flow) = {
            let guest = &mut *self.guest();
            let Some(entry) = guest.context(context) else { return };
            (entry.hook(), entry.poll())
        };
        let mut action = plain(flow);
        if action == 0 {
            let next: &[Hook] = match hook {
                Hook::Request => &[Hook::Route, Hook::UpstreamRequest],
                Hook::Route => &[Hook::UpstreamRequest],
                Hook::UpstreamResponse => &[Hook::Response],
                _ => &[],
            };
            action = self.plain(context, next);
        }
        if action == 0 && context != ROOT {
            let is_response = matches!(hook, Hook::UpstreamResponse | Hook::Response);
            system::go_on(u32::from(is_response));
        }
    }
}

impl<P: Plugin> Default for Slot<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Plugin> Guest<P> {
    fn context(&mut self, context: u32) -> Option<&mut Context<P>> {
        self.contexts.get_mut(&context)
    }

    fn is_idle(&mut self, context: u32) -> bool {
        self.context(context).is_none_or(|entry| !entry.is_waiting())
    }
}

/// Whether nothing of a request is remembered beyond that hook.
const fn keeps_nothing<P: Plugin>(hook: Hook) -> bool {
    let immediate = P::IMMEDIATE.union(Hooks::of(&[Hook::ResponseBody, Hook::Log]));
    size_of::<P::State>() == 0 && !needs_drop::<P::State>() && immediate.contains(hook)
}

/// How a request goes on, in a number; the host is told the rest.
fn said(flow: Option<Flow>) -> u32 {
    match flow {
        None => WAITS,
        Some(Flow::Continue) => GOES_ON,
        Some(Flow::Answer(answer)) => match respond(&answer) {
            Ok(()) => ANSWERS,
            Err(()) => fail("its answer was refused"),
        },
        Some(Flow::Fail(failure)) => fail(&failure.message),
    }
}

fn fail(message: &str) -> u32 {
    // Without it, there is no reason to be shown.
    let _ = system::beyond("switchback.fail", &Writer::default().text(message).bytes());
    FAILS
}

/// The same as an action of proxy-wasm. Who fails there never lets a request through.
fn plain(flow: Option<Flow>) -> u32 {
    match flow {
        None => 1,
        Some(Flow::Continue) => 0,
        Some(Flow::Answer(answer)) => {
            let _ = respond(&answer);
            1
        }
        Some(Flow::Fail(failure)) => {
            system::log(4, &failure.message);
            let _ = respond(&Answer::plain(500));
            1
        }
    }
}

fn respond(answer: &Answer) -> Result<(), ()> {
    let fields: Vec<_> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
        .collect();
    let headers = pairs(&fields);
    system::respond(answer.status.as_u16(), &headers, &answer.body).map_err(|_| ())
}

/// The response to a request of the plugin's own, as proxy-wasm has it.
fn response(count: u32, size: usize) -> Result<Outcome, OperationError> {
    if count == 0 {
        return Err(OperationError::Failed);
    }
    let mut status = None;
    let mut headers = HeaderMap::new();
    each_pair(&system::pairs(system::CALL_HEADERS), |name, value| {
        if name == ":status" {
            status = StatusCode::from_bytes(value).ok();
        } else if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    });
    let body = system::buffer(system::CALL_BODY, size).into();
    let status = status.ok_or(OperationError::Failed)?;
    Ok(Outcome::Http(Box::new(HttpResponse { status, headers, body })))
}
