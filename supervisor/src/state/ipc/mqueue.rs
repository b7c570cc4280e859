//! POSIX message queues (mq_overview(7)).
//!
//! A queue is one of the host's, whose name there is taken away as soon as it is made, so that descriptors,
//! priorities, limits and waiting are the kernel's own; the names that guests use are kept here. What the
//! kernel cannot do for a guest is to notify it, since all guests are one process to it: a registration is
//! kept here too, and looked at after each message that was sent to an empty queue.

use super::perm::{Perm, Right};
use crate::host::credentials::Credentials;
use crate::host::maker::Maker;
use crate::host::mqueue::{self, Attributes};
use crate::host::name::reopen;
use crate::state::budget::Budget;
use crate::state::ranks::{Lock, Rank};
use nix::errno::Errno;
use nix::sys::stat::{Mode, fchmod, fstat};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Whom a registration tells, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The process.
    pub pid: i32,
    /// The signal, or none for a registration that only keeps others away (SIGEV_NONE).
    pub signal: Option<i32>,
    /// `sigev_value`.
    pub value: u64,
}

/// A queue.
#[derive(Debug)]
struct Queue {
    /// Keeps it alive while it has a name.
    host: OwnedFd,
    /// Who may open it. To the kernel it belongs to whoever makes it for all guests.
    perm: Perm,
    budget: Arc<Budget>,
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.budget.give(1);
    }
}

/// What guests know of a queue that has lost its name, too.
#[derive(Debug)]
struct Registration {
    event: Lock<Option<Event>>,
    /// Callers that wait for a message: they get it, and nobody is notified.
    receivers: AtomicUsize,
}

impl Default for Registration {
    fn default() -> Self {
        Registration { event: Lock::new(Rank::IpcObject, None), receivers: AtomicUsize::new(0) }
    }
}

impl Registration {
    /// Whether it says nothing and nobody uses it but the table.
    fn is_idle(self: &Arc<Self>) -> bool {
        self.event.lock().is_none() && Arc::strong_count(self) == 1
    }
}

/// The queues of a sandbox.
#[derive(Debug)]
pub struct Queues {
    names: Lock<BTreeMap<Vec<u8>, Queue>>,
    /// By inode number of the host's queue.
    registrations: Lock<BTreeMap<u64, Arc<Registration>>>,
}

/// Longest name (mq_overview(7)).
const NAME_MAX: usize = 255;

fn checked(name: &[u8]) -> Result<&[u8], Errno> {
    match name {
        [] => Err(Errno::ENOENT),
        _ if name.len() > NAME_MAX => Err(Errno::ENAMETOOLONG),
        b"." | b".." => Err(Errno::EACCES),
        _ if name.contains(&b'/') => Err(Errno::EACCES),
        _ => Ok(name),
    }
}

/// How a queue is made if there is none of the name.
#[derive(Clone, Copy, Debug)]
pub struct NewQueue<'a> {
    /// Its permission bits.
    pub mode: u32,
    /// How many messages it holds, of which size.
    pub attributes: Option<&'a Attributes>,
}

/// What opening with these flags asks for.
fn right_of(flags: i32) -> Right {
    match flags & libc::O_ACCMODE {
        libc::O_RDONLY => Right::READ,
        libc::O_WRONLY => Right::WRITE,
        _ => Right::READ.and(Right::WRITE),
    }
}

impl Default for Queues {
    fn default() -> Self {
        Queues {
            names: Lock::new(Rank::IpcTable, BTreeMap::new()),
            registrations: Lock::new(Rank::IpcTable, BTreeMap::new()),
        }
    }
}

