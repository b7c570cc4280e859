//! Addresses to which a name on the internet has no business to lead.
//!
//! Whoever owns a name says where it leads, so it could lead to what only this host or its network reaches
//! (DNS rebinding). What is reached there an entry for addresses has to say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks of special use that are not reached through the internet (IANA's registries of special-purpose
/// addresses, RFC 6890), or where clouds tell a machine about itself.
const NETWORKS: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
    // Never on the wire, but a translator may make something of them.
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 175, 48, 0), 24),
];
/// Of IPv6 the internet is `2000::/3`.
const INTERNET: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// Networks whose addresses have an IPv4 address in them, at this byte: NAT64 (RFC 6052), 6to4 (RFC 3056).
const EMBEDDING: [(Ipv6Addr, u32, usize); 2] = [
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, 12),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, 2),
];
/// Teredo (RFC 4380), and its like within `2001::/23`: tunnels and identifiers.
const PROTOCOLS: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23);

/// Whether an address is not one of the internet's.
pub(super) fn is_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(a) => NETWORKS.iter().any(|(net, bits)| (a.to_bits() ^ net.to_bits()) >> (32 - bits) == 0),
        IpAddr::V6(a) => {
            let within = |(net, bits): (Ipv6Addr, u32)| (a.to_bits() ^ net.to_bits()) >> (128 - bits) == 0;
            for (net, bits, at) in EMBEDDING {
                if within((net, bits)) {
                    let octets = a.octets();
                    return is_local(Ipv4Addr::from(std::array::from_fn(|n| octets[at + n])).into());
                }
            }
            !within(INTERNET) || within(PROTOCOLS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_this_host_or_its_network_reaches_is_local() {
        let local = "127.0.0.1 127.9.9.9 0.0.0.0 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 \
            169.254.169.254 \
            100.100.100.200 192.0.0.192 168.63.129.16 224.0.0.1 255.255.255.255 ::1 :: fe80::1 fd00:ec2::254 \
            ff02::1 \
            ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::1 2002:7f00:1:: 2002:a01:203::1 \
            2001:0:1::1";
        for text in local.split_ascii_whitespace() {
            assert!(is_local(text.parse().unwrap()), "{text}");
        }
        let reached = "1.1.1.1 172.32.0.1 169.255.0.1 11.0.0.1 100.128.0.1 198.51.100.7 203.0.113.9 \
            223.255.255.255 \
            2606:4700::1 2001:db8::1 64:ff9b::101:101 2002:101:101::1 ::ffff:1.1.1.1";
        for text in reached.split_ascii_whitespace() {
            assert!(!is_local(text.parse().unwrap()), "{text}");
        }
    }
}
