//! The calls that guests make, one event each ([`event`]): `--log syscall` and `rxbox trace` show them.
//!
//! There may be several readers, each with a [`Filter`]: a file or terminal of the user's, which gets all
//! that it wants (`print`), and those who follow a run by its name. Those are sent each event as a message
//! that finds room at once or is counted as lost, so that none who reads slowly holds the guest up, and no
//! guest that makes many calls fills anything but that reader's socket.
//!
//! Without readers a call costs one look at a flag.

pub mod event;
pub mod filter;
pub mod print;

pub use event::{Event, Judged, Told};
pub use filter::Filter;
pub use print::{Form, Printer};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, send};
use std::cell::RefCell;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Bytes of a buffer that a line needs at most; it shows fewer.
pub const SHOWN: usize = 256;
/// Decisions that are noted of one call, at most.
const DECISIONS: usize = 16;

thread_local! {
    /// The decisions about the call that this thread serves, if it is traced.
    static DECIDED: RefCell<Option<Vec<Judged>>> = const { RefCell::new(None) };
}

/// Takes note of a decision about the call that this thread serves, if that is traced.
pub fn note(judged: impl FnOnce() -> Judged) {
    DECIDED.with_borrow_mut(|decided| {
        if let Some(decided) = decided.as_mut().filter(|decided| decided.len() < DECISIONS) {
            decided.push(judged());
        }
    });
}

/// Who reads.
#[derive(Debug)]
struct Reader {
    filter: Filter,
    out: Out,
}

#[derive(Debug)]
enum Out {
    Printer(Printer),
    /// The connection of this number.
    Follower(i32, Follower),
}

#[derive(Debug)]
struct Follower {
    line: OwnedFd,
    lost: AtomicU64,
}

impl Follower {
    fn tell(&self, event: &Event) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        let sent = if lost > 0 { self.send(&Told::Lost { lost }) } else { true };
        if !sent {
            self.lost.fetch_add(lost + 1, Ordering::Relaxed);
        } else if !self.send(&Told::Event(event.clone())) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn send(&self, told: &Told) -> bool {
        let bytes = serde_json::to_vec(told).unwrap_or_default();
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        // Whoever has gone is taken out by the event loop.
        !matches!(
            send(self.line.as_raw_fd(), &bytes, flags),
            Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::EMSGSIZE)
        )
    }
}

/// The readers of a run's calls.
#[derive(Debug, Default)]
pub struct Trace {
    active: AtomicBool,
    readers: Mutex<Vec<Arc<Reader>>>,
}

/// A call that is traced, from when it was begun.
#[derive(Debug)]
pub struct Begun(Instant);

impl Trace {
    /// Adds a reader of the user's.
    pub fn print(&self, filter: Filter, printer: Printer) {
        self.add(Reader { filter, out: Out::Printer(printer) });
    }

    /// Adds somebody who follows the run over the connection of this number.
    pub fn follow(&self, number: i32, line: OwnedFd, filter: Filter) {
        let follower = Follower { line, lost: AtomicU64::new(0) };
        self.add(Reader { filter, out: Out::Follower(number, follower) });
    }

    fn add(&self, reader: Reader) {
        self.readers().push(Arc::new(reader));
        self.active.store(true, Ordering::Relaxed);
    }

    /// Removes who follows over this connection.
    pub fn leave(&self, number: i32) {
        let mut readers = self.readers();
        readers.retain(|reader| !matches!(reader.out, Out::Follower(n, _) if n == number));
        self.active.store(!readers.is_empty(), Ordering::Relaxed);
    }

    /// Begins a call; nothing if nobody wants to know of it.
    pub fn begin(&self, number: u32) -> Option<Begun> {
        if !self.active.load(Ordering::Relaxed) {
            return None;
        }
        let wanted = self.readers().iter().any(|reader| reader.filter.wants_call(number));
        wanted.then(|| {
            DECIDED.set(Some(Vec::new()));
            Begun(Instant::now())
        })
    }

    /// Ends it: tells the readers of the event that `of` makes of the time that it took, in microseconds, and
    /// of what was decided about it. `first` is whether the first process made it.
    pub fn end(&self, begun: &Begun, number: u32, first: bool, of: impl FnOnce(u64, Vec<Judged>) -> Event) {
        let took = u64::try_from(begun.0.elapsed().as_micros()).unwrap_or(u64::MAX);
        let event = of(took, DECIDED.take().unwrap_or_default());
        // The lock is not held while somebody is told, which may take as long as a terminal.
        let readers = self.readers().clone();
        for reader in readers.iter().filter(|reader| reader.filter.wants(number, first, &event)) {
            match &reader.out {
                Out::Printer(printer) => printer.print(&event),
                Out::Follower(_, follower) => follower.tell(&event),
            }
        }
    }

    /// The run is over: tells what is told at the end.
    pub fn finish(&self) {
        for reader in self.readers().iter() {
            if let Out::Printer(printer) = &reader.out {
                printer.finish();
            }
        }
    }

    fn readers(&self) -> MutexGuard<'_, Vec<Arc<Reader>>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, recv, socketpair};

    fn traced(trace: &Trace, number: u32, denied: bool) {
        let Some(begun) = trace.begin(number) else { return };
        if denied {
            note(event::tests::denial);
        }
        trace.end(&begun, number, true, |micros, decisions| Event {
            micros,
            decisions,
            ..event::tests::event()
        });
    }

    #[test]
    fn who_reads_slowly_loses_events_with_a_count_and_holds_nobody_up() {
        let trace = Trace::default();
        traced(&trace, 0, false);
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        trace.follow(7, theirs, Filter::everything());
        const CALLS: u64 = 20_000;
        (0..CALLS).for_each(|_| traced(&trace, 0, false));
        let (mut events, mut lost) = (0, 0);
        let mut take = || {
            let mut room = [0; 4096];
            let n = recv(ours.as_raw_fd(), &mut room, MsgFlags::MSG_DONTWAIT).unwrap_or(0);
            match serde_json::from_slice(&room[..n]) {
                Ok(Told::Event(_)) => events += 1,
                Ok(Told::Lost { lost: n }) => lost += n,
                Err(_) => return false,
            }
            true
        };
        while take() {}
        // The next one that finds room says how many did not.
        traced(&trace, 0, false);
        while take() {}
        assert!(events > 1 && lost > 0);
        assert_eq!(events + lost, CALLS + 1);
        trace.leave(7);
        assert!(trace.begin(0).is_none());
    }

    #[test]
    fn what_is_decided_belongs_to_the_call_that_is_traced() {
        note(event::tests::denial);
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let trace = Trace::default();
        trace.follow(1, theirs, Filter { denied: true, ..Filter::everything() });
        [false, true, false].into_iter().for_each(|denied| traced(&trace, 0, denied));
        let mut room = [0; 4096];
        let n = recv(ours.as_raw_fd(), &mut room, MsgFlags::MSG_DONTWAIT).unwrap();
        let Ok(Told::Event(event)) = serde_json::from_slice(&room[..n]) else { panic!() };
        assert_eq!(event.decisions, [event::tests::denial()]);
        assert_eq!(recv(ours.as_raw_fd(), &mut room, MsgFlags::MSG_DONTWAIT), Err(Errno::EAGAIN));
    }
}
