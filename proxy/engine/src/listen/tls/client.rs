//! The certificate that a client has shown, and what variables tell of it, in nginx's forms.

use std::fmt::Write as _;
use std::sync::OnceLock;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::CertificateDer;
use switchback_value::Known;
use x509_parser::prelude::{ASN1Time, AttributeTypeAndValue, FromDer, X509Certificate, X509Name};

/// The certificate of a client. It was verified, so it can be read.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    encoded: Box<[u8]>,
    /// Made when the first variable asks.
    told: OnceLock<Box<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    subject: String,
    issuer: String,
    serial: String,
    fingerprint: String,
    starts: String,
    ends: String,
    escaped: String,
}

impl ClientCertificate {
    pub(super) fn new(leaf: &CertificateDer<'_>) -> Self {
        Self { encoded: leaf.as_ref().into(), told: OnceLock::new() }
    }

    /// The value of a variable about it; `None` for other variables.
    pub(crate) fn value(&self, known: Known) -> Option<&str> {
        let told = || self.told.get_or_init(|| Box::new(tell(&self.encoded)));
        Some(match known {
            Known::SslClientVerify => "SUCCESS",
            Known::SslClientSDn => &told().subject,
            Known::SslClientIDn => &told().issuer,
            Known::SslClientSerial => &told().serial,
            Known::SslClientFingerprint => &told().fingerprint,
            Known::SslClientVStart => &told().starts,
            Known::SslClientVEnd => &told().ends,
            Known::SslClientEscapedCert => &told().escaped,
            _ => return None,
        })
    }
}

fn tell(encoded: &[u8]) -> Told {
    let fingerprint = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, encoded);
    let told = Told {
        fingerprint: hex(fingerprint.as_ref()).to_ascii_lowercase(),
        escaped: escaped_pem(encoded),
        ..Told::default()
    };
    let Ok((_, certificate)) = X509Certificate::from_der(encoded) else { return told };
    let serial = certificate.raw_serial();
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    let zeros = zeros.min(serial.len().saturating_sub(1));
    Told {
        subject: name(certificate.subject()),
        issuer: name(certificate.issuer()),
        serial: hex(serial.get(zeros..).unwrap_or_default()),
        starts: moment(&certificate.validity().not_before),
        ends: moment(&certificate.validity().not_after),
        ..told
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// As OpenSSL prints it: `Jun  9 12:00:00 2026 GMT`.
fn moment(time: &ASN1Time) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let time = time.to_datetime();
    let month = MONTHS.get(usize::from(u8::from(time.month())) - 1).copied().unwrap_or_default();
    let (day, (hour, minute, second), year) = (time.day(), time.to_hms(), time.year());
    format!("{month} {day:2} {hour:02}:{minute:02}:{second:02} {year} GMT")
}

/// The certificate as PEM, with everything escaped that is not plain in a URL.
fn escaped_pem(encoded: &[u8]) -> String {
    let base64 = BASE64_STANDARD.encode(encoded);
    let mut pem = String::with_capacity(base64.len() * 5 / 4 + 64);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    for line in base64.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    let mut escaped = String::with_capacity(pem.len() * 5 / 4);
    for byte in pem.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// A name in the form of RFC 2253, as OpenSSL writes it: the last part first, every byte beyond ASCII escaped.
fn name(name: &X509Name<'_>) -> String {
    let parts: Vec<String> = name
        .iter_rdn()
        .map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+"))
        .collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let value = attribute.attr_value();
    match (short_name(&oid), attribute.as_str()) {
        (Some(short), Ok(text)) => format!("{short}={}", escaped(text)),
        (Some(short), Err(_)) => format!("{short}={}", escaped_bytes(value.data)),
        (None, _) => {
            let header = [u8::try_from(value.tag().0).unwrap_or_default()];
            let length = u8::try_from(value.data.len()).unwrap_or(u8::MAX);
            format!("{oid}=#{}{length:02X}{}", hex(&header), hex(value.data))
        }
    }
}

/// What OpenSSL calls the parts of names.
fn short_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.17" => "postalCode",
        "2.5.4.42" => "GN",
        "2.5.4.43" => "initials",
        "2.5.4.46" => "dnQualifier",
        "2.5.4.97" => "organizationIdentifier",
        "1.2.840.113549.1.9.1" => "emailAddress",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        _ => return None,
    })
}

fn escaped(text: &str) -> String {
    escaped_bytes(text.as_bytes())
}

fn escaped_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        let is_edge_space = *byte == b' ' && (at == 0 || at + 1 == bytes.len());
        let is_first_hash = *byte == b'#' && at == 0;
        match byte {
            0..0x20 | 0x7f.. => drop(write!(out, "\\{byte:02X}")),
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                out.push('\\');
                out.push(char::from(*byte));
            }
            _ if is_edge_space || is_first_hash => {
                out.push('\\');
                out.push(char::from(*byte));
            }
            _ => out.push(char::from(*byte)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SerialNumber, date_time_ymd};

    use super::*;

    #[test]
    fn a_certificate_is_told_of_as_openssl_does() {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "CH");
        params.distinguished_name.push(DnType::OrganizationName, "Käse, Brot + \"Wein\"");
        params.distinguished_name.push(DnType::CommonName, " #alice ");
        params.serial_number = Some(SerialNumber::from_slice(&[0x0a, 0xff]));
        params.not_before = date_time_ymd(2026, 6, 9);
        params.not_after = date_time_ymd(2036, 11, 19);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let told = ClientCertificate::new(certificate.der());
        let value = |known| told.value(known).unwrap();
        let subject = "CN=\\ #alice\\ ,O=K\\C3\\A4se\\, Brot \\+ \\\"Wein\\\",C=CH";
        assert_eq!(value(Known::SslClientSDn), subject);
        assert_eq!(value(Known::SslClientIDn), subject);
        assert_eq!(value(Known::SslClientSerial), "0AFF");
        assert_eq!(value(Known::SslClientVStart), "Jun  9 00:00:00 2026 GMT");
        assert_eq!(value(Known::SslClientVEnd), "Nov 19 00:00:00 2036 GMT");
        assert_eq!(value(Known::SslClientVerify), "SUCCESS");
        assert_eq!(value(Known::SslClientFingerprint).len(), 40);
        let escaped = value(Known::SslClientEscapedCert);
        assert!(escaped.starts_with("-----BEGIN%20CERTIFICATE-----%0AMII"), "{escaped}");
        assert!(escaped.ends_with("%0A-----END%20CERTIFICATE-----%0A"), "{escaped}");
        assert_eq!(told.value(Known::Host), None);
    }
}
