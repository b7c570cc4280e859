//! What a guest's socket address means, and what the policy says to it.
//!
//! The guest's bytes are read once, and what the kernel gets is written anew from the value that was judged.
//! It is of the socket's own family, so that the kernel cannot read it as another one; where the kernel takes
//! AF_UNSPEC for an IPv4 address it is one; and the unspecified address as a destination, for which the
//! kernel would take the source, is the loopback address.
//!
//! The file of a unix socket is looked up once. The kernel is then told the supervisor's descriptor of it
//! (connect) or of its directory (bind) in place of the name, so it cannot be led elsewhere. The kernel
//! remembers what it was told at bind as the socket's name, and tells it to peers:
//! [`crate::state::sockets::Anchors`] turn it back.

use super::named::{Destination, internet_destination};
use crate::caller::Caller;
use crate::context::Call;
use crate::host::command::number_option;
use crate::host::name::reopen_name;
use crate::host::net::{self, Address, Whose};
use crate::path::{Found, Lookup, Target, parent, resolve};
use crate::state::fd::{Extra, File};
use nix::errno::Errno;
use rxbox_policy::{Access, DeniedWhat, Endpoint, Transport, target};
use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsFd;

const UNIX: i32 = libc::AF_UNIX;
const INET: i32 = libc::AF_INET;
const INET6: i32 = libc::AF_INET6;
const UNSPEC: i32 = libc::AF_UNSPEC;

/// Bytes of a `sockaddr_in6` without the scope (`SIN6_LEN_RFC2133`).
const INET6_LEAST: usize = 24;
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
        let number = |name| number_option(socket.host.as_fd(), name);
        Ok(Nature { domain: number(libc::SO_DOMAIN)?, protocol: number(libc::SO_PROTOCOL)? })
    }
    pub(super) fn is_internet(self) -> bool {
        matches!(self.domain, INET | INET6)
    }
    /// The address that stands for any of the host, with this port.
    pub(super) fn any(self, port: u16) -> SocketAddr {
        match self.domain {
            INET => (Ipv4Addr::UNSPECIFIED, port).into(),
            _ => (Ipv6Addr::UNSPECIFIED, port).into(),
        }
    }
    /// One end of a connection of such a socket.
    pub(super) fn endpoint(self, at: SocketAddr) -> Endpoint<'static> {
        let transport = match self.protocol {
            libc::IPPROTO_TCP => Transport::Tcp,
            libc::IPPROTO_UDP => Transport::Udp,
            _ => Transport::Other,
        };
        Endpoint::Inet { transport, address: at.ip(), port: at.port() }
    }
}

/// What an address names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name<'a> {
    /// AF_UNSPEC: no address.
    Nothing,
    /// With a scope only where the kernel looks at it.
    Internet(SocketAddr),
    UnixPath(&'a [u8]),
    /// Without the leading NUL.
    UnixAbstract(&'a [u8]),
    /// A unix address without a name: the kernel chooses an abstract one.
    UnixUnnamed,
    /// Of another family.
    Other(i32),
}

/// Reads an address. EINVAL if it is too short for its family; EAFNOSUPPORT, of a unix socket EINVAL, if it
/// is not one that a socket of this nature can have.
pub(super) fn read(bytes: &[u8], nature: Nature) -> Result<Name<'_>, Errno> {
    let [a, b, rest @ ..] = bytes else { return Err(Errno::EINVAL) };
    match i32::from(u16::from_le_bytes([*a, *b])) {
        // The kernel takes it for an IPv4 address (ip(7)).
        UNSPEC if nature.domain == INET => inet(rest),
        UNSPEC => Ok(Name::Nothing),
        INET if nature.is_internet() => inet(rest),
        INET6 if nature.is_internet() => inet6(rest),
        UNIX if nature.domain == UNIX => unix(rest),
        family if family == nature.domain => Ok(Name::Other(family)),
        _ if nature.domain == UNIX => Err(Errno::EINVAL),
        // Too short for an address of its own, whatever it is.
        _ if nature.domain == INET6 && bytes.len() < INET6_LEAST => Err(Errno::EINVAL),
        _ => Err(Errno::EAFNOSUPPORT),
    }
}

/// What follows the family in a `sockaddr_in`.
fn inet(rest: &[u8]) -> Result<Name<'static>, Errno> {
    let &[p, q, a, b, c, d, _, _, _, _, _, _, _, _, ..] = rest else { return Err(Errno::EINVAL) };
    Ok(Name::Internet((Ipv4Addr::from([a, b, c, d]), u16::from_be_bytes([p, q])).into()))
}

