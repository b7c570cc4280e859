//! Socket options (socket(7), ip(7), ipv6(7), tcp(7), udp(7), unix(7), netlink(7), vsock(7)) by level and
//! name.
//!
//! Each option is written once; the tables of getsockopt(2) and setsockopt(2) come from the same rows, so
//! that an option that can only be read answers a write as the kernel does.

use crate::kind::Extent::*;
use crate::kind::Kind::*;
use crate::kind::{Arg, Command, Commands, Restart, Route, Wait};

/// What may be done with an option.
#[derive(Clone, Copy)]
enum Use {
    Both,
    Get,
    Set,
    Neither(i32, &'static str),
}
use Use::{Both, Get, Neither, Set};

/// An option: level and name as one value, its name, its use.
#[derive(Clone, Copy)]
struct Row {
    value: u64,
    name: &'static str,
    usable: Use,
}

/// Rows by level: `NAME use`, the value from `libc` unless spelled out.
macro_rules! options {
    ($($level:ident { $($name:ident $(= $value:literal)? $usable:expr),* $(,)? })*) => {
        &[$($(Row {
            value: (libc::$level as u64) << 32 | crate::names::value!($name $(= $value)?),
            name: stringify!($name),
            usable: $usable,
        }),*),*]
    };
}

const fn refused(why: &'static str) -> Use {
    Neither(libc::EPERM, why)
}

const fn absent(why: &'static str) -> Use {
    Neither(libc::ENOPROTOOPT, why)
}

const PROGRAMS: &str = "programs in the kernel";
const MARKS: &str = "decides how the machine routes the packet";
const DESCRIPTOR: &str = "hands out a descriptor";
const ADDRESSES: &str = "holds addresses of the guest";
const ROUTES: &str = "sends packets by way of other addresses than the one that was judged";
const STATE: &str = "makes the kernel believe in connections that are none";

const OPTIONS: &[Row] = options! {
    SOL_SOCKET {
        SO_DEBUG refused("traces the kernel"), SO_REUSEADDR Both, SO_TYPE Get, SO_ERROR Get,
        SO_DONTROUTE refused(MARKS), SO_BROADCAST Both, SO_SNDBUF Both, SO_RCVBUF Both, SO_KEEPALIVE Both,
        SO_OOBINLINE Both, SO_NO_CHECK Both, SO_PRIORITY Both, SO_LINGER Both,
        SO_BSDCOMPAT absent("obsolete"), SO_REUSEPORT Both, SO_PASSCRED Both, SO_PEERCRED Get,
        SO_RCVLOWAT Both, SO_SNDLOWAT Get, SO_RCVTIMEO Both, SO_SNDTIMEO Both, SO_BINDTODEVICE Both,
        SO_ATTACH_FILTER refused(PROGRAMS), SO_DETACH_FILTER Set, SO_PEERNAME Get, SO_TIMESTAMP Both,
        SO_ACCEPTCONN Get, SO_PEERSEC Get, SO_SNDBUFFORCE refused("beyond the limit"),
        SO_RCVBUFFORCE refused("beyond the limit"), SO_PASSSEC Both, SO_TIMESTAMPNS Both,
        SO_MARK refused(MARKS), SO_TIMESTAMPING Both, SO_PROTOCOL Get, SO_DOMAIN Get, SO_RXQ_OVFL Both,
        SO_WIFI_STATUS Both, SO_PEEK_OFF Both, SO_NOFCS Both, SO_LOCK_FILTER Both, SO_SELECT_ERR_QUEUE Both,
        SO_BUSY_POLL refused("takes a processor"), SO_MAX_PACING_RATE Both, SO_BPF_EXTENSIONS Get,
        SO_INCOMING_CPU Both, SO_ATTACH_BPF refused(PROGRAMS),
        SO_ATTACH_REUSEPORT_CBPF = 51 refused(PROGRAMS), SO_ATTACH_REUSEPORT_EBPF = 52 refused(PROGRAMS),
        SO_MEMINFO Get, SO_INCOMING_NAPI_ID Get, SO_COOKIE Get, SO_PEERGROUPS Get,
        SO_ZEROCOPY refused(ADDRESSES), SO_TXTIME absent(ADDRESSES), SO_BINDTOIFINDEX Both,
        SO_TIMESTAMP_NEW Both, SO_TIMESTAMPNS_NEW Both, SO_TIMESTAMPING_NEW Both, SO_RCVTIMEO_NEW Both,
        SO_SNDTIMEO_NEW Both, SO_PREFER_BUSY_POLL refused("takes a processor"),
        SO_BUSY_POLL_BUDGET refused("takes a processor"), SO_NETNS_COOKIE = 71 Get, SO_BUF_LOCK = 72 Both,
        SO_RESERVE_MEM = 73 refused("beyond the limit"), SO_TXREHASH = 74 Both,
        SO_RCVMARK = 75 refused(MARKS), SO_PASSPIDFD = 76 absent(DESCRIPTOR),
        SO_PEERPIDFD = 77 absent(DESCRIPTOR), SO_PASSRIGHTS = 83 Both,
    }
    IPPROTO_IP {
        IP_TOS Both, IP_TTL Both, IP_HDRINCL Both, IP_OPTIONS refused(ROUTES), IP_RECVOPTS Both,
            IP_RETOPTS Both,
        IP_PKTINFO Both, IP_PKTOPTIONS Get, IP_MTU_DISCOVER Both, IP_RECVERR Both, IP_RECVTTL Both,
        IP_RECVTOS Both, IP_MTU Get, IP_FREEBIND Both,
        IP_IPSEC_POLICY refused("changes the machine's policy"),
        IP_XFRM_POLICY refused("changes the machine's policy"), IP_PASSSEC Both,
        IP_TRANSPARENT refused(MARKS), IP_ORIGDSTADDR Both, IP_MINTTL Both, IP_NODEFRAG Both,
        IP_CHECKSUM = 23 Both, IP_BIND_ADDRESS_NO_PORT Both, IP_RECVFRAGSIZE = 25 Both,
        IP_RECVERR_RFC4884 = 26 Both, IP_MULTICAST_IF Both, IP_MULTICAST_TTL Both, IP_MULTICAST_LOOP Both,
        IP_ADD_MEMBERSHIP Set, IP_DROP_MEMBERSHIP Set, IP_UNBLOCK_SOURCE Set, IP_BLOCK_SOURCE Set,
        IP_ADD_SOURCE_MEMBERSHIP Set, IP_DROP_SOURCE_MEMBERSHIP Set, MCAST_JOIN_GROUP = 42 Set,
        MCAST_LEAVE_GROUP = 45 Set, MCAST_JOIN_SOURCE_GROUP = 46 Set, MCAST_LEAVE_SOURCE_GROUP = 47 Set,
        IP_MULTICAST_ALL Both, IP_UNICAST_IF Both, IP_LOCAL_PORT_RANGE = 51 Both, IP_PROTOCOL = 52 Get,
    }
    IPPROTO_IPV6 {
        IPV6_ADDRFORM Set, IPV6_CHECKSUM Both, IPV6_UNICAST_HOPS Both, IPV6_MULTICAST_IF Both,
        IPV6_MULTICAST_HOPS Both, IPV6_MULTICAST_LOOP Both, IPV6_ADD_MEMBERSHIP Set, IPV6_DROP_MEMBERSHIP Set,
        IPV6_MTU_DISCOVER Both, IPV6_MTU Both, IPV6_RECVERR Both, IPV6_V6ONLY Both, IPV6_JOIN_ANYCAST Set,
        IPV6_LEAVE_ANYCAST Set, IPV6_MULTICAST_ALL = 29 Both,
        IPV6_IPSEC_POLICY = 34 refused("changes the machine's policy"),
        IPV6_XFRM_POLICY = 35 refused("changes the machine's policy"), MCAST_JOIN_GROUP = 42 Set,
        MCAST_LEAVE_GROUP = 45 Set, MCAST_JOIN_SOURCE_GROUP = 46 Set, MCAST_LEAVE_SOURCE_GROUP = 47 Set,
        IPV6_RECVPKTINFO Both, IPV6_PKTINFO Both, IPV6_RECVHOPLIMIT Both, IPV6_HOPLIMIT Both,
        IPV6_RECVHOPOPTS Both, IPV6_HOPOPTS refused(ROUTES), IPV6_RTHDRDSTOPTS refused(ROUTES),
            IPV6_RECVRTHDR Both,
        IPV6_RTHDR refused(ROUTES), IPV6_RECVDSTOPTS Both, IPV6_DSTOPTS refused(ROUTES),
            IPV6_RECVPATHMTU Both, IPV6_PATHMTU Get,
        IPV6_DONTFRAG Both, IPV6_RECVTCLASS Both, IPV6_TCLASS Both, IPV6_AUTOFLOWLABEL = 70 Both,
        IPV6_ADDR_PREFERENCES = 72 Both, IPV6_MINHOPCOUNT = 73 Both, IPV6_TRANSPARENT = 75 refused(MARKS),
        IPV6_UNICAST_IF = 76 Both, IPV6_FREEBIND = 78 Both,
    }
    IPPROTO_TCP {
        TCP_NODELAY Both, TCP_MAXSEG Both, TCP_CORK Both, TCP_KEEPIDLE Both, TCP_KEEPINTVL Both,
        TCP_KEEPCNT Both, TCP_SYNCNT Both, TCP_LINGER2 Both, TCP_DEFER_ACCEPT Both, TCP_WINDOW_CLAMP Both,
        TCP_INFO Get, TCP_QUICKACK Both, TCP_CONGESTION Both, TCP_MD5SIG Set, TCP_THIN_LINEAR_TIMEOUTS Both,
        TCP_THIN_DUPACK Both, TCP_USER_TIMEOUT Both, TCP_REPAIR refused(STATE),
        TCP_REPAIR_QUEUE refused(STATE), TCP_QUEUE_SEQ refused(STATE), TCP_REPAIR_OPTIONS refused(STATE),
        TCP_FASTOPEN Both, TCP_TIMESTAMP Both, TCP_NOTSENT_LOWAT Both, TCP_CC_INFO Get, TCP_SAVE_SYN Both,
        TCP_SAVED_SYN Get, TCP_REPAIR_WINDOW refused(STATE), TCP_FASTOPEN_CONNECT Both,
        TCP_ULP absent("programs go on in user mode"), TCP_MD5SIG_EXT Set, TCP_FASTOPEN_KEY Both,
        TCP_FASTOPEN_NO_COOKIE Both, TCP_ZEROCOPY_RECEIVE absent(ADDRESSES), TCP_INQ Both,
        TCP_TX_DELAY = 37 Both,
    }
    IPPROTO_UDP {
        UDP_CORK Both, UDP_ENCAP refused("changes how the machine takes packets"), UDP_NO_CHECK6_TX Both,
        UDP_NO_CHECK6_RX Both, UDP_SEGMENT Both, UDP_GRO Both,
    }
    IPPROTO_ICMPV6 { ICMP6_FILTER = 1 Both }
    SOL_RAW { ICMP_FILTER = 1 Both }
    AF_VSOCK {
        SO_VM_SOCKETS_BUFFER_SIZE = 0 Both, SO_VM_SOCKETS_BUFFER_MIN_SIZE = 1 Both,
        SO_VM_SOCKETS_BUFFER_MAX_SIZE = 2 Both, SO_VM_SOCKETS_PEER_HOST_VM_ID = 3 Get,
        SO_VM_SOCKETS_TRUSTED = 5 Get, SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD = 6 Both,
        SO_VM_SOCKETS_NONBLOCK_TXRX = 7 Both, SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW = 8 Both,
    }
    SOL_NETLINK {
        NETLINK_ADD_MEMBERSHIP Set, NETLINK_DROP_MEMBERSHIP Set, NETLINK_PKTINFO Both,
        NETLINK_BROADCAST_ERROR Both, NETLINK_NO_ENOBUFS Both,
        NETLINK_LISTEN_ALL_NSID refused("listens in other namespaces"), NETLINK_LIST_MEMBERSHIPS Get,
        NETLINK_CAP_ACK Both, NETLINK_EXT_ACK Both, NETLINK_GET_STRICT_CHK Both,
    }
};

/// The arguments of getsockopt(2) behind the option's name. No option is longer than a page.
const VALUE_OUT: &[Arg] = args!((sockfd, level, optname)
    optval: Out(Behind { pointer: optlen, cap: 4096 }), optlen: InOut(Fixed(4)));
/// The arguments of setsockopt(2) behind the option's name.
const VALUE_IN: &[Arg] =
    args!((sockfd, level, optname) optval: In(Elements { count: optlen, size: 1 }), optlen: I32);

const NOT_READABLE: Route = Route::Refuse { errno: libc::ENOPROTOOPT, why: "can only be set" };
const NOT_WRITABLE: Route = Route::Refuse { errno: libc::ENOPROTOOPT, why: "can only be read" };

const NONE: Command =
    Command { value: 0, name: "", args: &[], route: None, wait: Wait::Never, restart: Restart::Never };

/// The rows of one direction, ascending.
const fn direction(set: bool) -> [Command; OPTIONS.len()] {
    let mut rows = [NONE; OPTIONS.len()];
    let mut i = 0;
    while i < rows.len() {
        rows[i] = Command {
            value: OPTIONS[i].value,
            name: OPTIONS[i].name,
            args: if set { VALUE_IN } else { VALUE_OUT },
            route: match OPTIONS[i].usable {
                Neither(errno, why) => Some(Route::Refuse { errno, why }),
                Get if set => Some(NOT_WRITABLE),
                Set if !set => Some(NOT_READABLE),
                Both | Get | Set => None,
            },
            ..NONE
        };
        i += 1;
    }
    super::row::sorted(&rows)
}

const GET_ROWS: [Command; OPTIONS.len()] = direction(false);
const SET_ROWS: [Command; OPTIONS.len()] = direction(true);
const _: () = super::check::commands(&GET_ROWS);
const _: () = super::check::commands(&SET_ROWS);

/// Options of getsockopt(2).
pub(super) static GETSOCKOPT: Commands = Commands {
    title: "socket option",
    mask: u32::MAX,
    options: None,
    rows: &GET_ROWS,
    unknown: libc::ENOPROTOOPT,
};

/// Options of setsockopt(2).
pub(super) static SETSOCKOPT: Commands = Commands { rows: &SET_ROWS, ..GETSOCKOPT };
