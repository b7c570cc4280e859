//! Names of unix sockets that guests have bound.

use crate::state::names::{Dir, join};
use nix::errno::Errno;
use std::collections::HashMap;
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
/// the directory's own with the leaf, or as the guest gave it at bind(2) if that was another. The
/// supervisor's process id makes it one that no other sandbox uses.
#[derive(Debug)]
pub struct Anchors {
    prefix: Vec<u8>,
    anchors: Mutex<Vec<Anchor>>,
    /// Names as the guests gave them, by what the kernel was told.
    given: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
}

/// Names kept as they were given. Beyond, all are forgotten and shown whole, rather than that a guest fills
/// the supervisor's memory.
const GIVEN_MAX: usize = 1 << 14;

/// Directories kept open for one sandbox, at most.
const ANCHORS_MAX: usize = 256;

impl Default for Anchors {
    fn default() -> Self {
        Anchors {
            prefix: format!("/proc/{}/fd/", std::process::id()).into_bytes(),
            anchors: Mutex::default(),
            given: Mutex::default(),
        }
    }
}

impl Anchors {
    /// What to tell the kernel for a name in a directory, which the guest has given as `given`. ENOBUFS for
    /// too many directories.
    pub fn name(&self, dir: Dir, leaf: &[u8], given: &[u8]) -> Result<Vec<u8>, Errno> {
        let whole = join(&dir.path, leaf);
        let name = self.told(dir, leaf)?;
        let mut names = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        if whole == given {
            names.remove(&name);
        } else {
            if names.len() >= GIVEN_MAX {
                names.clear();
            }
            names.insert(name.clone(), given.to_vec());
        }
        Ok(name)
    }

    fn told(&self, dir: Dir, leaf: &[u8]) -> Result<Vec<u8>, Errno> {
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
        let text = name.split(|&b| b == 0).next().unwrap_or_default();
        if let Some(given) = self.given.lock().unwrap_or_else(PoisonError::into_inner).get(text) {
            let end = &name[text.len()..];
            return Some([family, given, end].concat());
        }
        let slash = rest.iter().position(|&b| b == b'/')?;
        let number: i32 = std::str::from_utf8(&rest[..slash]).ok()?.parse().ok()?;
        let anchors = self.anchors.lock().unwrap_or_else(PoisonError::into_inner);
        let anchor = anchors.iter().find(|a| a.dir.fd.as_raw_fd() == number)?;
        let path = join(&anchor.dir.path, &rest[slash + 1..]);
        Some([family, &path].concat())
    }
}
