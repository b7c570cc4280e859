use super::*;

fn inet(text: &str) -> Inet {
    match Pattern::parse(text) {
        Ok(Pattern::Inet(inet)) => inet,
        other => panic!("{text}: {other:?}"),
    }
}

fn network(allow: &[&str], deny: &[&str]) -> Network {
    let items = |texts: &[&str]| {
        texts.iter().map(|t| Item { value: inet(t), rule: RuleId::NONE }).collect::<Vec<_>>()
    };
    Network { allow: items(allow), deny: items(deny), bind: items(allow), ..Network::default() }
}

fn connects(allow: &[&str], deny: &[&str], address: &str, port: u16) -> bool {
    network(allow, deny).connect(Transport::Tcp, address.parse().unwrap(), port).0
}

#[test]
fn an_address_a_network_and_everything_match_what_they_cover() {
    for (pattern, address, port, expected) in [
        ("tcp:10.1.2.3:80", "10.1.2.3", 80, true),
        ("tcp:10.1.2.3:80", "10.1.2.3", 81, false),
        ("tcp:10.0.0.0/8:1-80", "10.255.0.1", 80, true),
        ("tcp:10.0.0.0/8:1-80", "11.0.0.1", 80, false),
        ("tcp:0.0.0.0/0:*", "8.8.8.8", 0, true),
        ("tcp:0.0.0.0/0:*", "2001::1", 80, false),
        ("tcp:*:443", "2001::1", 443, true),
        ("tcp:[2001:db8::/32]:443", "2001:db8:1::1", 443, true),
        ("tcp:[2001:db8::/32]:443", "2001:db9::1", 443, false),
        ("tcp:[::/0]:443", "2001::", 443, true),
        ("tcp:[::/0]:443", "1.1.1.1", 443, false),
        ("udp:*:*", "1.1.1.1", 53, false),
        ("ip:1.1.1.1", "1.1.1.1", 53, true),
        ("ip:fe80::/10", "fe80::1", 53, true),
    ] {
        assert_eq!(connects(&[pattern], &[], address, port), expected, "{pattern} {address}");
    }
}

#[test]
fn a_v4_mapped_address_is_judged_as_v4_on_both_sides() {
    assert!(connects(&["tcp:127.0.0.1:80"], &[], "::ffff:127.0.0.1", 80));
    assert!(connects(&["tcp:[::ffff:10.0.0.0/104]:80"], &[], "10.9.9.9", 80));
    assert!(!connects(&["tcp:*:80"], &["tcp:169.254.0.0/16:*"], "::ffff:169.254.169.254", 80));
    assert!(!connects(&["tcp:[::/0]:80"], &[], "::ffff:1.2.3.4", 80));
}

#[test]
fn the_unspecified_address_as_a_target_is_loopback() {
    for address in ["0.0.0.0", "::ffff:0.0.0.0"] {
        assert!(connects(&["tcp:127.0.0.1:80"], &[], address, 80));
        assert!(!connects(&["tcp:*:80"], &["tcp:127.0.0.0/8:*"], address, 80));
    }
    assert!(!connects(&["tcp:*:80"], &["tcp:[::1]:*"], "::", 80));
}

#[test]
fn binding_every_address_needs_a_rule_for_every_address() {
    let bind = |pattern, address: &str| {
        network(&[pattern], &[]).bind(Transport::Tcp, address.parse().unwrap(), 80).0
    };
    assert!(!bind("tcp:127.0.0.1:80", "0.0.0.0"));
    assert!(!bind("tcp:127.0.0.1:80", "::"));
    assert!(bind("tcp:*:80", "0.0.0.0"));
    assert!(bind("tcp:0.0.0.0:80", "::ffff:0.0.0.0"));
}

#[test]
fn other_transports_and_choosing_the_way_need_all_addresses_allowed_and_none_denied() {
    assert!(network(&["ip:*"], &[]).everywhere().0);
    assert!(!network(&["ip:*"], &["tcp:10.0.0.1:1"]).everywhere().0);
    assert!(!network(&["tcp:*:*", "udp:*:*", "ip:10.0.0.0/8"], &[]).everywhere().0);
}

#[test]
fn each_broken_pattern_says_what_is_wrong() {
    for (text, message) in [
        ("127.0.0.1", "`127.0.0.1` does not start with a protocol"),
        ("tpc:1.1.1.1:1", "unknown protocol `tpc`"),
        ("tcp:1.1.1.1", "no port in `1.1.1.1`"),
        ("tcp:[::1]", "no port in `[::1]`"),
        ("tcp:::1:80", "an IPv6 address must stand in brackets"),
        ("tcp:localhost:80", "`localhost` is not an address"),
        ("tcp:1.1.1.1:http", "`http` is neither a port, a range of ports nor `*`"),
        ("tcp:1.1.1.1:65536", "`65536` is neither a port, a range of ports nor `*`"),
        ("tcp:1.1.1.1:+1", "`+1` is neither a port, a range of ports nor `*`"),
        ("tcp:1.1.1.1:9-1", "`9-1` is neither a port, a range of ports nor `*`"),
        ("tcp:10.0.0.0/33:1", "`/33` is not a prefix length of this address"),
        ("tcp:10.0.0.1/8:1", "`10.0.0.1/8` has bits set behind its prefix"),
        ("tcp:010.0.0.1:1", "`010.0.0.1` is not an address"),
        ("unix:@[", "in the abstract name: `[` without its `]`"),
    ] {
        assert_eq!(Pattern::parse(text).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn a_group_is_joined_by_who_may_send_to_it() {
    let joins = |allow: &[&str], deny: &[&str]| network(allow, deny).join("239.1.2.3".parse().unwrap()).0;
    for (allow, deny, expected) in [
        (&["udp:239.1.2.3:5000"][..], &[][..], true),
        (&["udp:239.0.0.0/8:*"], &[], true),
        (&["ip:*"], &[], true),
        (&["tcp:*:*", "udp:239.1.2.4:*", "udp:[ff02::1]:*"], &[], false),
        (&["ip:*"], &["udp:239.1.2.3:5000"], false),
        (&[], &[], false),
    ] {
        assert_eq!(joins(allow, deny), expected, "{allow:?} {deny:?}");
    }
}

#[test]
fn what_is_denied_to_every_ipv4_address_is_not_heard_by_way_of_ipv6() {
    let binds = |deny: &[&str], address: &str| {
        network(&["ip:*"], deny).bind(Transport::Tcp, address.parse().unwrap(), 80).0
    };
    assert!(binds(&[], "::") && binds(&["tcp:0.0.0.0:81"], "::") && binds(&["tcp:0.0.0.0:80"], "::1"));
    assert!(!binds(&["tcp:0.0.0.0:80"], "::") && !binds(&["tcp:0.0.0.0/0:*"], "::"));
}
