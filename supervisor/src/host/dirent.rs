//! The entries that getdents64(2) gives: `struct linux_dirent64`, one behind the other.

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirent<'a> {
    /// Inode number.
    pub inode: u64,
    /// What lseek(2) takes to go on behind this entry.
    pub next: i64,
    /// `DT_*`.
    pub kind: u8,
    /// The name.
    pub name: &'a [u8],
    /// The whole entry as it lies in the buffer.
    pub bytes: &'a [u8],
}

/// Bytes before the name: inode, offset, length, type.
const HEAD: usize = 8 + 8 + 2 + 1;

/// The entries in a buffer filled by the kernel.
pub fn entries(mut buffer: &[u8]) -> impl Iterator<Item = Dirent<'_>> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_le_bytes(*buffer.get(16..)?.first_chunk()?));
        let bytes = buffer.get(..length).filter(|b| b.len() > HEAD)?;
        buffer = &buffer[length..];
        let name = &bytes[HEAD..];
        let end = name.iter().position(|&b| b == 0).unwrap_or(name.len());
        Some(Dirent {
            inode: u64::from_le_bytes(*bytes.first_chunk()?),
            next: i64::from_le_bytes(*bytes[8..].first_chunk()?),
            kind: bytes[18],
            name: &name[..end],
            bytes,
        })
    })
}

/// Appends an entry to `out` if it then has at most `room` bytes; false if it does not fit.
pub fn append(out: &mut Vec<u8>, room: usize, inode: u64, next: i64, kind: u8, name: &[u8]) -> bool {
    let length = (HEAD + name.len() + 1).next_multiple_of(8);
    let Ok(short) = u16::try_from(length) else { return false };
    if out.len() + length > room {
        return false;
    }
    let end = out.len() + length;
    out.extend_from_slice(&inode.to_le_bytes());
    out.extend_from_slice(&next.to_le_bytes());
    out.extend_from_slice(&short.to_le_bytes());
    out.push(kind);
    out.extend_from_slice(name);
    out.resize(end, 0);
    true
}

/// Turns entries into the older form of getdents(2), which has the type in an entry's last byte instead of
/// before the name. The lengths are the same.
pub fn make_old(buffer: &mut [u8]) {
    let lengths: Vec<usize> = entries(buffer).map(|entry| entry.bytes.len()).collect();
    let mut rest = buffer;
    for length in lengths {
        let (entry, behind) = rest.split_at_mut(length);
        let kind = entry[HEAD - 1];
        entry.copy_within(HEAD.., HEAD - 1);
        entry[length - 1] = kind;
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_read_back_and_a_full_buffer_refuses() {
        let mut buffer = Vec::new();
        assert!(append(&mut buffer, 64, 7, 1, libc::DT_REG, b"a"));
        assert!(append(&mut buffer, 64, 8, 2, libc::DT_DIR, b"longer name"));
        assert!(!append(&mut buffer, 64, 9, 3, libc::DT_REG, b"c"));
        let seen: Vec<_> = entries(&buffer).map(|e| (e.inode, e.next, e.kind, e.name.to_vec())).collect();
        assert_eq!(
            seen,
            [(7, 1, libc::DT_REG, b"a".to_vec()), (8, 2, libc::DT_DIR, b"longer name".to_vec())]
        );
    }

    #[test]
    fn entries_are_those_that_the_kernel_lists() {
        let dir = std::fs::File::open("/dev").unwrap();
        let buffer = crate::host::name::getdents64(std::os::fd::AsFd::as_fd(&dir), 1 << 16).unwrap();
        assert!(entries(&buffer).any(|e| e.name == b"null" && e.kind == libc::DT_CHR));
        assert_eq!(entries(&buffer).map(|e| e.bytes.len()).sum::<usize>(), buffer.len());
    }

    #[test]
    fn the_older_form_has_the_type_last_and_the_name_one_byte_earlier() {
        let mut buffer = Vec::new();
        // A name that leaves no byte unused but the NUL, and one that leaves all.
        for name in [b"1234".as_slice(), b"12345"] {
            assert!(append(&mut buffer, 64, 7, 1, libc::DT_DIR, name));
        }
        make_old(&mut buffer);
        assert_eq!((&buffer[18..23], buffer[23]), (b"1234\0".as_slice(), libc::DT_DIR));
        assert_eq!((&buffer[24 + 18..24 + 24], buffer[24 + 31]), (b"12345\0".as_slice(), libc::DT_DIR));
    }

    #[test]
    fn a_torn_buffer_ends_the_list() {
        assert_eq!(entries(&[0; 24]).count(), 0);
        assert_eq!(entries(&[1; 17]).count(), 0);
    }
}
