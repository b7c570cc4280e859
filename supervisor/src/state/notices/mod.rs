//! What guests tell the service manager (sd_notify(3)).
//!
//! systemd takes notices from the main process of a service, by the process id that the kernel attests, and
//! that is rxbox's job process. So guests have a socket of the run's own instead of systemd's, under an
//! abstract [`NAME`]. A thread of the supervisor's takes what arrives there ([`Notices::relay`]), keeps of it
//! what the profile lets through ([`message`]), and hands that to the job process, which sends it on.
//!
//! * No guest gets systemd's socket, nor its name.
//! * The socket lies in no directory and in no network: the file that it was bound to is removed at once, and
//!   the kernel is told the supervisor's descriptor of it. So it is the same from a network of the run's own,
//!   and nobody but this supervisor reaches it.
//! * Only whoever tells something waits for room, as it does with systemd. No event loop does: neither the
//!   supervisor's, which has nothing to do with it, nor the job process's, which takes one notice at a time
//!   and the next when that is sent.
//! * To the manager every process of the run is the main process: it cannot tell them apart.

pub mod message;

use crate::host::net::{Received, receive};
use crate::host::number::Wait;
use crate::host::transfer::Buffer;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, bind, sendmsg, socket,
};
use nix::sys::stat::Mode;
use rxbox_policy::Notice;
use std::collections::HashSet;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// The name of the guests' socket, an abstract one: `NOTIFY_SOCKET` is this behind an `@`.
pub const NAME: &str = "rxbox/notify";
/// Descriptors in one notice; one with more is not passed on.
pub const DESCRIPTORS: usize = 64;
/// Room for the control data of so many.
const CONTROL: usize = 16 + 4 * DESCRIPTORS;
/// Different things that are said of what is not passed on: a guest can make up any number.
const NOTES: usize = 32;
/// How long a notice waits for room once the run is over.
const LAST: u16 = 1000;

/// A notice with the descriptors that go along.
pub type Told = (Vec<u8>, Vec<OwnedFd>);

/// The notices of a run.
#[derive(Debug)]
pub struct Notices {
    /// Where guests tell them, if they may tell any.
    inbox: Option<Inbox>,
    /// To the job process.
    outbox: OwnedFd,
    allowed: Vec<Notice>,
    /// Whether rxbox itself says that the program runs, and has not yet.
    announces: AtomicBool,
    over: EventFd,
}

#[derive(Debug)]
struct Inbox {
    socket: OwnedFd,
    /// Its file, which has no name any more.
    file: OwnedFd,
}

impl Inbox {
    /// One below the first of these directories where that is possible.
    fn new() -> Result<Inbox, Errno> {
        let places = [std::env::temp_dir(), "/dev/shm".into()];
        let made = places.iter().map(|place| Inbox::below(place));
        made.reduce(Result::or).unwrap_or(Err(Errno::ENOENT))
    }

    fn below(place: &Path) -> Result<Inbox, Errno> {
        let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        let directory = nix::unistd::mkdtemp(&place.join("rxbox-notify-XXXXXX"))?;
        let name = directory.join("socket");
        let file = UnixAddr::new(&name).and_then(|address| {
            bind(socket.as_raw_fd(), &address)?;
            // Whatever a guest process has become, it may tell something.
            let _ = std::fs::set_permissions(&name, PermissionsExt::from_mode(0o666));
            open(&name, OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW, Mode::empty())
        });
        let _ = std::fs::remove_file(&name);
        let _ = std::fs::remove_dir(&directory);
        Ok(Inbox { socket, file: file? })
    }
}

impl Notices {
    /// Those that the profile lets through, on their way to the job process at the end of `outbox`. With
    /// `announces` rxbox itself says that the program runs, if that may not.
    ///
    /// # Errors
    /// There is no place for a socket.
    pub fn new(allowed: &[Notice], outbox: OwnedFd, announces: bool) -> Result<Notices, Errno> {
        let inbox = if allowed.is_empty() { None } else { Some(Inbox::new()?) };
        let announces = AtomicBool::new(announces && !allowed.contains(&Notice::Ready));
        let over = EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?;
        Ok(Notices { inbox, outbox, allowed: allowed.to_vec(), announces, over })
    }

