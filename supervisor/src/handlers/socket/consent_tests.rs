//! What sockets of the internet do without being told: each is judged, by what was judged before and not by
//! what the kernel says. The loopback network's other addresses stand for the host's.

use super::super::tests::A::{M, N, Null, Room};
use super::super::tests::{Guest, number};
use super::binding::Sending;
use super::tests::{
    DGRAM, STREAM, inet, inet6, message, piece, receive, rights, send_to, socket, with_address,
};
use crate::host::net::{self, Address};
use crate::host::number::Wait;
use crate::host::transfer::Buffer;
use nix::errno::Errno;
use rxbox_wire::effect::{Choice, Effect};
use rxbox_wire::kind::{Kind, Route};
use rxbox_wire::table;
use std::net::{Ipv6Addr, TcpListener, UdpSocket};
use std::os::fd::AsFd;

const INET: i32 = libc::AF_INET;
const LOCAL: [u8; 4] = [127, 0, 0, 1];
const OTHER: [u8; 4] = [127, 0, 0, 2];
const ANY: [u8; 4] = [0; 4];

/// Two sockets of the host on one port, of 127.0.0.1 and of 127.0.0.2, neither of which waits.
fn two_on_one_port() -> (UdpSocket, UdpSocket, u16) {
    loop {
        let local = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = local.local_addr().unwrap().port();
        if let Ok(other) = UdpSocket::bind(("127.0.0.2", port)) {
            local.set_nonblocking(true).unwrap();
            other.set_nonblocking(true).unwrap();
            return (local, other, port);
        }
    }
}

/// Who sent what waits there.
fn arrived(at: &UdpSocket) -> Option<std::net::SocketAddr> {
    at.recv_from(&mut [0; 16]).ok().map(|(_, from)| from)
}

/// The port that the kernel says a socket has.
fn port_of(g: &Guest, socket: i64) -> u16 {
    let name = g.call("getsockname", &[N(socket), Room(28), M(&28u32.to_le_bytes())]);
    u16::from_be_bytes(name.out[1][2..4].try_into().unwrap())
}

fn under(network: &str) -> Guest {
    Guest::under(&format!("version = 1\n[network]\n{network}\n"))
}

#[test]
fn the_unspecified_address_as_a_destination_is_loopback_whatever_the_source() {
    let (local, other, port) = two_on_one_port();
    let g = under(&format!("allow = [\"udp:127.0.0.1:{port}\"]\nbind = [\"udp:127.0.0.2:*\"]"));
    let s = socket(&g, INET, DGRAM);
    assert_eq!(with_address(&g, "bind", s, &inet(OTHER, 0)), Ok(0));
    assert_eq!(send_to(&g, s, 0, &inet(ANY, port)), Ok(1));
    assert_eq!(arrived(&local).unwrap().ip(), std::net::IpAddr::from(OTHER));
    assert_eq!(with_address(&g, "connect", s, &inet(ANY, port)), Ok(0));
    assert_eq!(g.ask("write", &[N(s), M(b"x"), N(1)]), Ok(1));
    assert!(arrived(&local).is_some() && arrived(&other).is_none());

    let (mapped, six) = ([&[0; 10][..], &[255, 255, 0, 0, 0, 0]].concat(), socket(&g, libc::AF_INET6, DGRAM));
    assert_eq!(send_to(&g, six, 0, &inet6(mapped.try_into().unwrap(), port)), Ok(1));
    assert!(arrived(&local).is_some());
}

#[test]
fn only_the_value_of_an_address_reaches_the_kernel() {
    let (local, _other, port) = two_on_one_port();
    let g = under(&format!("allow = [\"udp:127.0.0.1:{port}\"]"));
    let mut padded = inet(LOCAL, port);
    padded[8..].fill(0xff);
    padded.extend([0xff; 40]);
    assert_eq!(send_to(&g, socket(&g, INET, DGRAM), 0, &padded), Ok(1));
    padded[..2].fill(0);
    assert_eq!(send_to(&g, socket(&g, INET, DGRAM), 0, &padded), Ok(1), "AF_UNSPEC is IPv4 there");
    assert!(arrived(&local).is_some() && arrived(&local).is_some());
    let six = socket(&g, libc::AF_INET6, DGRAM);
    assert_eq!(send_to(&g, six, 0, &padded), Err(Errno::EACCES), "and no address there");
}

