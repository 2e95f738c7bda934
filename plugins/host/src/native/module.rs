//! One plugin of a native module, as what runs plugins sees it.

use std::ffi::c_void;
use std::sync::Arc;

use switchback_plugin::{BuildError, Hook, Hooks, Instance, Kind, Module, Services};
use switchback_plugin_abi as abi;

use super::instance::{Made, NativeInstance};
use super::loader::Trouble;
use super::setup::SetupBorder;
use super::{HOST, read};

/// The functions of a plugin, all of which must be there that are no option here. Modules are never unloaded, so they are valid as long as
/// the program runs.
#[derive(Clone, Copy)]
pub(super) struct Functions {
    pub(super) instance_new:
        unsafe extern "C" fn(*const abi::Host, *mut abi::Setup, abi::Bytes) -> *mut c_void,
    pub(super) instance_free: unsafe extern "C" fn(*mut c_void),
    pub(super) remember: Option<Remember>,
    pub(super) hook: unsafe extern "C" fn(*mut c_void, *mut c_void, *mut abi::Exchange, u32) -> i32,
    pub(super) abandon: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, *mut abi::Exchange)>,
}

/// What makes and frees what is remembered of a request.
#[derive(Clone, Copy)]
pub(super) struct Remember {
    pub(super) new: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    pub(super) free: unsafe extern "C" fn(*mut c_void),
}

/// A plugin that is not configured yet.
pub(super) struct NativeModule {
    name: String,
    version: String,
    schema: Option<String>,
    hooks: Hooks,
    immediate: Hooks,
    functions: Functions,
}

/// Longer names and versions are none.
const LONGEST_NAME: usize = 256;
/// Larger schemas are none.
const LARGEST_SCHEMA: usize = 4 << 20;

impl NativeModule {
    /// Reads the table of a plugin.
    ///
    /// # Safety
    ///
    /// `plugin` is what the entry of a module gave.
    pub(super) unsafe fn read(plugin: *const abi::Plugin) -> Result<Self, Trouble> {
        // SAFETY: the size comes first in every version, and the versions behind it.
        let (size, major) = unsafe {
            let size = (&raw const (*plugin).size).read_unaligned();
            (size, (&raw const (*plugin).abi_major).read_unaligned())
        };
        if major != abi::ABI_MAJOR {
            return Err(Trouble::Major { major });
        }
        // SAFETY: as large as it says.
        let table: abi::Plugin =
            unsafe { read::sized(plugin.cast()) }.map_err(|_| Trouble::Size { size })?;
        // SAFETY: what a table points to is valid as long as the program runs.
        let text = |bytes, limit, what: &str| match unsafe { read::text(bytes) } {
            Ok(text) if text.len() <= limit => Ok(text.to_owned()),
            _ => Err(Trouble::Table(format!("its {what} is no text, or too long"))),
        };
        let name = text(table.name, LONGEST_NAME, "name")?;
        if !is_name(&name) {
            return Err(Trouble::Table(format!("it calls its plugin `{}`", name.escape_debug())));
        }
        let schema = text(table.schema, LARGEST_SCHEMA, "schema")?;
        let hooks = known(table.hooks)
            .ok_or_else(|| Trouble::Newer(format!("hooks {:#x}", table.hooks)))?;
        Ok(Self {
            version: text(table.version, LONGEST_NAME, "version")?,
            schema: (!schema.is_empty()).then_some(schema),
            hooks,
            immediate: Hooks::from_bits(table.immediate),
            functions: functions(&table)
                .ok_or_else(|| Trouble::Table(format!("`{name}` lacks functions")))?,
            name,
        })
    }
}

/// Hooks, if all of them are known: one that is never called would be a plugin that never denies.
fn known(bits: u64) -> Option<Hooks> {
    let hooks = Hooks::from_bits(bits);
    (bits & !Hooks::of(&Hook::ALL).bits() == 0).then_some(hooks)
}

fn functions(table: &abi::Plugin) -> Option<Functions> {
    let remember = match (table.request_new, table.request_free) {
        (Some(new), Some(free)) => Some(Remember { new, free }),
        (None, None) => None,
        _ => return None,
    };
    Some(Functions {
        instance_new: table.instance_new?,
        instance_free: table.instance_free?,
        remember,
        hook: table.hook?,
        abandon: table.abandon,
    })
}

fn is_name(name: &str) -> bool {
    let letter = |letter: u8| matches!(letter, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    !name.is_empty() && name.bytes().all(letter)
}

impl Module for NativeModule {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        &self.version
    }

    fn kind(&self) -> Kind {
        Kind::Native
    }

    fn schema(&self) -> Option<String> {
        self.schema.clone()
    }

    fn hooks(&self) -> Hooks {
        self.hooks
    }

    fn build(
        &self,
        options: &str,
        services: &mut dyn Services,
    ) -> Result<Arc<dyn Instance>, BuildError> {
        let border = SetupBorder::new(services);
        let options = abi::Bytes::of(options.as_bytes());
        // SAFETY: the module's own function; the host's table lives as long as the program, the rest as long as the call.
        let instance =
            unsafe { (self.functions.instance_new)(&raw const HOST, border.pointer(), options) };
        // From here on it is freed, whatever comes.
        let made = (!instance.is_null()).then(|| Made::new(self.functions, instance));
        match (made, border.refused()) {
            (Some(made), None) => {
                Ok(Arc::new(NativeInstance::new(made, self.hooks, self.immediate)))
            }
            (_, Some(error)) => Err(error),
            (None, None) => Err(BuildError::new("", "the module refuses it, and does not say why")),
        }
    }
}
