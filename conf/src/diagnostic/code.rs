//! The stable codes of diagnostics.

use std::fmt;

use serde::{Serialize, Serializer};

/// Defines [`Code`] and its table from one list.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal,)+) => {
        /// What kind of finding a diagnostic is: `C0203`. A number is never given to another kind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = $doc])+ $name = $number,)+
        }

        impl Code {
            /// All of them, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// What it means, in a sentence.
            #[must_use]
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

codes! {
    // Reading text.
    /// A file cannot be read.
    Unreadable = 1,
    /// A file is larger than 64 MiB.
    TooLarge = 2,
    /// A file is not UTF-8.
    NotUtf8 = 3,
    /// The text is not TOML.
    Syntax = 4,
    /// An `include` matches no file.
    IncludeMatchesNothing = 5,
    /// A file is included a second time, perhaps by itself.
    IncludedTwice = 6,
    /// An `include` is not a valid pattern.
    IncludePattern = 7,
    /// A key is set in two files.
    SetTwice = 8,
    /// `${NAME}` names an environment variable that is not set.
    EnvironmentVariable = 9,
    /// `{ file = … }` names a file that cannot be read.
    ValueFile = 10,
    /// More files are included than a configuration may have.
    TooManyFiles = 11,
    /// The format of a file cannot be told from its name.
    UnknownLanguage = 12,
    /// A file of a map cannot be read, or is not written as it should be.
    MapFile = 20,

    /// A file of endpoints cannot be read, or is not written as it should be.
    EndpointsFile = 22,

    // The shape of values.
    /// A value has the wrong type.
    WrongType = 101,
    /// A key that does not exist.
    UnknownKey = 102,
    /// A key that must be there is not.
    MissingKey = 103,
    /// A value is not written as its type demands.
    BadValue = 104,
    /// A number is too small or too large.
    OutOfRange = 105,

    // Names.
    /// A listener that no `[[listeners]]` names.
    UnknownListener = 201,
    /// A route that the site does not name.
    UnknownRoute = 202,
    /// An upstream that no `[upstreams]` table defines.
    UnknownUpstream = 203,
    /// A name, header, host or endpoint that is given twice.
    Duplicate = 204,
    /// Two listeners bind one address.
    AddressTaken = 205,
    /// Two sites of one listener claim one host.
    HostTaken = 206,
    /// Two sites of one listener are its default.
    DefaultTaken = 207,
    /// An internal route that no other route leads to.
    Unreachable = 208,
    /// A zone that no `[zones]` table defines.
    UnknownZone = 209,
    /// A shard that the upstream does not name.
    UnknownShard = 210,
    /// A plugin that no `[plugins]` table defines, and that the program has not.
    UnknownPlugin = 211,

    // What is said as a whole.
    /// There is no listener.
    NoListeners = 301,
    /// There is no site, or a listener that no site answers on.
    NoSites = 302,
    /// A site has no routes.
    NoRoutes = 303,
    /// A route has no action.
    NoAction = 304,
    /// A route has more than one action.
    SeveralActions = 305,
    /// An internal route has no name.
    InternalWithoutName = 306,
    /// The paths of one route capture different names.
    CapturesDiffer = 307,
    /// Something is said that can have no effect here.
    NoEffect = 308,
    /// A list that may not be empty is.
    Empty = 309,

    // Small languages inside strings.
    /// A template does not parse.
    Template = 310,
    /// A condition does not parse.
    Condition = 311,
    /// A path pattern does not parse.
    PathPattern = 312,
    /// A host pattern does not parse.
    HostPattern = 313,
    /// A regular expression does not parse.
    Regex = 314,
    /// A header value holds a line break or another control character.
    HeaderValue = 315,
    /// A header that the proxy computes itself cannot be set or removed.
    FramingHeader = 316,
    /// A key of a map does not parse.
    MapKey = 330,
    /// Maps depend on one another in a circle.
    MapCycle = 331,
    /// Settings of a cache that exclude one another, or ask for what cannot be kept.
    CacheUnfit = 340,
    /// Settings of content negotiation that exclude one another, miss what they need, or cost too much.
    VariantUnfit = 350,
    /// Settings of shards and replicas that exclude one another, or miss what they need.
    ShardUnfit = 360,
    /// Ranges of keys that overlap, leave a gap, or are none.
    ShardRanges = 361,
    /// Upstreams that spill to one another in a circle, or to one that cannot have what spills.
    SpillUnfit = 370,
    /// Settings of plugins or filters that exclude one another, or miss what they need.
    PluginUnfit = 380,

    // Files and TLS, as far as they can be judged without opening a socket.
    /// A certificate, key or CA file is missing or cannot be read.
    FileUnreadable = 401,
    /// A `tls` does not say which certificates there are, or says it in two ways.
    TlsForm = 402,
    /// An upstream's certificate would be verified against no name.
    ServerNameMissing = 403,
    /// The path of a Unix socket is longer than the system allows.
    SocketPathTooLong = 404,
    /// A directory to serve files from is not there, or is none.
    NoDirectory = 405,

    // Found when the plan is assembled; reported by the engine.
    /// A certificate file holds no usable certificate.
    Certificate = 501,
    /// A key file holds no usable private key.
    PrivateKey = 502,
    /// A private key does not belong to its certificate.
    KeyMismatch = 503,
    /// A CA file holds no usable certificate.
    CertificateAuthority = 504,
    /// An address cannot be bound.
    Bind = 505,
    /// A log file cannot be opened.
    LogFile = 506,
    /// Whatever else keeps a plan from being assembled.
    Assemble = 507,
    /// An action that the program has not registered.
    UnknownAction = 510,
    /// A file of ticket keys is not as long as one must be.
    TicketKeys = 520,
    /// A file of revoked certificates cannot be used.
    Revocations = 521,
    /// A file holds no OCSP answer that could be stapled.
    OcspAnswer = 522,
    /// The kernel refuses an option of a listener's sockets.
    SocketOption = 523,
    /// The directory of a zone cannot be used.
    ZoneDirectory = 530,
    /// An image format that this build of the program cannot make.
    ImageFormat = 540,
    /// The file of a plugin cannot be loaded.
    PluginModule = 550,
    /// An option that the plugin refuses.
    PluginOption = 551,
}

impl Code {
    /// The number in its name.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "C{:04}", self.number())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_and_have_a_sentence() {
        assert!(Code::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()));
        assert!(Code::ALL.iter().all(|code| code.doc().ends_with('.')));
        assert_eq!(Code::UnknownUpstream.to_string(), "C0203");
        assert_eq!(Code::Unreadable.doc(), "A file cannot be read.");
    }
}
