//! What has been judged of a unix socket.
//!
//! The kernel gives an abstract name to a socket without one that is told the credentials of who sends
//! (SO_PASSCRED, unix(7)), when it connects and, if it takes datagrams, when it sends: then everybody in its
//! network can send to it. That is a bind(2) that the guest did not ask for. (A socket that takes no
//! datagrams and sends is connected, and stays so: a name makes nobody its peer.)
//!
//! Two threads may do both at once. So the record counts what is under way to the kernel and had no need to
//! ask: whoever sets the option meanwhile asks instead.

use crate::host::command::number_option;
use crate::host::net::{Whose, address_of};
use nix::errno::Errno;
use std::os::fd::AsFd;

/// Bytes of the address of a socket without a name: the family alone.
const NAMELESS: usize = 2;

/// The record of one socket.
#[derive(Clone, Copy, Debug, Default)]
pub struct Local {
    /// Whether it takes datagrams from everybody while it is not connected.
    datagrams: bool,
    /// Whether it is told the credentials of who sends.
    told_senders: bool,
    /// Whether its name was judged: the one that bind(2) gave it, or whichever the kernel chooses.
    pub named: bool,
    /// Calls on their way to the kernel, which would name it if it were told the credentials.
    under_way: u32,
}

/// What may name a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// connect(2).
    Connect,
    /// A message or bytes.
    Send,
}

/// What is to be done before a call goes to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Nothing: the kernel does not name the socket.
    Free,
    /// The record is told when the call has come back ([`Local::done`]).
    UnderWay,
    /// Consent is asked for the name.
    Asks,
}

impl Local {
    /// A socket made by socket(2) or socketpair(2) with these arguments; `None` if it is no unix socket.
    pub fn made(domain: i32, kind: i32) -> Option<Local> {
        const TYPE: i32 = 0xf;
        // The kernel takes SOCK_RAW for it (unix(7)).
        let datagrams = matches!(kind & TYPE, libc::SOCK_DGRAM | libc::SOCK_RAW);
        (domain == libc::AF_UNIX).then(|| Local { datagrams, ..Local::default() })
    }

    /// A socket that came from elsewhere, or from accept(2).
    ///
    /// # Errors
    /// As getsockopt(2) and getsockname(2).
    pub fn found(socket: impl AsFd) -> Result<Option<Local>, Errno> {
        let number = |name| number_option(socket.as_fd(), name);
        let Some(made) = Local::made(number(libc::SO_DOMAIN)?, number(libc::SO_TYPE)?) else {
            return Ok(None);
        };
        let told_senders = number(libc::SO_PASSCRED)? != 0;
        let named = address_of(Whose::Own, socket.as_fd())?.bytes().len() > NAMELESS;
        Ok(Some(Local { told_senders, named, ..made }))
    }

    /// A call that may name it begins.
    pub fn begins(&mut self, naming: Naming) -> Begun {
        match () {
            () if self.named || naming == Naming::Send && !self.datagrams => Begun::Free,
            () if self.told_senders => Begun::Asks,
            () => {
                self.under_way += 1;
                Begun::UnderWay
            }
        }
    }

    /// A call that was under way has come back.
    pub fn done(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Before it is told the credentials: whether that needs consent to a name, because of a call under way.
    pub fn tell_senders(&mut self) -> bool {
        self.told_senders = true;
        !self.named && self.under_way > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(kind: i32) -> Local {
        Local::made(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC).unwrap()
    }

    #[test]
    fn a_socket_that_is_told_senders_is_named_by_connecting_and_a_datagram_one_by_sending() {
        use libc::{SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM};
        for (kind, datagrams) in
            [(SOCK_STREAM, false), (SOCK_SEQPACKET, false), (SOCK_DGRAM, true), (SOCK_RAW, true)]
        {
            let by_sending = |begun| if datagrams { begun } else { Begun::Free };
            let mut socket = made(kind);
            assert_eq!(socket.begins(Naming::Connect), Begun::UnderWay);
            assert_eq!(socket.begins(Naming::Send), by_sending(Begun::UnderWay));
            socket = made(kind);
            assert!(!socket.tell_senders());
            assert_eq!(socket.begins(Naming::Connect), Begun::Asks);
            assert_eq!(socket.begins(Naming::Send), by_sending(Begun::Asks));
            socket.named = true;
            assert_eq!(
                (socket.begins(Naming::Connect), socket.begins(Naming::Send)),
                (Begun::Free, Begun::Free)
            );
        }
        assert!(Local::made(libc::AF_INET, SOCK_DGRAM).is_none());
    }

    #[test]
    fn who_sets_the_option_under_a_call_on_its_way_asks_for_it() {
        let mut socket = made(libc::SOCK_DGRAM);
        assert_eq!(
            (socket.begins(Naming::Send), socket.begins(Naming::Connect)),
            (Begun::UnderWay, Begun::UnderWay)
        );
        socket.done();
        assert!(socket.tell_senders());
        socket.done();
        assert!(!socket.tell_senders());
    }
}
