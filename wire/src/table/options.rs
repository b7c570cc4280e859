//! Socket options (socket(7), ip(7), ipv6(7), tcp(7), udp(7), unix(7), netlink(7), vsock(7)) by level and
//! name.
//!
//! Each option is written once; the tables of getsockopt(2) and setsockopt(2) come from the same rows, so
//! that an option that can only be read answers a write as the kernel does.

use crate::effect::{Choice, Effect, HARMLESS, Place};
use crate::kind::Extent::*;
use crate::kind::Kind::*;
use crate::kind::Presence::*;
use crate::kind::{Arg, Command, Commands, Restart, Route, Wait};

/// What may be done with an option.
#[derive(Clone, Copy)]
enum Use {
    /// Read and set; setting it has these effects.
    Both(&'static [Effect]),
    Get,
    /// Set, with these effects.
    Set(&'static [Effect]),
    Neither(i32, &'static str),
}
use Use::{Both, Get, Neither, Set};

const MEMORY: &[Effect] = &[Effect::KernelMemory];
const PRIVILEGE: &[Effect] = &[Effect::Privilege];
const ROUTE: &[Effect] = &[Effect::Route(Choice::Way)];
/// Once a device is chosen, another one takes a capability.
const DEVICE: &[Effect] = &[Effect::Route(Choice::Way), Effect::Privilege];
/// `struct in6_pktinfo`.
const SOURCE6: &[Effect] = &[Effect::Route(Choice::Source(Place::V6(0), 16))];
/// `struct ip_mreq`, `ip_mreqn`, `ip_mreq_source`.
const GROUP: &[Effect] = &[Effect::Emit(Place::V4(0))];
/// `struct ipv6_mreq`.
const GROUP6: &[Effect] = &[Effect::Emit(Place::V6(0))];
/// `struct group_req`, `group_source_req`.
const ANY_GROUP: &[Effect] = &[Effect::Emit(Place::Sockaddr(8))];
/// `struct ipv6_mreq`; the interface gets the address.
const ANYCAST: &[Effect] = &[Effect::Emit(Place::V6(0)), Effect::Privilege];
const PORTS: &[Effect] = &[Effect::Bind];

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
        SO_DEBUG refused("traces the kernel"), SO_REUSEADDR Both(HARMLESS), SO_TYPE Get, SO_ERROR Get,
        SO_DONTROUTE refused(MARKS), SO_BROADCAST Both(HARMLESS), SO_SNDBUF Both(MEMORY),
        SO_RCVBUF Both(MEMORY), SO_KEEPALIVE Both(HARMLESS), SO_OOBINLINE Both(HARMLESS),
        SO_NO_CHECK Both(HARMLESS), SO_PRIORITY Both(PRIVILEGE), SO_LINGER Both(HARMLESS),
        SO_BSDCOMPAT absent("obsolete"), SO_REUSEPORT Both(HARMLESS), SO_PASSCRED Both(HARMLESS),
        SO_PEERCRED Get, SO_RCVLOWAT Both(HARMLESS), SO_SNDLOWAT Get, SO_RCVTIMEO Both(HARMLESS),
        SO_SNDTIMEO Both(HARMLESS), SO_BINDTODEVICE Both(DEVICE), SO_ATTACH_FILTER refused(PROGRAMS),
        SO_DETACH_FILTER Set(HARMLESS), SO_PEERNAME Get, SO_TIMESTAMP Both(HARMLESS), SO_ACCEPTCONN Get,
        SO_PEERSEC Get, SO_SNDBUFFORCE refused("beyond the limit"),
        SO_RCVBUFFORCE refused("beyond the limit"), SO_PASSSEC Both(HARMLESS),
        SO_TIMESTAMPNS Both(HARMLESS), SO_MARK refused(MARKS), SO_TIMESTAMPING Both(HARMLESS),
        SO_PROTOCOL Get, SO_DOMAIN Get, SO_RXQ_OVFL Both(HARMLESS), SO_WIFI_STATUS Both(HARMLESS),
        SO_PEEK_OFF Both(HARMLESS), SO_NOFCS Both(HARMLESS), SO_LOCK_FILTER Both(HARMLESS),
        SO_SELECT_ERR_QUEUE Both(HARMLESS), SO_BUSY_POLL refused("takes a processor"),
        SO_MAX_PACING_RATE Both(HARMLESS), SO_BPF_EXTENSIONS Get, SO_INCOMING_CPU Both(HARMLESS),
        SO_ATTACH_BPF refused(PROGRAMS), SO_ATTACH_REUSEPORT_CBPF = 51 refused(PROGRAMS),
        SO_ATTACH_REUSEPORT_EBPF = 52 refused(PROGRAMS), SO_MEMINFO Get, SO_INCOMING_NAPI_ID Get,
        SO_COOKIE Get, SO_PEERGROUPS Get, SO_ZEROCOPY refused(ADDRESSES), SO_TXTIME absent(ADDRESSES),
        SO_BINDTOIFINDEX Both(DEVICE), SO_TIMESTAMP_NEW Both(HARMLESS), SO_TIMESTAMPNS_NEW Both(HARMLESS),
        SO_TIMESTAMPING_NEW Both(HARMLESS), SO_RCVTIMEO_NEW Both(HARMLESS), SO_SNDTIMEO_NEW Both(HARMLESS),
        SO_PREFER_BUSY_POLL refused("takes a processor"), SO_BUSY_POLL_BUDGET refused("takes a processor"),
        SO_NETNS_COOKIE = 71 Get, SO_BUF_LOCK = 72 Both(HARMLESS),
        SO_RESERVE_MEM = 73 refused("beyond the limit"), SO_TXREHASH = 74 Both(HARMLESS),
        SO_RCVMARK = 75 refused(MARKS), SO_PASSPIDFD = 76 absent(DESCRIPTOR),
        SO_PEERPIDFD = 77 Get, SO_PASSRIGHTS = 83 Both(HARMLESS),
    }
    IPPROTO_IP {
        IP_TOS Both(HARMLESS), IP_TTL Both(HARMLESS), IP_HDRINCL Both(ROUTE), IP_OPTIONS refused(ROUTES),
        IP_RECVOPTS Both(HARMLESS), IP_RETOPTS Both(HARMLESS), IP_PKTINFO Both(HARMLESS), IP_PKTOPTIONS Get,
        IP_MTU_DISCOVER Both(HARMLESS), IP_RECVERR Both(HARMLESS), IP_RECVTTL Both(HARMLESS),
        IP_RECVTOS Both(HARMLESS), IP_MTU Get, IP_FREEBIND Both(ROUTE),
        IP_IPSEC_POLICY refused("changes the machine's policy"),
        IP_XFRM_POLICY refused("changes the machine's policy"), IP_PASSSEC Both(HARMLESS),
        IP_TRANSPARENT refused(MARKS), IP_ORIGDSTADDR Both(HARMLESS), IP_MINTTL Both(HARMLESS),
        IP_NODEFRAG Both(HARMLESS), IP_CHECKSUM = 23 Both(HARMLESS), IP_BIND_ADDRESS_NO_PORT Both(HARMLESS),
        IP_RECVFRAGSIZE = 25 Both(HARMLESS), IP_RECVERR_RFC4884 = 26 Both(HARMLESS),
        IP_MULTICAST_IF Both(ROUTE), IP_MULTICAST_TTL Both(HARMLESS), IP_MULTICAST_LOOP Both(HARMLESS),
        IP_ADD_MEMBERSHIP Set(GROUP), IP_DROP_MEMBERSHIP Set(GROUP), IP_UNBLOCK_SOURCE Set(GROUP),
        IP_BLOCK_SOURCE Set(GROUP), IP_ADD_SOURCE_MEMBERSHIP Set(GROUP),
        IP_DROP_SOURCE_MEMBERSHIP Set(GROUP), MCAST_JOIN_GROUP = 42 Set(ANY_GROUP),
        MCAST_LEAVE_GROUP = 45 Set(ANY_GROUP), MCAST_JOIN_SOURCE_GROUP = 46 Set(ANY_GROUP),
        MCAST_LEAVE_SOURCE_GROUP = 47 Set(ANY_GROUP), IP_MULTICAST_ALL Both(HARMLESS),
        IP_UNICAST_IF Both(ROUTE), IP_LOCAL_PORT_RANGE = 51 Both(PORTS), IP_PROTOCOL = 52 Get,
    }
    IPPROTO_IPV6 {
        IPV6_ADDRFORM Set(HARMLESS), IPV6_CHECKSUM Both(HARMLESS), IPV6_UNICAST_HOPS Both(HARMLESS),
        IPV6_MULTICAST_IF Both(ROUTE), IPV6_MULTICAST_HOPS Both(HARMLESS),
        IPV6_MULTICAST_LOOP Both(HARMLESS), IPV6_ADD_MEMBERSHIP Set(GROUP6),
        IPV6_DROP_MEMBERSHIP Set(GROUP6), IPV6_MTU_DISCOVER Both(HARMLESS), IPV6_MTU Both(HARMLESS),
        IPV6_RECVERR Both(HARMLESS), IPV6_V6ONLY Both(HARMLESS), IPV6_JOIN_ANYCAST Set(ANYCAST),
        IPV6_LEAVE_ANYCAST Set(ANYCAST), IPV6_MULTICAST_ALL = 29 Both(HARMLESS),
        IPV6_IPSEC_POLICY = 34 refused("changes the machine's policy"),
        IPV6_XFRM_POLICY = 35 refused("changes the machine's policy"), MCAST_JOIN_GROUP = 42 Set(ANY_GROUP),
        MCAST_LEAVE_GROUP = 45 Set(ANY_GROUP), MCAST_JOIN_SOURCE_GROUP = 46 Set(ANY_GROUP),
        MCAST_LEAVE_SOURCE_GROUP = 47 Set(ANY_GROUP), IPV6_RECVPKTINFO Both(HARMLESS),
        IPV6_PKTINFO Both(SOURCE6), IPV6_RECVHOPLIMIT Both(HARMLESS), IPV6_HOPLIMIT Both(HARMLESS),
        IPV6_RECVHOPOPTS Both(HARMLESS), IPV6_HOPOPTS refused(ROUTES), IPV6_RTHDRDSTOPTS refused(ROUTES),
        IPV6_RECVRTHDR Both(HARMLESS), IPV6_RTHDR refused(ROUTES), IPV6_RECVDSTOPTS Both(HARMLESS),
        IPV6_DSTOPTS refused(ROUTES), IPV6_RECVPATHMTU Both(HARMLESS), IPV6_PATHMTU Get,
        IPV6_DONTFRAG Both(HARMLESS), IPV6_RECVTCLASS Both(HARMLESS), IPV6_TCLASS Both(HARMLESS),
        IPV6_AUTOFLOWLABEL = 70 Both(HARMLESS), IPV6_ADDR_PREFERENCES = 72 Both(ROUTE),
        IPV6_MINHOPCOUNT = 73 Both(HARMLESS), IPV6_TRANSPARENT = 75 refused(MARKS),
        IPV6_UNICAST_IF = 76 Both(ROUTE), IPV6_FREEBIND = 78 Both(ROUTE),
    }
    IPPROTO_TCP {
        TCP_NODELAY Both(HARMLESS), TCP_MAXSEG Both(HARMLESS), TCP_CORK Both(HARMLESS),
        TCP_KEEPIDLE Both(HARMLESS), TCP_KEEPINTVL Both(HARMLESS), TCP_KEEPCNT Both(HARMLESS),
        TCP_SYNCNT Both(HARMLESS), TCP_LINGER2 Both(HARMLESS), TCP_DEFER_ACCEPT Both(HARMLESS),
        TCP_WINDOW_CLAMP Both(HARMLESS), TCP_INFO Get, TCP_QUICKACK Both(HARMLESS),
        TCP_CONGESTION Both(PRIVILEGE), TCP_MD5SIG Set(MEMORY), TCP_THIN_LINEAR_TIMEOUTS Both(HARMLESS),
        TCP_THIN_DUPACK Both(HARMLESS), TCP_USER_TIMEOUT Both(HARMLESS), TCP_REPAIR refused(STATE),
        TCP_REPAIR_QUEUE refused(STATE), TCP_QUEUE_SEQ refused(STATE), TCP_REPAIR_OPTIONS refused(STATE),
        TCP_FASTOPEN Both(HARMLESS), TCP_TIMESTAMP Both(HARMLESS), TCP_NOTSENT_LOWAT Both(HARMLESS),
        TCP_CC_INFO Get, TCP_SAVE_SYN Both(MEMORY), TCP_SAVED_SYN Get, TCP_REPAIR_WINDOW refused(STATE),
        TCP_FASTOPEN_CONNECT Both(HARMLESS), TCP_ULP absent("programs go on in user mode"),
        TCP_MD5SIG_EXT Set(MEMORY), TCP_FASTOPEN_KEY Both(HARMLESS), TCP_FASTOPEN_NO_COOKIE Both(HARMLESS),
        TCP_ZEROCOPY_RECEIVE absent(ADDRESSES), TCP_INQ Both(HARMLESS), TCP_TX_DELAY = 37 Both(HARMLESS),
    }
    IPPROTO_UDP {
        UDP_CORK Both(HARMLESS), UDP_ENCAP refused("changes how the machine takes packets"),
        UDP_NO_CHECK6_TX Both(HARMLESS), UDP_NO_CHECK6_RX Both(HARMLESS), UDP_SEGMENT Both(HARMLESS),
        UDP_GRO Both(HARMLESS),
    }
    IPPROTO_ICMPV6 { ICMP6_FILTER = 1 Both(HARMLESS) }
    SOL_RAW { ICMP_FILTER = 1 Both(HARMLESS) }
    AF_VSOCK {
        SO_VM_SOCKETS_BUFFER_SIZE = 0 Both(MEMORY), SO_VM_SOCKETS_BUFFER_MIN_SIZE = 1 Both(MEMORY),
        SO_VM_SOCKETS_BUFFER_MAX_SIZE = 2 Both(MEMORY), SO_VM_SOCKETS_PEER_HOST_VM_ID = 3 Get,
        SO_VM_SOCKETS_TRUSTED = 5 Get, SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD = 6 Both(HARMLESS),
        SO_VM_SOCKETS_NONBLOCK_TXRX = 7 Both(HARMLESS),
        SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW = 8 Both(HARMLESS),
    }
    SOL_NETLINK {
        NETLINK_ADD_MEMBERSHIP Set(PRIVILEGE), NETLINK_DROP_MEMBERSHIP Set(HARMLESS),
        NETLINK_PKTINFO Both(HARMLESS), NETLINK_BROADCAST_ERROR Both(HARMLESS),
        NETLINK_NO_ENOBUFS Both(HARMLESS), NETLINK_LISTEN_ALL_NSID refused("listens in other namespaces"),
        NETLINK_LIST_MEMBERSHIPS Get, NETLINK_CAP_ACK Both(HARMLESS), NETLINK_EXT_ACK Both(HARMLESS),
        NETLINK_GET_STRICT_CHK Both(HARMLESS),
    }
};

/// The arguments of getsockopt(2) behind the option's name. No option is longer than a page.
const VALUE_OUT: &[Arg] = args!((sockfd, level, optname)
    optval: Out(Needed, Behind { pointer: optlen, cap: 4096 }), optlen: InOut(Needed, Fixed(4)));
/// The arguments of setsockopt(2) behind the option's name.
const VALUE_IN: &[Arg] =
    args!((sockfd, level, optname) optval: In(Needed, Elements { count: optlen, size: 1 }), optlen: I32);

const NOT_READABLE: Route = Route::Refuse { errno: libc::ENOPROTOOPT, why: "can only be set" };
const NOT_WRITABLE: Route = Route::Refuse { errno: libc::ENOPROTOOPT, why: "can only be read" };

const NONE: Command = Command {
    value: 0,
    name: "",
    args: &[],
    effects: &[],
    route: None,
    wait: Wait::Never,
    restart: Restart::Never,
};

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
                Set(_) if !set => Some(NOT_READABLE),
                Both(_) | Get | Set(_) => None,
            },
            effects: match OPTIONS[i].usable {
                Both(effects) | Set(effects) if set => effects,
                Both(_) | Get if !set => HARMLESS,
                Both(_) | Get | Set(_) | Neither(..) => &[],
            },
            ..NONE
        };
        i += 1;
    }
    super::row::sorted(&rows)
}

static GET_ROWS: [Command; OPTIONS.len()] = direction(false);
static SET_ROWS: [Command; OPTIONS.len()] = direction(true);
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
