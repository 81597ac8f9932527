//! TLS to a Command Center. A Secret's certificates go in, the TLS side of a client comes out; an error goes in, the
//! reason why there is no session comes out. It needs no client.

use std::{io, sync::Arc};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use crate::command_center::connection::Roots;

/// The reason why there is no TLS session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsFailure {
    /// The server's certificate has expired.
    Expired,
    /// The server's certificate is not valid yet.
    NotYetValid,
    /// The server's certificate is signed by an authority that is not trusted, or by itself.
    UnknownAuthority,
    /// The server's certificate is for other names.
    WrongName,
    /// The server's certificate is not accepted for another reason.
    Certificate,
    /// The server has only versions or ciphers of TLS that are too old.
    OldProtocol,
    /// The server asks for a client certificate.
    ClientCertificate,
    /// The server does not speak TLS.
    NotTls,
    /// The server closes the connection instead of an answer.
    Closed,
    /// Any other reason.
    Other,
}

impl TlsFailure {
    /// The reason why there is no session, if `cause` tells it.
    #[must_use]
    pub fn of(cause: &(dyn std::error::Error + 'static)) -> Option<Self> {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return (error.kind() == io::ErrorKind::UnexpectedEof
                && error.get_ref().is_none_or(|within| !within.is::<rustls::Error>()))
            .then_some(Self::Closed);
        }
        Some(match cause.downcast_ref::<rustls::Error>()? {
            rustls::Error::InvalidCertificate(error) => Self::of_certificate(error),
            rustls::Error::AlertReceived(alert) => Self::of_alert(*alert),
            rustls::Error::PeerIncompatible(_) => Self::OldProtocol,
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            _ => Self::Other,
        })
    }

    const fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            // An authority of the same name with another key is another authority.
            CertificateError::UnknownIssuer | CertificateError::BadSignature | CertificateError::Other(_) => {
                Self::UnknownAuthority
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Self::WrongName,
            _ => Self::Certificate,
        }
    }

    const fn of_alert(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::ProtocolVersion
            | AlertDescription::HandshakeFailure
            | AlertDescription::InsufficientSecurity => Self::OldProtocol,
            AlertDescription::CertificateRequired | AlertDescription::BadCertificate => Self::ClientCertificate,
            AlertDescription::UnrecognisedName => Self::WrongName,
            _ => Self::Other,
        }
    }
}

/// The TLS side of a client that trusts `roots` and nothing else.
///
/// # Errors
/// One of `roots` is not a certificate.
pub(super) fn trusting(roots: &Roots) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut store = RootCertStore::empty();
    for der in roots.der() {
        store.add(CertificateDer::from(der.to_vec()))?;
    }
    let by_authority = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider))
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let verifier = Arc::new(Verifier { by_authority, own: roots.clone() });
    Ok(ClientConfig::builder_with_provider(provider as Arc<CryptoProvider>)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

/// Accepts a certificate that one of the authorities signed, and a certificate that is itself one of the trusted ones.
/// A self-signed certificate usually says that it is an authority (`openssl req -x509` does so), and an authority's
/// certificate is not accepted for a server. But here it stands in the Secret, and nobody else can have its key.
#[derive(Debug)]
struct Verifier {
    by_authority: Arc<WebPkiServerVerifier>,
    own: Roots,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.by_authority.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            // `webpki` says this after it has checked the dates and before the name is checked.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(cause))))
                if cause.to_string() == IS_AN_AUTHORITY && self.own.der().any(|own| own == end_entity.as_ref()) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_authority.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_authority.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_authority.supported_verify_schemes()
    }
}

/// The text of `webpki` for a server that shows the certificate of an authority as its own.
const IS_AN_AUTHORITY: &str = "CaUsedAsEndEntity";
