//! Native modules: shared libraries that offer plugins over the C interface.
//!
//! The only place of this package with `unsafe` code. What a module does inside its own functions is beyond anybody's checks; what it hands
//! over is checked as far as it can be: sizes, lengths, text, numbers. No panic of ours goes into a module.

mod answer;
mod border;
mod elf;
mod exchange;
mod instance;
mod library;
mod loader;
mod module;
mod operation;
mod read;
mod setup;

pub use loader::NativeLoader;

use switchback_plugin_abi as abi;

/// What modules are given, for as long as the program runs.
static HOST: abi::Host = abi::Host {
    size: size_of::<abi::Host>() as u32,
    abi_major: abi::ABI_MAJOR,
    abi_minor: abi::ABI_MINOR,
    field: exchange::field,
    fields: exchange::fields,
    change_field: exchange::change_field,
    fact: exchange::fact,
    variable: exchange::variable,
    set_variable: exchange::set_variable,
    set_part: exchange::set_part,
    set_status: exchange::set_status,
    steer: exchange::steer,
    endpoint_count: exchange::endpoint_count,
    endpoint: exchange::endpoint,
    prefer: exchange::prefer,
    piece: exchange::piece,
    set_piece: exchange::set_piece,
    hold_piece: exchange::hold_piece,
    inform: answer::inform,
    begin: operation::begin,
    poll: operation::poll,
    cancel: operation::cancel,
    now: exchange::now,
    log: answer::log,
    answer: answer::answer,
    fail: answer::fail,
    define_metric: setup::define_metric,
    meter_add: setup::meter_add,
    meter_set: setup::meter_set,
    meter_free: setup::meter_free,
    set_time: setup::set_time,
    has: setup::has,
    about: setup::about,
    setup_log: setup::setup_log,
    refuse: setup::refuse,
};