/// What follows the family in a `sockaddr_in6`; its end, the scope, may be missing (RFC 2133).
fn inet6(rest: &[u8]) -> Result<Name<'static>, Errno> {
    let &[p, q, _, _, _, _, ref rest @ ..] = rest else { return Err(Errno::EINVAL) };
    let (address, rest) = rest.split_first_chunk::<16>().ok_or(Errno::EINVAL)?;
    let address = Ipv6Addr::from(*address);
    let scope = rest.first_chunk::<4>().filter(|_| has_scope(address)).map_or(0, |s| u32::from_ne_bytes(*s));
    Ok(Name::Internet(SocketAddrV6::new(address, u16::from_be_bytes([p, q]), 0, scope).into()))
}

/// Whether the scope of an address says which link it is on: of link-local ones, and of groups within an
/// interface or a link.
fn has_scope(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_unicast_link_local() || first == 0xff && matches!(second & 0xf, 1 | 2)
}

fn unix(name: &[u8]) -> Result<Name<'_>, Errno> {
    match name {
        _ if name.len() > UNIX_NAME_MAX => Err(Errno::EINVAL),
        [] => Ok(Name::UnixUnnamed),
        [0, name @ ..] => Ok(Name::UnixAbstract(name)),
        _ => Ok(Name::UnixPath(name.split(|&b| b == 0).next().unwrap_or_default())),
    }
}

/// What an address is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To connect to it.
    Connect,
    /// To send one message there.
    Send,
}

/// Whether a unix socket sends where an address says, rather than to its peer. Of those that do not, one
/// refuses every address before it is looked at (EISCONN, EOPNOTSUPP), another sends without it.
fn takes_address(socket: &File) -> Result<bool, Errno> {
    let connected = || match net::address_of(Whose::Peer, socket.host.as_fd()) {
        Ok(_) => Ok(true),
        Err(Errno::ENOTCONN) => Ok(false),
        Err(errno) => Err(errno),
    };
    match number_option(socket.host.as_fd(), libc::SO_TYPE)? {
        libc::SOCK_STREAM => Err(if connected()? { Errno::EISCONN } else { Errno::EOPNOTSUPP }),
        libc::SOCK_SEQPACKET if connected()? => Ok(false),
        libc::SOCK_SEQPACKET => Err(Errno::ENOTCONN),
        _ => Ok(true),
    }
}

/// Where the guest wants to send to; `None` is where the socket is connected to.
pub(super) fn destination(
    call: &Call<'_>,
    socket: &File,
    given: &[u8],
    purpose: Purpose,
) -> Result<Option<Destination>, Errno> {
    let nature = Nature::of(socket)?;
    if purpose == Purpose::Send && nature.domain == UNIX && !takes_address(socket)? {
        return Ok(None);
    }
    let name = read(given, nature).map_err(|e| match e {
        // The kernel says so of datagrams alone (`udpv6_sendmsg`).
        Errno::EAFNOSUPPORT if purpose == Purpose::Send && nature.domain == INET6 => Errno::EINVAL,
        e => e,
    });
    let (endpoint, address) = match name? {
        // To an IPv6 socket that is no address.
        Name::Nothing if nature.is_internet() => return Ok(None),
        Name::Nothing | Name::UnixUnnamed => return Err(Errno::EINVAL),
        Name::UnixPath(path) => return unix_destination(call, path).map(Some),
        Name::Internet(to) => {
            let to = delivered(to);
            may_leave_device(call, socket, to)?;
            let connects = purpose == Purpose::Connect;
            return internet_destination(call, nature.endpoint(to), to, connects).map(Some);
        }
        Name::UnixAbstract(name) => {
            let notices = call.sandbox.notices.get();
            if let Some(file) = notices.and_then(|notices| notices.file(name)) {
                return unix_address(reopen_name(file).absolute().to_bytes()).map(|to| Some(to.into()));
            }
            (Endpoint::UnixAbstract(name), unix_abstract(name)?)
        }
        Name::Other(family) => (Endpoint::Family(family), Address::new(given)?),
    };
    call.enforce(&call.sandbox.policy.connect(&endpoint), &DeniedWhat::Connect(endpoint))?;
    Ok(Some(address.into()))
}

/// Where the guest wants to connect to, which may be nowhere.
pub(super) fn connection(call: &Call<'_>, socket: &File, given: &[u8]) -> Result<Destination, Errno> {
    if given.starts_with(&(UNSPEC as u16).to_ne_bytes()) {
        return Ok(Address::nothing().into());
    }
    destination(call, socket, given, Purpose::Connect)?.ok_or(Errno::EINVAL)
}

/// The address where packets really go ([`rxbox_policy::target`]), in the form of the one that was given.
fn delivered(to: SocketAddr) -> SocketAddr {
    let mut delivered = to;
    delivered.set_ip(match (to.ip(), target(to.ip())) {
        (IpAddr::V6(_), IpAddr::V4(mapped)) => mapped.to_ipv6_mapped().into(),
        (_, target) => target,
    });
    delivered
}

