//! The proxies of the environment: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in upper or in lower case,
//! as curl and kubectl read them. The variables and an address go in; the proxy for the address comes out, or none.
//! Pure, no client.

use std::{fmt, net::IpAddr};

use url::{Host, Url};

/// The schemes of proxies that can be used. With `socks5h` the proxy looks names up.
const SCHEMES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

/// The proxies of the environment, and the addresses that need none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exempt: Vec<Exempt>,
}

/// The address of a proxy. It may have a password, which is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(Url);

impl Proxy {
    /// The address, with its password.
    #[must_use]
    pub const fn reveal(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())
    }
}

/// A variable of the environment does not name a proxy that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// It is not an address.
    #[error("{variable} is not the address of a proxy: give it as http://HOST:PORT, or unset it")]
    Address {
        /// The variable.
        variable: &'static str,
    },
    /// The proxy speaks a protocol that is not supported.
    #[error(
        "{variable} names a proxy of the scheme {scheme}, which is not supported: use one of http, https, socks5 and socks5h, or unset it"
    )]
    Scheme {
        /// The variable.
        variable: &'static str,
        /// The part before `://`.
        scheme: String,
    },
}

/// The addresses that one entry of `NO_PROXY` exempts from the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exempt {
    Everything,
    Network(IpAddr, u8),
    /// This name and every name below it, or only the names below it; at this port, or at any port.
    Domain {
        name: String,
        only_below: bool,
        port: Option<u16>,
    },
}

impl Proxies {
    /// Reads the variables. The spelling in upper case goes before the one in lower case, and an empty value counts as
    /// none.
    ///
    /// # Errors
    /// A variable names a proxy that cannot be used.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let value = |upper: &str| {
            let set =
                |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
            set(upper).or_else(|| set(&upper.to_ascii_lowercase()))
        };
        let proxy = |name: &'static str| value(name).map(|value| Proxy::of(name, &value)).transpose();
        let all = proxy("ALL_PROXY")?;
        let exempt = value("NO_PROXY").unwrap_or_default();
        Ok(Self {
            http: proxy("HTTP_PROXY")?.or_else(|| all.clone()),
            https: proxy("HTTPS_PROXY")?.or(all),
            exempt: exempt.split([',', ' ']).filter_map(Exempt::of).collect(),
        })
    }

    /// The proxy for `address`. None if it is reached directly.
    #[must_use]
    pub fn of_address(&self, address: &Url) -> Option<&Proxy> {
        let proxy = match address.scheme() {
            "https" => self.https.as_ref(),
            "http" => self.http.as_ref(),
            _ => None,
        }?;
        let host = address.host()?.to_owned();
        let exempt = self.exempt.iter().any(|exempt| exempt.covers(&host, address.port_or_known_default()));
        (!exempt).then_some(proxy)
    }

    /// The proxy for the API server at `address`. As with kubectl, there is none for this machine itself.
    #[must_use]
    pub fn of_api_server(&self, address: &Url) -> Option<&Proxy> {
        let here = match address.host()? {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
        };
        self.of_address(address).filter(|_| !here)
    }
}

impl Proxy {
    fn of(variable: &'static str, value: &str) -> Result<Self, ProxyError> {
        let whole = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
        let url = Url::parse(&whole).map_err(|_| ProxyError::Address { variable })?;
        if !SCHEMES.contains(&url.scheme()) {
            return Err(ProxyError::Scheme { variable, scheme: url.scheme().to_owned() });
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(ProxyError::Address { variable });
        }
        Ok(Self(url))
    }
}

impl Exempt {
    fn of(entry: &str) -> Option<Self> {
        let entry = entry.trim().to_ascii_lowercase();
        if entry == "*" {
            return Some(Self::Everything);
        }
        let (network, bits) = entry.split_once('/').map_or((entry.as_str(), None), |(ip, bits)| (ip, Some(bits)));
        let bare = network.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse::<IpAddr>() {
            let longest = if ip.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(longest), |bits| bits.parse().ok().filter(|bits| *bits <= longest))?;
            return Some(Self::Network(ip, bits));
        }
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (entry.as_str(), None),
        };
        if let Ok(ip) = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Some(Self::Domain { name: ip.to_string(), only_below: false, port });
        }
        let below = name.strip_prefix("*.");
        let name = below.or_else(|| name.strip_prefix('.')).unwrap_or(name).trim_end_matches('.');
        (!name.is_empty()).then(|| Self::Domain { name: name.to_owned(), only_below: below.is_some(), port })
    }

    fn covers(&self, host: &Host, at: Option<u16>) -> bool {
        let ip = match host {
            Host::Domain(_) => None,
            Host::Ipv4(ip) => Some(IpAddr::from(*ip)),
            Host::Ipv6(ip) => Some(IpAddr::from(*ip)),
        };
        match self {
            Self::Everything => true,
            Self::Network(network, bits) => ip.is_some_and(|ip| first_bits(ip, *bits) == first_bits(*network, *bits)),
            Self::Domain { name, only_below, port } => {
                let asked = match (host, ip) {
                    (_, Some(ip)) => ip.to_string(),
                    (Host::Domain(asked), None) => asked.trim_end_matches('.').to_ascii_lowercase(),
                    (Host::Ipv4(_) | Host::Ipv6(_), None) => return false,
                };
                let below = ip.is_none() && asked.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
                port.is_none_or(|port| at == Some(port)) && (below || (!only_below && asked == *name))
            }
        }
    }
}

