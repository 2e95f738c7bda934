//! What a module hands over, read with care.

use std::borrow::Cow;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use switchback_plugin::Refused;
use switchback_plugin_abi as abi;

/// More fields than that are handed over by mistake.
const MOST_FIELDS: usize = 1024;
/// Longer messages are cut.
const LONGEST_MESSAGE: usize = 8 << 10;

/// A struct that begins with its size.
///
/// # Safety
///
/// It is `repr(C)`, begins with the `u32` of its size, and is valid with all bytes zero.
pub(super) unsafe trait Sized1_0 {
    /// Its size in version 1.0: less is a mistake. Later sizes are larger.
    const FIRST_SIZE: usize;
}

macro_rules! sized {
    ($($name:ident: $size:literal)*) => {$(
        // SAFETY: `abi::layout` asserts that the size comes first; the rest are numbers, pointers and optional functions.
        unsafe impl Sized1_0 for abi::$name {
            const FIRST_SIZE: usize = $size;
        }
    )*};
}

sized! {
    Plugin: 120
    Endpoint: 40
    Steer: 32
    Metric: 56
    HttpOperation: 120
    SleepOperation: 16
    StoreOperation: 88
    BodyOperation: 16
    BlockingOperation: 32
    ResolveOperation: 24
    Outcome: 64
}

/// A copy of a struct, as much of it as both sides know; what the module does not know is zero.
///
/// # Safety
///
/// `from` is null, or points to as many bytes as the size says that it begins with.
pub(super) unsafe fn sized<T: Sized1_0>(from: *const c_void) -> Result<T, Refused> {
    if from.is_null() {
        return Err(Refused::Invalid);
    }
    // SAFETY: not null, and as whoever called says.
    let size = unsafe { from.cast::<u32>().read_unaligned() } as usize;
    if size < T::FIRST_SIZE {
        return Err(Refused::Invalid);
    }
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: no more than either side has; all bytes zero are a value, and so is what a module wrote there.
    unsafe {
        let length = size.min(size_of::<T>());
        ptr::copy_nonoverlapping(from.cast::<u8>(), value.as_mut_ptr().cast::<u8>(), length);
        Ok(value.assume_init())
    }
}

/// Fills the module's struct with as much of `value` as it knows; its size stays.
///
/// # Safety
///
/// As [`sized`], and it may be written to.
pub(super) unsafe fn fill<T: Sized1_0>(to: *mut T, value: &T) -> Result<(), Refused> {
    if to.is_null() {
        return Err(Refused::Invalid);
    }
    // SAFETY: not null, and as whoever called says.
    let size = unsafe { to.cast::<u32>().read_unaligned() } as usize;
    if size < T::FIRST_SIZE {
        return Err(Refused::Invalid);
    }
    let (own, behind) = (size_of::<u32>(), size.min(size_of::<T>()) - size_of::<u32>());
    // SAFETY: no more than either side has, behind the size.
    unsafe {
        let from = ptr::from_ref(value).cast::<u8>().add(own);
        ptr::copy_nonoverlapping(from, to.cast::<u8>().add(own), behind);
    }
    Ok(())
}

/// Bytes; `None` where there is nothing.
///
/// # Safety
///
/// They are valid for `'a`, which whoever calls says.
pub(super) unsafe fn optional<'a>(bytes: abi::Bytes) -> Result<Option<&'a [u8]>, Refused> {
    match bytes {
        abi::Bytes { data, length: 0 } if data.is_null() => Ok(None),
        abi::Bytes { data, length } if data.is_null() || isize::try_from(length).is_err() => {
            Err(Refused::Invalid)
        }
        abi::Bytes { data, length } => {
            // SAFETY: not null, not too long, and as whoever called says.
            Ok(Some(unsafe { &*ptr::slice_from_raw_parts(data, length) }))
        }
    }
}

/// Bytes; none where there is nothing.
///
/// # Safety
///
/// As [`optional`].
pub(super) unsafe fn bytes<'a>(bytes: abi::Bytes) -> Result<&'a [u8], Refused> {
    // SAFETY: as whoever called says.
    Ok(unsafe { optional(bytes) }?.unwrap_or_default())
}

/// Text.
///
/// # Safety
///
/// As [`optional`].
pub(super) unsafe fn text<'a>(text: abi::Bytes) -> Result<&'a str, Refused> {
    // SAFETY: as whoever called says.
    std::str::from_utf8(unsafe { bytes(text) }?).map_err(|_| Refused::Invalid)
}

/// A message for people, cut where it is too long, with a sign where it is no text.
///
/// # Safety
///
/// As [`optional`].
pub(super) unsafe fn message<'a>(message: abi::Bytes) -> Cow<'a, str> {
    // SAFETY: as whoever called says.
    let bytes = unsafe { bytes(message) }.unwrap_or_default();
    String::from_utf8_lossy(bytes.get(..LONGEST_MESSAGE).unwrap_or(bytes))
}

/// A list.
///
/// # Safety
///
/// `first` points to so many of them, valid for `'a`, or is null.
pub(super) unsafe fn list<'a, T>(first: *const T, count: usize) -> Result<&'a [T], Refused> {
    if count == 0 {
        return Ok(&[]);
    }
    if first.is_null() || !first.is_aligned() {
        return Err(Refused::Invalid);
    }
    if count > MOST_FIELDS {
        return Err(Refused::Full);
    }
    // SAFETY: not null, aligned, not too long, and as whoever called says.
    Ok(unsafe { &*ptr::slice_from_raw_parts(first, count) })
}

/// Fields as pairs of text and bytes.
///
/// # Safety
///
/// As [`list`], and what they point to is valid for `'a`.
pub(super) unsafe fn pairs<'a>(
    first: *const abi::Field,
    count: usize,
) -> Result<Vec<(&'a str, &'a [u8])>, Refused> {
    // SAFETY: as whoever called says.
    let fields = unsafe { list(first, count) }?;
    // SAFETY: likewise.
    fields.iter().map(|field| Ok(unsafe { (text(field.name)?, bytes(field.value)?) })).collect()
}

/// Fields as headers.
///
/// # Safety
///
/// As [`pairs`].
pub(super) unsafe fn headers(first: *const abi::Field, count: usize) -> Result<HeaderMap, Refused> {
    let mut headers = HeaderMap::with_capacity(count.min(MOST_FIELDS));
    // SAFETY: as whoever called says.
    for (name, value) in unsafe { pairs(first, count) }? {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Refused::Invalid)?;
        let value = HeaderValue::from_bytes(value).map_err(|_| Refused::Invalid)?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// A time; none where it is 0.
pub(super) fn time(nanoseconds: u64) -> Option<Duration> {
    (nanoseconds != 0).then(|| Duration::from_nanos(nanoseconds))
}
