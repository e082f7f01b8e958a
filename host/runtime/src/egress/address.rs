//! Which addresses may be connected to. Everything that is not a public unicast address is refused, unless the operator
//! listed its network.

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

impl AddressPolicy {
    /// `Err` with the reason, if the address may not be connected to.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), &'static str> {
        if self
            .networks
            .iter()
            .any(|network| network.contains(&address))
            || (self.loopback && address.is_loopback())
        {
            return Ok(());
        }
        match address {
            IpAddr::V4(address) => v4(address),
            IpAddr::V6(address) => v6(address),
        }
    }
}

fn v4(address: Ipv4Addr) -> Result<(), &'static str> {
    let [a, b, c, d] = address.octets();
    Err(match (a, b, c, d) {
        (0, ..) => "an unspecified address",
        (10, ..) | (192, 168, ..) | (172, 16..=31, ..) => "a private address",
        (100, 64..=127, ..) => "a carrier's internal address",
        (127, ..) => "a loopback address",
        (169, 254, 169, 254) => "a cloud metadata address",
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
    let segments = address.segments();
    let embedded = || {
        let [.., high, low] = segments;
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    Err(match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => "an unspecified address",
        [0, 0, 0, 0, 0, 0, 0, 1] => "a loopback address",
        // v4-mapped, v4-compatible, and NAT64 reach the embedded address.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            return v4(embedded());
        }
        [0x64, 0xff9b, 1, ..] => "a local NAT64 address",
        [0x100, 0, 0, 0, ..] => "a discard address",
        [0x2001, 0, ..] => "a Teredo address",
        [0x2001, 0xdb8, ..] | [0x3fff, ..=0x0fff, ..] => "a documentation address",
        [0x2001, ..=0x01ff, ..] => "a protocol assignment",
        [0x2002, ..] => "a 6to4 address",
        [0xfc00..=0xfdff, ..] => "a unique local address",
        [0xfe80..=0xfebf, ..] => "a link-local address",
        [0xfec0..=0xfeff, ..] => "a site-local address",
        [0xff00..=0xffff, ..] => "a multicast address",
        _ => return Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_unicast_addresses_pass() {
        let policy = AddressPolicy::default();
        for (address, allowed) in [
            ("8.8.8.8", true),
            ("2606:4700::1111", true),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("172.32.0.1", true),
            ("192.168.1.1", false),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
            ("169.254.1.1", false),
            ("192.0.0.8", false),
            ("192.0.2.1", false),
            ("198.51.100.7", false),
            ("203.0.113.7", false),
            ("192.88.99.1", false),
            ("198.18.0.1", false),
            ("224.0.0.1", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:10.0.0.1", false),
            ("::ffff:8.8.8.8", true),
            ("::10.0.0.1", false),
            ("64:ff9b::a00:1", false),
            ("64:ff9b::808:808", true),
            ("64:ff9b:1::808:808", false),
            ("100::1", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("2002:808:808::1", false),
            ("fc00::1", false),
            ("fd00:ec2::254", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ] {
            assert_eq!(
                policy.check(address.parse().unwrap()).is_ok(),
                allowed,
                "{address}"
            );
        }
    }

    #[test]
    fn a_listed_network_and_loopback_on_request_pass() {
        let policy = AddressPolicy {
            networks: vec!["10.20.0.0/16".parse().unwrap()],
            loopback: true,
        };
        assert!(policy.check("10.20.3.4".parse().unwrap()).is_ok());
        assert!(policy.check("10.21.3.4".parse().unwrap()).is_err());
        assert!(policy.check("127.0.0.1".parse().unwrap()).is_ok());
        assert!(policy.check("::1".parse().unwrap()).is_ok());
        assert!(policy.check("::ffff:127.0.0.1".parse().unwrap()).is_err());
    }
}
