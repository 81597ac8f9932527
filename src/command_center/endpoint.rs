//! The addresses to which a token may be sent. The `url` of a Secret and the operator's flags go in; out comes an
//! [`Endpoint`] and the [`AddressPolicy`] for it, or the reason why it may not be called. Pure, no client.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

use ipnet::IpNet;
use url::{Host, Url};

use crate::{
    api::address,
    command_center::{
        address_policy::{AddressPolicy, LocalAddresses, NoReach},
        trim::trimmed,
    },
};

/// The base URL of a Command Center's API, for example `https://host/commandcenter/api`: an absolute http or https URL
/// without user, query and fragment, and without a slash at its end.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The URL that is called. A host name with a dot at its end keeps it, because without it the resolver would try
    /// its search list.
    called: Url,
    /// The URL that is shown, stored and compared. It is the same for all spellings of one address.
    known: Url,
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        self.known == other.known
    }
}

impl Eq for Endpoint {}

/// The mistake in an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It cannot be read as a URL.
    #[error("it is not an absolute URL such as https://commandcenter.example.com/commandcenter/api")]
    NotAUrl,
    /// It is neither http nor https.
    #[error("it begins neither with https:// nor with http://")]
    Scheme,
    /// It has a user or password.
    #[error("it must not hold a user or a password: the token goes into the key token")]
    Credentials,
    /// It has a query or a fragment.
    #[error("it must not hold a query or a fragment")]
    Query,
    /// It has white space or control characters, which some readers drop and others do not.
    #[error(
        "it must not hold white space or control characters, such as a tab or a line break: write it anew in one line"
    )]
    WhiteSpace,
    /// Servers read its path in different ways.
    #[error("its path must be plain: without ;, //, \\, %2f, %5c and %25")]
    Path,
    /// It has a `*`.
    #[error("wildcards have no meaning in it: each address is given by itself, and covers what is below its path")]
    Wildcard,
    /// It is longer than any address.
    #[error("it is longer than 2048 characters")]
    TooLong,
}

/// Most characters of an address, because it is stored in the status.
const MAX_LENGTH: usize = 2048;

impl Endpoint {
    /// The URL of an operation. `path` is relative to the base, for example `CreateTask`.
    #[must_use]
    pub fn join(&self, path: &str) -> Url {
        let mut url = self.called.clone();
        url.set_path(&format!("{}/{path}", self.called.path().trim_end_matches('/')));
        url
    }

    fn is_https(&self) -> bool {
        self.known.scheme() == "https"
    }

    fn ip(&self) -> Option<IpAddr> {
        match self.known.host()? {
            Host::Domain(_) => None,
            Host::Ipv4(ip) => Some(ip.into()),
            Host::Ipv6(ip) => Some(ip.into()),
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let text = trimmed(text);
        // Checked before parsing: the parser drops tabs and line breaks, and reads a backslash as a slash.
        if text.contains(|character: char| character.is_whitespace() || character.is_control()) {
            return Err(EndpointError::WhiteSpace);
        }
        if text.contains('\\') {
            return Err(EndpointError::Path);
        }
        let mut url = Url::parse(text).map_err(|_| EndpointError::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EndpointError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointError::Query);
        }
        if url.as_str().len() > MAX_LENGTH {
            return Err(EndpointError::TooLong);
        }
        let path = url.path().trim_end_matches('/').to_owned();
        // One server reads it as a part of a name, another as a step up: `/allowed/..;/other`.
        let folded = path.to_ascii_lowercase();
        // A segment that is decoded twice on its way, such as `%252f`, has an encoded percent sign.
        if [";", "//", "%2f", "%5c", "%25"].iter().any(|form| folded.contains(form)) {
            return Err(EndpointError::Path);
        }
        if url.as_str().contains('*') {
            return Err(EndpointError::Wildcard);
        }
        url.set_path(&path);
        let known = address::one_spelling(url.clone()).ok_or(EndpointError::NotAUrl)?;
        Ok(Self { called: url, known })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(address::text(&self.known))
    }
}

/// The addresses that the operator may call, from its flags.
#[derive(Clone, Debug, Default)]
pub struct EndpointPolicy {
    /// URL prefixes. If there are any, no other address is called.
    pub allowed: Vec<Endpoint>,
    /// For development only: http, loopback and link-local addresses are called too.
    pub allow_insecure_http: bool,
    /// Networks that are never called, even if they are listed.
    pub refused: Arc<[IpNet]>,
}

/// The reason why an address may not be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// It is http, and https is required.
    #[error("https is required, so that the token is not sent in the clear (for development: --allow-insecure-http)")]
    Insecure,
    /// No `--allowed-endpoint` covers it.
    #[error("it is not below any --allowed-endpoint of the operator (chart value allowedEndpoints)")]
    NotListed,
    /// It is an IP address that is not connected to.
    #[error(transparent)]
    NoReach(#[from] NoReach),
}

