//! Descriptors that rxbox was started with: those that the profile passes on are the guest's. Nothing of the
//! run needs the others, and a handler that is fooled could be led to them by their names below
//! `/proc/self/fd`.
//!
//! The user may name one on the command line (`--status-fd 3`, `--log-file /dev/fd/4`). So they are noted at
//! the start, before anything is opened, and closed once everything that was named has been opened again.
//!
//! What is passed is an object that the user gave on purpose, open as it is. The supervisor must be able to
//! carry out and judge what can be done with it, like with what the guest has opened itself: a kind that it
//! does not know, or that leads to processes outside, is not passed.
//!
//! A standard stream that is closed is closed for the guest as well. Here a file without content stands in
//! for it, so that no file of rxbox's ever gets its number.

use crate::host::spawn::{aside, place};
use crate::host::start;
use crate::state::fd::{File, Kind};
use crate::state::mounts::UNREACHABLE;
use crate::state::names::name_of;
use nix::errno::Errno;
use nix::sys::stat::fstat;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use rxbox_policy::Inheritance;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

/// The descriptors that this process was started with. Those from 3 on are closed when it is dropped.
#[derive(Debug, Default)]
pub struct Given {
    standard: [bool; 3],
    others: BTreeMap<RawFd, OwnedFd>,
    /// Those of them that are rxbox's own.
    kept: BTreeSet<RawFd>,
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
        Ok(Given { standard: closed.map(|closed| !closed), others, kept: BTreeSet::new() })
    }

    /// The one with this number, if it was open.
    pub fn get(&self, number: RawFd) -> Option<BorrowedFd<'_>> {
        let standard = || {
            let open = usize::try_from(number).ok().and_then(|n| self.standard.get(n));
            open.filter(|open| **open).and_then(|_| start::standard(number))
        };
        self.others.get(&number).map(AsFd::as_fd).or_else(standard)
    }

    /// Makes this one all three standard streams.
    ///
    /// # Errors
    /// As dup2(2).
    pub fn replace_standard(&mut self, by: BorrowedFd<'_>) -> Result<(), Errno> {
        self.standard = [true; 3];
        (0..=2).try_for_each(|number| place(by, number))
    }

    /// Keeps one from the guest: rxbox writes there itself.
    ///
    /// # Errors
    /// It is a standard stream, which is the guest's.
    pub fn keep_back(&mut self, number: RawFd) -> Result<(), PassError> {
        if (0..=2).contains(&number) {
            return Err(PassError { number, why: "it is the program's".to_owned() });
        }
        self.kept.insert(number);
        Ok(())
    }

    /// Those that the guest starts with, by number, and why others that the profile would pass are not.
    ///
    /// # Errors
    /// One that was named is not open, or cannot be passed.
    pub fn passed(&self, wanted: &Inheritance) -> Result<Passed, PassError> {
        let named = |n: RawFd| wanted.named.contains(&n);
        if let Some(number) = wanted.named.iter().find(|number| self.get(**number).is_none()) {
            return Err(PassError { number: *number, why: "it is not open".to_owned() });
        }
        if let Some(number) = wanted.named.iter().find(|number| self.kept.contains(*number)) {
            return Err(PassError { number: *number, why: "rxbox itself writes there".to_owned() });
        }
        let (mut passed, mut left) = (Vec::new(), Vec::new());
        let others =
            self.others.keys().copied().filter(|n| wanted.all && !self.kept.contains(n) || named(*n));
        for number in (0..=2).chain(others) {
            let Some(fd) = self.get(number) else { continue };
            match given(fd, number > 2) {
                Ok(file) => passed.push((number, file)),
                Err(why) if number <= 2 || named(number) => return Err(PassError { number, why }),
                Err(why) => left.push(PassError { number, why }),
            }
        }
        Ok((passed, left))
    }
}

/// The guest's first descriptors, by number, and why others that the profile would pass are not among them.
pub type Passed = (Vec<(RawFd, File)>, Vec<PassError>);

/// Why a descriptor is not passed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("descriptor {number} is not passed: {why}")]
pub struct PassError {
    number: RawFd,
    why: String,
}

