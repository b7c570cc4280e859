//! Names of unix sockets that guests have bound.

use crate::state::names::{Dir, join};
use nix::errno::Errno;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};

/// A directory in which a guest has bound a unix socket.
#[derive(Debug)]
struct Anchor {
    device_inode: (u64, u64),
    dir: Dir,
}

/// The directories in which guests have bound unix sockets.
///
/// A socket bound as `/proc/PID/fd/N/leaf` is called so by the kernel for as long as it lives, and a peer may
/// want to send to that name. So `N` stays open, one for each directory, and the name is shown to guests as
/// the directory's own with the leaf. The supervisor's process id makes it one that no other sandbox uses.
#[derive(Debug)]
pub struct Anchors {
    prefix: Vec<u8>,
    anchors: Mutex<Vec<Anchor>>,
}

/// Directories kept open for one sandbox, at most.
const ANCHORS_MAX: usize = 256;

impl Default for Anchors {
    fn default() -> Self {
        Anchors {
            prefix: format!("/proc/{}/fd/", std::process::id()).into_bytes(),
            anchors: Mutex::default(),
        }
    }
}

impl Anchors {
    /// What to tell the kernel for a name in a directory. ENAMETOOLONG if that is too long, ENOBUFS for too
    /// many directories.
    pub fn name(&self, dir: Dir, leaf: &[u8]) -> Result<Vec<u8>, Errno> {
        let s = nix::sys::stat::fstat(&dir.fd)?;
        let device_inode = (s.st_dev, s.st_ino);
        let mut anchors = self.anchors.lock().unwrap_or_else(PoisonError::into_inner);
        let known = anchors.iter().find(|a| a.device_inode == device_inode).map(|a| a.dir.fd.as_raw_fd());
        let number = match known {
            Some(number) => number,
            None if anchors.len() >= ANCHORS_MAX => return Err(Errno::ENOBUFS),
            None => {
                let number = dir.fd.as_raw_fd();
                anchors.push(Anchor { device_inode, dir });
                number
            }
        };
        Ok([&self.prefix, number.to_string().as_bytes(), b"/", leaf].concat())
    }

    /// An address as a guest is to see it.
    pub fn shown(&self, address: &[u8]) -> Vec<u8> {
        self.translated(address).unwrap_or_else(|| address.to_vec())
    }

    fn translated(&self, address: &[u8]) -> Option<Vec<u8>> {
        let (family, name) = address.split_at_checked(2)?;
        if family != (libc::AF_UNIX as u16).to_le_bytes() {
            return None;
        }
        let rest = name.strip_prefix(self.prefix.as_slice())?;
        let slash = rest.iter().position(|&b| b == b'/')?;
        let number: i32 = std::str::from_utf8(&rest[..slash]).ok()?.parse().ok()?;
        let anchors = self.anchors.lock().unwrap_or_else(PoisonError::into_inner);
        let anchor = anchors.iter().find(|a| a.dir.fd.as_raw_fd() == number)?;
        let path = join(&anchor.dir.path, &rest[slash + 1..]);
        Some([family, &path].concat())
    }
}
