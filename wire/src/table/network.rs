//! Sockets.

use super::options::{GETSOCKOPT, SETSOCKOPT};
use super::structs::*;
use crate::kind::Extent::*;
use crate::kind::Kind::*;
use crate::kind::Presence::*;
use crate::kind::Syscall;
use crate::kind::Timeout::*;
use crate::names::*;
use crate::sizes::ADDRESS_MAX;

const ZERO_COPY: &str = "MSG_ZEROCOPY copies";

// recvmmsg(2) and sendmmsg(2) are granted: the child carries them out as single messages, each of which is
// checked.
pub(super) const ROWS: &[Syscall] = calls! { Network:
    41 socket Perform (domain: Choice(&DOMAINS), r#type: Flags(&SOCKET_TYPES), protocol: I32);
    42 connect Perform blocking restarts (sockfd: Fd, addr: Address { presence: Needed, len: addrlen },
        addrlen: U32);
    43 accept Perform blocking restarts (sockfd: Fd,
        addr: Out(Optional, Behind { pointer: addrlen, cap: ADDRESS_MAX }),
        addrlen: InOut(With { other: addr }, Fixed(4)));
    44 sendto Perform[ZERO_COPY] blocking restarts (sockfd: Fd, buf: In(Needed, Payload { count: size }),
        size: U64,
        flags: Flags(&MSG),
        dest_addr: Address { presence: Optional, len: addrlen }, addrlen: U32);
    45 recvfrom Perform blocking restarts (sockfd: Fd, buf: Out(Needed, Payload { count: size }), size: U64,
        flags: Flags(&MSG),
        src_addr: Out(Optional, Behind { pointer: addrlen, cap: ADDRESS_MAX }),
        addrlen: InOut(With { other: src_addr }, Fixed(4)));
    46 sendmsg Perform[ZERO_COPY] blocking restarts (sockfd: Fd, msg: MsgIn, flags: Flags(&MSG));
    47 recvmsg Perform blocking restarts (sockfd: Fd, msg: MsgOut, flags: Flags(&MSG));
    48 shutdown Perform (sockfd: Fd, how: Choice(&SHUTDOWN));
    49 bind Perform (sockfd: Fd, addr: Address { presence: Needed, len: addrlen }, addrlen: U32);
    50 listen Perform (sockfd: Fd, backlog: I32);
    51 getsockname Perform (sockfd: Fd, addr: Out(Needed, Behind { pointer: addrlen, cap: ADDRESS_MAX }),
        addrlen: InOut(Needed, Fixed(4)));
    52 getpeername Perform (sockfd: Fd, addr: Out(Needed, Behind { pointer: addrlen, cap: ADDRESS_MAX }),
        addrlen: InOut(Needed, Fixed(4)));
    53 socketpair Perform (domain: Choice(&DOMAINS), r#type: Flags(&SOCKET_TYPES), protocol: I32,
        sv: Out(Probed, Struct(&PAIR)));
    54 setsockopt Perform (sockfd: Fd, level: Level(&SETSOCKOPT), optname: OptionName, optval: Addr,
        optlen: I32);
    55 getsockopt Perform (sockfd: Fd, level: Level(&GETSOCKOPT), optname: OptionName, optval: Addr,
        optlen: Addr);
    288 accept4 Perform blocking restarts (sockfd: Fd, addr: Out(Optional, Behind { pointer: addrlen,
        cap: ADDRESS_MAX }),
        addrlen: InOut(With { other: addr }, Fixed(4)), flags: Flags(&ACCEPT));
    299 recvmmsg Grant blocking restarts (sockfd: Fd, msgvec: Addr, vlen: U32, flags: Flags(&MSG),
        timeout: Local(Optional, Timeout(&TIMESPEC, BetweenMessages)));
    307 sendmmsg Grant blocking restarts (sockfd: Fd, msgvec: Addr, vlen: U32, flags: Flags(&MSG));
};