impl Queues {
    /// mq_open(2). A new queue counts as one descriptor of the `budget`. Without a maker it is made in the
    /// supervisor's own IPC namespace.
    pub fn open(
        &self,
        name: &[u8],
        flags: i32,
        new: NewQueue<'_>,
        budget: &Arc<Budget>,
        maker: Option<&Maker>,
        by: &Credentials,
    ) -> Result<OwnedFd, Errno> {
        let opened =
            |queue, flags| maker.map_or_else(|| reopen(queue, flags), |maker| maker.open_queue(queue, flags));
        let name = checked(name)?;
        let access = flags & (libc::O_ACCMODE | libc::O_NONBLOCK);
        if access & libc::O_ACCMODE == libc::O_ACCMODE {
            return Err(Errno::EINVAL);
        }
        let mut names = self.names.lock();
        match names.get(name) {
            Some(_) if flags & (libc::O_CREAT | libc::O_EXCL) == libc::O_CREAT | libc::O_EXCL => {
                Err(Errno::EEXIST)
            }
            Some(queue) => {
                queue.perm.check(by, right_of(access))?;
                opened(queue.host.as_fd(), access)
            }
            None if flags & libc::O_CREAT == 0 => Err(Errno::ENOENT),
            None => {
                budget.take(1).map_err(|_| Errno::ENOSPC)?;
                let made = maker
                    .map_or_else(|| mqueue::nameless(new.attributes), |maker| maker.queue(new.attributes));
                let host = made.inspect_err(|_| budget.give(1))?;
                let perm = Perm::new(0, new.mode as i32, by);
                let queue = Queue { host, perm, budget: budget.clone() };
                // The process that makes a queue may use it as it likes, whatever the mode says to those who
                // come later.
                let opened = opened(queue.host.as_fd(), access)?;
                fchmod(&queue.host, Mode::from_bits_truncate(new.mode))?;
                names.insert(name.to_vec(), queue);
                Ok(opened)
            }
        }
    }

    /// mq_unlink(2): EACCES for what belongs to another user.
    pub fn unlink(&self, name: &[u8], by: &Credentials) -> Result<(), Errno> {
        let (name, mut names) = (checked(name)?, self.names.lock());
        names.get(name).ok_or(Errno::ENOENT)?.perm.check_owner(by).map_err(|_| Errno::EACCES)?;
        names.remove(name);
        Ok(())
    }

    fn registration(&self, queue: BorrowedFd<'_>) -> Result<Arc<Registration>, Errno> {
        let inode = fstat(queue)?.st_ino;
        Ok(self.registrations.lock().entry(inode).or_default().clone())
    }

    /// mq_notify(2): EBUSY if another process, or the same, is registered.
    pub fn register(&self, queue: BorrowedFd<'_>, event: Event) -> Result<(), Errno> {
        let registration = self.registration(queue)?;
        let mut registered = registration.event.lock();
        if registered.is_some() {
            return Err(Errno::EBUSY);
        }
        *registered = Some(event);
        Ok(())
    }

    /// A process is not to be notified any more: it has said so, or closed a descriptor of the queue.
    pub fn forget(&self, queue: BorrowedFd<'_>, pid: i32) {
        self.tidy(queue, |event| event.pid == pid);
    }

    /// Takes the event of a queue away if it is `gone`, and its registration if nobody needs that any more:
    /// the queue may never be heard of again.
    fn tidy(&self, queue: BorrowedFd<'_>, gone: impl FnOnce(&mut Event) -> bool) {
        let Ok(inode) = fstat(queue).map(|s| s.st_ino) else { return };
        let mut registrations = self.registrations.lock();
        if let Some(registration) = registrations.get(&inode) {
            registration.event.lock().take_if(gone);
            if registration.is_idle() {
                registrations.remove(&inode);
            }
        }
    }

    /// A process ends: nothing notifies it any more. Registrations of nobody are dropped.
    pub(super) fn leave(&self, pid: i32) {
        self.registrations.lock().retain(|_, registration| {
            registration.event.lock().take_if(|event| event.pid == pid);
            !registration.is_idle()
        });
    }

