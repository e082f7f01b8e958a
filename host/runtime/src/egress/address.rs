//! Which addresses may be connected to. Everything that is not a public unicast address is refused, unless the operator
//! listed its network.
//!
//! An IPv4 address inside an IPv6 one (`::ffff:10.0.0.1`) is that IPv4 address, for the classes and for the operator's
//! networks: both reach the same machine. What a translator or a tunnel would reach is judged as well, but an IPv4 network
//! that is listed says nothing about it. A cloud metadata address gives credentials away to whoever asks, so no wide network
//! covers it: it passes only if it is listed by itself.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses that one connector may connect to.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    /// Networks that the operator allows besides public addresses.
    pub networks: Vec<IpNet>,
    /// Whether loopback is allowed (`--insecure-loopback`).
    pub loopback: bool,
}

const METADATA: &str = "a cloud metadata address";

/// Where clouds serve credentials and settings of a machine, besides 169.254.0.0/16.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: [Ipv6Addr; 4] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

impl AddressPolicy {
    /// `Err` with the class, if the address may not be connected to.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), &'static str> {
        let address = address.to_canonical();
        let class = match address {
            IpAddr::V4(address) => v4(address),
            IpAddr::V6(address) => v6(address),
        };
        let listed = self.networks.iter().any(|network| {
            let by_itself = network.prefix_len() == network.max_prefix_len();
            network.contains(&address) && (by_itself || class != Err(METADATA))
        });
        if listed || (self.loopback && address.is_loopback()) {
            return Ok(());
        }
        class
    }
}

fn v4(address: Ipv4Addr) -> Result<(), &'static str> {
    if METADATA_V4.contains(&address) {
        return Err(METADATA);
    }
    let [a, b, c, d] = address.octets();
    Err(match (a, b, c, d) {
        (0, ..) => "an unspecified address",
        (10, ..) | (192, 168, ..) | (172, 16..=31, ..) => "a private address",
        (100, 64..=127, ..) => "a carrier's internal address",
        (127, ..) => "a loopback address",
        (169, 254, 169..=170, _) | (169, 254, 42, 42) => METADATA,
        (169, 254, ..) => "a link-local address",
        (192, 0, 0, _) => "a protocol assignment",
        (192, 0, 2, _) | (198, 51, 100, _) | (203, 0, 113, _) => "a documentation address",
        (192, 88, 99, _) => "a 6to4 relay address",
        (198, 18..=19, ..) => "a benchmarking address",
        (224..=239, ..) => "a multicast address",
        (255, 255, 255, 255) => "the broadcast address",
        (240..=255, ..) => "a reserved address",
        _ => return Ok(()),
    })
}

