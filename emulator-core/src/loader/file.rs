//! Files that programs are loaded from.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;

use super::error::LoadError;
use crate::guest::{FileSource, MappedFile};

/// Something to read headers from: a file, or bytes in a test.
pub trait ReadAt {
    /// Bytes in the file.
    fn size(&self) -> u64;

    /// Fills `buf` from `offset`; fewer bytes at the end of the file. Gives their number.
    ///
    /// # Errors
    /// What the host says.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno>;

    /// Reads exactly `len` bytes.
    ///
    /// # Errors
    /// [`LoadError::Truncated`] if there are fewer, naming `what` they were to be.
    fn read_exact_at(&self, what: &'static str, offset: u64, len: usize) -> Result<Vec<u8>, LoadError> {
        let have = self.size();
        let need = offset.saturating_add(len as u64);
        let truncated = LoadError::Truncated { what, need, have };
        if need > have {
            return Err(truncated);
        }
        let mut bytes = vec![0; len];
        let mut done = 0;
        while done < len {
            let read = self.read_at(offset + done as u64, &mut bytes[done..]);
            match read.map_err(|errno| LoadError::Host { what, errno })? {
                // The file has shrunk since its size was taken.
                0 => return Err(truncated),
                n => done += n,
            }
        }
        Ok(bytes)
    }
}

impl ReadAt for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

/// An open program file.
#[derive(Debug)]
pub struct ImageFile {
    /// Open for reading.
    pub fd: OwnedFd,
    /// How the guest sees it in `/proc/self/maps`.
    pub file: Arc<MappedFile>,
    /// Bytes in it.
    pub size: u64,
}

impl ImageFile {
    /// Takes size, device and inode from the descriptor (fstat(2)); `path` is what the guest sees.
    ///
    /// # Errors
    /// What fstat says.
    pub fn new(fd: OwnedFd, path: Vec<u8>) -> Result<ImageFile, Errno> {
        let stat = nix::sys::stat::fstat(&fd)?;
        let file = MappedFile { path, dev: stat.st_dev, ino: stat.st_ino };
        Ok(ImageFile { fd, file: Arc::new(file), size: u64::try_from(stat.st_size).unwrap_or(0) })
    }

    /// For a mapping from `offset` on.
    pub(super) fn source(&self, offset: u64) -> FileSource<'_> {
        FileSource { fd: self.fd.as_fd(), file: self.file.clone(), offset }
    }
}

impl ReadAt for ImageFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Errno> {
        let offset = i64::try_from(offset).map_err(|_| Errno::EINVAL)?;
        loop {
            match nix::sys::uio::pread(&self.fd, buf, offset) {
                Err(Errno::EINTR) => {}
                result => return result,
            }
        }
    }
}
