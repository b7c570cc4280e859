//! mmap(2) arguments, decoded.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use nix::errno::Errno;

use super::area::{MappedFile, Prot};
use super::layout::{Span, TASK_SIZE, page_up};

/// Where a mapping is to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// At this address if that is free, else anywhere; 0 for no wish.
    Hint(u64),
    /// `MAP_32BIT`: in the first 2 GiB, with a hint.
    Low(u64),
    /// `MAP_FIXED`: exactly here, replacing what is there.
    Fixed(u64),
    /// `MAP_FIXED_NOREPLACE`: exactly here, and only if that is free.
    FixedNoReplace(u64),
}

/// A file to map.
#[derive(Clone, Debug)]
pub struct FileSource<'fd> {
    /// Descriptor for the host call.
    pub fd: BorrowedFd<'fd>,
    /// What the guest is told about it.
    pub file: Arc<MappedFile>,
    /// Offset in bytes.
    pub offset: u64,
}

/// A mapping that the guest asks for.
#[derive(Clone, Debug)]
pub struct MapRequest<'fd> {
    /// Where.
    pub place: Place,
    /// Length in bytes; rounded up to pages.
    pub len: u64,
    /// Protection.
    pub prot: Prot,
    /// `MAP_SHARED`.
    pub shared: bool,
    /// `MAP_GROWSDOWN`.
    pub grows_down: bool,
    /// `MAP_NORESERVE`.
    pub noreserve: bool,
    /// `MAP_POPULATE` without `MAP_NONBLOCK`.
    pub populate: bool,
    /// `MAP_LOCKED`.
    pub locked: bool,
    /// `MAP_DENYWRITE`, which means nothing any more, but dynamic linkers say it of the libraries that they
    /// map.
    pub deny_write: bool,
    /// The file; `None` for anonymous memory.
    pub source: Option<FileSource<'fd>>,
}

