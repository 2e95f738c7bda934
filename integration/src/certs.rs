//! A certificate authority for one test, and what it signs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, PKCS_RSA_SHA256, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, SupportedKxGroup, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme, SupportedProtocolVersion,
};

/// A certificate authority of a test's own.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Switchback test authority");
        let issuer =
            CertifiedIssuer::self_signed(params, new_key()).expect("an authority signs itself");
        Self { issuer }
    }

    /// Its certificate.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for these host names and addresses.
    #[must_use]
    pub fn identity(&self, names: &[&str]) -> Identity {
        self.sign(&params_for(names))
    }

    /// A certificate for these host names and addresses that ended with the year 2020.
    #[must_use]
    pub fn expired_identity(&self, names: &[&str]) -> Identity {
        let mut params = params_for(names);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 12, 31);
        self.sign(&params)
    }

    /// The same with an RSA key.
    ///
    /// # Panics
    /// When no such key can be made.
    #[must_use]
    pub fn rsa_identity(&self, names: &[&str]) -> Identity {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key can be made");
        self.sign_for(&params_for(names), key)
    }

    /// Another authority, which this one vouches for.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn intermediate(&self, name: &str) -> Self {
        let mut params = params_for(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::signed_by(params, new_key(), &self.issuer)
            .expect("an authority signs another");
        Self { issuer }
    }

    /// A list of these revoked certificates, as PEM.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn revocations(&self, revoked: &[&Identity]) -> String {
        let revoked = revoked.iter().map(|identity| RevokedCertParams {
            serial_number: identity.serial.clone(),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2124, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).expect("an authority signs its list");
        list.pem().expect("a list can be written")
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        self.sign_for(params, new_key())
    }

    fn sign_for(&self, params: &CertificateParams, key: KeyPair) -> Identity {
        let certificate =
            params.signed_by(&key, &self.issuer).expect("an authority signs a valid request");
        let serial = params.serial_number.clone().expect("it was given one");
        Identity { certificate: certificate.pem(), der: certificate.der().clone(), key, serial }
    }

    /// What a client of this authority says hello with: these groups for the key exchange, the first of them with a share.
    pub(crate) fn client_config_with_groups(
        &self,
        groups: Vec<&'static dyn SupportedKxGroup>,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("an authority's certificate is a root");
        let provider = CryptoProvider { kx_groups: groups, ..aws_lc_rs::default_provider() };
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .expect("the provider supports the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        with_alpn(config, &[b"http/1.1"])
    }

    pub(crate) fn client_config(&self, alpn: &[&[u8]]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("an authority's certificate is a root");
        let config = client_builder().with_root_certificates(roots).with_no_client_auth();
        with_alpn(config, alpn)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// A certificate and its key.
pub struct Identity {
    certificate: String,
    der: CertificateDer<'static>,
    key: KeyPair,
    serial: SerialNumber,
}

impl Identity {
    /// A certificate that vouches for itself.
    #[must_use]
    pub fn self_signed(names: &[&str]) -> Self {
        let key = new_key();
        let params = params_for(names);
        let certificate = params.self_signed(&key).expect("a valid request");
        let serial = params.serial_number.expect("it was given one");
        Self { certificate: certificate.pem(), der: certificate.der().clone(), key, serial }
    }

    /// The certificate as PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    /// The key as PEM.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub(crate) fn server_config(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .and_then(|builder| {
                    builder.with_no_client_auth().with_single_cert(vec![self.der.clone()], key)
                })
                .expect("a certificate fits its own key");
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }
}

/// A client that accepts whatever certificate it is shown.
pub(crate) fn credulous_client_config(alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let verifier = Arc::new(Credulous(aws_lc_rs::default_provider()));
    let config = client_builder()
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    with_alpn(config, alpn)
}

/// The same, speaking this version alone.
pub(crate) fn credulous_client_config_of(
    version: &'static SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let provider = aws_lc_rs::default_provider();
    let config = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
        .with_protocol_versions(&[version])
        .expect("the provider supports both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Credulous(provider)))
        .with_no_client_auth();
    Arc::new(config)
}

fn client_builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default versions")
}

fn with_alpn(mut config: ClientConfig, alpn: &[&[u8]]) -> Arc<ClientConfig> {
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

fn params_for(names: &[&str]) -> CertificateParams {
    /// So that each certificate of a test has a number of its own.
    static SERIALS: AtomicU64 = AtomicU64::new(1000);
    let subject = names.first().copied().unwrap_or("nobody");
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names of tests are valid");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.serial_number = Some(SERIALS.fetch_add(1, Ordering::Relaxed).into());
    params
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}

/// Verifies signatures but no certificate.
#[derive(Debug)]
struct Credulous(CryptoProvider);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}
