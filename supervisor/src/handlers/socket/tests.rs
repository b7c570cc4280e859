//! Sockets under a policy, and what travels over them.

use super::super::tests::A::{M, N, Null, Room};
use super::super::tests::{A, Done, Guest, NOBODY, null, number};
use super::address::{Name, Nature, read};
use crate::state::fd::{File, Kind};
use nix::errno::Errno;
use rxbox_wire::frame::MessageHeader;
use rxbox_wire::sizes::ABSENT;
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

pub(super) const STREAM: i64 = libc::SOCK_STREAM as i64;
pub(super) const DGRAM: i64 = libc::SOCK_DGRAM as i64;

/// A `sockaddr_in`.
pub(super) fn inet(address: [u8; 4], port: u16) -> Vec<u8> {
    [&(libc::AF_INET as u16).to_le_bytes()[..], &port.to_be_bytes(), &address, &[0; 8]].concat()
}

/// A `sockaddr_in6`.
pub(super) fn inet6(address: [u8; 16], port: u16) -> Vec<u8> {
    [&(libc::AF_INET6 as u16).to_le_bytes()[..], &port.to_be_bytes(), &[0; 4], &address, &[0; 4]].concat()
}

/// A `sockaddr_un`.
fn unix(name: &[u8]) -> Vec<u8> {
    [&(libc::AF_UNIX as u16).to_le_bytes()[..], name].concat()
}

pub(super) fn with_address(g: &Guest, call: &str, socket: i64, address: &[u8]) -> Result<i64, Errno> {
    g.ask(call, &[N(socket), M(address), N(address.len() as i64)])
}

pub(super) fn send_to(g: &Guest, socket: i64, flags: i32, address: &[u8]) -> Result<i64, Errno> {
    let address = [M(address), N(address.len() as i64)];
    let [a, n] = address;
    g.ask("sendto", &[N(socket), M(b"x"), N(1), N(flags.into()), a, n])
}

pub(super) fn socket(g: &Guest, domain: i32, kind: i64) -> i64 {
    g.ask("socket", &[N(domain.into()), N(kind), N(0)]).unwrap()
}

#[test]
fn every_way_to_an_address_is_judged_alike() {
    let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let (t, u) = (tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port());
    let rules = format!("version = 1\n[network]\nallow = [\"tcp:127.0.0.1:{t}\", \"udp:127.0.0.1:{u}\"]\n");
    let g = Guest::under(&rules);
    let (local, mut mapped) = ([127, 0, 0, 1], [0; 16]);
    mapped[10..].copy_from_slice(&[255, 255, 127, 0, 0, 1]);

    assert_eq!(with_address(&g, "connect", socket(&g, libc::AF_INET, STREAM), &inet(local, t)), Ok(0));
    assert_eq!(with_address(&g, "connect", socket(&g, libc::AF_INET6, STREAM), &inet6(mapped, t)), Ok(0));
    assert_eq!(send_to(&g, socket(&g, libc::AF_INET, DGRAM), 0, &inet(local, u)), Ok(1));

    let denied = Err(Errno::EACCES);
    for (address, port) in
        [(local, t.wrapping_add(1)), (local, u), ([10, 0, 0, 1], t), ([169, 254, 169, 254], 80)]
    {
        let to = inet(address, port);
        let mut mapped = mapped;
        mapped[12..].copy_from_slice(&address);
        assert_eq!(with_address(&g, "connect", socket(&g, libc::AF_INET, STREAM), &to), denied);
        assert_eq!(
            with_address(&g, "connect", socket(&g, libc::AF_INET6, STREAM), &inet6(mapped, port)),
            denied
        );
        assert_eq!(send_to(&g, socket(&g, libc::AF_INET, STREAM), libc::MSG_FASTOPEN, &to), denied);
        if port != u {
            assert_eq!(send_to(&g, socket(&g, libc::AF_INET, DGRAM), 0, &to), denied);
            let header = message(Some(&to), None, b"x");
            let s = socket(&g, libc::AF_INET, DGRAM);
            assert_eq!(g.ask("sendmsg", &[N(s), M(&header), N(0)]), denied);
            let mut no_family = to.clone();
            no_family[..2].fill(0);
            assert_eq!(
                send_to(&g, socket(&g, libc::AF_INET, DGRAM), 0, &no_family),
                denied,
                "the kernel takes it for IPv4"
            );
        }
    }
}

