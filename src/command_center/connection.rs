//! The connection to a Command Center. The data of a Secret and the operator's policy go in, a [`Connection`] or the
//! mistake in the Secret comes out. Pure, no client.

use std::{collections::BTreeMap, fmt, sync::Arc};

use k8s_openapi::ByteString;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use crate::command_center::{
    NotAToken, Redaction, Token,
    address_policy::AddressPolicy,
    endpoint::{Endpoint, EndpointError, EndpointPolicy, NotAllowed},
    trim::{trimmed, without_byte_order_mark},
};

/// The address to call, the token and the certificates to trust: all of it from one Secret.
#[derive(Clone)]
pub struct Connection {
    /// The base URL, which the policy allows.
    pub endpoint: Endpoint,
    /// The IP addresses that may be connected to for it.
    pub reach: AddressPolicy,
    /// The token.
    pub token: Token,
    /// The tokens that no shown text of the Command Center may quote: this one, the key `refreshToken`, and the ones
    /// before them.
    pub redaction: Redaction,
    /// The certificates to trust instead of the system's, if the Secret has any.
    pub roots: Option<Roots>,
    /// resourceVersion of the Secret.
    pub version: String,
}

/// The identity of a connection. A result of a call counts for this connection first. Two Secrets with one base URL are
/// two connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    /// The namespace of the Secret.
    pub namespace: String,
    /// The name of the Secret.
    pub secret: String,
    /// The base URL.
    pub endpoint: String,
}

impl ConnectionId {
    /// The id for Secret `secret` in `namespace`.
    #[must_use]
    pub fn new(namespace: &str, secret: &str, endpoint: &Endpoint) -> Self {
        Self { namespace: namespace.to_owned(), secret: secret.to_owned(), endpoint: endpoint.to_string() }
    }
}

/// Certificates of a private authority, as DER.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Roots(Arc<Vec<Vec<u8>>>);

impl Roots {
    /// The certificates as DER.
    pub fn der(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("endpoint", &self.endpoint)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// The reason why a Secret is not a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// The type of the Secret says that it is for something else.
    #[error(
        "is of type {0}, which Kubernetes or Helm keeps for something else: whoever may add a url to it need not be one who may read it, so nothing of it is sent anywhere. Put url and token into a Secret of their own, of type Opaque"
    )]
    TypeForbidden(String),
    /// No key `url`.
    #[error(
        "has no key url: set it to the base address of the Command Center's API, such as https://commandcenter.example.com/commandcenter/api"
    )]
    UrlMissing,
    /// The key `url` is not a base URL.
    #[error("has a key url that cannot be used: {0}")]
    UrlInvalid(#[source] EndpointError),
    /// No key `token`.
    #[error("has no key token: set it to a token of the Command Center")]
    TokenMissing,
    /// No header can carry the key `token`.
    #[error("has a key token that cannot be used: {0}")]
    TokenInvalid(#[source] NotAToken),
    /// The key `refreshToken` is not a token, and tokens are to be renewed.
    #[error("has a key refreshToken that cannot be used: {0}")]
    RefreshTokenInvalid(#[source] NotAToken),
    /// The key `ca.crt` holds no certificate.
    #[error(
        "has a key ca.crt that holds no usable certificate: it must be PEM, beginning with -----BEGIN CERTIFICATE-----"
    )]
    CertificateInvalid,
    /// The key `ca.crt` holds more certificates than any authority needs.
    #[error(
        "has a key ca.crt of more than 64 certificates or 256 KiB: put only the certificate of the authority there that signed the Command Center's, not a bundle of all"
    )]
    CertificatesTooMany,
    /// The policy does not allow the address.
    #[error("has a url that the operator may not call: {0}")]
    NotAllowed(#[source] NotAllowed),
}

/// Most certificates, and bytes, of a key `ca.crt`: each client keeps them, and each new session searches them.
const MAX_CERTIFICATES: usize = 64;
const MAX_PEM: usize = 256 << 10;
/// Domains of the types of Secrets that are for something else. Some of these have a key `token`.
const TYPES_WITH_A_PURPOSE: [&str; 2] = ["kubernetes.io", "helm.sh"];
/// Most characters of a type that are shown.
const MAX_TYPE: usize = 64;

/// Refuses a Secret whose type belongs to Kubernetes or Helm; see [`ConnectionError::TypeForbidden`].
///
/// # Errors
/// The type is one of theirs.
pub fn check_type(type_: Option<&str>) -> Result<(), ConnectionError> {
    let type_ = type_.unwrap_or_default();
    let domain = type_.split_once('/').map_or("", |(domain, _)| domain).to_ascii_lowercase();
    let is_within =
        |outer: &&str| domain.strip_suffix(*outer).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if TYPES_WITH_A_PURPOSE.iter().any(is_within) {
        let shown = type_.chars().filter(char::is_ascii_graphic).take(MAX_TYPE).collect();
        return Err(ConnectionError::TypeForbidden(shown));
    }
    Ok(())
}

