//! Sizes and limits that the layers of the protocol share. They use nothing, so that everything may use them.

/// Bytes of a page of memory.
pub const PAGE: u64 = 4096;

/// Guest threads per guest process.
pub const MAX_SLOTS: usize = 1024;
/// Bytes of a slot's header page.
pub const HEADER_SIZE: usize = PAGE as usize;
/// Most bytes of a transfer (read, write, ...) that cross at once. More than the largest datagram of a unix
/// socket by the kernel's own limits (net.core.wmem_max, twice): what cannot be cut crosses whole, or is
/// refused.
pub const BULK_MAX: usize = 512 * 1024;
/// Bytes of the pieces of longer transfers, such that both sides' copies stay in a processor's cache.
pub const PIECE: usize = 256 * 1024;
/// Bytes of a slot's data area: a transfer and beside it the other arguments of the same call.
pub const DATA_SIZE: usize = BULK_MAX + 16 * 1024;
/// Distance between slots.
pub const SLOT_SIZE: usize = HEADER_SIZE + DATA_SIZE;
/// Bytes of a whole channel.
pub const CHANNEL_SIZE: usize = MAX_SLOTS * SLOT_SIZE;

/// A length that says: there is nothing, since the argument is not memory, or it is a null pointer where that
/// is allowed ([`crate::kind::Presence`]).
pub const ABSENT: u32 = u32::MAX;
/// A length that says: the pointer leads nowhere. The handler meets it where the kernel would.
pub const FAULT: u32 = wrong(libc::EFAULT);
/// Why there may be no data for an argument beside a bad pointer: they are too long, too many, or not what
/// the kernel takes. The handler gives the error where the kernel would.
pub const WRONG: [i32; 6] =
    [libc::EFAULT, libc::EINVAL, libc::E2BIG, libc::ENAMETOOLONG, libc::EMSGSIZE, libc::ENOBUFS];

/// The length that says so: the error as the kernel gives it, negative.
pub const fn wrong(errno: i32) -> u32 {
    errno.wrapping_neg() as u32
}

/// The error that such a length says.
pub fn errno_of(len: u32) -> Option<i32> {
    WRONG.into_iter().find(|errno| wrong(*errno) == len)
}
/// Each argument's data start at a multiple of this.
pub const ALIGN: usize = 16;
/// Longest path or text with its NUL, as the kernel's PATH_MAX.
pub const STRING_MAX: u32 = 4096;
/// Most bytes of one string array that cross; what does not fit is left out (see
/// [`crate::kind::Kind::Strings`]).
pub const STRINGS_MAX: u32 = 64 * 1024;
/// Longest socket address, as the kernel's `struct sockaddr_storage`.
pub const ADDRESS_MAX: u32 = 128;
/// Longest text of a message in a System V queue: the kernel's default of kernel.msgmax.
pub const MESSAGE_MAX: u64 = 8192;

/// Call numbers from here on are requests of the child's own runtime, not guest calls.
pub const INTERNAL: u32 = 0x8000_0000;

const _: () = assert!(SLOT_SIZE.is_multiple_of(PAGE as usize));
/// Bytes in front of a list of interfaces ([`crate::kind::Kind::InterfaceList`]).
pub const LIST_HEAD: usize = 8;
/// Most bytes of such a list: 1638 addresses of interfaces.
pub const LIST_MAX: usize = 65536;