#[test]
fn binding_and_listening_without_a_name_are_judged() {
    let g = Guest::under("version = 1\n[network]\nbind = [\"tcp:127.0.0.1:*\"]\n");
    let s = socket(&g, libc::AF_INET, STREAM);
    assert_eq!(g.ask("listen", &[N(s), N(1)]), Err(Errno::EACCES), "it would be bound to every address");
    assert_eq!(with_address(&g, "bind", s, &inet([0; 4], 0)), Err(Errno::EACCES));
    assert_eq!(with_address(&g, "bind", s, &inet([127, 0, 0, 1], 0)), Ok(0));
    assert_eq!(g.ask("listen", &[N(s), N(1)]), Ok(0));
    let name = g.call("getsockname", &[N(s), Room(16), M(&16u32.to_le_bytes())]);
    assert_eq!((number(&name.out[2]), &name.out[1][4..8]), (16, &[127, 0, 0, 1][..]));
}

#[test]
fn families_and_kinds_that_the_profile_does_not_list_cannot_be_made() {
    let g = Guest::under("version = 1\n");
    for family in [libc::AF_NETLINK, libc::AF_PACKET, libc::AF_VSOCK, libc::AF_ALG] {
        assert_eq!(g.ask("socket", &[N(family.into()), N(DGRAM), N(0)]), Err(Errno::EAFNOSUPPORT));
    }
    for (kind, protocol) in [(libc::SOCK_RAW, 1), (libc::SOCK_STREAM, 262), (libc::SOCK_STREAM, 132)] {
        let done = g.ask("socket", &[N(libc::AF_INET.into()), N(kind.into()), N(protocol)]);
        assert_eq!(done, Err(Errno::EPROTONOSUPPORT));
    }
}

#[test]
fn an_address_is_read_only_as_one_of_the_sockets_own_family() {
    let nature = |socket: std::os::fd::OwnedFd| Nature::of(&File::made(socket).unwrap()).unwrap();
    let internet = nature(UdpSocket::bind("127.0.0.1:0").unwrap().into());
    let local = nature(UnixDatagram::unbound().unwrap().into());
    assert_eq!(read(&unix(b"/x"), internet), Err(Errno::EAFNOSUPPORT));
    assert_eq!(read(&inet([1, 2, 3, 4], 5), local), Err(Errno::EINVAL));
    assert_eq!(read(&[16, 0, 0, 0], internet), Err(Errno::EAFNOSUPPORT));
    for short in [&[][..], &[2], &inet([1, 2, 3, 4], 5)[..15], &inet6([0; 16], 5)[..23]] {
        assert_eq!(read(short, internet), Err(Errno::EINVAL));
    }
    assert_eq!(read(&inet([1, 2, 3, 4], 5), internet), Ok(Name::Internet(([1, 2, 3, 4], 5).into())));
    assert_eq!(read(&unix(b"/x\0/y"), local), Ok(Name::UnixPath(b"/x")));
    assert_eq!(read(&unix(b"\0a\0b"), local), Ok(Name::UnixAbstract(b"a\0b")));
    assert_eq!(read(&unix(b""), local), Ok(Name::UnixUnnamed));
    assert_eq!(read(&unix(&[b'x'; 109]), local), Err(Errno::EINVAL));
}

