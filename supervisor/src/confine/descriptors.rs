//! Descriptors that rxbox was started with: but for the standard streams, nothing of the run needs them, and
//! a handler that is fooled could be led to them by their names below `/proc/self/fd`.
//!
//! The user may name one on the command line (`--status-fd 3`, `--log-file /dev/fd/4`). So they are noted at
//! the start, before anything is opened, and closed once everything that was named has been opened again.

use std::os::fd::RawFd;

/// The descriptors from 3 on that this process was started with.
#[derive(Debug, Default)]
pub struct Foreign(Vec<RawFd>);

impl Foreign {
    /// Notes them. This process must not have opened anything yet that it keeps.
    pub fn note() -> Foreign {
        let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return Foreign::default() };
        let listed: Vec<RawFd> =
            entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        // The descriptor by which they were listed was among them and is closed now.
        Foreign(listed.into_iter().filter(|n| *n > 2 && is_open(*n)).collect())
    }

    /// Closes them.
    pub fn close(self) {
        for number in self.0 {
            // Somebody else's error, such as of a write that was put off, has nobody here to be told to.
            let _ = nix::unistd::close(number);
        }
    }
}

fn is_open(number: RawFd) -> bool {
    std::fs::symlink_metadata(format!("/proc/self/fd/{number}")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn what_is_open_is_noted_and_the_listing_itself_is_not() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let Foreign(noted) = Foreign::note();
        assert!(noted.contains(&file.as_raw_fd()) && noted.iter().all(|n| *n > 2));
    }
}