#[test]
fn a_source_is_chosen_by_who_may_bind_to_it_and_a_device_by_who_may_reach_everything() {
    let (local, other, port) = two_on_one_port();
    let send = |g: &Guest, device: u32, source: [u8; 4]| {
        let info = [&device.to_ne_bytes()[..], &source, &[9, 9, 9, 9]].concat();
        let control = piece(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
        let s = socket(g, INET, DGRAM);
        g.ask("sendmsg", &[N(s), M(&message(Some(&inet(ANY, port)), Some(&control), b"x")), N(0)])
    };
    let rules = format!("allow = [\"udp:127.0.0.1:{port}\"]\n");
    let g = under(&rules);
    assert_eq!(send(&g, 0, OTHER), Err(Errno::EACCES));
    assert_eq!(send(&g, 1, ANY), Err(Errno::EPERM));
    assert_eq!(send(&g, 0, ANY), Ok(1), "that chooses nothing");
    assert!(arrived(&local).is_some() && arrived(&other).is_none());
    let g = under(&format!("{rules}bind = [\"udp:127.0.0.2:0\"]"));
    assert_eq!((send(&g, 1, OTHER), send(&g, 0, OTHER)), (Err(Errno::EPERM), Ok(1)));
    assert_eq!(arrived(&local).unwrap().ip(), std::net::IpAddr::from(OTHER));
    let g = Guest::free();
    assert_eq!(send(&g, 1, ANY), Ok(1));
}

#[test]
fn a_port_that_a_failed_connection_left_is_no_consent_to_listen() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let g = under(&format!("allow = [\"tcp:127.0.0.1:{free}\"]"));
    let s = socket(&g, INET, STREAM);
    assert_eq!(with_address(&g, "connect", s, &inet(LOCAL, free)), Err(Errno::ECONNREFUSED));
    assert_eq!(g.ask("listen", &[N(s), N(1)]), Err(Errno::EACCES));
}

#[test]
fn nothing_that_sends_without_an_address_binds() {
    let g = under("");
    let text = g.give(std::fs::File::open("/proc/self/status").unwrap());
    let (r, w) = nix::unistd::pipe().unwrap();
    let (r, w) = (g.give(r), g.give(w));
    g.ask("write", &[N(w), M(b"x"), N(1)]).unwrap();
    for domain in [INET, libc::AF_INET6] {
        let s = socket(&g, domain, DGRAM);
        for (how, done) in [
            ("write", g.ask("write", &[N(s), M(b"x"), N(1)])),
            ("send", g.ask("sendto", &[N(s), M(b"x"), N(1), N(0), Null, N(0)])),
            ("sendmsg", g.ask("sendmsg", &[N(s), M(&message(None, None, b"x")), N(0)])),
            ("sendfile", g.ask("sendfile", &[N(s), N(text), Null, N(1)])),
            ("splice", g.ask("splice", &[N(r), Null, N(s), Null, N(1), N(0)])),
        ] {
            assert_eq!((done, port_of(&g, s)), (Err(Errno::EACCES), 0), "{how}");
        }
    }
    let g = under("bind = [\"udp:*:0\"]");
    let s = socket(&g, INET, DGRAM);
    assert_eq!(g.ask("write", &[N(s), M(b"x"), N(1)]), Err(Errno::EDESTADDRREQ), "with consent, as natively");
    assert_ne!(port_of(&g, s), 0);
}

#[test]
fn who_may_only_send_hears_only_whom_it_sends_to() {
    let (local, other, port) = two_on_one_port();
    let rules = format!("allow = [\"udp:127.0.0.0/8:{port}\"]\n");
    let heard = |g: &Guest| {
        let s = socket(g, INET, DGRAM);
        assert_eq!(send_to(g, s, 0, &inet(LOCAL, port)), Ok(1));
        let guest = arrived(&local).unwrap();
        other.send_to(b"unasked", guest).unwrap();
        local.send_to(b"answer", guest).unwrap();
        let read = || g.call("recvfrom", &[N(s), Room(16), N(16), N(libc::MSG_DONTWAIT.into()), Null, Null]);
        (s, read().out[1].clone())
    };
    let g = under(&rules);
    let (s, first) = heard(&g);
    assert_eq!(first, b"answer");
    let peer = g.call("getpeername", &[N(s), Room(16), M(&16u32.to_le_bytes())]);
    assert_eq!(peer.answer, Err(Errno::ENOTCONN), "the guest has not connected it");
    assert_eq!(g.ask("write", &[N(s), M(b"x"), N(1)]), Err(Errno::EDESTADDRREQ));
    assert_eq!(send_to(&g, s, 0, &inet(OTHER, port)), Ok(1), "and then another");
    assert!(arrived(&other).is_some());
    assert_eq!(with_address(&g, "connect", s, &inet(LOCAL, port)), Ok(0), "and then for good");
    assert_eq!(g.ask("write", &[N(s), M(b"x"), N(1)]), Ok(1));
    assert!(arrived(&local).is_some());
    let g = under(&format!("{rules}bind = [\"udp:*:0\"]"));
    assert_eq!(heard(&g).1, b"unasked");
}