/// A folder for sockets, gone with the value.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("rxbox-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Folder(path.canonicalize().unwrap())
    }
    fn at(&self, leaf: &str) -> String {
        self.0.join(leaf).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_socket_that_was_judged_is_the_one_connected_to() {
    let folder = Folder::new("connect");
    let (open, closed) = (folder.at("open"), folder.at("closed"));
    let (_open, _closed) = (UnixListener::bind(&open).unwrap(), UnixListener::bind(&closed).unwrap());
    std::os::unix::fs::symlink(&closed, folder.at("link")).unwrap();
    let g = Guest::under(&format!("version = 1\n[network]\nallow = [\"unix:{open}\"]\n"));
    let connect =
        |path: &str| with_address(&g, "connect", socket(&g, libc::AF_UNIX, STREAM), &unix(path.as_bytes()));
    assert_eq!(connect(&open), Ok(0));
    assert_eq!(connect(&closed), Err(Errno::EACCES));
    assert_eq!(connect(&folder.at("link")), Err(Errno::EACCES), "what counts is where the link leads");
    let abstract_name = with_address(&g, "connect", socket(&g, libc::AF_UNIX, STREAM), &unix(b"\0someone"));
    assert_eq!(abstract_name, Err(Errno::EACCES));
}

#[test]
fn a_bound_socket_is_called_by_its_path_and_answers_to_it() {
    let folder = Folder::new("bind");
    let (server, client) = (folder.at("server"), folder.at("client"));
    let g = Guest::free();
    let (s, c) = (socket(&g, libc::AF_UNIX, DGRAM), socket(&g, libc::AF_UNIX, DGRAM));
    assert_eq!(with_address(&g, "bind", s, &unix(server.as_bytes())), Ok(0));
    assert_eq!(with_address(&g, "bind", c, &unix(client.as_bytes())), Ok(0));
    assert_eq!(
        with_address(&g, "bind", c, &unix(folder.at("other").as_bytes())),
        Err(Errno::EINVAL),
        "it has a name"
    );
    let taken = socket(&g, libc::AF_UNIX, DGRAM);
    assert_eq!(with_address(&g, "bind", taken, &unix(server.as_bytes())), Err(Errno::EADDRINUSE));
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&server).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755, "the guest's umask counts, not the supervisor's");

    assert_eq!(send_to(&g, c, 0, &unix(server.as_bytes())), Ok(1));
    let got = g.call("recvfrom", &[N(s), Room(8), N(8), N(0), Room(110), M(&110u32.to_le_bytes())]);
    let told = |path: &str| unix(format!("{path}\0").as_bytes());
    assert_eq!((got.answer, &got.out[4][..]), (Ok(1), &told(&client)[..]));
    assert_eq!(send_to(&g, s, 0, &got.out[4]), Ok(1), "the name leads back");
    let own = g.call("getsockname", &[N(s), Room(110), M(&110u32.to_le_bytes())]);
    assert_eq!(own.out[1], told(&server));
}

#[test]
fn a_socket_is_only_bound_where_the_policy_says() {
    let folder = Folder::new("nobind");
    let path = folder.at("s");
    let g = Guest::under("version = 1\n");
    let s = socket(&g, libc::AF_UNIX, STREAM);
    assert!(with_address(&g, "bind", s, &unix(path.as_bytes())).is_err());
    assert!(!std::path::Path::new(&path).exists());
    assert_eq!(with_address(&g, "bind", s, &unix(b"\0name")), Err(Errno::EACCES));
}

/// A message as it crosses the channel.
pub(super) fn message(name: Option<&[u8]>, control: Option<&[u8]>, data: &[u8]) -> Vec<u8> {
    let len = |part: Option<&[u8]>| part.map_or(ABSENT, |p| p.len() as u32);
    let header = MessageHeader { name: len(name), control: len(control), bytes: data.len() as u32, flags: 0 };
    let parts = header.parts();
    let mut bytes = vec![0; parts[2].end];
    bytes[..MessageHeader::SIZE].copy_from_slice(&header.encode());
    for (part, content) in
        parts.into_iter().zip([name.unwrap_or_default(), control.unwrap_or_default(), data])
    {
        bytes[part].copy_from_slice(content);
    }
    bytes
}

