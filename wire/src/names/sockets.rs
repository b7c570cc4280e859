//! Names around sockets.

use super::names;

names! {
    /// Address families (socket(2)).
    DOMAINS "address family" {
        AF_UNSPEC, AF_UNIX, AF_INET, AF_AX25, AF_IPX, AF_APPLETALK, AF_NETROM, AF_BRIDGE, AF_ATMPVC, AF_X25,
        AF_INET6,
        AF_ROSE, AF_NETBEUI, AF_SECURITY, AF_KEY, AF_NETLINK, AF_PACKET, AF_ASH, AF_ECONET, AF_ATMSVC, AF_RDS,
        AF_SNA,
        AF_IRDA, AF_PPPOX, AF_WANPIPE, AF_LLC, AF_IB, AF_MPLS, AF_CAN, AF_TIPC, AF_BLUETOOTH, AF_IUCV,
        AF_RXRPC,
        AF_ISDN, AF_PHONET, AF_IEEE802154, AF_CAIF, AF_ALG, AF_NFC, AF_VSOCK, AF_KCM = 41, AF_QIPCRTR = 42,
        AF_SMC = 43,
        AF_XDP,
    }
    /// Socket types, with the flags that may be added (socket(2)).
    SOCKET_TYPES "socket type" field 0xf {
        SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET, SOCK_DCCP, SOCK_PACKET = 10,
        SOCK_NONBLOCK, SOCK_CLOEXEC,
    }
    /// The flags of accept4(2).
    ACCEPT "accept flags" { SOCK_NONBLOCK, SOCK_CLOEXEC }
    /// Flags of send(2) and recv(2).
    MSG "message flags" {
        MSG_OOB, MSG_PEEK, MSG_DONTROUTE, MSG_CTRUNC, MSG_PROBE = 0x10, MSG_TRUNC, MSG_DONTWAIT, MSG_EOR,
        MSG_WAITALL,
        MSG_FIN, MSG_SYN, MSG_CONFIRM, MSG_RST, MSG_ERRQUEUE, MSG_NOSIGNAL, MSG_MORE, MSG_WAITFORONE,
        MSG_ZEROCOPY, MSG_FASTOPEN, MSG_CMSG_CLOEXEC,
    }
    /// How shutdown(2) shuts.
    SHUTDOWN "shutdown of" { SHUT_RD, SHUT_WR, SHUT_RDWR }
    /// Levels of socket options.
    LEVELS "option level" {
        SOL_SOCKET, IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IPV6, IPPROTO_ICMPV6, SOL_RAW, SOL_NETLINK,
    }
}
