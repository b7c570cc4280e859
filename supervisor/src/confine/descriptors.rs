//! Descriptors that rxbox was started with: but for the standard streams, nothing of the run needs them, and
//! a handler that is fooled could be led to them by their names below `/proc/self/fd`.
//!
//! The user may name one on the command line (`--status-fd 3`, `--log-file /dev/fd/4`). So they are noted at
//! the start, before anything is opened, and closed once everything that was named has been opened again.
//!
//! A standard stream that is closed is closed for the guest as well. Here a file without content stands in
//! for it, so that no file of rxbox's ever gets its number.

use crate::host::spawn::aside;
use crate::host::start;
use crate::state::fd::File;
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

/// The descriptors that this process was started with. Those from 3 on are closed when it is dropped.
#[derive(Debug, Default)]
pub struct Given {
    standard: [bool; 3],
    others: BTreeMap<RawFd, OwnedFd>,
}

impl Given {
    /// Notes them. This process must not have opened anything yet that it keeps, and calls this once.
    ///
    /// # Errors
    /// There is nothing to stand in for a closed stream.
    pub fn note() -> Result<Given, Errno> {
        let closed = start::fill_standard()?;
        let listed: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        // The descriptor by which they were listed was among them and is closed now.
        let others = listed.into_iter().filter_map(|n| Some((n, start::adopt(n)?))).collect();
        Ok(Given { standard: closed.map(|closed| !closed), others })
    }

    /// The one with this number, if it was open.
    pub fn get(&self, number: RawFd) -> Option<BorrowedFd<'_>> {
        let standard = || {
            let open = usize::try_from(number).ok().and_then(|n| self.standard.get(n));
            open.filter(|open| **open).and_then(|_| start::standard(number))
        };
        self.others.get(&number).map(AsFd::as_fd).or_else(standard)
    }

    /// Those that the guest starts with, by number.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn passed(&self) -> Result<Vec<(RawFd, File)>, Errno> {
        let passed = (0..=2).filter_map(|n| Some((n, self.get(n)?)));
        passed.map(|(n, fd)| Ok((n, File::made(aside(fd, 3)?)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_streams_are_found_by_number_and_nothing_else_that_was_not_there() {
        let given = Given { standard: [true, false, true], others: BTreeMap::new() };
        assert!(given.get(0).is_some() && given.get(1).is_none() && given.get(2).is_some());
        assert!(given.get(3).is_none() && given.get(-1).is_none());
        let passed = given.passed().unwrap();
        assert_eq!(passed.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [0, 2]);
    }
}