/// One piece of control data.
pub(super) fn piece(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
    let len = 16 + data.len();
    let mut bytes =
        [&(len as u64).to_le_bytes()[..], &level.to_le_bytes(), &kind.to_le_bytes(), data].concat();
    bytes.resize(len.next_multiple_of(8), 0);
    bytes
}

pub(super) fn rights(numbers: &[i64]) -> Vec<u8> {
    let data: Vec<u8> = numbers.iter().flat_map(|n| (*n as i32).to_le_bytes()).collect();
    piece(libc::SOL_SOCKET, libc::SCM_RIGHTS, &data)
}

/// Receives with so much room for control data: what the header says, and the control data.
pub(super) fn receive(g: &Guest, socket: i64, room: usize, flags: i32) -> (Done, MessageHeader, Vec<u8>) {
    let request = message(None, Some(&vec![0; room]), &[0; 16]);
    let done = g.call("recvmsg", &[N(socket), M(&request), N(flags.into())]);
    let header = MessageHeader::decode_head(&done.out[1]).unwrap();
    let at = MessageHeader::decode_head(&request).unwrap().parts()[1].start;
    let control = done.out[1][at..at + header.control as usize].to_vec();
    (done, header, control)
}

fn pair(g: &Guest) -> (i64, i64) {
    let done = g.call("socketpair", &[N(libc::AF_UNIX.into()), N(DGRAM), N(0), Room(8)]);
    assert_eq!(done.answer, Ok(0));
    (number(&done.out[3]), number(&done.out[3][4..]))
}

#[test]
fn descriptors_travel_as_the_guests_own_numbers() {
    let g = Guest::free();
    let (a, b) = pair(&g);
    let (r, w) = nix::unistd::pipe().unwrap();
    let (r, w) = (g.give(r), g.give(w));
    assert_eq!(g.ask("sendmsg", &[N(a), M(&message(None, Some(&rights(&[r, w])), b"hi")), N(0)]), Ok(2));
    let (done, header, control) = receive(&g, b, 64, libc::MSG_CMSG_CLOEXEC);
    assert_eq!((done.answer, header.bytes, control.len()), (Ok(2), 2, 24));
    let (r2, w2) = (number(&control[16..]), number(&control[20..]));
    assert!(![r, w].contains(&r2) && ![r, w].contains(&w2));
    assert_eq!(g.process.fds.cloexec(r2 as i32), Ok(true));
    g.ask("write", &[N(w2), M(b"y"), N(1)]).unwrap();
    assert_eq!(g.call("read", &[N(r), Room(4), N(4)]).out[1], b"y");
}

#[test]
fn only_the_guests_own_descriptors_can_be_sent() {
    let g = Guest::free();
    let (a, b) = pair(&g);
    for n in [0, 1, 2].into_iter().filter(|n| ![a, b].contains(n)).chain([40, -1]) {
        let message = message(None, Some(&rights(&[n])), b"x");
        assert_eq!(g.ask("sendmsg", &[N(a), M(&message), N(0)]), Err(Errno::EBADF), "{n}");
    }
    // What the supervisor has made up arrives as that, and the host never carries it.
    let view = File::view(null(), (*b"/proc/self/status").into(), b"text".to_vec());
    let view = g.process.fds.insert(view, false, 0).unwrap().into();
    let message = message(None, Some(&rights(&[view])), b"x");
    assert_eq!(g.ask("sendmsg", &[N(a), M(&message), N(0)]), Ok(1));
    let (_, _, control) = receive(&g, b, 64, 0);
    let arrived = g.process.fds.get(number(&control[16..]) as i32).unwrap();
    assert_eq!((arrived.kind, arrived.path.as_deref()), (Kind::View, Some(b"/proc/self/status".as_slice())));
}

