//! Services whose keys are divided among shards.

use std::borrow::Cow;
use std::path::PathBuf;

use schemars::{Schema, json_schema};

use super::define::model;
use super::table::OneOrMany;
use super::text::{Count, Name, OrText, Short, TemplateText};
use super::upstream::Endpoint;
use crate::at::At;
use crate::native::{FromText, Problem};
use crate::plan::{MappingBy, RangeOf};

model! {
    /// A part of a service that owns some of its keys. Requests for those go to its endpoints and to no others: while all of them
    /// are down, its keys are answered 503 and those of other shards as ever.
    pub struct Shard {
        /// Its name: in logs, metrics, `pins` and tables. No two shards of a service have the same.
        pub name: At<Name>,
        /// Its endpoints, as those of a service without shards. At least one.
        pub endpoints: Vec<OrText<Endpoint>>,
        /// Its share of the keys, against the other shards. Ranges and tables say themselves who has what.
        pub weight: At<Count<1, 1000>> = Count::clamped(1).into(),
        /// With `mapping = "ranges"`: the keys it has, from the first one to before the second: `"a..n"`, `"n.."`, `"..a"`.
        pub ranges: OneOrMany<At<Box<str>>> = OneOrMany::default(),
    }
}

model! {
    /// What decides which shard has a request. Where only `key` is written, it alone will do.
    pub struct ShardBy {
        /// The key: a template such as `"{id}"`, `"$arg_user"`, `"$http_x_tenant"`, `"$cookie_session"`, `"$jwt_claim_sub"`, `"$remote_addr"`
        /// or `"$host"`. Of several variables, each value is escaped, so that no two requests with different values have one key.
        /// What a cache stores is found by it, too.
        pub key: At<TemplateText>,
        /// Whether upper and lower case of ASCII letters are alike.
        pub lowercase: bool = false,
        /// Whether `%41` is `A`, once.
        pub decode: bool = false,
        /// What decides where a variable of the key has no value, or an empty one: `"client"`, which is the client's address, `"400"`,
        /// which refuses the request, or the name of a shard.
        pub missing: At<MissingKey> = MissingKey::Client.into(),
    }
}

impl Short for ShardBy {
    type Key = TemplateText;

    fn from_key(key: At<TemplateText>) -> Self {
        Self { key, lowercase: false, decode: false, missing: MissingKey::Client.into() }
    }

    fn as_key(&self) -> Option<&TemplateText> {
        let is_usual = *self == Self::from_key(self.key.clone());
        is_usual.then_some(&self.key.value)
    }
}

/// What decides in place of a key that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MissingKey {
    /// The client's address.
    Client,
    /// The request is refused with 400.
    Refuse,
    /// This shard has it.
    Shard(Name),
}

impl FromText for MissingKey {
    const EXPECTED: &'static str = "\"client\", \"400\" or the name of a shard";

    fn from_text(text: &str) -> Result<Self, Problem> {
        match text {
            "client" => Ok(Self::Client),
            "400" => Ok(Self::Refuse),
            name => Name::from_text(name).map(Self::Shard),
        }
    }

    fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Client => Cow::Borrowed("client"),
            Self::Refuse => Cow::Borrowed("400"),
            Self::Shard(name) => name.to_text(),
        }
    }

    fn schema() -> Schema {
        json_schema!({ "anyOf": [{ "enum": ["client", "400"] }, { "type": "string" }] })
    }
}

model! {
    /// Which shard has which key. Where only `by` is written, it alone will do.
    pub struct Mapping {
        /// How: `"anchor"` and `"rendezvous"` move the fewest keys when a shard comes or goes; `"maglev"` is the fastest with many shards;
        /// `"ketama"` maps as `hash … consistent` of nginx does, by the names of shards, and `"modulo"` as its plain `hash`; `"remainder"`
        /// is the key itself, a number, modulo the number of shards; `"ranges"` and `"table"` are as they are written.
        pub by: At<MappingBy>,
        /// With `maglev`: places in its table, a prime number. At least a hundred for each shard keeps shares even.
        pub size: Option<At<Count<1, 5_000_011>>> = None,
        /// With `ranges`: what is compared: `"text"` byte by byte, `"numbers"`, or `"hash"`, where bounds are the first hexadecimal
        /// digits of a hash of the key. Keys that are no numbers have no shard and are answered 503.
        pub of: Option<At<RangeOf>> = None,
        /// With `table`: the file with lines `KEY SHARD`. A key with blanks stands in double quotes; lines that begin with `#` are passed
        /// over. It is watched: changes act within a second or two, all at once, while a file with mistakes changes nothing but the
        /// log. So that half a file is never taken for a whole one, replace it by renaming, or have its first line `#begin` and its
        /// last one `#end`, which may be followed by the number of entries.
        pub file: Option<At<PathBuf>> = None,
        /// With `table`: the shard of all other keys. Without it, they are answered 503.
        pub default: Option<At<Name>> = None,
    }
}

impl Short for Mapping {
    type Key = MappingBy;

    fn from_key(by: At<MappingBy>) -> Self {
        Self { by, size: None, of: None, file: None, default: None }
    }

    fn as_key(&self) -> Option<&MappingBy> {
        let is_usual = *self == Self::from_key(self.by.clone());
        is_usual.then_some(&self.by.value)
    }
}

model! {
    /// Shuffle sharding: each tenant has some of the endpoints, and hardly another one the same. What one tenant does to its
    /// endpoints, others do not feel at all of theirs.
    pub struct Shuffle {
        /// How many endpoints a tenant has.
        pub take: At<Count<1, 16>>,
        /// The tenant: a template such as `"$http_x_tenant"`.
        pub key: At<TemplateText>,
    }
}
