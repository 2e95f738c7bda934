//! `switchback respond`: one answer to everything, from a configuration built in code.

use http::{HeaderName, HeaderValue, StatusCode};
use switchback::Config;
use switchback_conf::model::{Listener, Respond, Route, Site, Text};
use thiserror::Error;

use super::quick::{self, NotAnAddress};
use crate::cli;
use crate::exit::Exit;
use crate::output::fail;

/// Answers every request alike, or prints the configuration that would.
pub(crate) fn respond(wanted: &cli::Respond) -> Exit {
    match configure(wanted) {
        Ok(config) => {
            let told = format!("  answers {} to every request\n", wanted.status);
            quick::start(config, &told, wanted.quick.print_config)
        }
        Err(error) => {
            fail(error);
            Exit::Usage
        }
    }
}

/// What cannot be understood of the command line.
#[derive(Debug, Error, PartialEq)]
enum Misread {
    #[error(transparent)]
    Listen(#[from] NotAnAddress),
    #[error("`{0}` is not a header; write it as \"Name: value\"")]
    Header(String),
    #[error("header `{0}` is said twice; put both values into one, with a comma")]
    Twice(HeaderName),
    #[error("{0} is not a status between 200 and 599")]
    Status(u16),
}

fn configure(wanted: &cli::Respond) -> Result<Config, Misread> {
    let quick = &wanted.quick;
    let mut config = quick::config(quick.workers, quick.access_log.as_deref());
    config.listeners.push(Listener::new(quick::listen_address(&quick.listen)?).into());
    let mut respond = Respond::text(&wanted.body);
    respond.status =
        StatusCode::from_u16(wanted.status).map_err(|_| Misread::Status(wanted.status))?;
    for line in &wanted.headers {
        let (name, value) = header(line)?;
        if respond.headers.find(&name).is_some() {
            return Err(Misread::Twice(name));
        }
        respond.headers.insert(name, value.into());
    }
    config.sites.push(Site::new([Route::respond(respond)]).into());
    Ok(config)
}

fn header(line: &str) -> Result<(HeaderName, Text), Misread> {
    let misread = || Misread::Header(line.to_owned());
    let (name, value) = line.split_once(':').ok_or_else(misread)?;
    let name = name.trim().parse().map_err(|_| misread())?;
    let value = value.trim();
    HeaderValue::from_str(value).map_err(|_| misread())?;
    Ok((name, Text::from(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_a_name_and_a_value() {
        let (name, value) = header("X-A:  b: c ").unwrap();
        assert_eq!((name.as_str(), value.as_ref()), ("x-a", "b: c"));
        for line in ["", "x-a", ": b", "x a: b", "x-a: b\r\nx-c: d"] {
            assert_eq!(header(line).err(), Some(Misread::Header(line.into())), "{line:?}");
        }
    }
}