#[test]
fn descriptors_that_find_no_room_are_closed_and_the_message_is_marked() {
    let g = Guest::free();
    let (a, b) = pair(&g);
    let (r, w) = nix::unistd::pipe().unwrap();
    let (r, w) = (g.give(r), g.give(w));
    let send = || g.ask("sendmsg", &[N(a), M(&message(None, Some(&rights(&[w, w])), b"x")), N(0)]);
    let before = g.process.fds.iter().len();

    send().unwrap();
    let (_, header, control) = receive(&g, b, 0, 0);
    assert_eq!((header.flags & libc::MSG_CTRUNC as u32 != 0, control.len()), (true, 0));

    send().unwrap();
    g.process.fds.set_limit(before as u64 + 1);
    let (_, header, control) = receive(&g, b, 64, 0);
    assert!(header.flags & libc::MSG_CTRUNC as u32 != 0);
    assert_eq!((u64::from_le_bytes(control[..8].try_into().unwrap()), control.len()), (20, 20));
    assert_eq!(g.process.fds.iter().len(), before + 1);

    send().unwrap();
    let (done, header, control) = receive(&g, b, 64, 0);
    assert_eq!((done.answer, control.len(), header.flags & libc::MSG_CTRUNC as u32 != 0), (Ok(1), 0, true));

    // All write ends are closed, so the reader sees the end: none was left behind in the supervisor.
    for (n, ..) in g.process.fds.iter().into_iter().filter(|e| ![a, b, r].contains(&e.0.into())) {
        g.ask("close", &[N(n.into())]).unwrap();
    }
    assert_eq!(g.call("read", &[N(r), Room(1), N(1)]).answer, Ok(0));
}

#[test]
fn control_data_that_could_lead_elsewhere_or_are_malformed_are_refused() {
    let g = Guest::free();
    let s = socket(&g, libc::AF_INET6, DGRAM);
    let (a, _b) = pair(&g);
    let to = inet6(std::net::Ipv6Addr::LOCALHOST.octets(), 9);
    let refused = |socket: i64, control: &[u8], to: Option<&[u8]>| {
        assert_eq!(
            g.ask("sendmsg", &[N(socket), M(&message(to, Some(control), b"x")), N(0)]),
            Err(Errno::EINVAL)
        );
    };
    refused(s, &piece(libc::IPPROTO_IPV6, libc::IPV6_RTHDR, &[0; 24]), Some(&to));
    refused(s, &piece(libc::IPPROTO_IP, libc::IP_RETOPTS, &[0; 8]), Some(&to));
    refused(a, &piece(libc::SOL_SOCKET, 99, &[0; 4]), None);
    for len in [0u64, 15, 1 << 40, u64::MAX] {
        let mut wrong = rights(&[a]);
        wrong[..8].copy_from_slice(&len.to_le_bytes());
        refused(a, &wrong, None);
    }
    refused(a, &rights(&[a; 254]), None);
}

#[test]
fn credentials_are_the_senders_own() {
    let g = Guest::free();
    let (a, b) = pair(&g);
    let one = 1u32.to_le_bytes();
    g.ask("setsockopt", &[N(b), N(libc::SOL_SOCKET.into()), N(libc::SO_PASSCRED.into()), M(&one), N(4)])
        .unwrap();
    let (uid, gid) = (g.ask("getuid", &[]).unwrap(), g.ask("getgid", &[]).unwrap());
    let send = |pid: i64, uid: i64, gid: i64| {
        let data = [pid, uid, gid].map(|n| (n as i32).to_le_bytes()).concat();
        let control = piece(libc::SOL_SOCKET, libc::SCM_CREDENTIALS, &data);
        g.ask("sendmsg", &[N(a), M(&message(None, Some(&control), b"x")), N(0)])
    };
    let me = NOBODY.into();
    assert_eq!(send(std::process::id().into(), uid, gid), Err(Errno::EPERM), "the supervisor's");
    assert_eq!(send(me, uid + 1, gid), Err(Errno::EPERM));
    assert_eq!(send(me, uid, gid), Ok(1));
    let (_, _, control) = receive(&g, b, 64, 0);
    assert_eq!(
        [16, 20, 24].map(|at| number(&control[at..])),
        [me, uid, gid],
        "the guest that sent, and never the supervisor"
    );
    let peer = g.call("getsockopt", &peer_credentials(b));
    assert_eq!(number(&peer.out[3]), me);
}

