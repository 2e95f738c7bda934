//! What a module may use while it is called, and not a moment longer.
#![expect(
    unsafe_code,
    reason = "a store keeps only what lives for ever, and an exchange lives for one call"
)]

use std::ptr::NonNull;
use std::task::Waker;

use switchback_plugin::{Exchange, Hook, Services};
use wasmtime::Store;

use crate::host::{Host, ROOT};

/// What is borrowed for the call at hand.
#[derive(Default)]
pub(crate) struct Lent {
    exchange: Option<NonNull<dyn Exchange>>,
    services: Option<NonNull<dyn Services>>,
    /// Whose exchange it is.
    context: u32,
    hook: Option<Hook>,
    waker: Option<Waker>,
}

// SAFETY: the pointers are set while a call runs, and only the thread that makes it touches them; between calls there are none. An
// `Exchange` is `Send`; services are lent and used within one call of one thread.
unsafe impl Send for Lent {}

/// Runs `call` while the module may use a request.
pub(crate) fn with_exchange<R>(
    store: &mut Store<Host>,
    loan: Loan<'_>,
    call: impl FnOnce(&mut Store<Host>) -> R,
) -> R {
    let pointer: NonNull<dyn Exchange + '_> = NonNull::from(loan.exchange);
    // SAFETY: only the lifetime changes. The pointer is taken back by `Return` when this function ends, whichever way, and `loan` has the
    // exchange borrowed until then.
    let exchange = unsafe {
        std::mem::transmute::<NonNull<dyn Exchange + '_>, NonNull<dyn Exchange + 'static>>(pointer)
    };
    let lent = Lent {
        exchange: Some(exchange),
        services: None,
        context: loan.context,
        hook: Some(loan.hook),
        waker: loan.waker.cloned(),
    };
    with(store, lent, loan.context, call)
}

/// Runs `call` while the module may use what makes plugins.
pub(crate) fn with_services<R>(
    store: &mut Store<Host>,
    services: &mut (dyn Services + '_),
    call: impl FnOnce(&mut Store<Host>) -> R,
) -> R {
    let pointer: NonNull<dyn Services + '_> = NonNull::from(services);
    // SAFETY: as above.
    let services = unsafe {
        std::mem::transmute::<NonNull<dyn Services + '_>, NonNull<dyn Services + 'static>>(pointer)
    };
    with(store, Lent { services: Some(services), ..Lent::default() }, ROOT, call)
}

/// Runs `call` while nothing is at hand but the module itself, which means `context`.
pub(crate) fn with_nothing<R>(
    store: &mut Store<Host>,
    context: u32,
    call: impl FnOnce(&mut Store<Host>) -> R,
) -> R {
    with(store, Lent::default(), context, call)
}

fn with<R>(
    store: &mut Store<Host>,
    lent: Lent,
    context: u32,
    call: impl FnOnce(&mut Store<Host>) -> R,
) -> R {
    store.data_mut().begin(lent, context);
    let back = Return(store);
    call(back.0)
}

/// Takes back what was lent, also when a call panics.
struct Return<'s>(&'s mut Store<Host>);

impl Drop for Return<'_> {
    fn drop(&mut self) {
        self.0.data_mut().end();
    }
}

impl Lent {
    /// The exchange, for the context that it belongs to.
    pub(crate) fn exchange_of(&mut self, context: u32) -> Option<&mut (dyn Exchange + '_)> {
        let exchange = self.exchange.filter(|_| self.context == context)?;
        // SAFETY: who lent it has borrowed it for as long as this value is where it is, and `&mut self` allows one use at a time.
        Some(unsafe { &mut *exchange.as_ptr() })
    }

    /// The exchange, whoever asks: for the clock and the log.
    pub(crate) fn any_exchange(&self) -> Option<&(dyn Exchange + '_)> {
        // SAFETY: as above; nobody changes it while `&self` is borrowed.
        self.exchange.map(|exchange| unsafe { &*exchange.as_ptr() })
    }

    /// The services, while an instance is made.
    pub(crate) fn services_at_hand(&mut self) -> Option<&mut (dyn Services + '_)> {
        // SAFETY: as above.
        self.services.map(|services| unsafe { &mut *services.as_ptr() })
    }

    /// The hook at hand, for the context whose hook it is.
    pub(crate) fn hook_of(&self, context: u32) -> Option<Hook> {
        self.hook.filter(|_| self.context == context)
    }

    /// Whom to wake when an operation has ended.
    pub(crate) fn waker(&self) -> Waker {
        self.waker.clone().unwrap_or_else(|| Waker::noop().clone())
    }
}

/// A request, on its way to a module.
pub(crate) struct Loan<'a> {
    pub(crate) exchange: &'a mut (dyn Exchange + 'a),
    /// Whose it is.
    pub(crate) context: u32,
    pub(crate) hook: Hook,
    /// Of the future that calls, where one does.
    pub(crate) waker: Option<&'a Waker>,
}

impl Loan<'_> {
    /// The same once more, for a shorter time.
    pub(crate) fn again(&mut self) -> Loan<'_> {
        Loan {
            exchange: &mut *self.exchange,
            context: self.context,
            hook: self.hook,
            waker: self.waker,
        }
    }
}
