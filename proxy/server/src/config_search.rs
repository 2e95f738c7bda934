//! Where the configuration is when nobody names it.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// In the order they are looked at.
pub(crate) const PLACES: [&str; 2] = ["./switchback.toml", "/etc/switchback/switchback.toml"];

/// There is none in any of these places.
#[derive(Debug, Error)]
#[error(
    "no configuration found, looked at {} and {}; name one with `-c FILE`, or start without one: `switchback proxy :8080 --to localhost:3000`",
    PLACES[0], PLACES[1]
)]
pub(crate) struct NoConfig;

/// The file that was named, else the first that exists of [`PLACES`].
pub(crate) fn find(named: Option<PathBuf>) -> Result<PathBuf, NoConfig> {
    named.or_else(first_present).ok_or(NoConfig)
}

fn first_present() -> Option<PathBuf> {
    let place = PLACES.into_iter().map(Path::new).find(|place| place.exists())?;
    // Shown in every diagnostic: `switchback.toml:3:1` reads better than `./switchback.toml:3:1`.
    Some(place.strip_prefix("./").unwrap_or(place).to_owned())
}