#[test]
fn a_connection_that_fails_or_is_taken_back_leaves_no_port() {
    let (_local, _other, port) = two_on_one_port();
    let g = under(&format!("allow = [\"udp:255.255.255.255:9\", \"udp:127.0.0.1:{port}\"]"));
    let s = socket(&g, INET, DGRAM);
    assert_eq!(with_address(&g, "connect", s, &inet([255; 4], 9)), Err(Errno::EACCES), "no SO_BROADCAST");
    assert_eq!(port_of(&g, s), 0);
    assert_eq!(with_address(&g, "connect", s, &inet(LOCAL, port)), Ok(0));
    assert_eq!(g.ask("write", &[N(s), M(b"x"), N(1)]), Ok(1));
    assert_eq!(with_address(&g, "connect", s, &[0; 16]), Ok(0));
    assert_eq!((g.ask("write", &[N(s), M(b"x"), N(1)]), port_of(&g, s)), (Err(Errno::EACCES), 0));
}

#[test]
fn consent_goes_with_the_socket_whichever_descriptor_it_has() {
    let g = under("bind = [\"tcp:127.0.0.1:0\"]");
    let sent = |socket: i64| {
        let pair = g.call("socketpair", &[N(libc::AF_UNIX.into()), N(DGRAM), N(0), Room(8)]);
        let (a, b) = (number(&pair.out[3]), number(&pair.out[3][4..]));
        let message = message(None, Some(&rights(&[socket])), b"x");
        g.ask("sendmsg", &[N(a), M(&message), N(0)]).unwrap();
        g.ask("close", &[N(socket)]).unwrap();
        number(&receive(&g, b, 64, 0).2[16..])
    };
    let s = socket(&g, INET, STREAM);
    assert_eq!(g.ask("listen", &[N(sent(s)), N(1)]), Err(Errno::EACCES));
    let s = socket(&g, INET, STREAM);
    let twin = g.ask("dup", &[N(s)]).unwrap();
    assert_eq!(with_address(&g, "bind", s, &inet(LOCAL, 0)), Ok(0));
    assert_eq!(g.ask("listen", &[N(twin), N(1)]), Ok(0));
    assert_eq!(g.ask("listen", &[N(sent(s)), N(1)]), Ok(0));
}

#[test]
fn a_device_that_a_scope_has_chosen_is_not_used_for_what_belongs_elsewhere() {
    let link_local: Ipv6Addr = "fe80::1".parse().unwrap();
    let g = under("allow = [\"udp:[fe80::/10]:*\", \"udp:[::1]:9\"]");
    let scoped = [&inet6(link_local.octets(), 9)[..24], &1u32.to_ne_bytes()].concat();
    let s = socket(&g, libc::AF_INET6, DGRAM);
    // Whether there is a way to it or not, the socket may now be bound to the device.
    let _ = with_address(&g, "connect", s, &scoped);
    let to_loopback = inet6(Ipv6Addr::LOCALHOST.octets(), 9);
    assert_eq!(with_address(&g, "connect", s, &to_loopback), Err(Errno::EPERM));
    let fresh = socket(&g, libc::AF_INET6, DGRAM);
    assert_eq!(with_address(&g, "connect", fresh, &to_loopback), Ok(0));
}

/// Sets an option to a value.
fn set(g: &Guest, socket: i64, option: u64, value: &[u8]) -> Result<i64, Errno> {
    let (level, name) = (N((option >> 32) as i64), N((option & 0xffff_ffff) as i64));
    g.ask("setsockopt", &[N(socket), level, name, M(value), N(value.len() as i64)])
}

#[test]
fn options_do_nothing_to_the_network_that_the_policy_does_not_let_do() {
    let g = under("allow = [\"udp:127.0.0.1:9998\", \"tcp:*:*\"]\nbind = [\"udp:127.0.0.1:*\"]");
    let row = table::by_name("setsockopt").unwrap();
    let Kind::Level(options) = row.args[1].kind else { panic!() };
    // A group of each form at once: of IPv4 and IPv6, and as an address of IPv4 behind the interface.
    let mut value = [0xe0; 136];
    value[8..10].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    let (mut judged, s) = (0, socket(&g, libc::AF_INET6, DGRAM));
    for option in options.rows.iter().filter(|o| !matches!(o.route, Some(Route::Refuse { .. }))) {
        let expected = match option.effects[0] {
            Effect::Route(Choice::Way | Choice::Source(..)) => Errno::EPERM,
            Effect::Emit(_) | Effect::Bind => Errno::EACCES,
            _ => continue,
        };
        judged += 1;
        assert_eq!(set(&g, s, option.value, &value), Err(expected), "{}", option.name);
    }
    assert!(judged >= 25, "{judged}");
}

