//! Which IP addresses are globally routable: one list for the downloader (`remote`) and for the proxy of the sandbox (`sandbox-exec`).
//! Neither may connect to this machine, to its local network or to a cloud's metadata service.
//!
//! Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, updated by RFC 8190), the IANA registries of multicast
//! addresses and of IPv6 global unicast space (2000::/3, RFC 4291), and Microsoft's documentation of 168.63.129.16.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Azure's metadata and DNS service. It lies in public address space, but is reached only from inside a virtual machine.
const AZURE_WIRE_SERVER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// Returns whether an address is globally routable. An IPv6 address that embeds an IPv4 address (IPv4-mapped, RFC 4291 section 2.5.5.2; NAT64,
/// RFC 6052) is judged by the IPv4 address. Unassigned IPv6 space counts as not routable.
pub fn is_globally_routable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_globally_routable_v4(address),
        IpAddr::V6(address) => is_globally_routable_v6(address),
    }
}

fn is_globally_routable_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        // 169.254.0.0/16 holds the metadata services of most clouds.
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || address.is_unspecified()
        // 0.0.0.0/8: "this network" (RFC 791).
        || a == 0
        // 240.0.0.0/4: reserved (RFC 1112).
        || a >= 240
        || address == AZURE_WIRE_SERVER
        // 100.64.0.0/10: shared address space of carriers (RFC 6598).
        || (a == 100 && (64..128).contains(&b))
        // 198.18.0.0/15: benchmarking (RFC 2544).
        || (a == 198 && (b == 18 || b == 19))
        // 192.0.0.0/24: IETF protocol assignments (RFC 6890).
        || (a == 192 && b == 0 && c == 0)
        // 192.88.99.0/24: 6to4 relay anycast, deprecated (RFC 7526).
        || (a == 192 && b == 88 && c == 99);
    !special
}

fn is_globally_routable_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, high, low] = address.segments();
    if let Some(embedded) = address.to_ipv4_mapped() {
        return is_globally_routable_v4(embedded);
    }
    // 64:ff9b::/96: NAT64 (RFC 6052).
    if [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [[w, x], [y, z]] = [high.to_be_bytes(), low.to_be_bytes()];
        return is_globally_routable_v4(Ipv4Addr::new(w, x, y, z));
    }
    let special = match a {
        // 2001::/23: IETF protocol assignments, among them Teredo, benchmarking and ORCHIDv2 (RFC 2928).
        // 2001:db8::/32: documentation (RFC 3849).
        0x2001 => b < 0x200 || b == 0xdb8,
        // 2002::/16: 6to4 (RFC 3056), which embeds an IPv4 address.
        0x2002 => true,
        // 3fff::/20: documentation (RFC 9637).
        0x3fff => b < 0x1000,
        _ => false,
    };
    // Only 2000::/3 is global unicast space.
    (0x2000..0x4000).contains(&a) && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_world_is_globally_routable() {
        let parse = |text: &str| text.parse::<IpAddr>().map(is_globally_routable);
        for public in ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101"] {
            assert_eq!(parse(public), Ok(true), "{public}");
        }
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "ff02::1",
            "2001::1",
            "2001:2::1",
            "3fff::1",
            "64:ff9b:1::a00:1",
            "168.63.129.16",
        ] {
            assert_eq!(parse(private), Ok(false), "{private}");
        }
    }

    #[test]
    fn special_purpose_addresses_of_both_families_are_refused() {
        let private = [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.100.100.200",
            "198.18.0.1",
            "192.0.0.192",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fec0::1",
            "fd00:ec2::254",
            "fc00::1",
            "ff02::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "2001::1",
            "2001:db8::1",
            "100::1",
            "5f00::1",
        ];
        for text in private {
            assert!(!is_globally_routable(text.parse().expect("an address")), "{text}");
        }
        for text in
            ["8.8.8.8", "172.32.0.1", "100.128.0.1", "192.1.0.1", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
        {
            assert!(is_globally_routable(text.parse().expect("an address")), "{text}");
        }
    }
}
