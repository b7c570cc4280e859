//! Host calls on sockets, with addresses, options and control data as plain bytes in private memory.

use super::number::{Wait, owned, raw};
use super::transfer::Buffer;
use super::{SyscallResult, cmsg};
use nix::errno::Errno;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Room for every socket address there is (`struct sockaddr_storage`).
pub const ADDRESS_MAX: usize = 128;

/// A socket address as the kernel reads and writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    bytes: [u8; ADDRESS_MAX],
    /// Bytes in use; what the kernel wanted to write may be more than there was room for.
    len: u32,
}

impl Address {
    /// From bytes, as given to bind(2) and the like; EINVAL if they are more than any address.
    pub fn new(address: &[u8]) -> Result<Address, Errno> {
        let mut bytes = [0; ADDRESS_MAX];
        bytes.get_mut(..address.len()).ok_or(Errno::EINVAL)?.copy_from_slice(address);
        Ok(Address { bytes, len: address.len() as u32 })
    }
    /// An internet address, with nothing in it but what its value says.
    pub fn internet(value: SocketAddr) -> Address {
        let mut bytes = [0; ADDRESS_MAX];
        bytes[2..4].copy_from_slice(&value.port().to_be_bytes());
        let (family, len) = match value {
            SocketAddr::V4(v4) => {
                bytes[4..8].copy_from_slice(&v4.ip().octets());
                (libc::AF_INET, 16)
            }
            SocketAddr::V6(v6) => {
                bytes[8..24].copy_from_slice(&v6.ip().octets());
                bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                (libc::AF_INET6, 28)
            }
        };
        bytes[..2].copy_from_slice(&(family as u16).to_ne_bytes());
        Address { bytes, len }
    }
    /// The internet address that it is, if it is one.
    pub fn value(&self) -> Option<SocketAddr> {
        let bytes = self.bytes();
        let family = i32::from(u16::from_ne_bytes(*bytes.first_chunk::<2>()?));
        let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk::<2>()?);
        match family {
            libc::AF_INET => Some((*bytes.get(4..)?.first_chunk::<4>()?, port).into()),
            libc::AF_INET6 => {
                let address = Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?);
                let scope = u32::from_ne_bytes(*bytes.get(24..)?.first_chunk::<4>()?);
                Some(SocketAddrV6::new(address, port, 0, scope).into())
            }
            _ => None,
        }
    }
    /// The one that takes a connection back (AF_UNSPEC, connect(2)).
    pub fn nothing() -> Address {
        Address { bytes: [0; ADDRESS_MAX], len: 16 }
    }
    /// Whether it is an IPv6 address with a scope.
    pub fn has_scope(&self) -> bool {
        self.bytes.starts_with(&(libc::AF_INET6 as u16).to_ne_bytes()) && self.bytes[24..28] != [0; 4]
    }
    fn room() -> Address {
        Address { bytes: [0; ADDRESS_MAX], len: ADDRESS_MAX as u32 }
    }
    /// The bytes in use.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..ADDRESS_MAX.min(self.len as usize)]
    }
}

/// Calls that take an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum To {
    /// bind(2).
    Bind = libc::SYS_bind,
    /// connect(2).
    Connect = libc::SYS_connect,
}

/// bind(2), connect(2).
pub fn to_address(wait: Wait, call: To, socket: BorrowedFd<'_>, address: &Address) -> SyscallResult {
    let bytes = address.bytes();
    let args = [socket.as_raw_fd() as u64, bytes.as_ptr() as u64, bytes.len() as u64, 0, 0, 0];
    // SAFETY: the kernel reads the address, which is borrowed meanwhile.
    unsafe { raw(wait, call as i64, args) }
}

/// Calls that tell an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Whose {
    /// getsockname(2).
    Own = libc::SYS_getsockname,
    /// getpeername(2).
    Peer = libc::SYS_getpeername,
}

/// getsockname(2), getpeername(2).
pub fn address_of(call: Whose, socket: BorrowedFd<'_>) -> Result<Address, Errno> {
    let mut a = Address::room();
    let args = [socket.as_raw_fd() as u64, a.bytes.as_mut_ptr() as u64, &raw mut a.len as u64, 0, 0, 0];
    // SAFETY: the kernel writes at most `len` bytes, the whole array, and the length.
    unsafe { raw(Wait::Short, call as i64, args) }?;
    Ok(a)
}