#[test]
fn a_choice_is_taken_back_and_harmless_options_are_set_by_everybody() {
    let g = under("");
    let (s, t) = (socket(&g, INET, DGRAM), socket(&g, INET, STREAM));
    let option = |level: i32, name: i32| (level as u64) << 32 | name as u64;
    let (one, zero) = (1u32.to_ne_bytes(), 0u32.to_ne_bytes());
    for (socket, level, name, value) in [
        (s, libc::SOL_SOCKET, libc::SO_REUSEADDR, one),
        (s, libc::SOL_SOCKET, libc::SO_RCVBUF, 65536u32.to_ne_bytes()),
        (s, libc::SOL_SOCKET, libc::SO_PRIORITY, 6u32.to_ne_bytes()),
        (s, libc::IPPROTO_IP, libc::IP_TOS, 16u32.to_ne_bytes()),
        (s, libc::IPPROTO_IP, libc::IP_RECVERR, one),
        (s, libc::IPPROTO_IP, libc::IP_PKTINFO, one),
        (s, libc::IPPROTO_IP, libc::IP_MULTICAST_TTL, one),
        (s, libc::IPPROTO_IP, libc::IP_UNICAST_IF, zero),
        (s, libc::IPPROTO_IP, libc::IP_FREEBIND, zero),
        (t, libc::IPPROTO_TCP, libc::TCP_NODELAY, one),
        (t, libc::SOL_SOCKET, libc::SO_KEEPALIVE, one),
    ] {
        assert_eq!(set(&g, socket, option(level, name), &value), Ok(0), "{level} {name}");
    }
}

#[test]
fn a_group_is_joined_by_who_may_send_to_it() {
    let membership = |g: &Guest, group: [u8; 4]| {
        let option = (libc::IPPROTO_IP as u64) << 32 | libc::IP_ADD_MEMBERSHIP as u64;
        let value = [&group[..], &LOCAL, &1u32.to_ne_bytes()].concat();
        set(g, socket(g, INET, DGRAM), option, &value)
    };
    let g = under("allow = [\"udp:239.1.2.3:5000\"]");
    assert_eq!(membership(&g, [239, 1, 2, 4]), Err(Errno::EACCES));
    assert_ne!(membership(&g, [239, 1, 2, 3]), Err(Errno::EACCES));
}

/// An `ifreq` that names an interface by its number, or by its name.
fn ifreq(name: &[u8], number: u32) -> Vec<u8> {
    let mut request = name.to_vec();
    request.resize(16, 0);
    request.extend(number.to_ne_bytes());
    request.resize(40, 0);
    request
}

#[test]
fn of_the_interfaces_only_loopback_is_seen() {
    let g = under("allow = [\"ip:*\"]");
    let ask = |g: &Guest, request: libc::c_ulong, value: &[u8]| {
        let s = socket(g, INET, DGRAM);
        g.call("ioctl", &[N(s), N(request as i64), M(value)])
    };
    let name = ask(&g, libc::SIOCGIFNAME, &ifreq(b"", 1)).out[2][..16].to_vec();
    assert_eq!(name[..3], *b"lo\0");
    assert_eq!(ask(&g, libc::SIOCGIFINDEX, &ifreq(b"lo", 0)).out[2][16..20], 1u32.to_ne_bytes());
    let others = nix::ifaddrs::getifaddrs().unwrap().map(|a| a.interface_name).filter(|name| name != "lo");
    for name in others.chain(["no-such-one".to_owned()]) {
        for request in [libc::SIOCGIFINDEX, libc::SIOCGIFFLAGS, libc::SIOCGIFADDR, libc::SIOCGIFHWADDR] {
            assert_eq!(ask(&g, request, &ifreq(name.as_bytes(), 0)).answer, Err(Errno::ENODEV), "{name}");
        }
    }
    for number in 2..20 {
        assert_eq!(ask(&g, libc::SIOCGIFNAME, &ifreq(b"", number)).answer, Err(Errno::ENODEV));
    }
    let free = Guest::free();
    for interface in nix::net::if_::if_nameindex().unwrap().iter() {
        let told = ask(&free, libc::SIOCGIFNAME, &ifreq(b"", interface.index()));
        assert!(told.out[2].starts_with(interface.name().to_bytes()), "netlink would tell it too");
    }
    let no_socket = g.give(std::fs::File::open("/dev/null").unwrap());
    let done = g.ask("ioctl", &[N(no_socket), N(libc::SIOCGIFINDEX as i64), M(&ifreq(b"lo", 0))]);
    assert_eq!(done, Err(Errno::ENOTTY));
}

