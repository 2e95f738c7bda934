//! `geo`: says where clients are, from files in MaxMind's format.

mod database;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod writer;

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use switchback_plugin::{Background, BuildError, Flow, Plugin, Request, Setup, hooks};

use crate::units::Time;
use crate::watched::{self, Watched};
use database::{Database, Field, Place};

/// Says where clients are.
pub(crate) struct Geo {
    databases: Vec<Watched<Database>>,
    headers: Vec<(String, Field)>,
    allow: Vec<String>,
    deny: Vec<String>,
    denies_unknown: bool,
    status: u16,
}

/// Says where clients are.
///
/// What is found goes into the variables `plugin_geo_country` (`DE`), `plugin_geo_continent` (`EU`), `plugin_geo_region` (`BE`), `plugin_geo_city`, `plugin_geo_postal_code`,
/// `plugin_geo_latitude`, `plugin_geo_longitude`, `plugin_geo_time_zone`, `plugin_geo_asn` (`64496`) and `plugin_geo_organization`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// Files in MaxMind's format (`.mmdb`): of countries, cities, autonomous systems, of MaxMind or others. What the first ones do not say
    /// is looked for in those behind. Each is kept in memory as a whole, and read again when it has changed.
    databases: Vec<PathBuf>,
    /// How often files are looked at; `"0"` for never.
    #[serde(default = "period")]
    reload: Time,
    /// Headers that the request gets, and what is put there: `country`, `continent`, `region`, `city`, `postal_code`, `latitude`,
    /// `longitude`, `time_zone`, `asn` or `organization`. What clients send under these names is removed.
    #[serde(default)]
    headers: BTreeMap<String, Field>,
    /// Only clients from these countries are let through: two letters each, as in ISO 3166-1.
    #[serde(default)]
    allow: Vec<String>,
    /// Clients from these countries are not let through.
    #[serde(default)]
    deny: Vec<String>,
    /// Whether clients are refused whose country no file knows: those with private addresses, too. Without it, they are where `allow` says
    /// something, and are not where only `deny` does.
    #[serde(default)]
    deny_unknown: Option<bool>,
    /// The status with which clients are refused: 400 to 599.
    #[serde(default = "forbidden")]
    status: u16,
}

const fn period() -> Time {
    watched::PERIOD
}

const fn forbidden() -> u16 {
    403
}

/// The largest that is sold is below 1 GiB.
const LARGEST_FILE: u64 = 2 << 30;

#[hooks]
impl Plugin for Geo {
    const NAME: &'static str = "geo";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    type Options = Options;
    type State = ();

    fn build(options: Options, setup: &mut Setup<'_>) -> Result<Self, BuildError> {
        options.check()?;
        let mut databases = Vec::with_capacity(options.databases.len());
        for (index, path) in options.databases.iter().enumerate() {
            let option = format!("databases[{index}]");
            let parse = (LARGEST_FILE, Database::new);
            databases.push(Watched::open_bytes(&option, path, setup, parse)?);
        }
        watched::watch("reload", options.reload, setup)?;
        let headers = options.headers.into_iter();
        let headers = headers.map(|(name, field)| (name.to_ascii_lowercase(), field));
        Ok(Self {
            databases,
            headers: headers.collect(),
            denies_unknown: options.deny_unknown.unwrap_or(!options.allow.is_empty()),
            allow: countries(options.allow),
            deny: countries(options.deny),
            status: options.status,
        })
    }

    async fn on_request(&self, (): &mut (), request: &mut Request<'_>) -> Flow {
        let mut place = Place::default();
        if let Some(address) = request.client_address() {
            for database in &self.databases {
                place.complete(&database.current(), address.to_canonical());
            }
        }
        match self.note(&place, request) {
            Ok(()) if self.lets_through(place.country()) => Flow::Continue,
            Ok(()) => Flow::status(self.status),
            Err(message) => Flow::fail(message),
        }
    }

    async fn on_tick(&self, background: &mut Background<'_>) {
        for database in &self.databases {
            database.refresh(background).await;
        }
    }
}

impl Geo {
    fn note(&self, place: &Place, request: &mut Request<'_>) -> Result<(), String> {
        for (name, field) in &self.headers {
            let noted = match place.field(*field) {
                Some(value) => request.set_header(name, value),
                None => request.remove_header(name),
            };
            noted.map_err(|refused| format!("header `{name}`: {refused}"))?;
        }
        for field in Field::ALL {
            if let Some(value) = place.field(field) {
                let name = field.variable();
                let noted = request.set_variable(name, value);
                noted.map_err(|refused| format!("variable `${name}`: {refused}"))?;
            }
        }
        Ok(())
    }

    fn lets_through(&self, country: Option<&str>) -> bool {
        let Some(country) = country else { return !self.denies_unknown };
        let is_in = |countries: &[String]| countries.iter().any(|named| named == country);
        !is_in(&self.deny) && (self.allow.is_empty() || is_in(&self.allow))
    }
}

fn countries(named: Vec<String>) -> Vec<String> {
    named.into_iter().map(|country| country.to_ascii_uppercase()).collect()
}

impl Options {
    fn check(&self) -> Result<(), BuildError> {
        if self.databases.is_empty() {
            return Err(BuildError::new("databases", "no file says where clients are"));
        }
        if !(400..=599).contains(&self.status) {
            let message = format!("{} does not refuse anybody: 400 to 599", self.status);
            return Err(BuildError::new("status", message));
        }
        for name in self.headers.keys() {
            if http::HeaderName::from_bytes(name.as_bytes()).is_err() {
                let message = format!("`{name}` is no name of a header");
                return Err(BuildError::new(format!("headers.{name}"), message));
            }
        }
        for (key, countries) in [("allow", &self.allow), ("deny", &self.deny)] {
            for (index, country) in countries.iter().enumerate() {
                let is_code =
                    country.len() == 2 && country.bytes().all(|b| b.is_ascii_alphabetic());
                if !is_code {
                    let message = format!("`{country}` is no country: two letters, as in DE");
                    return Err(BuildError::new(format!("{key}[{index}]"), message));
                }
            }
        }
        Ok(())
    }
}