fn peer_credentials(socket: i64) -> [A<'static>; 5] {
    [N(socket), N(libc::SOL_SOCKET.into()), N(libc::SO_PEERCRED.into()), Room(12), M(&[12, 0, 0, 0])]
}

#[test]
fn options_that_hold_addresses_or_programs_never_reach_the_host() {
    let g = Guest::free();
    let s = socket(&g, libc::AF_INET, STREAM);
    let set = |level: i32, name: i32| {
        g.ask("setsockopt", &[N(s), N(level.into()), N(name.into()), M(&[0; 16]), N(16)])
    };
    assert_eq!(set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER), Err(Errno::EPERM));
    assert_eq!(set(libc::IPPROTO_IP, libc::IP_OPTIONS), Err(Errno::EPERM));
    assert_eq!(
        g.ask("setsockopt", &[N(s), N(libc::SOL_SOCKET.into()), N(4242), Null, N(4)]),
        Err(Errno::ENOPROTOOPT)
    );
    let one = 1u32.to_le_bytes();
    let no_delay = [libc::IPPROTO_TCP, libc::TCP_NODELAY].map(i64::from);
    assert_eq!(g.ask("setsockopt", &[N(s), N(no_delay[0]), N(no_delay[1]), M(&one), N(4)]), Ok(0));
    let got = g.call("getsockopt", &[N(s), N(no_delay[0]), N(no_delay[1]), Room(4), M(&4u32.to_le_bytes())]);
    assert_eq!((got.answer, number(&got.out[3]), number(&got.out[4])), (Ok(0), 1, 4));
}

#[test]
fn accepting_gives_a_socket_and_the_peers_address() {
    let g = Guest::free();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let port = client.local_addr().unwrap().port();
    let l = g.give(listener);
    let done = g.call("accept4", &[N(l), Room(4), M(&4u32.to_le_bytes()), N(libc::SOCK_CLOEXEC.into())]);
    let new = done.answer.unwrap();
    assert_eq!(g.process.fds.cloexec(new as i32), Ok(true));
    assert_eq!(
        (&done.out[1][..], number(&done.out[2])),
        (&inet([127, 0, 0, 1], port)[..4], 16),
        "cut, and how long it is"
    );
    assert_eq!(g.ask("sendto", &[N(new), M(b"hello"), N(5), N(0), Null, N(0)]), Ok(5));
    g.ask("shutdown", &[N(new), N(1)]).unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
    let file = g.give(null());
    assert_eq!(g.ask("accept", &[N(file), Null, Null]), Err(Errno::ENOTSOCK));
}

#[test]
fn a_closed_peer_raises_the_signal_unless_it_is_not_wanted() {
    let g = Guest::free();
    let (a, b) = UnixStream::pair().unwrap();
    drop(b);
    let a = g.give(a);
    let send = |flags: i32| g.call("sendto", &[N(a), M(b"x"), N(1), N(flags.into()), Null, N(0)]);
    assert_eq!((send(0).answer, send(0).flags), (Err(Errno::EPIPE), rxbox_wire::frame::Reply::SIGNALLED));
    assert_eq!((send(libc::MSG_NOSIGNAL).answer, send(libc::MSG_NOSIGNAL).flags), (Err(Errno::EPIPE), 0));
}