#[test]
fn a_port_that_sending_left_since_the_connection_was_just_taken_back_is_given_back() {
    let (_local, _other, port) = two_on_one_port();
    let g = under(&format!("allow = [\"udp:127.0.0.1:{port}\"]"));
    let s = socket(&g, INET, DGRAM);
    let file = g.process.fds.get(s as i32).unwrap();
    let to = Address::internet((LOCAL, port).into());
    // What the kernel does to the message of a thread that has asked before another took the connection back.
    let send = || net::send(Wait::Short, file.host.as_fd(), to.bytes(), &[], Buffer::from_slice(&mut []), 0);
    assert_eq!(send(), Ok(0));
    assert_ne!(port_of(&g, s), 0);
    drop(Sending::Internet(&file));
    assert_eq!(port_of(&g, s), 0);
    for done in [send_to(&g, s, 0, &inet(LOCAL, port)).map(|_| 0), with_address(&g, "connect", s, to.bytes())]
    {
        drop(Sending::Internet(&file));
        assert!(done == Ok(0) && port_of(&g, s) != 0, "it hears nobody else");
    }
}

#[test]
fn the_name_that_the_kernel_gives_a_unix_socket_is_bound_with_consent() {
    const DATAGRAMS: i64 = libc::SOCK_DGRAM as i64;
    let listener = std::env::temp_dir().join(format!("rxbox-consent-{}", std::process::id()));
    let _ = std::fs::remove_file(&listener);
    let peer = std::os::unix::net::UnixDatagram::bind(&listener).unwrap();
    let rules = format!("allow = [\"unix:{0}\"]\n", listener.display());
    let address = [&(libc::AF_UNIX as u16).to_le_bytes()[..], listener.to_str().unwrap().as_bytes()].concat();
    let told = |g: &Guest, s: i64, on: i32| {
        let value = on.to_ne_bytes();
        g.ask("setsockopt", &[N(s), N(libc::SOL_SOCKET.into()), N(libc::SO_PASSCRED.into()), M(&value), N(4)])
    };
    let name =
        |g: &Guest, s: i64| g.call("getsockname", &[N(s), Room(28), M(&28u32.to_le_bytes())]).out[2][0];
    let pair = |g: &Guest, kind: i64| {
        let numbers = g.call("socketpair", &[N(libc::AF_UNIX.into()), N(kind), N(0), Room(8)]);
        [number(&numbers.out[3][..4]), number(&numbers.out[3][4..])].map(i64::from)
    };
    let g = under(&rules);
    let s = socket(&g, libc::AF_UNIX, DATAGRAMS);
    assert_eq!(send_to(&g, s, 0, &address), Ok(1), "without the option nothing is named");
    assert_eq!(told(&g, s, 1), Ok(0));
    for (how, done) in [
        ("sendto", send_to(&g, s, 0, &address)),
        ("connect", with_address(&g, "connect", s, &address)),
        ("to nothing", with_address(&g, "connect", s, &(libc::AF_UNSPEC as u16).to_le_bytes())),
    ] {
        assert_eq!((done, name(&g, s)), (Err(Errno::EACCES), 2), "{how}");
    }
    let [a, _b] = pair(&g, DATAGRAMS);
    assert_eq!((told(&g, a, 1), g.ask("write", &[N(a), M(b"x"), N(1)])), (Ok(0), Err(Errno::EACCES)));
    let [a, _b] = pair(&g, libc::SOCK_SEQPACKET.into());
    let sent = g.ask("write", &[N(a), M(b"x"), N(1)]);
    assert_eq!((told(&g, a, 1), sent), (Ok(0), Ok(1)), "its peer is one for good");

    let g = under(&format!("{rules}bind = [\"unix:@\"]"));
    let s = socket(&g, libc::AF_UNIX, DATAGRAMS);
    assert_eq!((told(&g, s, 1), send_to(&g, s, 0, &address)), (Ok(0), Ok(1)));
    assert_eq!(name(&g, s), 8, "a NUL and five digits");
    drop(peer);
    std::fs::remove_file(&listener).unwrap();
}