impl Connection {
    /// The connection in the data of a Secret, whose resourceVersion is `version`.
    ///
    /// # Errors
    /// The first mistake, in the order in which a person would mend them.
    pub fn from_secret(
        data: &BTreeMap<String, ByteString>,
        version: &str,
        policy: &EndpointPolicy,
    ) -> Result<Self, ConnectionError> {
        let is_blank = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok_and(|text| trimmed(text).is_empty());
        let key = |name: &str| data.get(name).map(|bytes| bytes.0.as_slice()).filter(|bytes| !is_blank(bytes));

        let url = key("url").ok_or(ConnectionError::UrlMissing)?;
        let endpoint: Endpoint = std::str::from_utf8(url)
            .map_err(|_| EndpointError::NotAUrl)
            .and_then(str::parse)
            .map_err(ConnectionError::UrlInvalid)?;
        let reach = policy.check(&endpoint).map_err(ConnectionError::NotAllowed)?;
        let token = key("token").ok_or(ConnectionError::TokenMissing)?;
        let token = Token::new(token).map_err(ConnectionError::TokenInvalid)?;
        let roots = key("ca.crt").map(roots).transpose()?;
        let refresh_token = data.get("refreshToken").and_then(|bytes| Token::new(&bytes.0).ok());
        let redaction = Redaction::of([Some(token.clone()), refresh_token].into_iter().flatten());
        Ok(Self { endpoint, reach, token, redaction, roots, version: version.to_owned() })
    }
}

