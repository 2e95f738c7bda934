//! The functions of the host about an instance that is being made.
//!
//! Of all of them: `setup` is the pointer that the module was given for the call of `instance_new`; the rest is as in `exchange`.

use std::cell::{Cell, RefCell};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use switchback_plugin::{BuildError, Level, Meter, MetricKind, Refused, Services};
use switchback_plugin_abi as abi;

use super::read;

type Panic = Box<dyn std::any::Any + Send>;

/// What is behind the pointer that a module is given.
pub(super) struct SetupBorder<'a> {
    services: RefCell<&'a mut dyn Services>,
    refused: Cell<Option<BuildError>>,
    panic: Cell<Option<Panic>>,
}

impl<'a> SetupBorder<'a> {
    pub(super) fn new(services: &'a mut dyn Services) -> Self {
        Self { services: RefCell::new(services), refused: Cell::new(None), panic: Cell::new(None) }
    }

    pub(super) fn pointer(&self) -> *mut abi::Setup {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// Why nothing was made. A panic of ours comes through here.
    pub(super) fn refused(self) -> Option<BuildError> {
        if let Some(panic) = self.panic.take() {
            resume_unwind(panic);
        }
        self.refused.take()
    }
}

/// Does what a module asks for. A panic of ours is kept for later.
///
/// # Safety
///
/// `setup` is null, or what [`SetupBorder::pointer`] gave for the call at hand.
unsafe fn asked(
    setup: *mut abi::Setup,
    work: impl FnOnce(&SetupBorder<'_>) -> Result<i32, Refused>,
) -> i32 {
    let Some(border) = NonNull::new(setup) else { return abi::INVALID };
    // SAFETY: as whoever called says; a border is only ever shared.
    let border = unsafe { border.cast::<SetupBorder<'_>>().as_ref() };
    match catch_unwind(AssertUnwindSafe(|| work(border))) {
        Ok(Ok(code)) => code,
        Ok(Err(refused)) => refused as i32,
        Err(panic) => {
            border.panic.set(Some(panic));
            abi::UNSUPPORTED
        }
    }
}

pub(super) unsafe extern "C" fn define_metric(
    setup: *mut abi::Setup,
    metric: *const abi::Metric,
    meter: *mut *const abi::Meter,
) -> i32 {
    // SAFETY: see the module.
    unsafe {
        asked(setup, |border| {
            let metric: abi::Metric = read::sized(metric.cast())?;
            let kind = MetricKind::from_number(metric.kind).ok_or(Refused::Unknown)?;
            if meter.is_null() {
                return Err(Refused::Invalid);
            }
            let pairs = read::list(metric.labels, metric.label_count)?;
            let label = |pair: &abi::Field| Ok((read::text(pair.name)?, read::text(pair.value)?));
            let labels = pairs.iter().map(label).collect::<Result<Vec<_>, Refused>>()?;
            let (name, help) = (read::text(metric.name)?, read::text(metric.help)?);
            let defined = border.services.borrow_mut().define(kind, name, help, &labels)?;
            // Boxed once more, because a pointer to a trait object does not fit into one of C.
            meter.write(Box::into_raw(Box::new(defined)).cast_const().cast());
            Ok(abi::OK)
        })
    }
}

/// Does something with a metric; a panic of ours is of no use to a module.
///
/// # Safety
///
/// `meter` is null, or from [`define_metric`] and not given back.
unsafe fn with_meter(meter: *const abi::Meter, work: impl FnOnce(&dyn Meter)) {
    // SAFETY: as whoever called says.
    let Some(meter) = (unsafe { meter.cast::<Arc<dyn Meter>>().as_ref() }) else { return };
    let _ = catch_unwind(AssertUnwindSafe(|| work(&**meter)));
}

pub(super) unsafe extern "C" fn meter_add(meter: *const abi::Meter, value: f64) {
    // SAFETY: see the module.
    unsafe { with_meter(meter, |meter| meter.add(value)) };
}

pub(super) unsafe extern "C" fn meter_set(meter: *const abi::Meter, value: f64) {
    // SAFETY: see the module.
    unsafe { with_meter(meter, |meter| meter.set(value)) };
}

pub(super) unsafe extern "C" fn meter_free(meter: *const abi::Meter) {
    if meter.is_null() {
        return;
    }
    // SAFETY: from `define_metric`, and given back once.
    let meter = unsafe { Box::from_raw(meter.cast_mut().cast::<Arc<dyn Meter>>()) };
    let _ = catch_unwind(AssertUnwindSafe(|| drop(meter)));
}

pub(super) unsafe extern "C" fn set_time(
    setup: *mut abi::Setup,
    which: u32,
    nanoseconds: u64,
) -> i32 {
    let time = Duration::from_nanos(nanoseconds);
    // SAFETY: see the module.
    unsafe {
        asked(setup, |border| {
            let mut services = border.services.borrow_mut();
            match which {
                abi::TIME_EVERY => services.every(time),
                abi::TIME_TIMEOUT => services.timeout(time),
                _ => return Err(Refused::Unsupported),
            }
            Ok(abi::OK)
        })
    }
}

pub(super) unsafe extern "C" fn has(setup: *mut abi::Setup, kind: u32, name: abi::Bytes) -> i32 {
    // SAFETY: see the module.
    unsafe {
        asked(setup, |border| {
            let (services, name) = (border.services.borrow(), read::text(name)?);
            let is_there = match kind {
                abi::NAME_UPSTREAM => services.has_upstream(name),
                abi::NAME_VARIABLE => services.has_variable(name),
                _ => return Err(Refused::Unsupported),
            };
            Ok(if is_there { abi::OK } else { abi::ABSENT })
        })
    }
}

pub(super) unsafe extern "C" fn about(
    setup: *mut abi::Setup,
    which: u32,
    value: *mut abi::Bytes,
) -> i32 {
    // SAFETY: see the module.
    unsafe {
        asked(setup, |border| {
            if value.is_null() {
                return Err(Refused::Invalid);
            }
            let services = border.services.borrow();
            let found = match which {
                abi::ABOUT_FOLDER => services.folder().map(|path| path.as_os_str().as_bytes()),
                abi::ABOUT_INSTANCE_NAME => Some(services.instance_name().as_bytes()),
                _ => return Err(Refused::Unsupported),
            };
            let Some(found) = found else { return Ok(abi::ABSENT) };
            value.write(abi::Bytes::of(found));
            Ok(abi::OK)
        })
    }
}

pub(super) unsafe extern "C" fn setup_log(setup: *mut abi::Setup, level: u32, message: abi::Bytes) {
    // SAFETY: see the module.
    unsafe {
        asked(setup, |border| {
            let level = Level::from_number(level).unwrap_or(Level::Info);
            border.services.borrow().log(level, &read::message(message));
            Ok(abi::OK)
        });
    }
}

pub(super) unsafe extern "C" fn refuse(
    setup: *mut abi::Setup,
    path: abi::Bytes,
    message: abi::Bytes,
    help: abi::Bytes,
) {
    // SAFETY: see the module.
    unsafe {
        asked(setup, |border| {
            let help = read::message(help).into_owned();
            let (path, message) = (read::message(path), read::message(message));
            let error = BuildError::new(path, message);
            border.refused.set(Some(if help.is_empty() { error } else { error.with_help(help) }));
            Ok(abi::OK)
        });
    }
}