/// Standard streams that somebody gives a process that is started later.
///
/// # Errors
/// One cannot be the guest's.
pub fn streams(given_to: &[OwnedFd]) -> Result<Vec<(RawFd, File)>, String> {
    let streams = given_to.iter().take(3).enumerate();
    streams.map(|(number, fd)| Ok((number as RawFd, given(fd.as_fd(), false)?))).collect()
}

/// A descriptor as an open file of the guest's. A standard stream is whatever the user has made it.
fn given(fd: BorrowedFd<'_>, judged: bool) -> Result<File, String> {
    let host = |e: Errno| e.desc().to_owned();
    let file = File::made(aside(fd, 3).map_err(host)?).map_err(host)?;
    if judged {
        refused(&file).map_err(host)?.map_or(Ok(()), |why| Err(why.to_owned()))?;
    }
    Ok(file)
}

/// Why an open file cannot be the guest's, if it cannot.
fn refused(file: &File) -> Result<Option<&'static str>, Errno> {
    match file.kind {
        Kind::Epoll => return Ok(Some("an epoll descriptor waits for what the guest does not have")),
        Kind::Signals | Kind::Other | Kind::View => return Ok(Some("the supervisor does not know its kind")),
        _ => {}
    }
    let directory = fstat(&file.host)?.st_mode & libc::S_IFMT == libc::S_IFDIR;
    Ok(if !directory {
        None
    } else if fstatfs(&file.host)?.filesystem_type() == PROC_SUPER_MAGIC {
        Some("of /proc the guest has its own")
    } else if name_of(file.host.as_fd()).is_ok_and(|name| name.starts_with(UNREACHABLE)) {
        Some("a directory that a private place covers")
    } else if name_of(file.host.as_fd()).is_err() {
        Some("a directory without a name, by which the policy could judge what is in it")
    } else {
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_streams_are_found_by_number_and_nothing_else_that_was_not_there() {
        let given = Given { standard: [true, false, true], others: BTreeMap::new(), kept: BTreeSet::new() };
        assert!(given.get(0).is_some() && given.get(1).is_none() && given.get(2).is_some());
        assert!(given.get(3).is_none() && given.get(-1).is_none());
        let (passed, left) = given.passed(&Inheritance::default()).unwrap();
        assert_eq!((passed.iter().map(|(n, _)| *n).collect::<Vec<_>>(), left.len()), (vec![0, 2], 0));
    }

    #[test]
    fn what_is_named_is_passed_or_said_and_what_is_not_known_is_left_out() {
        let pipe = nix::unistd::pipe().unwrap().0;
        let epoll = nix::sys::epoll::Epoll::new(nix::sys::epoll::EpollCreateFlags::empty()).unwrap();
        let proc = std::fs::File::open("/proc").unwrap();
        let others = BTreeMap::from([(5, pipe), (6, epoll.0), (7, proc.into())]);
        let mut given = Given { standard: [false; 3], others, kept: BTreeSet::new() };
        let named = |number| Inheritance { named: [number].into(), ..Inheritance::default() };
        let (passed, left) = given.passed(&Inheritance { all: true, ..Inheritance::default() }).unwrap();
        assert_eq!(passed.iter().map(|(n, f)| (*n, f.kind)).collect::<Vec<_>>(), [(5, Kind::Pipe)]);
        assert_eq!(left.iter().map(|left| left.number).collect::<Vec<_>>(), [6, 7]);
        assert_eq!(given.passed(&named(5)).unwrap().0.len(), 1);
        assert_eq!(given.passed(&Inheritance::default()).unwrap().0.len(), 0);
        for (number, why) in [(6, "epoll"), (7, "/proc"), (8, "not open")] {
            let error = given.passed(&named(number)).unwrap_err().to_string();
            assert!(error.starts_with(&format!("descriptor {number} is")) && error.contains(why), "{error}");
        }
        given.keep_back(5).unwrap();
        assert_eq!(given.passed(&Inheritance { all: true, ..Inheritance::default() }).unwrap().0.len(), 0);
        assert!(given.passed(&named(5)).is_err() && given.keep_back(2).is_err());
    }
}