fn roots(pem: &[u8]) -> Result<Roots, ConnectionError> {
    if pem.len() > MAX_PEM {
        return Err(ConnectionError::CertificatesTooMany);
    }
    // A certificate begins only at the start of a line; the parser would skip any other without an error. So the space
    // and byte order marks before it are removed.
    let lines = pem.split(|byte| *byte == b'\n').map(|line| without_byte_order_mark(line.trim_ascii()).trim_ascii());
    let pem = lines.collect::<Vec<_>>().join(&b'\n');
    let certificates: Vec<Vec<u8>> = CertificateDer::pem_slice_iter(&pem)
        .take(MAX_CERTIFICATES + 1)
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect::<Result<_, _>>()
        .map_err(|_| ConnectionError::CertificateInvalid)?;
    if certificates.len() > MAX_CERTIFICATES {
        return Err(ConnectionError::CertificatesTooMany);
    }
    let mut store = rustls::RootCertStore::empty();
    let usable = certificates.iter().all(|der| store.add(CertificateDer::from(der.clone())).is_ok());
    if certificates.is_empty() || !usable {
        Err(ConnectionError::CertificateInvalid)
    } else {
        Ok(Roots(Arc::new(certificates)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_center::address_policy::{LocalAddresses, NoReach};

    fn secret(keys: &[(&str, &str)]) -> BTreeMap<String, ByteString> {
        keys.iter().map(|(name, value)| ((*name).to_owned(), ByteString(value.as_bytes().to_vec()))).collect()
    }

    fn error(keys: &[(&str, &str)]) -> ConnectionError {
        Connection::from_secret(&secret(keys), "1", &EndpointPolicy::default()).unwrap_err()
    }

    const URL: (&str, &str) = ("url", "https://cc.example.com/commandcenter/api");
    const TOKEN: (&str, &str) = ("token", "t0ken");

    #[test]
    fn each_mistake_in_a_secret_has_its_own_error() {
        assert_eq!(error(&[TOKEN]), ConnectionError::UrlMissing);
        assert_eq!(error(&[("url", " \n"), TOKEN]), ConnectionError::UrlMissing);
        assert_eq!(error(&[("url", "cc.example.com"), TOKEN]), ConnectionError::UrlInvalid(EndpointError::NotAUrl));
        assert_eq!(
            error(&[("url", "http://cc.example.com"), TOKEN]),
            ConnectionError::NotAllowed(NotAllowed::Insecure)
        );
        assert_eq!(
            error(&[("url", "https://127.0.0.1/api"), TOKEN]),
            ConnectionError::NotAllowed(NotAllowed::NoReach(NoReach::Local))
        );
        assert_eq!(error(&[URL]), ConnectionError::TokenMissing);
        assert_eq!(error(&[URL, ("token", "\n")]), ConnectionError::TokenMissing);
        assert_eq!(error(&[URL, ("token", "a\nb")]), ConnectionError::TokenInvalid(NotAToken::Character('\n')));
        assert_eq!(error(&[URL, TOKEN, ("ca.crt", "no pem")]), ConnectionError::CertificateInvalid);
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(error(&[URL, TOKEN, ("ca.crt", broken)]), ConnectionError::CertificateInvalid);
    }

    #[test]
    fn a_complete_secret_is_a_connection_that_does_not_show_its_token() {
        let certified = rcgen::generate_simple_self_signed(["cc.example.com".to_owned()]).unwrap();
        let connection = Connection::from_secret(
            &secret(&[URL, TOKEN, ("ca.crt", &certified.cert.pem())]),
            "7",
            &EndpointPolicy::default(),
        )
        .unwrap();
        assert_eq!(connection.endpoint.to_string(), URL.1);
        assert_eq!(connection.reach.local, LocalAddresses::Refused);
        assert_eq!(connection.roots.as_ref().unwrap().der().count(), 1);
        assert!(!format!("{connection:?}").contains("t0ken"));
    }

    #[test]
    fn byte_order_marks_and_white_space_around_a_key_are_not_part_of_it() {
        let pem = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap().cert.pem();
        // As `cat` joins two files that a Windows editor wrote.
        let bundle = format!("\u{feff}{}\n\u{feff}  {}", pem("a").replace('\n', "\r\n"), pem("b"));
        let around = |text: &str| format!("\u{feff} {text}\r\n\u{feff}");
        let (url, token) = (around(URL.1), around(TOKEN.1));
        let keys = [("url", url.as_str()), ("token", &token), ("ca.crt", &bundle)];
        let connection = Connection::from_secret(&secret(&keys), "7", &EndpointPolicy::default()).unwrap();
        assert_eq!(connection.endpoint.to_string(), URL.1);
        assert_eq!(connection.token.reveal(), TOKEN.1);
        assert_eq!(connection.roots.unwrap().der().count(), 2);
        assert_eq!(error(&[URL, ("token", "\u{feff}")]), ConnectionError::TokenMissing);
        assert_eq!(error(&[("url", "\u{feff}\n"), TOKEN]), ConnectionError::UrlMissing);
    }

    #[test]
    fn a_bundle_of_all_authorities_is_refused() {
        let pem = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap().cert.pem();
        let with =
            |ca: &str| Connection::from_secret(&secret(&[URL, TOKEN, ("ca.crt", ca)]), "7", &EndpointPolicy::default());
        assert_eq!(with(&pem.repeat(MAX_CERTIFICATES)).unwrap().roots.unwrap().der().count(), MAX_CERTIFICATES);
        assert_eq!(with(&pem.repeat(MAX_CERTIFICATES + 1)).unwrap_err(), ConnectionError::CertificatesTooMany);
        let padded = format!("{}\n{pem}", "# a comment\n".repeat(MAX_PEM / 12));
        assert_eq!(with(&padded).unwrap_err(), ConnectionError::CertificatesTooMany);
    }

    #[test]
    fn a_token_that_was_copied_with_something_else_is_told_apart() {
        for (token, expected) in [
            ("\"t0ken\"", "quotation marks"),
            ("'t0ken'", "quotation marks"),
            ("\u{201c}t0ken\u{201d}", "quotation marks"),
            ("Authtoken: t0ken", "name of a header"),
            ("authorization: Bearer t0ken", "name of a header"),
            ("t0\u{200b}ken", "U+200B"),
            ("t0k\u{e9}n", "U+00E9"),
            ("t0\nken", "HTTP header cannot carry"),
            ("Bearer", "only the word"),
            // "QSDK 0123456789" and "Bearer 0123456789" in base64, once more.
            ("UVNESyAwMTIzNDU2Nzg5", "base64 twice"),
            ("QmVhcmVyIDAxMjM0NTY3ODk=", "base64 twice"),
        ] {
            let error = error(&[URL, ("token", token)]);
            assert!(matches!(error, ConnectionError::TokenInvalid(_)), "{token}: {error}");
            assert!(error.to_string().contains(expected), "{token}: {error}");
            assert!(!error.to_string().contains("t0"), "nothing of it is shown: {error}");
        }
        for token in ["QSDK 0a1b2c3d", "Bearer a.b-c_d", "a:b", "c2VjcmV0IGJ5dGVz", "UVNES"] {
            let keys = [URL, ("token", token)];
            assert!(Connection::from_secret(&secret(&keys), "7", &EndpointPolicy::default()).is_ok(), "{token}");
        }
    }

    #[test]
    fn secrets_that_kubernetes_or_helm_has_a_purpose_for_are_no_connections() {
        for forbidden in [
            "kubernetes.io/service-account-token",
            "kubernetes.io/tls",
            "kubernetes.io/dockerconfigjson",
            "bootstrap.kubernetes.io/token",
            "helm.sh/release.v1",
            "Kubernetes.IO/basic-auth",
        ] {
            assert_eq!(check_type(Some(forbidden)), Err(ConnectionError::TypeForbidden(forbidden.to_owned())));
        }
        for fine in
            ["Opaque", "", "example.com/commandcenter", "notkubernetes.io/x", "kubernetes.io", "x/kubernetes.io/y"]
        {
            assert_eq!(check_type(Some(fine)), Ok(()), "{fine}");
        }
        assert_eq!(check_type(None), Ok(()));
        let long = format!("kubernetes.io/\u{202e}{}", "x".repeat(1000));
        let Err(ConnectionError::TypeForbidden(shown)) = check_type(Some(&long)) else { panic!("it is refused") };
        assert_eq!(shown, format!("kubernetes.io/{}", "x".repeat(50)));
    }
}
