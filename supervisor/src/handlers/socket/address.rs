//! What a guest's socket address means, and what the policy says to it.
//!
//! The address is judged from the supervisor's copy, which is also what the kernel gets. It must be of the
//! socket's own family, so that the kernel cannot read it as another than the one that was judged; where the
//! kernel takes AF_UNSPEC for an IPv4 address it is judged as one.
//!
//! The file of a unix socket is looked up once. The kernel is then told the supervisor's descriptor of it
//! (connect) or of its directory (bind) in place of the name, so it cannot be led elsewhere. The kernel
//! remembers what it was told at bind as the socket's name, and tells it to peers:
//! [`crate::state::sockets::Anchors`] turn it back.

use crate::caller::Caller;
use crate::context::Call;
use crate::host::command::get_option;
use crate::host::name::reopen_name;
use crate::host::net::{Address, Whose, address_of};
use crate::path::{Found, Lookup, Target, parent, resolve};
use crate::state::fd::File;
use nix::errno::Errno;
use rxbox_policy::{Access, DeniedWhat, Endpoint, Transport};
use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, OwnedFd};

const UNIX: i32 = libc::AF_UNIX;
const INET: i32 = libc::AF_INET;
const INET6: i32 = libc::AF_INET6;
const UNSPEC: i32 = libc::AF_UNSPEC;

/// Most bytes of a unix socket's name (unix(7)).
const UNIX_NAME_MAX: usize = 108;

/// What a socket is, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nature {
    domain: i32,
    protocol: i32,
}

impl Nature {
    pub(super) fn of(socket: &File) -> Result<Nature, Errno> {
        let number = |name: i32| {
            let mut value = [0; 4];
            get_option(socket.host.as_fd(), libc::SOL_SOCKET as u32, name as u32, &mut value)?;
            Ok::<_, Errno>(i32::from_le_bytes(value))
        };
        Ok(Nature { domain: number(libc::SO_DOMAIN)?, protocol: number(libc::SO_PROTOCOL)? })
    }
    pub(super) fn is_internet(self) -> bool {
        matches!(self.domain, INET | INET6)
    }
    /// Whether a socket of the internet has a port.
    pub(super) fn is_bound(self, socket: &File) -> Result<bool, Errno> {
        Ok(address_of(Whose::Own, socket.host.as_fd())?.bytes().get(2..4).is_some_and(|port| port != [0, 0]))
    }
    /// The address that stands for any address and port.
    pub(super) fn unspecified(self) -> Vec<u8> {
        let mut a = vec![0; if self.domain == INET { 16 } else { 28 }];
        a[..2].copy_from_slice(&(self.domain as u16).to_le_bytes());
        a
    }
    fn transport(self) -> Transport {
        match self.protocol {
            libc::IPPROTO_TCP => Transport::Tcp,
            libc::IPPROTO_UDP => Transport::Udp,
            _ => Transport::Other,
        }
    }
}

/// What an address names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name<'a> {
    /// AF_UNSPEC: no address.
    Nothing,
    Internet(IpAddr, u16),
    UnixPath(&'a [u8]),
    /// Without the leading NUL.
    UnixAbstract(&'a [u8]),
    /// A unix address without a name: the kernel chooses an abstract one.
    UnixUnnamed,
    /// Of another family.
    Other(i32),
}

/// Reads an address. EINVAL if it is too short for its family; EAFNOSUPPORT if it is not one that a socket of
/// this nature can have.
pub(super) fn read(bytes: &[u8], nature: Nature) -> Result<Name<'_>, Errno> {
    let [a, b, rest @ ..] = bytes else { return Err(Errno::EINVAL) };
    let family = i32::from(u16::from_le_bytes([*a, *b]));
    match family {
        UNSPEC if nature.is_internet() && rest.len() >= 14 => Ok(inet(rest)),
        UNSPEC => Ok(Name::Nothing),
        INET if nature.is_internet() => {
            if rest.len() < 14 {
                Err(Errno::EINVAL)
            } else {
                Ok(inet(rest))
            }
        }
        INET6 if nature.is_internet() => match rest {
            [p, q, _, _, _, _, address @ ..] if address.len() >= 16 => {
                let address: [u8; 16] = std::array::from_fn(|i| address[i]);
                Ok(Name::Internet(Ipv6Addr::from(address).into(), u16::from_be_bytes([*p, *q])))
            }
            _ => Err(Errno::EINVAL),
        },
        UNIX if nature.domain == UNIX => unix(rest),
        _ if family == nature.domain => Ok(Name::Other(family)),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// Port and IPv4 address; the caller has seen that they are there.
fn inet(rest: &[u8]) -> Name<'_> {
    let address = Ipv4Addr::from([rest[2], rest[3], rest[4], rest[5]]);
    Name::Internet(address.into(), u16::from_be_bytes([rest[0], rest[1]]))
}

fn unix(name: &[u8]) -> Result<Name<'_>, Errno> {
    match name {
        _ if name.len() > UNIX_NAME_MAX => Err(Errno::EINVAL),
        [] => Ok(Name::UnixUnnamed),
        [0, name @ ..] => Ok(Name::UnixAbstract(name)),
        _ => Ok(Name::UnixPath(name.split(|&b| b == 0).next().unwrap_or_default())),
    }
}