/// How many bytes a TCP connection has sent, each once, and received (`TCP_INFO`, tcp(7), since Linux 4.19);
/// nothing if the number is that of no such socket.
pub fn carried(number: RawFd) -> Option<(u64, u64)> {
    // Offsets in `struct tcp_info` (linux/tcp.h): tcpi_bytes_received, tcpi_bytes_sent, tcpi_bytes_retrans.
    const RECEIVED: usize = 128;
    const SENT: usize = 200;
    const AGAIN: usize = 208;
    let mut info = [0u8; 216];
    let mut len = info.len() as u32;
    let (level, name) = (libc::IPPROTO_TCP as u64, libc::TCP_INFO as u64);
    let args = [number as u64, level, name, info.as_mut_ptr() as u64, &raw mut len as u64, 0];
    // SAFETY: the kernel writes at most `len` bytes, all of `info`, and the length.
    unsafe { raw(Wait::Short, libc::SYS_getsockopt, args) }.ok()?;
    let word = |at: usize| info.get(at..)?.first_chunk::<8>().map(|bytes| u64::from_ne_bytes(*bytes));
    (len as usize == info.len()).then_some(())?;
    // The end that the peer has sent counts as a byte: TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_CLOSING
    // (linux/tcp.h).
    let end = u64::from(matches!(info[0], 8 | 9 | 11));
    Some((word(SENT)?.saturating_sub(word(AGAIN)?), word(RECEIVED)?.saturating_sub(end)))
}

/// accept4(2): the new socket and the peer's address.
pub fn accept(wait: Wait, socket: BorrowedFd<'_>, flags: u32) -> Result<(OwnedFd, Address), Errno> {
    let mut a = Address::room();
    let args =
        [socket.as_raw_fd() as u64, a.bytes.as_mut_ptr() as u64, &raw mut a.len as u64, flags.into(), 0, 0];
    // SAFETY: the kernel writes at most `len` bytes, the whole array, and the length; the descriptor is new.
    let fd = unsafe { owned(raw(wait, libc::SYS_accept4, args)) }?;
    Ok((fd, a))
}

/// The addresses of interfaces (SIOCGIFCONF, netdevice(7)): how many bytes of `list` the kernel filled with
/// an `ifreq` each.
pub fn interfaces(socket: BorrowedFd<'_>, list: &mut [u8]) -> Result<usize, Errno> {
    const SIOCGIFCONF: u64 = 0x8912;
    // SAFETY: an ifconf of zeros is a valid one (no room).
    let mut all: libc::ifconf = unsafe { std::mem::zeroed() };
    all.ifc_len = i32::try_from(list.len()).map_err(|_| Errno::EINVAL)?;
    all.ifc_ifcu.ifcu_buf = list.as_mut_ptr().cast();
    let args = [socket.as_raw_fd() as u64, SIOCGIFCONF, &raw mut all as u64, 0, 0, 0];
    // SAFETY: the kernel writes at most `ifc_len` bytes, all of `list`, and the length.
    unsafe { raw(Wait::Short, libc::SYS_ioctl, args) }?;
    Ok(list.len().min(usize::try_from(all.ifc_len).unwrap_or(0)))
}

