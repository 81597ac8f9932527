//! TLS to a Command Center: which certificates are accepted besides those that an authority signed, and why a session did
//! not come about. No decisions about calls.

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

/// Why there is no TLS session.
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
    /// The server speaks only versions or ciphers of TLS that are too old.
    OldProtocol,
    /// The server wants a certificate of the client.
    ClientCertificate,
    /// What answers does not speak TLS.
    NotTls,
    /// The server closes the connection instead of answering.
    Closed,
    /// Something else.
    Other,
}

impl TlsFailure {
    /// Why there is no session, if `cause` says so.
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
            // An authority of the same name and another key is another one.
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
/// When the certificates are none.
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

/// Accepts what one of the authorities signed, and a certificate that is itself one of those that are trusted. A
/// certificate that a server made for itself usually says that it is an authority (`openssl req -x509` does so), and as
/// such it is not accepted for a server, although it stands in the Secret and nobody else can have its key.
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
            // Said after the dates were found to be good, and before the name is looked at.
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

/// What `webpki` says of the certificate of an authority that a server shows as its own.
const IS_AN_AUTHORITY: &str = "CaUsedAsEndEntity";
