//! The policy's limit on what the sandbox writes to standard output and standard error.
//!
//! What counts is where the bytes go, not by which descriptor: a stream may be duplicated, opened again by
//! its name or come back over a socket. So a file is compared with the supervisor's own streams when it is
//! written to, and only under a policy that has the limit. Devices that swallow everything do not count.

use crate::host::SyscallResult;
use crate::report::ending::{End, Ending};
use crate::state::fd::{File, Kind};
use nix::errno::Errno;
use nix::sys::stat::{FileStat, fstat, makedev};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What of the limit is left.
#[derive(Debug)]
pub struct Output {
    left: Option<AtomicU64>,
    streams: Vec<(u64, u64)>,
    ending: Arc<Ending>,
}

/// What tells a stream from others: its device and inode, for a terminal the terminal.
fn identity(stat: &FileStat, terminal: bool) -> (u64, u64) {
    if terminal { (u64::MAX, stat.st_rdev) } else { (stat.st_dev, stat.st_ino) }
}

impl Output {
    /// A limit of so many bytes, or none, on these streams; a sandbox that passes it ends by `ending`.
    pub fn new(limit: Option<u64>, streams: &[BorrowedFd<'_>], ending: Arc<Ending>) -> Output {
        let identity = |fd: &BorrowedFd<'_>| {
            let terminal = nix::unistd::isatty(fd).unwrap_or(false);
            fstat(fd).ok().map(|stat| identity(&stat, terminal))
        };
        let streams = streams.iter().filter_map(identity).collect();
        Output { left: limit.map(AtomicU64::new), streams, ending }
    }

    /// The limit on the supervisor's own standard output and error.
    pub fn of_host(limit: Option<u64>, ending: Arc<Ending>) -> Output {
        let (output, error) = (std::io::stdout(), std::io::stderr());
        Output::new(limit, &[output.as_fd(), error.as_fd()], ending)
    }

    /// The count of a file that is one of the streams, if there is a limit.
    fn counting(&self, file: &File) -> Option<&AtomicU64> {
        let left = self.left.as_ref()?;
        let terminal = match file.kind {
            Kind::CharDevice => return None,
            kind => kind == Kind::Terminal,
        };
        // By this name every process calls its controlling terminal, which for guests can only be the user's.
        let controlling = (u64::MAX, makedev(5, 0));
        let file = fstat(&file.host).map(|stat| identity(&stat, terminal)).ok()?;
        (self.streams.contains(&file) || file == controlling).then_some(left)
    }

    /// Takes up to `n` bytes from the limit for a write to `file`. With none left the sandbox is ended.
    pub fn take(&self, file: &File, n: u64) -> Result<Share, Errno> {
        let Some(left) = self.counting(file) else { return Ok(Share { n, counted: false }) };
        let mut share = 0;
        let taken = left.fetch_update(Relaxed, Relaxed, |left| {
            share = left.min(n);
            Some(left - share)
        });
        if taken == Ok(0) && n > 0 {
            self.ending.end(End::OutputLimit);
            return Err(Errno::EIO);
        }
        Ok(Share { n: share, counted: true })
    }

    /// Gives back what of the share was not written.
    pub fn settle(&self, share: &Share, done: &SyscallResult) {
        if let (true, Some(left)) = (share.counted, &self.left) {
            left.fetch_add(share.n.saturating_sub(done.unwrap_or(0) as u64), Relaxed);
        }
    }
}

/// Bytes that may be written, taken from the limit beforehand.
#[derive(Debug)]
pub struct Share {
    /// How many.
    pub n: u64,
    counted: bool,
}