    /// Makes an attempt to send without waiting, and gives the registration that it sets off.
    pub fn send(
        &self,
        queue: BorrowedFd<'_>,
        attempt: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<Option<Event>, Errno> {
        let registration = self.registration(queue)?;
        // Senders come one after the other, or two messages to an empty queue would each be the second.
        let mut event = registration.event.lock();
        attempt()?;
        let first = event.is_some()
            && registration.receivers.load(Ordering::Acquire) == 0
            && mqueue::waiting(queue)? == 1;
        Ok(if first { event.take() } else { None })
    }

    /// Receives with the caller counted as one that waits.
    pub fn receive<T>(
        &self,
        queue: BorrowedFd<'_>,
        receive: impl FnOnce() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let registration = self.registration(queue)?;
        registration.receivers.fetch_add(1, Ordering::AcqRel);
        let received = receive();
        registration.receivers.fetch_sub(1, Ordering::AcqRel);
        drop(registration);
        // Another thread may have closed the queue meanwhile.
        self.tidy(queue, |_| false);
        received
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::credentials::own;

    const NEW: NewQueue<'static> = NewQueue { mode: 0o600, attributes: None };

    fn queues() -> (Queues, OwnedFd) {
        let queues = Queues::default();
        let fd = queues
            .open(b"q", libc::O_RDWR | libc::O_CREAT, NEW, &Budget::new(9), None, own().unwrap())
            .unwrap();
        (queues, fd)
    }

    #[test]
    fn names_are_the_sandboxs_and_lead_to_one_queue() {
        let (queues, fd) = queues();
        let open = |name: &[u8], flags| queues.open(name, flags, NEW, &Budget::new(9), None, own().unwrap());
        let again = open(b"q", libc::O_RDONLY).unwrap();
        assert_eq!(fstat(&again).unwrap().st_ino, fstat(&fd).unwrap().st_ino);
        assert_eq!(open(b"q", libc::O_CREAT | libc::O_EXCL).map(drop), Err(Errno::EEXIST));
        assert_eq!(open(b"other", 0).map(drop), Err(Errno::ENOENT));
        assert_eq!(open(b"a/b", libc::O_CREAT).map(drop), Err(Errno::EACCES));
        assert_eq!(open(b"q", 3).map(drop), Err(Errno::EINVAL));
        queues.unlink(b"q", own().unwrap()).unwrap();
        assert_eq!(queues.unlink(b"q", own().unwrap()), Err(Errno::ENOENT));
        assert_ne!(fstat(open(b"q", libc::O_CREAT).unwrap()).unwrap().st_ino, fstat(&fd).unwrap().st_ino);
    }

    #[test]
    fn nothing_is_left_of_queues_that_are_gone() {
        let queues = Queues::default();
        for _ in 0..3 {
            let flags = libc::O_RDWR | libc::O_CREAT;
            let fd = queues.open(b"q", flags, NEW, &Budget::new(9), None, own().unwrap()).unwrap();
            queues.register(fd.as_fd(), Event { pid: 7, signal: None, value: 0 }).unwrap();
            queues.send(fd.as_fd(), || Ok(())).unwrap();
            queues.unlink(b"q", own().unwrap()).unwrap();
            queues.forget(fd.as_fd(), 7);
            queues.receive(fd.as_fd(), || Ok(())).unwrap();
        }
        assert!(queues.registrations.lock().is_empty() && queues.names.lock().is_empty());
    }

    #[test]
    fn only_the_first_message_of_an_empty_queue_that_nobody_waits_at_notifies_and_once() {
        let (queues, fd) = queues();
        let (fd, event) = (fd.as_fd(), Event { pid: 7, signal: Some(10), value: 5 });
        let send = || queues.send(fd, || mqueue::send(fd, b"x", 0, Some(&[0, 0])));
        queues.register(fd, event).unwrap();
        assert_eq!(queues.register(fd, event), Err(Errno::EBUSY));
        let got = queues.receive(fd, || {
            send().inspect(|sent| assert_eq!(*sent, None))?;
            mqueue::receive(fd, 8192, Some(&[0, 0]))
        });
        assert_eq!(got, Ok((b"x".to_vec(), 0)));
        assert_eq!(send(), Ok(Some(event)));
        queues.register(fd, event).unwrap();
        assert_eq!(send(), Ok(None));
        queues.forget(fd, 8);
        assert_eq!(queues.register(fd, event), Err(Errno::EBUSY));
        queues.leave(7);
        assert_eq!(queues.register(fd, event), Ok(()));
    }
}