/// Why an address is used as a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// connect(2), where AF_UNSPEC takes the connection back.
    Connect,
    /// sendto(2) and the like.
    Send,
}

/// An address that the policy allows, as the kernel is to be told it.
pub(super) struct Destination {
    pub(super) address: Address,
    /// Keeps the file of a unix socket, to which the address leads, until the call is done.
    _file: Option<OwnedFd>,
}

/// Where the guest wants to connect or send to.
pub(super) fn destination(
    call: &Call<'_>,
    socket: &File,
    given: &[u8],
    purpose: Purpose,
) -> Result<Destination, Errno> {
    let nature = Nature::of(socket)?;
    let as_given = || Ok(Destination { address: Address::new(given)?, _file: None });
    let unspecified = given.starts_with(&[0, 0]);
    let endpoint = match read(given, nature)? {
        Name::Internet(..) | Name::Nothing if unspecified && purpose == Purpose::Connect => {
            return as_given();
        }
        Name::Nothing if nature.is_internet() => return as_given(),
        Name::Nothing | Name::UnixUnnamed => return Err(Errno::EINVAL),
        Name::UnixPath(path) => return unix_destination(call, path),
        Name::Internet(address, port) => Endpoint::Inet { transport: nature.transport(), address, port },
        Name::UnixAbstract(name) => Endpoint::UnixAbstract(name),
        Name::Other(family) => Endpoint::Family(family),
    };
    call.enforce(&call.sandbox.policy.connect(&endpoint), &DeniedWhat::Connect(endpoint))?;
    as_given()
}

fn unix_destination(call: &Call<'_>, path: &[u8]) -> Result<Destination, Errno> {
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    let Found::There(found) = resolve(&Caller::of(call), libc::AT_FDCWD, &path, Lookup::FOLLOW)? else {
        return Err(Errno::ENOENT);
    };
    // Neither an entry of /proc nor a descriptor by its number is a socket's name.
    let Target::Host(object) = found.target else { return Err(Errno::ECONNREFUSED) };
    Caller::of(call).check(Access::Connect, &found.path)?;
    let name = reopen_name(object.as_fd());
    let address = unix_address(name.absolute().to_bytes())?;
    Ok(Destination { address, _file: Some(object.fd) })
}

fn unix_address(name: &[u8]) -> Result<Address, Errno> {
    if name.len() > UNIX_NAME_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    Address::new(&[&(UNIX as u16).to_le_bytes(), name].concat())
}

/// What the guest wants its socket to be called.
pub(super) fn own(call: &Call<'_>, socket: &File, given: &[u8]) -> Result<Address, Errno> {
    let nature = Nature::of(socket)?;
    let endpoint = match read(given, nature)? {
        Name::Internet(address, port) => Endpoint::Inet { transport: nature.transport(), address, port },
        Name::UnixAbstract(name) => Endpoint::UnixAbstract(name),
        Name::UnixUnnamed => Endpoint::UnixAbstract(b""),
        Name::UnixPath(path) => return unix_own(call, socket, path),
        Name::Other(family) => Endpoint::Family(family),
        Name::Nothing => return Err(Errno::EINVAL),
    };
    call.enforce(&call.sandbox.policy.bind(&endpoint), &DeniedWhat::Bind(endpoint))?;
    Address::new(given)
}

fn unix_own(call: &Call<'_>, socket: &File, path: &[u8]) -> Result<Address, Errno> {
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    let place = parent(&Caller::of(call), libc::AT_FDCWD, &path)?;
    if place.is_dots() {
        return Err(Errno::EADDRINUSE);
    }
    if place.leaf.as_bytes().ends_with(b"/") {
        return Err(Errno::ENOENT);
    }
    Caller::of(call).check(Access::Bind, &place.path())?;
    // The kernel gives the file the mode of the socket less the caller's umask, and that caller is the
    // supervisor.
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o777 & !call.process.umask());
    nix::sys::stat::fchmod(&socket.host, mode)?;
    let leaf = place.name().to_vec();
    unix_address(&call.sandbox.anchors.name(place.dir, &leaf)?)
}
