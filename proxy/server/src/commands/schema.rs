//! `switchback schema`.

use crate::exit::Exit;
use crate::output::show;

/// Prints the JSON Schema of the configuration.
pub(crate) fn schema() -> Exit {
    show(format_args!("{:#}\n", switchback_conf::schema()))
}
