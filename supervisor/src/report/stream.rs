//! The way to the user: standard error or a log file, which the guest may have as well.
//!
//! A guest that shares the description of standard error can make it non-blocking, fill the pipe behind it,
//! or truncate the file. So the supervisor has a description of its own, which never blocks: what finds no
//! room at once is kept by whoever offered it, for the end. Then nobody writes but the supervisor, which
//! waits for room up to a deadline.
//!
//! A file is written to by the description that the guest shares: by one of its own the supervisor would
//! write where the guest writes next. Whatever the guest does to the offset, at the end lines go to the end
//! of the file, behind which whoever started rxbox goes on; and what was written is looked for once more,
//! since the guest could change it.

use super::journal;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

/// How long the end of a run waits, in all, for a reader that takes nothing.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How much of a file is looked through for what was written.
const SEARCHED: u64 = 64 << 20;

/// Where lines go.
#[derive(Debug)]
pub struct Stream {
    file: File,
    /// A socket has no name to be opened again by.
    socket: bool,
    /// It is journald's, which takes entries.
    journal: bool,
    /// The same file, to read, if it is one that keeps what is written.
    kept: Option<File>,
}

impl Stream {
    /// A stream to what `fd` leads to.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn of(fd: BorrowedFd<'_>) -> std::io::Result<Stream> {
        let file = File::from(fd.try_clone_to_owned()?);
        if file.metadata()?.is_file() {
            let kept = reopen(fd, OpenOptions::new().read(true)).ok();
            return Ok(Stream { file, socket: false, journal: false, kept });
        }
        if let Ok(file) = reopen(fd, OpenOptions::new().append(true)) {
            return Ok(Stream { file, socket: false, journal: false, kept: None });
        }
        // A socket, or what others may not open: the description is shared.
        let socket = nix::sys::socket::getsockname::<()>(file.as_raw_fd()) != Err(Errno::ENOTSOCK);
        Ok(Stream { file, socket, journal: false, kept: None })
    }

    /// A stream of records to systemd's journal.
    ///
    /// # Errors
    /// journald does not run.
    pub fn to_journal() -> Result<Stream, Errno> {
        Ok(Stream { file: journal::connected()?.into(), socket: true, journal: true, kept: None })
    }

    /// A line as it is written.
    fn encoded(&self, line: &str) -> Vec<u8> {
        if self.journal { journal::entry(line) } else { [line.as_bytes(), b"\n"].concat() }
    }

    /// Writes a line if that needs no waiting; whether it is written.
    pub fn offer(&self, line: &str) -> bool {
        let bytes = self.encoded(line);
        self.has_room(Duration::ZERO) && self.write(&bytes) == Ok(bytes.len())
    }

    /// Writes a line, to the end of a file, waiting for room until the deadline; whether it is written.
    pub fn deliver(&self, line: &str, deadline: Instant) -> bool {
        // Only files have an offset.
        let _ = (&self.file).seek(SeekFrom::End(0));
        let bytes = self.encoded(line);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if !self.has_room(left) {
                return false;
            }
            match self.write(rest) {
                Ok(n) => rest = &rest[n.min(rest.len())..],
                Err(Errno::EAGAIN | Errno::EINTR) if !left.is_zero() => {}
                Err(_) => return false,
            }
        }
        true
    }

    fn has_room(&self, wait: Duration) -> bool {
        let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        let mut ready = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
        loop {
            match poll(&mut ready, wait) {
                Err(Errno::EINTR) => {}
                found => return found.is_ok_and(|n| n > 0),
            }
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        if self.socket {
            send(self.file.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL)
        } else {
            nix::unistd::write(&self.file, bytes)
        }
    }

    /// Which of these lines, all of which were written, are not there any more, by their place; none where
    /// nothing that was written can be taken back.
    pub fn missing<'a>(&self, lines: impl Iterator<Item = &'a str>) -> Vec<usize> {
        let Ok(metadata) = self.file.metadata() else { return Vec::new() };
        if !metadata.is_file() {
            return Vec::new();
        }
        let mut text = Vec::new();
        let read = self.kept.as_ref().map(|kept| kept.take(SEARCHED).read_to_end(&mut text));
        if !matches!(read, Some(Ok(_))) {
            text.clear();
        }
        let there: std::collections::HashSet<&[u8]> = text.split(|&b| b == b'\n').collect();
        lines.enumerate().filter(|(_, line)| !there.contains(line.as_bytes())).map(|(n, _)| n).collect()
    }
}

/// Another description of what `fd` leads to, which never blocks.
fn reopen(fd: BorrowedFd<'_>, options: &mut OpenOptions) -> std::io::Result<File> {
    let name = format!("/proc/self/fd/{}", fd.as_raw_fd());
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use std::os::fd::OwnedFd;

    fn past() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_pipe_that_is_full_takes_nothing_and_what_is_offered_is_whole_or_not_there() {
        let (read, write) = nix::unistd::pipe().unwrap();
        let stream = Stream::of(write.as_fd()).unwrap();
        let line = "x".repeat(100);
        let taken = (0..100_000).take_while(|_| stream.offer(&line)).count();
        assert!(taken > 0 && !stream.deliver(&line, past()));
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            File::from(read).read_to_string(&mut text).unwrap();
            text
        });
        assert!(stream.deliver("last", Instant::now() + Duration::from_secs(60)));
        drop((stream, write));
        let text = reader.join().unwrap();
        assert_eq!((text.lines().count(), text.lines().last()), (taken + 1, Some("last")));
    }

    #[test]
    fn the_description_is_the_streams_own() {
        let (_read, write) = nix::unistd::pipe().unwrap();
        let stream = Stream::of(write.as_fd()).unwrap();
        fcntl(&write, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        fcntl(&write, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        let flags = OFlag::from_bits_truncate(fcntl(&stream.file, FcntlArg::F_GETFL).unwrap());
        assert!(flags.contains(OFlag::O_NONBLOCK | OFlag::O_APPEND));
    }

    #[test]
    fn a_socket_is_written_to_without_waiting() {
        let (ours, theirs): (OwnedFd, OwnedFd) = {
            let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
            (a.into(), b.into())
        };
        let stream = Stream::of(theirs.as_fd()).unwrap();
        assert!(stream.offer("line"));
        let mut got = [0; 5];
        File::from(ours).read_exact(&mut got).unwrap();
        assert_eq!(&got, b"line\n");
        assert!(!stream.offer("nobody reads"));
    }

    #[test]
    fn what_was_taken_out_of_a_file_is_missing() {
        let path = std::env::temp_dir().join(format!("rxbox-stream-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        let stream = Stream::of(file.as_fd()).unwrap();
        for line in ["one", "two"] {
            assert!(stream.offer(line));
        }
        let missing = || stream.missing(["one", "two"].into_iter());
        assert_eq!(missing(), [0; 0]);
        // It reads from the start each time it is asked.
        std::fs::write(&path, "two\n").unwrap();
        let stream = Stream::of(file.as_fd()).unwrap();
        assert_eq!(stream.missing(["one", "two"].into_iter()), [0]);
        std::fs::remove_file(&path).unwrap();
    }
}
