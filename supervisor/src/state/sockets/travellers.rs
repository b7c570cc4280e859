//! Files that travel between guest processes in messages (SCM_RIGHTS).
//!
//! On its way only the kernel holds a file, and who receives it gets a new descriptor. What the supervisor
//! keeps of a socket is found again by the cookie that the kernel gives to each socket and never again to
//! another. What exists only in the supervisor's records, as a file of the guest's `/proc`, cannot be sent as
//! it is: a socket without a peer travels in its place, and is known again by its cookie. Whoever else
//! receives that can read and write nothing.

use crate::host::command::get_option;
use crate::host::net;
use crate::state::fd::{Extra, File, Kind, MadeUp};
use crate::state::ranks::Lock;
use crate::state::sockets::Local;
use nix::errno::Errno;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Files that are remembered, and the bytes of text that they keep, at most. Beyond, all are forgotten,
/// rather than that a guest fills the supervisor's memory; of a socket that is forgotten nothing has been
/// judged, a unix socket is from then on taken for one that the kernel may name, and what was made up arrives
/// as the socket in its place.
const MOST: usize = 1 << 14;
const MOST_BYTES: usize = 16 << 20;

type Cookie = [u8; 8];

#[derive(Debug)]
enum Kept {
    Socket(Arc<Lock<Extra>>),
    MadeUp(MadeUp),
}

#[derive(Debug, Default)]
struct Records {
    kept: HashMap<Cookie, Kept>,
    bytes: usize,
    /// Whether any were forgotten.
    forgotten: bool,
}

/// The records of files that have been sent.
#[derive(Debug, Default)]
pub struct Travellers(Mutex<Records>);

fn cookie(file: &File) -> Option<Cookie> {
    let mut cookie = [0; 8];
    let name = (libc::SOL_SOCKET as u32, libc::SO_COOKIE as u32);
    get_option(file.host.as_fd(), name.0, name.1, &mut cookie).ok().map(|_| cookie)
}

impl Travellers {
    fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, cookie: Cookie, kept: Kept) {
        let bytes = if let Kept::MadeUp(file) = &kept { file.bytes() } else { 0 };
        let mut records = self.records();
        if records.kept.len() >= MOST || records.bytes + bytes > MOST_BYTES {
            *records = Records { forgotten: true, ..Records::default() };
        }
        records.bytes += bytes;
        records.kept.insert(cookie, kept);
    }

    /// A file is sent: what is to be given to the kernel for it.
    ///
    /// # Errors
    /// As socketpair(2).
    pub fn leaves(&self, file: Arc<File>) -> Result<Arc<File>, Errno> {
        if let Some(made_up) = file.made_up()? {
            let [own, _] =
                net::socketpair(libc::AF_UNIX as u32, (libc::SOCK_STREAM | libc::SOCK_CLOEXEC) as u32, 0)?;
            let instead = File::new(own, Kind::Socket);
            self.keep(cookie(&instead).ok_or(Errno::EINVAL)?, Kept::MadeUp(made_up));
            return Ok(Arc::new(instead));
        }
        if matches!(&*file.extra(), Extra::Internet(_) | Extra::Local(Local { named: false, .. }))
            && let Some(cookie) = cookie(&file)
        {
            self.keep(cookie, Kept::Socket(file.record()));
        }
        Ok(file)
    }

    /// A file that was received, with what is kept of it; `stand_in` is what the supervisor holds for a view.
    ///
    /// # Errors
    /// As eventfd(2).
    pub fn arrives(
        &self,
        file: File,
        stand_in: impl FnOnce() -> Result<OwnedFd, Errno>,
    ) -> Result<File, Errno> {
        if file.kind != Kind::Socket {
            return Ok(file);
        }
        let Some(cookie) = cookie(&file) else { return Ok(file) };
        let records = self.records();
        let made_up = match records.kept.get(&cookie) {
            None => {
                if records.forgotten
                    && let Extra::Local(local) = &mut *file.extra()
                {
                    local.tell_senders();
                }
                return Ok(file);
            }
            Some(Kept::Socket(record)) => return Ok(file.with_record(record.clone())),
            Some(Kept::MadeUp(made_up)) => made_up.clone(),
        };
        drop(records);
        File::of_made_up(made_up, stand_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_up_is_known_again_and_never_too_much_of_it_is_kept() {
        let travellers = Travellers::default();
        let null = || std::fs::File::open("/dev/null").map(OwnedFd::from).map_err(|_| Errno::ENOENT);
        let view = |text: usize| {
            Arc::new(File::view(null().unwrap(), b"/proc/self/x".as_slice().into(), vec![b'x'; text]))
        };
        let sent = travellers.leaves(view(3)).unwrap();
        assert_eq!(sent.kind, Kind::Socket);
        // Twice: it can be received as often as it was sent.
        for left in [3, 0] {
            let arrived = travellers.arrives(sent.duplicate().unwrap(), null).unwrap();
            assert_eq!(
                (arrived.kind, arrived.path.as_deref()),
                (Kind::View, Some(b"/proc/self/x".as_slice()))
            );
            assert_eq!(arrived.read_view(&mut [0; 9], None), Ok(left), "the offset is the description's");
        }
        travellers.leaves(view(MOST_BYTES)).unwrap();
        assert_eq!(travellers.arrives(sent.duplicate().unwrap(), null).unwrap().kind, Kind::Socket);
        let set = Arc::new(std::sync::atomic::AtomicU64::new(5));
        let sent = travellers.leaves(Arc::new(File::signals(null().unwrap(), set))).unwrap();
        let arrived = travellers.arrives(sent.duplicate().unwrap(), || Err(Errno::EBADF)).unwrap();
        assert_eq!(arrived.signal_set().unwrap().load(std::sync::atomic::Ordering::Relaxed), 5);
    }
}