    /// The file of the socket that has this abstract name, if it is the one for notices.
    pub fn file(&self, name: &[u8]) -> Option<BorrowedFd<'_>> {
        self.inbox.as_ref().filter(|_| name == NAME.as_bytes()).map(|inbox| inbox.file.as_fd())
    }

    /// Whether guests can tell something.
    pub fn are_heard(&self) -> bool {
        self.inbox.is_some()
    }

    /// The program runs: says so if the program itself is not to. What cannot be sent now never can.
    pub fn program_runs(&self) {
        if self.announces.swap(false, Ordering::Relaxed) {
            let _ = send(self.outbox.as_fd(), b"READY=1\n", &[]);
        }
    }

    /// Passes notices on until the run is over, and then what is left; `note` is given what is not passed on.
    pub fn relay(&self, note: impl Fn(&str)) {
        let Some(inbox) = &self.inbox else { return };
        let mut noted = HashSet::new();
        loop {
            match ready([(inbox.socket.as_fd(), PollFlags::POLLIN), (self.over.as_fd(), PollFlags::POLLIN)]) {
                Ok([true, _]) => {}
                Ok([false, false]) => continue,
                Ok([false, true]) | Err(_) => return,
            }
            let Ok(Some((notice, descriptors))) = received(inbox.socket.as_fd()) else { continue };
            let passed = message::judged(&notice, descriptors.len(), &self.allowed);
            for why in passed.refused {
                if noted.len() < NOTES && noted.insert(why.clone()) {
                    note(&why);
                }
            }
            let descriptors = if passed.descriptors { descriptors } else { Vec::new() };
            if !passed.text.is_empty() && !self.hand_over(passed.text.as_bytes(), &descriptors) {
                return;
            }
        }
    }

    /// Waits for room on the way to the job process; whether there was any, before the run was over. What
    /// cannot be sent, such as too many descriptors, is dropped.
    fn hand_over(&self, text: &[u8], descriptors: &[OwnedFd]) -> bool {
        loop {
            match send(self.outbox.as_fd(), text, descriptors) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                done => return !matches!(done, Err(Errno::EPIPE | Errno::ECONNRESET)),
            }
            let room = (self.outbox.as_fd(), PollFlags::POLLOUT);
            match ready([room, (self.over.as_fd(), PollFlags::POLLIN)]) {
                Ok([false, true]) => {
                    let mut last = [PollFd::new(self.outbox.as_fd(), PollFlags::POLLOUT)];
                    if !poll(&mut last, PollTimeout::from(LAST)).is_ok_and(|n| n > 0) {
                        return false;
                    }
                }
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    /// The run is over: [`Notices::relay`] comes to its end.
    pub fn end(&self) {
        let _ = self.over.write(1);
    }
}

/// Waits until one of the two is ready; which are.
fn ready(of: [(BorrowedFd<'_>, PollFlags); 2]) -> Result<[bool; 2], Errno> {
    let mut events = of.map(|(fd, event)| PollFd::new(fd, event));
    match poll(&mut events, PollTimeout::NONE) {
        Err(Errno::EINTR) => Ok([false; 2]),
        done => done.map(|_| events.map(|event| event.any().unwrap_or(true))),
    }
}

/// Sends a notice if there is room.
///
/// # Errors
/// As sendmsg(2); EAGAIN if there is no room.
pub fn send(to: BorrowedFd<'_>, text: &[u8], descriptors: &[OwnedFd]) -> Result<(), Errno> {
    let numbers: Vec<i32> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let rights = if numbers.is_empty() { &rights[..0] } else { &rights[..] };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(text)], rights, flags, None).map(drop)
}

/// The next notice; nothing for one that is too long, has too many descriptors, or is empty.
///
/// # Errors
/// As recvmsg(2); EAGAIN if there is none.
pub fn received(from: BorrowedFd<'_>) -> Result<Option<Told>, Errno> {
    let (mut text, mut control) = (vec![0; message::MOST], [0; CONTROL]);
    let flags = (MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC).bits() as u32;
    let buffer = Buffer::from_slice(&mut text);
    let Received { count, flags, rights, .. } =
        receive(Wait::Short, from, &mut [], &mut control, buffer, flags)?;
    let cut = flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) as u32 != 0;
    text.truncate(usize::try_from(count).unwrap_or(0));
    Ok((!cut && !text.is_empty()).then_some((text, rights)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{sendto, socketpair};
    use std::sync::Mutex;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap()
    }

    #[test]
    fn what_is_told_arrives_in_order_before_the_end_and_the_rest_is_noted() {
        let (ours, theirs) = pair();
        let notices = Notices::new(&[Notice::Status, Notice::Fdstore], theirs, true).unwrap();
        assert!(notices.file(b"other").is_none());
        let file = notices.file(NAME.as_bytes()).unwrap();
        let address = UnixAddr::new(&*format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap();
        let guest = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).unwrap();
        let tell = |text: &[u8]| {
            sendto(guest.as_raw_fd(), text, &address, MsgFlags::MSG_DONTWAIT).map(drop).unwrap()
        };
        [&b"STATUS=one"[..], b"MAINPID=1", &[b'x'; 5000], b"STATUS=two"].into_iter().for_each(tell);
        nix::sys::socket::connect(guest.as_raw_fd(), &address).unwrap();
        send(guest.as_fd(), b"FDSTORE=1", &[pair().0]).unwrap();
        send(guest.as_fd(), b"STATUS=three", &[pair().0]).unwrap();
        notices.program_runs();
        notices.program_runs();
        notices.end();
        let noted = Mutex::new(Vec::new());
        notices.relay(|note| noted.lock().unwrap().push(note.to_owned()));
        drop(notices);
        let told: Vec<(String, usize)> = std::iter::from_fn(|| {
            let (text, rights) = received(ours.as_fd()).unwrap()?;
            Some((String::from_utf8(text).unwrap(), rights.len()))
        })
        .collect();
        let wanted = [("READY=1\n", 0), ("STATUS=one\n", 0), ("STATUS=two\n", 0), ("FDSTORE=1\n", 1)];
        let wanted = wanted.into_iter().chain([("STATUS=three\n", 0)]);
        assert_eq!(told, wanted.map(|(text, n)| (text.to_owned(), n)).collect::<Vec<_>>());
        assert_eq!(
            noted.into_inner().unwrap(),
            ["the service manager is not told MAINPID, which rxbox does not pass on"]
        );
    }

    #[test]
    fn a_manager_that_takes_nothing_does_not_hold_up_the_end() {
        let (_ours, theirs) = pair();
        let notices = Notices::new(&[Notice::Status], theirs, false).unwrap();
        while send(notices.outbox.as_fd(), b"full", &[]).is_ok() {}
        let socket = notices.inbox.as_ref().unwrap().file.as_raw_fd();
        let address = UnixAddr::new(&*format!("/proc/self/fd/{socket}")).unwrap();
        let guest =
            nix::sys::socket::socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None);
        sendto(guest.unwrap().as_raw_fd(), b"STATUS=x", &address, MsgFlags::MSG_DONTWAIT).unwrap();
        notices.end();
        notices.relay(|_| ());
    }
}
