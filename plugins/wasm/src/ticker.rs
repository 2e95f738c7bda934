//! The engine, and the thread that tells it the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::{Config, Engine, OptLevel};

/// How often it is looked whether a call has taken too long.
const TICK: Duration = Duration::from_millis(1);

/// An engine, with a thread beside it that counts milliseconds: it ends with the last module.
pub(crate) struct Ticking {
    engine: Engine,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticking {
    /// # Errors
    ///
    /// This processor or this system is none that code can be made for, or there is no thread to be had.
    pub(crate) fn start() -> Result<Self, String> {
        let engine = Engine::new(&config()).map_err(|error| error.to_string())?;
        let is_over = Arc::new(AtomicBool::new(false));
        let (counting, over) = (engine.clone(), Arc::clone(&is_over));
        let count = move || {
            while !over.load(Ordering::Relaxed) {
                thread::park_timeout(TICK);
                counting.increment_epoch();
            }
        };
        let thread = thread::Builder::new().name("wasm-clock".to_owned()).spawn(count);
        let thread = thread.map_err(|error| format!("no thread for the clock: {error}"))?;
        Ok(Self { engine, is_over, thread: Some(thread) })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It only counts, and cannot panic.
            let _ = thread.join();
        }
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.cranelift_opt_level(OptLevel::Speed);
    // Without it, wasmtime would take SIGSEGV, SIGFPE and SIGILL of the whole process, which is not ours alone. Bounds are checked by
    // the code itself instead; no guard pages are needed then, and no 4 GiB of addresses for each memory.
    config.signals_based_traps(false);
    config.memory_guard_size(0);
    config.memory_reservation(RESERVED);
    config.max_wasm_stack(512 << 10);
    // What proxy-wasm modules have no use for.
    config.wasm_multi_memory(false);
    config.wasm_memory64(false);
    config
}

/// Addresses that are set aside for each memory, so that it need not move while it grows to the limit that is usual.
const RESERVED: u64 = 32 << 20;
