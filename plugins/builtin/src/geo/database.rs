//! What a file says of an address.

use std::net::IpAddr;

use maxminddb::Reader;
use schemars::JsonSchema;
use serde::Deserialize;

/// One file, as it was read.
pub(super) struct Database(Reader<Vec<u8>>);

/// What can be known of where a client is.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Field {
    /// Two letters, as in ISO 3166-1.
    Country,
    /// Two letters.
    Continent,
    /// The largest part of the country, as in ISO 3166-2, without the country.
    Region,
    /// In English.
    City,
    /// As far as it is known.
    PostalCode,
    /// In degrees.
    Latitude,
    /// In degrees.
    Longitude,
    /// As in the time zone database.
    TimeZone,
    /// The number of the autonomous system.
    Asn,
    /// Whose it is.
    Organization,
}

impl Field {
    pub(super) const ALL: [Self; 10] = [
        Self::Country,
        Self::Continent,
        Self::Region,
        Self::City,
        Self::PostalCode,
        Self::Latitude,
        Self::Longitude,
        Self::TimeZone,
        Self::Asn,
        Self::Organization,
    ];

    pub(super) const fn variable(self) -> &'static str {
        match self {
            Self::Country => "plugin_geo_country",
            Self::Continent => "plugin_geo_continent",
            Self::Region => "plugin_geo_region",
            Self::City => "plugin_geo_city",
            Self::PostalCode => "plugin_geo_postal_code",
            Self::Latitude => "plugin_geo_latitude",
            Self::Longitude => "plugin_geo_longitude",
            Self::TimeZone => "plugin_geo_time_zone",
            Self::Asn => "plugin_geo_asn",
            Self::Organization => "plugin_geo_organization",
        }
    }
}

/// What is known of where a client is.
#[derive(Debug, Default)]
pub(super) struct Place {
    known: [Option<String>; Field::ALL.len()],
}

/// A record, as far as it is of use; what a file does not have stays empty.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow)]
    continent: Coded<'a>,
    #[serde(borrow)]
    country: Coded<'a>,
    #[serde(borrow)]
    subdivisions: Vec<Coded<'a>>,
    #[serde(borrow)]
    city: Named<'a>,
    #[serde(borrow)]
    postal: Coded<'a>,
    #[serde(borrow)]
    location: Location<'a>,
    autonomous_system_number: Option<u32>,
    autonomous_system_organization: Option<&'a str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Coded<'a> {
    #[serde(alias = "iso_code")]
    code: Option<&'a str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    names: Names<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Names<'a> {
    en: Option<&'a str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Location<'a> {
    latitude: Option<f64>,
    longitude: Option<f64>,
    time_zone: Option<&'a str>,
}

impl Database {
    pub(super) fn new(bytes: Vec<u8>) -> Result<Self, String> {
        Reader::from_source(bytes).map(Self).map_err(|error| error.to_string())
    }
}

impl Place {
    pub(super) fn country(&self) -> Option<&str> {
        self.field(Field::Country)
    }

    pub(super) fn field(&self, field: Field) -> Option<&str> {
        self.known.get(field as usize)?.as_deref()
    }

    /// Takes what `database` says, where nothing is known yet. A damaged record says nothing.
    pub(super) fn complete(&mut self, database: &Database, address: IpAddr) {
        let found = database.0.lookup(address).and_then(|found| found.decode::<Record<'_>>());
        let Ok(Some(record)) = found else { return };
        let region = record.subdivisions.first().and_then(|region| region.code);
        let Location { latitude, longitude, time_zone } = record.location;
        let said = [
            record.country.code.map(str::to_owned),
            record.continent.code.map(str::to_owned),
            region.map(str::to_owned),
            record.city.names.en.map(str::to_owned),
            record.postal.code.map(str::to_owned),
            latitude.map(|degrees| degrees.to_string()),
            longitude.map(|degrees| degrees.to_string()),
            time_zone.map(str::to_owned),
            record.autonomous_system_number.map(|number| number.to_string()),
            record.autonomous_system_organization.map(str::to_owned),
        ];
        for (known, said) in self.known.iter_mut().zip(said) {
            if known.is_none() {
                *known = said.filter(|text| !text.is_empty());
            }
        }
    }
}