/// A socket whose device an address with a scope has chosen sends by that whatever it sends, wherever it
/// belongs.
fn may_leave_device(call: &Call<'_>, socket: &File, to: SocketAddr) -> Result<(), Errno> {
    let scope = matches!(to, SocketAddr::V6(to) if to.scope_id() != 0);
    let chosen = matches!(&*socket.extra(), Extra::Internet(internet) if internet.scoped);
    if chosen && !scope { may_route(call) } else { Ok(()) }
}

/// Asks whether the guest may choose the way of packets.
pub(in crate::handlers) fn may_route(call: &Call<'_>) -> Result<(), Errno> {
    call.enforce(&call.sandbox.policy.route(), &DeniedWhat::Route)
}

/// Asks whether the guest may join a group, or leave it.
pub(in crate::handlers) fn may_join(call: &Call<'_>, group: IpAddr) -> Result<(), Errno> {
    call.enforce(&call.sandbox.policy.join(group), &DeniedWhat::Join(group))
}

/// Asks whether the guest may bind the socket to this address.
pub(in crate::handlers) fn may_bind(call: &Call<'_>, socket: &File, at: SocketAddr) -> Result<(), Errno> {
    let endpoint = Nature::of(socket)?.endpoint(at);
    call.enforce(&call.sandbox.policy.bind(&endpoint), &DeniedWhat::Bind(endpoint))
}

/// The address to which the kernel binds a socket that has none: every one of the host, and a free port.
pub(in crate::handlers) fn implicit(socket: &File) -> Result<SocketAddr, Errno> {
    Ok(Nature::of(socket)?.any(0))
}

fn unix_destination(call: &Call<'_>, path: &[u8]) -> Result<Destination, Errno> {
    let path = CString::new(path).map_err(|_| Errno::EINVAL)?;
    let Found::There(found) =
        resolve(&Caller::of(call), libc::AT_FDCWD, &path, Lookup::FOLLOW.to(Access::Connect))?
    else {
        return Err(Errno::ENOENT);
    };
    // Neither an entry of /proc nor a descriptor by its number is a socket's name.
    let Target::Host(object) = found.target else { return Err(Errno::ECONNREFUSED) };
    Caller::of(call).check(Access::Connect, &found.path)?;
    let name = reopen_name(object.as_fd());
    let address = unix_address(name.absolute().to_bytes())?;
    Ok(Destination::by_file(address, object.fd))
}

fn unix_address(name: &[u8]) -> Result<Address, Errno> {
    if name.len() > UNIX_NAME_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    Address::new(&[&(UNIX as u16).to_le_bytes(), name].concat())
}

fn unix_abstract(name: &[u8]) -> Result<Address, Errno> {
    unix_address(&[b"\0", name].concat())
}

/// Whether a bind(2) may wait until the socket asks a server: clients bind to any port, which the policy does
/// not let them, before they send their question; then the socket hears nobody but the resolver.
pub(super) fn is_bound_by_asking(call: &Call<'_>, socket: &File, given: &[u8]) -> Result<bool, Errno> {
    let waits = matches!(&*socket.extra(), Extra::Internet(i) if i.is_open_to_all_by_sending());
    if call.sandbox.resolver.get().is_none() || !waits {
        return Ok(false);
    }
    let nature = Nature::of(socket)?;
    let any = matches!(read(given, nature)?, Name::Internet(at) if at == nature.any(0));
    Ok(any && call.sandbox.policy.bind(&nature.endpoint(nature.any(0))).is_lack())
}

/// What the guest wants its socket to be called.
pub(super) fn own(call: &Call<'_>, socket: &File, given: &[u8]) -> Result<Address, Errno> {
    let nature = Nature::of(socket)?;
    let (endpoint, address) = match read(given, nature)? {
        Name::Internet(at) if given.starts_with(&[0, 0]) && !at.ip().is_unspecified() => {
            return Err(Errno::EAFNOSUPPORT);
        }
        Name::Internet(at) => (nature.endpoint(at), Address::internet(at)),
        Name::UnixAbstract(name) => (Endpoint::UnixAbstract(name), unix_abstract(name)?),
        Name::UnixUnnamed => (Endpoint::UnixAbstract(b""), unix_address(b"")?),
        Name::UnixPath(path) => return unix_own(call, socket, path),
        Name::Other(family) => (Endpoint::Family(family), Address::new(given)?),
        Name::Nothing if nature.is_internet() => return Err(Errno::EAFNOSUPPORT),
        Name::Nothing => return Err(Errno::EINVAL),
    };
    call.enforce(&call.sandbox.policy.bind(&endpoint), &DeniedWhat::Bind(endpoint))?;
    Ok(address)
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
    unix_address(&call.sandbox.anchors.name(place.dir, &leaf, path.to_bytes())?)
}