/// socketpair(2).
pub fn socketpair(domain: u32, kind: u32, protocol: u32) -> Result<[OwnedFd; 2], Errno> {
    let mut pair = [-1i32; 2];
    let args = [domain.into(), kind.into(), protocol.into(), pair.as_mut_ptr() as u64, 0, 0];
    // SAFETY: the kernel writes two descriptors.
    unsafe { raw(Wait::Short, libc::SYS_socketpair, args) }?;
    // SAFETY: both are new.
    Ok(pair.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// sendmsg(2) with one piece of data; `name` and `control` may be empty.
pub fn send(
    wait: Wait,
    socket: BorrowedFd<'_>,
    name: &[u8],
    control: &[u8],
    data: Buffer<'_>,
    flags: u32,
) -> SyscallResult {
    let (mut vectors, count) = data.iovecs();
    let message = message(
        &mut vectors[..count],
        (name.as_ptr().cast_mut(), name.len()),
        (control.as_ptr().cast_mut(), control.len()),
    );
    let args = [socket.as_raw_fd() as u64, &raw const message as u64, flags.into(), 0, 0, 0];
    // SAFETY: the kernel only reads what the message points at, all of it alive here.
    unsafe { raw(wait, libc::SYS_sendmsg, args) }
}

/// What recvmsg(2) gave besides the data.
#[derive(Debug)]
pub struct Received {
    /// The call's value.
    pub count: i64,
    /// Length of the sender's address, even if more than there was room for.
    pub name: usize,
    /// Bytes of control data.
    pub control: usize,
    /// `msg_flags`.
    pub flags: u32,
    /// The descriptors that came (SCM_RIGHTS), in the order in which they stand in the control data.
    pub rights: Vec<OwnedFd>,
}

/// recvmsg(2) into one piece of data, with room for the sender's address and control data.
pub fn receive(
    wait: Wait,
    socket: BorrowedFd<'_>,
    name: &mut [u8],
    control: &mut [u8],
    data: Buffer<'_>,
    flags: u32,
) -> Result<Received, Errno> {
    let (mut vectors, count) = data.iovecs();
    let mut message = message(
        &mut vectors[..count],
        (name.as_mut_ptr(), name.len()),
        (control.as_mut_ptr(), control.len()),
    );
    let args = [socket.as_raw_fd() as u64, &raw mut message as u64, flags.into(), 0, 0, 0];
    // SAFETY: the kernel writes at most the lengths given to what the message points at, all of it borrowed
    // here.
    let count = unsafe { raw(wait, libc::SYS_recvmsg, args) }?;
    let filled = message.msg_controllen.min(control.len());
    Ok(Received {
        count,
        name: message.msg_namelen as usize,
        control: filled,
        flags: message.msg_flags as u32,
        // SAFETY: the kernel has just written these control data.
        rights: unsafe { rights(&control[..filled]) },
    })
}

/// Takes the descriptors in control data.
///
/// # Safety
/// The kernel wrote the data, and nobody has taken the descriptors yet.
unsafe fn rights(control: &[u8]) -> Vec<OwnedFd> {
    let pieces = cmsg::pieces(control).unwrap_or_default().into_iter();
    let numbers = pieces.filter(|p| p.kind == cmsg::RIGHTS).flat_map(|p| control[p.data].chunks_exact(4));
    // SAFETY: the caller's promise: these are new descriptors of this process.
    numbers.map(|n| unsafe { OwnedFd::from_raw_fd(i32::from_le_bytes([n[0], n[1], n[2], n[3]])) }).collect()
}

/// A `msghdr`; empty parts are null, as a program that wants none of them says.
fn message(vectors: &mut [libc::iovec], name: (*mut u8, usize), control: (*mut u8, usize)) -> libc::msghdr {
    let or_null = |(p, n): (*mut u8, usize)| if n == 0 { std::ptr::null_mut() } else { p.cast() };
    // SAFETY: a msghdr of zeros is a valid one (null pointers, no lengths).
    let mut m: libc::msghdr = unsafe { std::mem::zeroed() };
    m.msg_name = or_null(name);
    m.msg_namelen = name.1 as u32;
    m.msg_iov = vectors.as_mut_ptr();
    m.msg_iovlen = vectors.len();
    m.msg_control = or_null(control);
    m.msg_controllen = control.1;
    m
}

/// Brings the loopback interface of this process's network up (netdevice(7)).
///
/// # Errors
/// As socket(2) and ioctl(2).
pub fn raise_loopback() -> Result<(), Errno> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // `struct ifreq`: a name of 16 bytes, the flags.
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    let number = socket.as_raw_fd();
    // SAFETY: the kernel reads and writes one `struct ifreq`, which has 40 bytes and lives here.
    Errno::result(unsafe { libc::ioctl(number, libc::SIOCGIFFLAGS, request.as_mut_ptr()) })?;
    request[16] |= libc::IFF_UP as u8;
    // SAFETY: as above.
    Errno::result(unsafe { libc::ioctl(number, libc::SIOCSIFFLAGS, request.as_ptr()) }).map(drop)
}
