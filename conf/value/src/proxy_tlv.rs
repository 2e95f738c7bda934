//! The values that a header of the PROXY protocol, version 2, may carry beside addresses.

use std::fmt;

/// One of those values, under nginx's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyTlv {
    /// The value of this type.
    Type(u8),
    /// The value of this type within that of TLS.
    Ssl(u8),
    /// The result of verifying the client's certificate, as a number: 0 when it was found good.
    SslVerify,
}

/// The types that have names.
const NAMES: [(&str, ProxyTlv); 10] = [
    ("alpn", ProxyTlv::Type(0x01)),
    ("authority", ProxyTlv::Type(0x02)),
    ("unique_id", ProxyTlv::Type(0x05)),
    ("netns", ProxyTlv::Type(0x30)),
    ("ssl_version", ProxyTlv::Ssl(0x21)),
    ("ssl_cn", ProxyTlv::Ssl(0x22)),
    ("ssl_cipher", ProxyTlv::Ssl(0x23)),
    ("ssl_sig_alg", ProxyTlv::Ssl(0x24)),
    ("ssl_key_alg", ProxyTlv::Ssl(0x25)),
    ("ssl_verify", ProxyTlv::SslVerify),
];

impl ProxyTlv {
    /// The value that nginx calls `name`: a word, or a type as in `0xea`; of TLS `ssl_0x21`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        if let Some((_, known)) = NAMES.iter().find(|(own, _)| *own == name) {
            return Some(*known);
        }
        let (digits, build): (_, fn(u8) -> Self) = match name.strip_prefix("ssl_0x") {
            Some(digits) => (digits, Self::Ssl),
            None => (name.strip_prefix("0x")?, Self::Type),
        };
        let is_hex = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u8::from_str_radix(digits, 16).ok().filter(|_| is_hex).map(build)
    }
}

impl fmt::Display for ProxyTlv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (NAMES.iter().find(|(_, known)| known == self), self) {
            (Some((name, _)), _) => f.write_str(name),
            (None, Self::Type(kind)) => write!(f, "0x{kind:02x}"),
            (None, Self::Ssl(kind)) => write!(f, "ssl_0x{kind:02x}"),
            (None, Self::SslVerify) => f.write_str("ssl_verify"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ProxyTlv;

    #[test]
    fn names_are_words_or_types() {
        let named = |name: &str| ProxyTlv::from_name(name).map(|tlv| tlv.to_string());
        for name in ["alpn", "unique_id", "ssl_cn", "ssl_verify", "0xea", "ssl_0x2f"] {
            assert_eq!(named(name).as_deref(), Some(name));
        }
        assert_eq!(named("0x02").as_deref(), Some("authority"));
        assert_eq!(named("0xEA").as_deref(), Some("0xea"));
        for name in ["", "host", "0x", "0x1", "0x123", "0xg0", "0x+1", "ssl_", "ssl_0x", "1"] {
            assert_eq!(named(name), None, "{name}");
        }
    }
}
