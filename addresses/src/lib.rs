//! Which addresses are out in the world: one list for whoever connects, the reader of addresses and the proxy of the sandbox. A name that
//! leads to this machine, its neighbours or its cloud's metadata service is none. Sources: the registries of special addresses (RFC 6890 and
//! its updates), and what clouds say of their own.
#![forbid(unsafe_code)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address belongs to a host of the public network.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => public4(address),
        IpAddr::V6(address) => public6(address),
    }
}

fn public4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let reserved = address.is_private()
        || address.is_loopback()
        // Metadata services of clouds are here.
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || address.is_unspecified()
        || a == 0
        || a >= 240
        // Azure's metadata service has an address like anyone's.
        || address == Ipv4Addr::new(168, 63, 129, 16)
        // Shared by carriers; benchmarks; protocol assignments; the old 6to4 relay.
        || (a == 100 && (64..128).contains(&b))
        || (a == 198 && (b == 18 || b == 19))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99);
    !reserved
}

fn public6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, ..] = address.segments();
    // Forms that carry an IPv4 address are judged by it: mapped, and NAT64.
    if let Some(inner) = address.to_ipv4_mapped() {
        return public4(inner);
    }
    if a == 0x64 && b == 0xff9b && [c, d, e, f] == [0; 4] {
        let [.., high, low] = address.segments();
        let [[w, x], [y, z]] = [high.to_be_bytes(), low.to_be_bytes()];
        return public4(Ipv4Addr::new(w, x, y, z));
    }
    // Only 2000::/3 is handed out; of it, protocol assignments (Teredo, benchmarks, hash identifiers), 6to4 and documentation lead elsewhere.
    let elsewhere = (a == 0x2001 && (b < 0x200 || b == 0xdb8)) || a == 0x2002 || (a == 0x3fff && b < 0x1000);
    (0x2000..0x4000).contains(&a) && !elsewhere
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_world_is_public() {
        let parse = |text: &str| text.parse::<IpAddr>().map(is_public);
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
    fn no_reader_reaches_what_is_not_public() {
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
            assert!(!is_public(text.parse().expect("an address")), "{text}");
        }
        for text in
            ["8.8.8.8", "172.32.0.1", "100.128.0.1", "192.1.0.1", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
        {
            assert!(is_public(text.parse().expect("an address")), "{text}");
        }
    }
}