impl<'fd> MapRequest<'fd> {
    /// Private anonymous memory.
    pub fn anonymous(place: Place, len: u64, prot: Prot) -> MapRequest<'fd> {
        MapRequest {
            place,
            len,
            prot,
            shared: false,
            grows_down: false,
            noreserve: false,
            populate: false,
            locked: false,
            deny_write: false,
            source: None,
        }
    }

    /// The addresses that it must have and no others, if it names them.
    pub fn wanted(&self) -> Option<Span> {
        match self.place {
            Place::Fixed(addr) | Place::FixedNoReplace(addr) => Span::at(addr, page_up(self.len)?),
            Place::Hint(_) | Place::Low(_) => None,
        }
    }

    /// Decodes the arguments of mmap(2). `source` is the file that the descriptor argument names; it is
    /// dropped if `flags` has `MAP_ANONYMOUS`.
    ///
    /// # Errors
    /// `EINVAL`: no bytes, no sharing type, or one that does not go with the rest. `ENOMEM`: more bytes than
    /// there are addresses. `EOPNOTSUPP`: a flag that
    /// `MAP_SHARED_VALIDATE` must know and does not. `EBADF`: a file is needed. `ENOMEM`: `MAP_HUGETLB`,
    /// since the guest has no pool of huge pages.
    pub fn decode(
        addr: u64,
        len: u64,
        prot: u64,
        flags: u64,
        source: Option<FileSource<'fd>>,
    ) -> Result<MapRequest<'fd>, Errno> {
        /// Flags that the kernel knows of old; `MAP_SHARED_VALIDATE` refuses all others.
        const LEGACY: u64 = (libc::MAP_TYPE
            | libc::MAP_FIXED
            | libc::MAP_ANONYMOUS
            | libc::MAP_DENYWRITE
            | libc::MAP_EXECUTABLE
            | libc::MAP_GROWSDOWN
            | libc::MAP_LOCKED
            | libc::MAP_NORESERVE
            | libc::MAP_POPULATE
            | libc::MAP_NONBLOCK
            | libc::MAP_STACK
            | libc::MAP_HUGETLB
            | libc::MAP_32BIT) as u64;
        let has = |flag: i32| flags & flag as u64 != 0;
        let source = if has(libc::MAP_ANONYMOUS) { None } else { Some(source.ok_or(Errno::EBADF)?) };
        if len == 0 {
            return Err(Errno::EINVAL);
        }
        if page_up(len).is_none_or(|len| len > TASK_SIZE) {
            return Err(Errno::ENOMEM);
        }
        let grows_down = has(libc::MAP_GROWSDOWN);
        let shared = match (flags & libc::MAP_TYPE as u64) as i32 {
            libc::MAP_PRIVATE => false,
            libc::MAP_SHARED => true,
            libc::MAP_SHARED_VALIDATE if source.is_none() => return Err(Errno::EINVAL),
            libc::MAP_SHARED_VALIDATE if flags & !LEGACY != 0 => return Err(Errno::EOPNOTSUPP),
            libc::MAP_SHARED_VALIDATE => true,
            _ => return Err(Errno::EINVAL),
        };
        if grows_down && (shared || source.is_some()) {
            return Err(Errno::EINVAL);
        }
        if has(libc::MAP_HUGETLB) {
            return Err(Errno::ENOMEM);
        }
        Ok(MapRequest {
            place: match () {
                () if has(libc::MAP_FIXED_NOREPLACE) => Place::FixedNoReplace(addr),
                () if has(libc::MAP_FIXED) => Place::Fixed(addr),
                () if has(libc::MAP_32BIT) => Place::Low(addr),
                () => Place::Hint(addr),
            },
            len,
            prot: Prot::from_bits(prot),
            shared,
            grows_down,
            noreserve: has(libc::MAP_NORESERVE),
            populate: has(libc::MAP_POPULATE) && !has(libc::MAP_NONBLOCK),
            locked: has(libc::MAP_LOCKED),
            deny_write: has(libc::MAP_DENYWRITE),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(flags: i32) -> Result<MapRequest<'static>, Errno> {
        MapRequest::decode(0x1000, 1, 7, flags as u64, None)
    }

    #[test]
    fn exactly_one_known_sharing_type_is_required() {
        assert_eq!(decode(libc::MAP_ANONYMOUS).unwrap_err(), Errno::EINVAL);
        assert_eq!(decode(libc::MAP_ANONYMOUS | 0x7).unwrap_err(), Errno::EINVAL);
        assert_eq!(decode(libc::MAP_ANONYMOUS | libc::MAP_SHARED_VALIDATE).unwrap_err(), Errno::EINVAL);
        assert!(!decode(libc::MAP_ANONYMOUS | libc::MAP_PRIVATE).unwrap().shared);
        assert!(decode(libc::MAP_ANONYMOUS | libc::MAP_SHARED).unwrap().shared);
    }

    #[test]
    fn a_file_mapping_without_a_file_is_ebadf() {
        assert_eq!(decode(libc::MAP_PRIVATE).unwrap_err(), Errno::EBADF);
    }

    #[test]
    fn only_private_anonymous_memory_can_grow_down() {
        let anonymous = libc::MAP_ANONYMOUS | libc::MAP_GROWSDOWN;
        assert!(decode(anonymous | libc::MAP_PRIVATE).unwrap().grows_down);
        assert_eq!(decode(anonymous | libc::MAP_SHARED).unwrap_err(), Errno::EINVAL);
    }

    #[test]
    fn no_replace_outranks_fixed_and_fixed_outranks_low() {
        let place = |flags| decode(libc::MAP_ANONYMOUS | libc::MAP_PRIVATE | flags).unwrap().place;
        assert_eq!(place(libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE), Place::FixedNoReplace(0x1000));
        assert_eq!(place(libc::MAP_FIXED | libc::MAP_32BIT), Place::Fixed(0x1000));
        assert_eq!(place(libc::MAP_32BIT), Place::Low(0x1000));
        assert_eq!(place(0), Place::Hint(0x1000));
    }
}
