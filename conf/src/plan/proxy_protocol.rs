//! The PROXY protocol, from proxies in front and towards upstreams.

use std::time::Duration;

use ipnet::IpNet;
use switchback_value::Template;

use super::build::Findings;
use super::matchers::is_of_answer;
use super::texts::Captures;
use crate::at::At;
use crate::diagnostic::{Code, Diagnostic};
use crate::model::{
    BindAddress, Listener, OrText, ProxyProtocol, ProxySource, SendProxy, TemplateText,
};

/// Who must begin with a PROXY header, and how fast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocolPlan {
    /// The networks of those who must.
    pub from: Vec<IpNet>,
    /// Whether whoever comes over a Unix socket must.
    pub unix: bool,
    /// For the whole header.
    pub timeout: Duration,
    /// What becomes of all others.
    pub others: OtherPeers,
}

/// What becomes of connections that come from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherPeers {
    /// They are closed.
    Close,
    /// They are served without a header.
    Plain,
}

/// The PROXY header that connections to an upstream begin with.
#[derive(Clone, Debug)]
pub struct SendProxyPlan {
    /// Its version.
    pub version: ProxyVersion,
    /// What version 2 says beside the addresses, in this order.
    pub tlvs: Vec<SentTlv>,
    /// Whether version 2 has a checksum, which comes last.
    pub checksum: bool,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyVersion {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// What a header of version 2 says beside addresses.
#[derive(Clone, Debug)]
pub enum SentTlv {
    /// The server name that the client asked for.
    Authority,
    /// The protocol that was agreed on with the client in the TLS handshake.
    Alpn,
    /// Whether and how the client speaks TLS.
    Ssl,
    /// An id.
    UniqueId,
    /// A value of the operator's own.
    Custom(u8, Template),
}

/// The types of the operator's own values: custom and experimental (section 2.2 of the specification).
const OWN_TYPES: std::ops::RangeInclusive<u8> = 0xe0..=0xf7;

pub(super) fn accepted(
    settings: &At<ProxyProtocol>,
    listener: &Listener,
    findings: &mut Findings<'_>,
) -> ProxyProtocolPlan {
    let ProxyProtocol { from, timeout, others } = &settings.value;
    if from.is_empty() {
        let message = "`from` names nobody, so no header would be accepted";
        let diagnostic = Diagnostic::error(Code::Empty, settings.at.clone(), message);
        findings.report(diagnostic.hint("as in from = [\"10.0.0.0/8\"], or [\"unix\"]"));
    }
    let is_unix = matches!(listener.address.value, BindAddress::Unix(_));
    for source in from {
        let message = match (source.value, is_unix) {
            (ProxySource::Unix, false) => "`unix` has no effect: this is no Unix socket",
            (ProxySource::Network(_), true) => "a network has no effect on a Unix socket",
            _ => continue,
        };
        findings.report(Diagnostic::warning(Code::NoEffect, source.at.clone(), message));
    }
    let networks = from.iter().filter_map(|source| match source.value {
        ProxySource::Network(network) => Some(network),
        ProxySource::Unix => None,
    });
    ProxyProtocolPlan {
        from: networks.collect(),
        unix: from.iter().any(|source| source.value == ProxySource::Unix),
        timeout: timeout.std(),
        others: others.value,
    }
}

pub(super) fn sent(send: &At<OrText<SendProxy>>, findings: &mut Findings<'_>) -> SendProxyPlan {
    let SendProxy { version, tlvs } = &send.value.0;
    if let Some(first) = tlvs.first().filter(|_| version.value == ProxyVersion::V1) {
        let message = "version 1 has addresses alone, so `tlvs` have no effect";
        let diagnostic = Diagnostic::error(Code::NoEffect, first.at.clone(), message);
        findings.report(diagnostic.hint("write version = \"v2\""));
    }
    let mut plan = SendProxyPlan { version: version.value, tlvs: Vec::new(), checksum: false };
    for (index, tlv) in tlvs.iter().enumerate() {
        let type_of = |text: &str| text.split('=').next().unwrap_or("").trim().to_ascii_lowercase();
        if tlvs.iter().take(index).any(|before| type_of(before) == type_of(tlv)) {
            let message = format!("`{}` is said twice", type_of(tlv));
            findings.error(Code::Duplicate, &tlv.at, message);
        }
        match &*tlv.value {
            "authority" => plan.tlvs.push(SentTlv::Authority),
            "alpn" => plan.tlvs.push(SentTlv::Alpn),
            "ssl" => plan.tlvs.push(SentTlv::Ssl),
            "unique_id" => plan.tlvs.push(SentTlv::UniqueId),
            "crc32c" => plan.checksum = true,
            _ => plan.tlvs.extend(custom(tlv, findings)),
        }
    }
    plan
}

/// `0xE0=$host`.
fn custom(tlv: &At<Box<str>>, findings: &mut Findings<'_>) -> Option<SentTlv> {
    let named = tlv.split_once('=').and_then(|(kind, _)| {
        let digits = kind.trim().strip_prefix("0x")?;
        let is_hex = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u8::from_str_radix(digits, 16).ok().filter(|kind| is_hex && OWN_TYPES.contains(kind))
    });
    let Some(kind) = named else {
        let message = format!("`{}` is nothing that a PROXY header can say here", tlv.value);
        let diagnostic = Diagnostic::error(Code::BadValue, tlv.at.clone(), message);
        findings.report(diagnostic.hint(
            "\"authority\", \"alpn\", \"ssl\", \"unique_id\", \"crc32c\", or as in \"0xE0=$host\" with a type of 0xE0 to 0xF7",
        ));
        return None;
    };
    let begin = tlv.find('=').map_or(0, |at| at + 1);
    let value = tlv.get(begin..).unwrap_or_default();
    let text = At::new(TemplateText(value.into()), tlv.within(begin..tlv.len()));
    let template = findings.template(&text, &Captures::default())?;
    if let Some(late) = template.variables().find(|variable| is_of_answer(variable)) {
        let message =
            format!("`{late}` is empty here: the header goes out before there is an answer");
        findings.report(Diagnostic::warning(Code::NoEffect, text.at, message));
    }
    Some(SentTlv::Custom(kind, template))
}
