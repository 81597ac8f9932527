//! The IP addresses that may be connected to. An address and the policy of its URL go in; out comes the reason to
//! refuse it, if there is one. Pure, no client. [`crate::command_center::endpoint`] makes the policy for a URL, and the
//! resolver of the client enforces it when it resolves the name.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use ipnet::IpNet;

/// Addresses of the services that give an instance its credentials: of AWS (also ECS and EKS), Azure, Google, Oracle,
/// Alibaba and others that follow them. The clouds' documents on instance metadata list them.
const METADATA_V4: [Ipv4Addr; 6] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(100, 100, 100, 200),
];
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// The kind of an address, as far as the decision depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AddressKind {
    /// A metadata service, a multicast group, or a tunnel whose other end cannot be told.
    Never,
    /// This machine, or a neighbour that is reached without a router.
    Local,
    /// Any other address.
    Routed,
}

/// The addresses that may be connected to for one URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AddressPolicy {
    /// The rule for loopback and link-local addresses.
    pub local: LocalAddresses,
    /// True if no allow list covers the URL, so that whoever writes a Secret chooses the address. The result of a
    /// connection must not be disclosed then.
    pub any_address: bool,
    /// Networks that are never connected to.
    pub refused: Arc<[IpNet]>,
}

/// The rule for loopback and link-local addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LocalAddresses {
    /// They may be connected to.
    Allowed,
    /// They are never connected to.
    Refused,
}

/// The reason why an address may not be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoReach {
    /// Its kind is never allowed.
    #[error("addresses of cloud metadata services, multicast groups and tunnels are never called")]
    Never,
    /// It is loopback or link-local.
    #[error("loopback and link-local addresses are not called unless an --allowed-endpoint lists them")]
    Local,
    /// It is in a network of `--refused-cidr`.
    #[error("it is in a network that --refused-cidr of the operator names (chart value refusedCidrs)")]
    Refused,
}

impl AddressPolicy {
    /// Checks that `ip` may be connected to.
    ///
    /// # Errors
    /// The reason why it may not.
    pub fn check(&self, ip: IpAddr) -> Result<(), NoReach> {
        let inner = unwrapped(ip);
        if kind_of(inner) == AddressKind::Never || kind_of(ip) == AddressKind::Never {
            return Err(NoReach::Never);
        }
        if self.refused.iter().any(|network| network.contains(&ip) || network.contains(&inner)) {
            return Err(NoReach::Refused);
        }
        if self.local == LocalAddresses::Refused && kind_of(inner) == AddressKind::Local {
            return Err(NoReach::Local);
        }
        Ok(())
    }
}

fn kind_of(ip: IpAddr) -> AddressKind {
    match ip {
        IpAddr::V4(ip) if METADATA_V4.contains(&ip) || ip.is_multicast() => AddressKind::Never,
        IpAddr::V4(ip) if ip.is_loopback() || ip.is_link_local() || ip.octets()[0] == 0 || ip.is_broadcast() => {
            AddressKind::Local
        }
        IpAddr::V6(ip) if METADATA_V6.contains(&ip) || ip.is_multicast() || is_tunnel(ip) => AddressKind::Never,
        IpAddr::V6(ip) if ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local() => AddressKind::Local,
        IpAddr::V4(_) | IpAddr::V6(_) => AddressKind::Routed,
    }
}

/// True if `ip` is in a prefix of local NAT64 (RFC 8215) or Teredo (RFC 4380), or is site-local, which RFC 3879
/// deprecates. The other end of such an address depends on the network.
fn is_tunnel(ip: Ipv6Addr) -> bool {
    matches!(ip.segments(), [0x64, 0xff9b, 1, ..] | [0x2001, 0, ..] | [0xfec0..=0xfeff, ..])
}

/// The IPv4 address in an IPv4-mapped, IPv4-compatible, NAT64 (`64:ff9b::/96`) or 6to4 (`2002::/16`) address; otherwise
/// `ip` itself.
fn unwrapped(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let from = |high: u16, low: u16| IpAddr::from(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match v6.segments() {
        // The unspecified address and loopback are IPv6 addresses of their own.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => ip,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            from(high, low)
        }
        _ => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(local: LocalAddresses, refused: &[&str]) -> AddressPolicy {
        AddressPolicy {
            local,
            any_address: true,
            refused: refused.iter().map(|network| network.parse().unwrap()).collect(),
        }
    }

    fn check(reach: &AddressPolicy, ip: &str) -> Result<(), NoReach> {
        reach.check(ip.parse().unwrap())
    }

    #[test]
    fn metadata_services_multicast_and_tunnels_are_never_connected_to() {
        for ip in [
            "169.254.169.254",
            "169.254.170.2",
            "168.63.129.16",
            "192.0.0.192",
            "100.100.100.200",
            "224.0.0.1",
            "239.255.255.250",
            "fd00:ec2::254",
            "fd20:ce::254",
            "ff02::1",
            "64:ff9b:1::a00:1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "fec0::1",
            "feff::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::ffff:100.100.100.200",
        ] {
            for local in [LocalAddresses::Allowed, LocalAddresses::Refused] {
                assert_eq!(check(&reach(local, &[]), ip), Err(NoReach::Never), "{ip}");
            }
        }
    }

    #[test]
    fn local_addresses_are_connected_to_only_where_they_are_allowed() {
        for ip in [
            "127.0.0.1",
            "127.9.9.9",
            "169.254.1.1",
            "0.0.0.0",
            "0.1.2.3",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
        ] {
            assert_eq!(check(&reach(LocalAddresses::Refused, &[]), ip), Err(NoReach::Local), "{ip}");
            assert_eq!(check(&reach(LocalAddresses::Allowed, &[]), ip), Ok(()), "{ip}");
        }
        for ip in ["10.0.0.1", "192.168.1.1", "100.100.100.201", "2001:db8::1", "2001:4860::1", "fd00::1", "fe00::1"] {
            assert_eq!(check(&reach(LocalAddresses::Refused, &[]), ip), Ok(()), "{ip}");
        }
    }

    #[test]
    fn networks_of_a_flag_are_refused_however_an_address_is_wrapped_and_also_where_a_list_allows_local_ones() {
        let pods = reach(LocalAddresses::Allowed, &["10.0.0.0/8", "fd12::/16", "127.0.0.0/8"]);
        for ip in ["10.96.0.1", "::ffff:10.1.2.3", "64:ff9b::a00:1", "2002:a00:1::", "fd12::1", "127.0.0.1"] {
            assert_eq!(check(&pods, ip), Err(NoReach::Refused), "{ip}");
        }
        for ip in ["11.0.0.1", "fd13::1", "::1"] {
            assert_eq!(check(&pods, ip), Ok(()), "{ip}");
        }
    }
}