/// The first bits of an address, and the length of an address of its kind.
fn first_bits(ip: IpAddr, bits: u8) -> (u8, u128) {
    let (length, number) = match ip.to_canonical() {
        IpAddr::V4(ip) => (32, u128::from(ip.to_bits())),
        IpAddr::V6(ip) => (128, ip.to_bits()),
    };
    (length, number.checked_shr(u32::from(length).saturating_sub(u32::from(bits))).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Result<Proxies, ProxyError> {
        Proxies::of(|name| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
    }

    fn by(proxies: &Proxies, address: &str) -> Option<String> {
        proxies.of_address(&Url::parse(address).unwrap()).map(|proxy| proxy.reveal().to_string())
    }

    #[test]
    fn each_scheme_has_its_variable_and_all_proxy_is_for_what_has_none() {
        let of = |variables: &[(&str, &str)]| {
            let proxies = proxies(variables).unwrap();
            ["https://cc.example.com", "http://cc.example.com"].map(|address| by(&proxies, address))
        };
        let [secure, plain, any] = ["http://s:1/", "http://p:2/", "socks5://a:3"].map(|it| Some(it.to_owned()));
        assert_eq!(of(&[]), [None, None]);
        assert_eq!(of(&[("HTTPS_PROXY", "http://s:1")]), [secure.clone(), None]);
        assert_eq!(of(&[("https_proxy", "s:1"), ("http_proxy", "p:2")]), [secure.clone(), plain]);
        assert_eq!(of(&[("ALL_PROXY", "socks5://a:3")]), [any.clone(), any.clone()]);
        assert_eq!(of(&[("ALL_PROXY", "socks5://a:3"), ("HTTPS_PROXY", "s:1")]), [secure.clone(), any]);
        assert_eq!(of(&[("HTTPS_PROXY", "s:1"), ("https_proxy", "other:1")]), [secure, None]);
        assert_eq!(of(&[("HTTPS_PROXY", " ")]), [None, None]);
    }

    #[test]
    fn no_proxy_exempts_names_what_is_below_them_networks_and_everything() {
        let cases = [
            ("*", "https://192.0.2.1", true),
            ("*", "https://cc.example.com", true),
            ("example.com", "https://cc.example.com", true),
            ("example.com", "https://EXAMPLE.com.", true),
            ("example.com", "https://notexample.com", false),
            (".example.com", "https://example.com", true),
            ("*.example.com", "https://cc.example.com", true),
            ("*.example.com", "https://example.com", false),
            ("a, cc.example.com ,", "https://cc.example.com", true),
            ("a cc.example.com", "https://cc.example.com", true),
            ("cc.example.com:8443", "https://cc.example.com:8443", true),
            ("cc.example.com:8443", "https://cc.example.com", false),
            ("cc.example.com:443", "https://cc.example.com", true),
            ("192.0.2.1:443", "https://192.0.2.1", true),
            ("192.0.2.1", "https://192.0.2.1", true),
            ("192.0.2.1", "https://192.0.2.2", false),
            ("192.0.2.0/24", "https://192.0.2.77:6443", true),
            ("192.0.2.0/24", "https://192.0.3.77", false),
            ("0.0.0.0/0", "https://192.0.3.77", true),
            ("0.0.0.0/0", "https://[2001:db8::1]", false),
            ("2001:db8::/32", "https://[2001:db8::1]", true),
            ("[2001:db8::1]", "https://[2001:db8::1]", true),
            ("2001:db8::1", "https://[2001:db8::2]", false),
            ("192.0.2.0/33,what:ever", "https://192.0.2.1", false),
        ];
        for (exempt, address, expected) in cases {
            let proxies = proxies(&[("HTTPS_PROXY", "s:1"), ("no_proxy", exempt)]).unwrap();
            assert_eq!(by(&proxies, address).is_none(), expected, "NO_PROXY={exempt} and {address}");
        }
    }

    #[test]
    fn an_api_server_on_this_machine_is_reached_directly() {
        let proxies = proxies(&[("HTTPS_PROXY", "s:1")]).unwrap();
        let direct = |address: &str| proxies.of_api_server(&Url::parse(address).unwrap()).is_none();
        for here in ["https://localhost:6443", "https://127.0.0.5:6443", "https://[::1]:6443"] {
            assert!(direct(here) && by(&proxies, here).is_some(), "{here}");
        }
        assert!(!direct("https://10.0.0.1:6443"));
    }

    #[test]
    fn what_cannot_be_used_is_named_without_its_password() {
        let told = |value: &str| proxies(&[("HTTPS_PROXY", value)]).unwrap_err().to_string();
        assert!(told("ftp://user:hunter2@proxy:1").contains("HTTPS_PROXY names a proxy of the scheme ftp"));
        for value in ["http://", "socks5://", "pro xy", "http://user:hunter2@:99999"] {
            let told = told(value);
            assert!(told.contains("HTTPS_PROXY is not the address of a proxy") && !told.contains("hunter2"), "{told}");
        }
        let shown = format!("{:?}", proxies(&[("HTTPS_PROXY", "http://user:hunter2@proxy:1")]).unwrap());
        assert!(shown.contains("proxy") && !shown.contains("hunter2"), "{shown}");
    }
}