fn v6(address: Ipv6Addr) -> Result<(), &'static str> {
    if METADATA_V6.contains(&address) {
        return Err(METADATA);
    }
    let segments = address.segments();
    let embedded = || {
        let [.., high, low] = segments;
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    Err(match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => "an unspecified address",
        [0, 0, 0, 0, 0, 0, 0, 1] => "a loopback address",
        // v4-compatible (long out of use) and NAT64 are judged by the address inside.
        [0, 0, 0, 0, 0, 0, ..] => {
            return v4(embedded()).and(Err("a reserved address"));
        }
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => return v4(embedded()),
        [0x64, 0xff9b, 1, ..] => "a local NAT64 address",
        [0x100, 0, 0, 0, ..] => "a discard address",
        [.., 0 | 0x200, 0x5efe, _, _] => "an ISATAP tunnel address",
        [0x2001, 0, ..] => "a Teredo address",
        [0x2001, 0xdb8, ..] | [0x3fff, ..=0x0fff, ..] => "a documentation address",
        [0x2001, 2, 0, ..] => "a benchmarking address",
        [0x2001, ..=0x01ff, ..] => "a protocol assignment",
        [0x2002, ..] => "a 6to4 address",
        [0x2000..=0x3fff, ..] => return Ok(()),
        [0xfc00..=0xfdff, ..] => "a unique local address",
        [0xfe80..=0xfebf, ..] => "a link-local address",
        [0xfec0..=0xfeff, ..] => "a site-local address",
        [0xff00..=0xffff, ..] => "a multicast address",
        _ => "a reserved address",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &AddressPolicy, address: &str) -> Result<(), &'static str> {
        policy.check(address.parse().unwrap())
    }

    #[test]
    fn every_address_has_its_class_and_only_public_ones_pass() {
        let policy = AddressPolicy::default();
        for address in [
            "8.8.8.8",
            "1.1.1.1",
            "172.15.255.255",
            "172.32.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "168.63.129.15",
            "192.0.1.1",
            "198.17.255.255",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860::8888",
            "2001:200::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert_eq!(check(&policy, address), Ok(()), "{address}");
        }
        for (address, class) in [
            ("0.0.0.0", "an unspecified address"),
            ("0.1.2.3", "an unspecified address"),
            ("10.1.2.3", "a private address"),
            ("172.16.0.1", "a private address"),
            ("172.31.255.255", "a private address"),
            ("192.168.1.1", "a private address"),
            ("100.64.0.1", "a carrier's internal address"),
            ("100.127.255.255", "a carrier's internal address"),
            ("127.0.0.1", "a loopback address"),
            ("127.255.255.254", "a loopback address"),
            ("169.254.1.1", "a link-local address"),
            ("169.254.169.254", METADATA),
            ("169.254.170.2", METADATA),
            ("169.254.42.42", METADATA),
            ("168.63.129.16", METADATA),
            ("100.100.100.200", METADATA),
            ("192.0.0.192", METADATA),
            ("192.0.0.8", "a protocol assignment"),
            ("192.0.2.1", "a documentation address"),
            ("198.51.100.7", "a documentation address"),
            ("203.0.113.7", "a documentation address"),
            ("192.88.99.1", "a 6to4 relay address"),
            ("198.18.0.1", "a benchmarking address"),
            ("198.19.255.255", "a benchmarking address"),
            ("224.0.0.1", "a multicast address"),
            ("239.255.255.255", "a multicast address"),
            ("240.0.0.1", "a reserved address"),
            ("255.255.255.255", "the broadcast address"),
            ("::", "an unspecified address"),
            ("::1", "a loopback address"),
            // v4-mapped: the IPv4 address inside.
            ("::ffff:10.0.0.1", "a private address"),
            ("::ffff:127.0.0.1", "a loopback address"),
            ("::ffff:169.254.169.254", METADATA),
            // v4-compatible, and the translated form that never came into use.
            ("::10.0.0.1", "a private address"),
            ("::127.0.0.1", "a loopback address"),
            ("::8.8.8.8", "a reserved address"),
            ("::ffff:0:10.0.0.1", "a reserved address"),
            // NAT64, the well-known prefix and local ones.
            ("64:ff9b::a00:1", "a private address"),
            ("64:ff9b::7f00:1", "a loopback address"),
            ("64:ff9b::a9fe:a9fe", METADATA),
            ("64:ff9b:1::808:808", "a local NAT64 address"),
            ("100::1", "a discard address"),
            ("2001::1", "a Teredo address"),
            ("2001:2::1", "a benchmarking address"),
            ("2001:20::1", "a protocol assignment"),
            ("2001:1ff::1", "a protocol assignment"),
            ("2001:db8::1", "a documentation address"),
            ("3fff:fff::1", "a documentation address"),
            ("2002:808:808::1", "a 6to4 address"),
            ("2002:a00:1::1", "a 6to4 address"),
            ("2606:4700::5efe:a00:1", "an ISATAP tunnel address"),
            ("2606:4700::200:5efe:a00:1", "an ISATAP tunnel address"),
            ("fc00::1", "a unique local address"),
            ("fd12:3456::1", "a unique local address"),
            ("fd00:ec2::254", METADATA),
            ("fd00:ec2::23", METADATA),
            ("fd20:ce::254", METADATA),
            ("fd00:42::42", METADATA),
            ("fe80::1", "a link-local address"),
            ("febf::1", "a link-local address"),
            ("fec0::1", "a site-local address"),
            ("ff02::1", "a multicast address"),
            ("4000::1", "a reserved address"),
            ("5f00::1", "a reserved address"),
        ] {
            assert_eq!(check(&policy, address), Err(class), "{address}");
        }
    }

    #[test]
    fn a_listed_network_passes_also_inside_an_ipv6_address() {
        let policy = AddressPolicy {
            networks: vec![
                "10.20.0.0/16".parse().unwrap(),
                "fd12::/48".parse().unwrap(),
            ],
            loopback: false,
        };
        for address in ["10.20.3.4", "::ffff:10.20.3.4", "fd12::7"] {
            assert_eq!(check(&policy, address), Ok(()), "{address}");
        }
        for address in ["10.21.3.4", "::ffff:10.21.3.4", "127.0.0.1", "fd13::7"] {
            assert!(check(&policy, address).is_err(), "{address}");
        }
        // A translator's or a tunnel's other side is another network.
        assert!(check(&policy, "64:ff9b::a14:304").is_err());
        assert!(check(&policy, "::10.20.3.4").is_err());
    }

    #[test]
    fn loopback_passes_on_request() {
        let policy = AddressPolicy {
            networks: Vec::new(),
            loopback: true,
        };
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(check(&policy, address), Ok(()), "{address}");
        }
        for address in ["10.0.0.1", "0.0.0.0", "::127.0.0.1"] {
            assert!(check(&policy, address).is_err(), "{address}");
        }
    }

    #[test]
    fn a_metadata_address_passes_only_if_it_is_listed_by_itself() {
        let allowing = |network: &str| AddressPolicy {
            networks: vec![network.parse().unwrap()],
            loopback: false,
        };
        for (network, address) in [
            ("169.254.0.0/16", "169.254.169.254"),
            ("0.0.0.0/0", "169.254.169.254"),
            ("0.0.0.0/0", "168.63.129.16"),
            ("100.64.0.0/10", "100.100.100.200"),
            ("fd00::/8", "fd00:ec2::254"),
        ] {
            assert_eq!(check(&allowing(network), address), Err(METADATA));
        }
        assert_eq!(
            check(&allowing("169.254.169.254/32"), "169.254.169.254"),
            Ok(())
        );
        assert_eq!(
            check(&allowing("fd00:ec2::254/128"), "fd00:ec2::254"),
            Ok(())
        );
    }
}