impl EndpointPolicy {
    /// The IP addresses that may be connected to for `endpoint`.
    ///
    /// # Errors
    /// The reason why `endpoint` may not be called.
    pub fn check(&self, endpoint: &Endpoint) -> Result<AddressPolicy, NotAllowed> {
        if !endpoint.is_https() && !self.allow_insecure_http {
            return Err(NotAllowed::Insecure);
        }
        let listed = self.allowed.iter().any(|prefix| covers(&prefix.known, &endpoint.known));
        if !listed && !self.allowed.is_empty() {
            return Err(NotAllowed::NotListed);
        }
        let trusted = listed || self.allow_insecure_http;
        let local = if trusted { LocalAddresses::Allowed } else { LocalAddresses::Refused };
        let reach = AddressPolicy { local, any_address: !trusted, refused: Arc::clone(&self.refused) };
        if let Some(ip) = endpoint.ip() {
            reach.check(ip)?;
        }
        Ok(reach)
    }
}

/// True if `url` is `prefix` or below it, compared by scheme, host, port and whole path segments.
fn covers(prefix: &Url, url: &Url) -> bool {
    fn segments(url: &Url) -> impl Iterator<Item = &str> {
        url.path().split('/').filter(|segment| !segment.is_empty())
    }
    let mut rest = segments(url);
    prefix.scheme() == url.scheme()
        && prefix.host() == url.host()
        && prefix.port_or_known_default() == url.port_or_known_default()
        && segments(prefix).all(|segment| rest.next() == Some(segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        text.parse().unwrap()
    }

    fn policy(allowed: &[&str]) -> EndpointPolicy {
        EndpointPolicy { allowed: allowed.iter().map(|text| endpoint(text)).collect(), ..EndpointPolicy::default() }
    }

    #[test]
    fn addresses_that_are_no_base_of_an_api_are_refused() {
        let long = &format!("https://host/{}", "a".repeat(MAX_LENGTH));
        let cases = [
            ("commandcenter.example.com/api", EndpointError::NotAUrl),
            ("", EndpointError::NotAUrl),
            ("https://", EndpointError::NotAUrl),
            ("ftp://host/api", EndpointError::Scheme),
            ("file:///etc/passwd", EndpointError::Scheme),
            ("https://user@host/api", EndpointError::Credentials),
            ("https://:pw@host/api", EndpointError::Credentials),
            ("https://host/api?x=1", EndpointError::Query),
            ("https://host/api#x", EndpointError::Query),
            ("https://host/commandcenter/..;/other", EndpointError::Path),
            ("https://host/commandcenter/..%2Fother", EndpointError::Path),
            ("https://host/commandcenter//api", EndpointError::Path),
            ("https://host/commandcenter/%5c..", EndpointError::Path),
            ("https://host/commandcenter\\..\\other", EndpointError::Path),
            ("https:\\\\host\\api", EndpointError::Path),
            ("https://host/commandcenter/..%252fother", EndpointError::Path),
            ("https://host/commandcenter/%252E%252e/other", EndpointError::Path),
            ("https://ho\tst/api", EndpointError::WhiteSpace),
            ("https://host/.\r\n./api", EndpointError::WhiteSpace),
            ("https://host/a b", EndpointError::WhiteSpace),
            ("https://host/\u{7f}api", EndpointError::WhiteSpace),
            ("https://host/\u{2028}api", EndpointError::WhiteSpace),
            (long, EndpointError::TooLong),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Endpoint>().unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn operations_are_joined_below_the_base() {
        for base in ["https://h/commandcenter/api", "https://h/commandcenter/api/", " https://h/commandcenter/api\n"] {
            assert_eq!(endpoint(base).join("CreateTask").as_str(), "https://h/commandcenter/api/CreateTask");
        }
        assert_eq!(endpoint("https://h").join("Job/1").as_str(), "https://h/Job/1");
        assert_eq!(endpoint("https://h/a/").to_string(), "https://h/a");
    }

    #[test]
    fn only_what_an_allowed_prefix_covers_by_whole_segments_is_called() {
        let allowed = ["https://cc.example.com/commandcenter", "https://other.example.com:8443"];
        let cases = [
            ("https://cc.example.com/commandcenter/api", true),
            ("https://cc.example.com:443/commandcenter", true),
            ("https://CC.example.com/commandcenter/api", true),
            ("https://other.example.com:8443/anything", true),
            ("https://cc.example.com/commandcenter2/api", false),
            ("https://cc.example.com/commandcenter/../other", false),
            ("https://cc.example.com/commandcenter/%2e%2e/other", false),
            ("https://cc.example.com/", false),
            ("https://cc.example.com:444/commandcenter", false),
            ("https://cc.example.com.evil.com/commandcenter", false),
            ("https://other.example.com/x", false),
        ];
        for (url, expected) in cases {
            assert_eq!(policy(&allowed).check(&endpoint(url)).is_ok(), expected, "{url}");
        }
    }

    #[test]
    fn local_addresses_are_refused_unless_listed() {
        let local = [
            "https://127.0.0.1/api",
            "https://127.9.9.9/api",
            "https://169.254.1.1/api",
            "https://[::1]/api",
            "https://[fe80::1]/api",
            "https://0.0.0.0/api",
            "https://[::]/api",
            "https://[::ffff:127.0.0.1]/api",
            "https://[64:ff9b::7f00:1]/api",
            "https://2130706433/api",
            "https://0x7f.1/api",
        ];
        for url in local {
            assert_eq!(policy(&[]).check(&endpoint(url)), Err(NoReach::Local.into()), "{url}");
            assert_eq!(local_of(&policy(&[url]), url), Ok(LocalAddresses::Allowed), "{url}");
        }
        for url in ["https://10.0.0.1/api", "https://192.168.1.1/api", "https://[2001:db8::1]/api", "https://h/api"] {
            assert_eq!(local_of(&policy(&[]), url), Ok(LocalAddresses::Refused), "{url}");
        }
    }

    fn local_of(policy: &EndpointPolicy, url: &str) -> Result<LocalAddresses, NotAllowed> {
        policy.check(&endpoint(url)).map(|reach| reach.local)
    }

    #[test]
    fn neither_a_list_nor_development_opens_metadata_services_and_refused_networks() {
        let refused: Arc<[IpNet]> = ["10.96.0.0/12".parse().unwrap()].into();
        for url in ["https://169.254.169.254/api", "https://[fd00:ec2::254]/api", "https://[64:ff9b::a9fe:a9fe]/api"] {
            assert_eq!(policy(&[url]).check(&endpoint(url)), Err(NoReach::Never.into()), "{url}");
        }
        let url = "https://10.96.0.1/api";
        let listed = EndpointPolicy { refused: Arc::clone(&refused), ..policy(&[url]) };
        assert_eq!(listed.check(&endpoint(url)), Err(NoReach::Refused.into()));
        let development = EndpointPolicy { refused, allow_insecure_http: true, ..EndpointPolicy::default() };
        assert_eq!(development.check(&endpoint(url)), Err(NoReach::Refused.into()));
    }

    #[test]
    fn what_is_met_at_an_address_is_told_only_where_the_operator_has_a_list() {
        assert!(policy(&[]).check(&endpoint("https://h/api")).unwrap().any_address);
        assert!(!policy(&["https://h"]).check(&endpoint("https://h/api")).unwrap().any_address);
    }

    #[test]
    fn http_is_for_development_only() {
        assert_eq!(policy(&[]).check(&endpoint("http://h/api")), Err(NotAllowed::Insecure));
        assert_eq!(policy(&["http://h/api"]).check(&endpoint("http://h/api")), Err(NotAllowed::Insecure));
        let development = EndpointPolicy { allow_insecure_http: true, ..EndpointPolicy::default() };
        assert_eq!(local_of(&development, "http://127.0.0.1:8090/api"), Ok(LocalAddresses::Allowed));
    }

    #[test]
    fn spellings_of_one_address_are_one_endpoint() {
        let one = endpoint("https://cc.example.com/api");
        for other in [
            "https://CC.Example.com/api",
            "HTTPS://cc.example.com./api",
            "https://cc.example.com:443/api/",
            "https://cc.example.com.:443/api",
            "\u{feff}https://cc.example.com/api\r\n",
        ] {
            assert_eq!(endpoint(other), one, "{other}");
            assert_eq!(endpoint(other).to_string(), one.to_string(), "{other}");
            assert!(
                policy(&[other]).check(&one).is_ok() && policy(&[&one.to_string()]).check(&endpoint(other)).is_ok()
            );
        }
        // A host name with a dot at its end is called as written: the resolver's search list does not apply to it.
        assert_eq!(endpoint("https://h./api").join("Jobs").as_str(), "https://h./api/Jobs");
        for other in ["http://cc.example.com/api", "https://cc.example.com:8443/api", "https://cc.example.com/API"] {
            assert_ne!(endpoint(other), one, "{other}");
        }
        assert_eq!("https://./api".parse::<Endpoint>(), Err(EndpointError::NotAUrl));
    }

    #[test]
    fn wildcards_are_no_addresses() {
        for text in ["https://*.example.com", "https://*/api", "https://cc.example.com/*"] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains("wildcards"), "{text}: {error}");
        }
    }
}
