//! Starting a keeper, which translates what a run suggests to keep, when the run is over.
//!
//! Whoever waits for rxbox does not wait for it: it is in a session of its own, holds nothing that it was
//! given, and gives way to others.

use crate::host::schedule::give_way;
use crate::host::spawn;
use crate::host::start;
use crate::translations::folder::Folder;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::socket::{MsgFlags, recv};
use nix::sys::stat::Mode;
use nix::unistd::{chdir, execve, setsid};
use rxbox_wire::kept::{CACHE_FD, PARCEL_FD, ROLE};
use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Above the numbers at which a keeper finds its descriptors.
const ASIDE: i32 = 10;

/// Starts a keeper if something waits at this socket, and waits for its end if that is wanted. What goes
/// wrong is nobody's loss but time.
pub(super) fn start(suggestions: OwnedFd, wait: bool) {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    let told = recv(suggestions.as_raw_fd(), &mut [0], flags).is_ok_and(|n| n > 0);
    if let (true, Ok(folder)) = (told, Folder::open()) {
        let work = move || become_keeper(&suggestions, &folder).map_or_else(|_| 1, |never| match never {});
        if let (Ok(keeper), true) = (spawn::fork(work), wait) {
            let _ = spawn::wait_for(keeper);
        }
    }
}

fn become_keeper(suggestions: &OwnedFd, folder: &Folder) -> Result<Infallible, Errno> {
    setsid()?;
    chdir("/")?;
    let _ = give_way();
    let nothing = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    let [nothing, folder, suggestions] =
        [nothing.as_fd(), folder.as_fd(), suggestions.as_fd()].map(|fd| spawn::aside(fd, ASIDE));
    let (nothing, folder, suggestions) = (nothing?, folder?, suggestions?);
    for (fd, number) in
        [(&nothing, 0), (&nothing, 1), (&nothing, 2), (&folder, CACHE_FD), (&suggestions, PARCEL_FD)]
    {
        spawn::place(fd.as_fd(), number)?;
    }
    spawn::close_on_exec_from(PARCEL_FD.cast_unsigned() + 1)?;
    start::block_exactly(0);
    let role = CString::new(ROLE).unwrap_or_default();
    execve(c"/proc/self/exe", &[role], &[] as &[CString])
}
