//! What has been judged of a socket of the internet.
//!
//! Whether a socket is bound or connected, and with whose consent, is read here and not asked of the kernel:
//! a port that a failed connect(2) left behind is nobody's consent to listen on it. The record belongs to the
//! open file description, so all descriptors of a socket share it, whichever process holds them.

use crate::host::command::number_option;
use crate::host::net::{Address, Whose, address_of};
use nix::errno::Errno;
use std::net::SocketAddr;
use std::os::fd::AsFd;

/// The record of one socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct Internet {
    /// Whether the kernel binds it to every address of the host when it sends: a datagram socket with ports.
    pub autobinds: bool,
    /// Whether its own address was judged: the one that bind(2) gave it, or whichever the kernel chooses.
    pub bound: bool,
    /// Whether the guest has connected it: then it hears nobody else.
    pub connected: bool,
    /// Whom alone it hears without the guest having connected it.
    pub hears: Option<Address>,
    /// The name server that the guest takes the resolver for, which it asks instead
    /// ([`crate::state::resolver`]).
    pub server: Option<SocketAddr>,
    /// Whether an address with a scope (ipv6(7)) has chosen its device.
    pub scoped: bool,
}

impl Internet {
    /// A socket made by socket(2) with these arguments; `None` if it is none of the internet.
    pub fn made(domain: i32, kind: i32, protocol: i32) -> Option<Internet> {
        const TYPE: i32 = 0xf;
        let datagrams = kind & TYPE == libc::SOCK_DGRAM;
        let ports = matches!(protocol, 0 | libc::IPPROTO_UDP | libc::IPPROTO_UDPLITE);
        matches!(domain, libc::AF_INET | libc::AF_INET6)
            .then(|| Internet { autobinds: datagrams && ports, ..Internet::default() })
    }

    /// A socket that came from elsewhere: nothing of it has been judged. What it is connected to is for the
    /// kernel to say, since no guest connects without having been judged.
    pub fn found(socket: impl AsFd) -> Result<Option<Internet>, Errno> {
        let number = |name| number_option(socket.as_fd(), name);
        let (domain, kind) = (number(libc::SO_DOMAIN)?, number(libc::SO_TYPE)?);
        let made = Internet::made(domain, kind, number(libc::SO_PROTOCOL)?);
        let connected = || address_of(Whose::Peer, socket.as_fd()).is_ok();
        Ok(made.map(|made| Internet { connected: made.autobinds && connected(), ..made }))
    }

    /// Whether the next datagram that is sent binds it, and makes it hear everybody.
    pub fn is_open_to_all_by_sending(&self) -> bool {
        self.autobinds && !self.bound && !self.connected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_datagram_sockets_with_ports_are_bound_by_sending() {
        let binds = |domain, kind, protocol| Internet::made(domain, kind, protocol).map(|i| i.autobinds);
        assert_eq!(binds(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK, 0), Some(true));
        assert_eq!(binds(libc::AF_INET6, libc::SOCK_DGRAM, libc::IPPROTO_UDP), Some(true));
        assert_eq!(binds(libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP), Some(false));
        assert_eq!(binds(libc::AF_INET, libc::SOCK_STREAM, 0), Some(false));
        assert_eq!(binds(libc::AF_UNIX, libc::SOCK_DGRAM, 0), None);
    }
}
