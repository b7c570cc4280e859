//! System V message queues (msgget(2), msgop(2), msgctl(2)).

use super::changes::{Changes, now};
use super::perm::{Perm, Right};
use super::table::{Get, Owned, Table};
use crate::host::credentials::Credentials;
use crate::state::ranks::{Lock, Rank};
use nix::errno::Errno;
use rxbox_wire::sizes::MESSAGE_MAX;
use std::collections::VecDeque;
use std::sync::Arc;

/// Limits: the longest queue by default and at most (kernel.msgmnb), and how many queues. The kernel allows
/// 32000 of them; here they take up the supervisor's memory.
const BYTES: u64 = 16384;
const QUEUES: usize = 1024;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Positive.
    pub kind: i64,
    /// At most [`MESSAGE_MAX`] bytes.
    pub text: Vec<u8>,
}

/// What a receiver wants (msgrcv(2)).
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// `msgtyp`.
    pub kind: i64,
    /// Room for the text.
    pub room: u64,
    /// `msgflg`.
    pub flags: i32,
}

/// `MSG_EXCEPT`: any other type.
const EXCEPT: i32 = 0o20000;
/// `MSG_COPY`: the message in a place, which stays there.
const COPY: i32 = 0o40000;

impl Wanted {
    fn has(&self, flag: i32) -> bool {
        self.flags & flag != 0
    }

    /// Where in the queue the message is.
    fn find(&self, queue: &VecDeque<Message>) -> Option<usize> {
        let mut all = queue.iter().enumerate();
        match self.kind {
            place if self.has(COPY) => usize::try_from(place).ok().filter(|n| *n < queue.len()),
            0 => all.next().map(|(at, _)| at),
            kind @ 1.. => all.find(|(_, m)| (m.kind == kind) != self.has(EXCEPT)).map(|(at, _)| at),
            // The lowest type up to this one, and of these the oldest.
            kind => all
                .filter(|(_, m)| m.kind.unsigned_abs() <= kind.unsigned_abs())
                .min_by_key(|(_, m)| m.kind)
                .map(|(at, _)| at),
        }
    }
}

#[derive(Debug)]
struct State {
    perm: Perm,
    messages: VecDeque<Message>,
    most: u64,
    sent: i64,
    received: i64,
    changed: i64,
    last_sender: i32,
    last_receiver: i32,
    removed: bool,
}

impl State {
    fn bytes(&self) -> u64 {
        self.messages.iter().map(|m| m.text.len() as u64).sum()
    }

    fn has_room(&self, message: &Message) -> bool {
        self.bytes() + message.text.len() as u64 <= self.most && (self.messages.len() as u64) < self.most
    }

    /// `struct msqid_ds`.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.perm.encode(0).to_vec();
        for time in [self.sent, self.received, self.changed] {
            bytes.extend(time.to_le_bytes());
        }
        for number in [self.bytes(), self.messages.len() as u64, self.most] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.last_sender.to_le_bytes());
        bytes.extend(self.last_receiver.to_le_bytes());
        bytes.extend([0; 16]);
        bytes
    }
}

#[derive(Debug)]
struct Queue {
    state: Lock<State>,
    changes: Changes,
}

impl Owned for Arc<Queue> {
    fn perm(&self) -> (Perm, bool) {
        (self.state.lock().perm, true)
    }
}

/// The queues of a sandbox.
#[derive(Debug)]
pub struct Messages(Lock<Table<Arc<Queue>>>);

impl Default for Messages {
    fn default() -> Messages {
        Messages(Lock::new(Rank::IpcTable, Table::new(QUEUES)))
    }
}

impl Messages {
    /// msgget(2).
    pub fn open(&self, get: Get<'_>) -> Result<i32, Errno> {
        let make = |perm| {
            let state = State {
                perm,
                messages: VecDeque::new(),
                most: BYTES,
                sent: 0,
                received: 0,
                changed: now(),
                last_sender: 0,
                last_receiver: 0,
                removed: false,
            };
            Ok(Arc::new(Queue { state: Lock::new(Rank::IpcObject, state), changes: Changes::default() }))
        };
        self.0.lock().open(get, |_| Ok(()), make)
    }

    /// Tries until it is no EAGAIN, waiting for changes in between unless the flags forbid it: then the
    /// answer is `empty`.
    fn wait<T>(
        &self,
        id: i32,
        by: &Credentials,
        right: Right,
        no: Option<Errno>,
        mut attempt: impl FnMut(&mut State) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let queue = self.0.lock().get(id)?;
        loop {
            let seen = {
                let mut state = queue.state.lock();
                if state.removed {
                    return Err(Errno::EIDRM);
                }
                state.perm.check(by, right)?;
                match (attempt(&mut state), no) {
                    (Err(Errno::EAGAIN), None) => queue.changes.seen(),
                    (Err(Errno::EAGAIN), Some(no)) => return Err(no),
                    (done, _) => {
                        if done.is_ok() {
                            queue.changes.announce();
                        }
                        return done;
                    }
                }
            };
            let waited = queue.changes.wait(seen, None);
            if !queue.state.lock().removed {
                waited?;
            }
        }
    }

    /// msgsnd(2).
    pub fn send(
        &self,
        id: i32,
        message: Message,
        flags: i32,
        pid: i32,
        by: &Credentials,
    ) -> Result<(), Errno> {
        if message.kind < 1 || message.text.len() as u64 > MESSAGE_MAX {
            return Err(Errno::EINVAL);
        }
        let no = (flags & libc::IPC_NOWAIT != 0).then_some(Errno::EAGAIN);
        let mut message = Some(message);
        self.wait(id, by, Right::WRITE, no, |state| {
            let Some(sent) = message.take_if(|m| state.has_room(m)) else { return Err(Errno::EAGAIN) };
            state.messages.push_back(sent);
            (state.sent, state.last_sender) = (now(), pid);
            Ok(())
        })
    }

    /// msgrcv(2): the message, its text cut to the room.
    pub fn receive(&self, id: i32, wanted: Wanted, pid: i32, by: &Credentials) -> Result<Message, Errno> {
        if wanted.has(COPY) && (wanted.has(EXCEPT) || !wanted.has(libc::IPC_NOWAIT)) {
            return Err(Errno::EINVAL);
        }
        let no = wanted.has(libc::IPC_NOWAIT).then_some(Errno::ENOMSG);
        self.wait(id, by, Right::READ, no, |state| {
            let at = wanted.find(&state.messages).ok_or(Errno::EAGAIN)?;
            let found = &state.messages[at];
            if found.text.len() as u64 > wanted.room && !wanted.has(libc::MSG_NOERROR) {
                return Err(Errno::E2BIG);
            }
            let mut message = found.clone();
            message.text.truncate(wanted.room.min(MESSAGE_MAX) as usize);
            if !wanted.has(COPY) {
                state.messages.remove(at);
                (state.received, state.last_receiver) = (now(), pid);
            }
            Ok(message)
        })
    }

    /// IPC_STAT.
    pub fn status(&self, id: i32, by: &Credentials) -> Result<Vec<u8>, Errno> {
        let queue = self.0.lock().get(id)?;
        let state = queue.state.lock();
        state.perm.check(by, Right::READ)?;
        Ok(state.encode())
    }

    /// MSG_STAT and, if `by` is nobody, MSG_STAT_ANY: of the queue in a place, with its identifier.
    pub fn status_at(&self, place: i32, by: Option<&Credentials>) -> Result<(i32, Vec<u8>), Errno> {
        let (id, queue) = self.0.lock().at(place)?;
        let state = queue.state.lock();
        by.map_or(Ok(()), |by| state.perm.check(by, Right::READ))?;
        Ok((id, state.encode()))
    }

    /// IPC_SET: owner, mode, and how long the queue may become, which nobody raises beyond the default.
    pub fn set_owner(&self, id: i32, by: &Credentials, bytes: &[u8]) -> Result<(), Errno> {
        let queue = self.0.lock().get(id)?;
        let mut state = queue.state.lock();
        state.perm.check_owner(by)?;
        match u64::from_le_bytes(std::array::from_fn(|i| bytes[88 + i])) {
            0 => return Err(Errno::EINVAL),
            most @ 1..=BYTES => state.most = most,
            _ => return Err(Errno::EPERM),
        }
        state.perm.set(bytes);
        state.changed = now();
        queue.changes.announce();
        Ok(())
    }

    /// IPC_RMID: whoever waits is told (EIDRM).
    pub fn remove(&self, id: i32, by: &Credentials) -> Result<(), Errno> {
        let mut table = self.0.lock();
        table.get(id)?.state.lock().perm.check_owner(by)?;
        let queue = table.remove(id)?;
        queue.state.lock().removed = true;
        queue.changes.announce();
        Ok(())
    }

    /// IPC_INFO, and with `used` MSG_INFO: `struct msginfo`, and the highest place in use.
    pub fn info(&self, used: bool) -> (i64, Vec<u8>) {
        let table = self.0.lock();
        let count = |of: fn(&State) -> u64| -> i32 {
            table.all().map(|(_, queue)| of(&queue.state.lock())).sum::<u64>() as i32
        };
        let (most, longest, queues) = (BYTES as i32, MESSAGE_MAX as i32, QUEUES as i32);
        let [pool, map, headers] = if used {
            [table.count() as i32, count(|state| state.messages.len() as u64), count(State::bytes)]
        } else {
            [queues * most / 1024, most, most]
        };
        // The order of the members: pool, map, max, mnb, mni, ssz, tql, seg.
        let words = [pool, map, longest, most, queues, 16, headers, 0xffff];
        (table.highest(), words.iter().flat_map(|w| w.to_le_bytes()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::credentials::own;

    fn queue() -> (Messages, i32, Credentials) {
        let (queues, me) = (Messages::default(), own().unwrap().clone());
        let id = queues.open(Get { key: libc::IPC_PRIVATE, flags: 0o600, by: &me }).unwrap();
        (queues, id, me)
    }

    fn message(kind: i64, text: &str) -> Message {
        Message { kind, text: text.into() }
    }

    fn take(queues: &Messages, id: i32, kind: i64, room: u64, flags: i32) -> Result<String, Errno> {
        let me = own().unwrap().clone();
        let wanted = Wanted { kind, room, flags: flags | libc::IPC_NOWAIT };
        let got = queues.receive(id, wanted, 8, &me)?;
        Ok(format!("{} {}", got.kind, String::from_utf8(got.text).unwrap()))
    }

    #[test]
    fn messages_are_taken_by_type_and_age() {
        let (queues, id, me) = queue();
        for (kind, text) in [(5, "five"), (2, "two"), (9, "nine"), (2, "too")] {
            queues.send(id, message(kind, text), 0, 7, &me).unwrap();
        }
        assert_eq!(take(&queues, id, 1, 9, COPY), Ok("2 two".into()));
        assert_eq!(take(&queues, id, -5, 9, 0), Ok("2 two".into()));
        assert_eq!(take(&queues, id, 5, 9, EXCEPT), Ok("9 nine".into()));
        assert_eq!(take(&queues, id, 0, 3, 0), Err(Errno::E2BIG));
        assert_eq!(take(&queues, id, 0, 3, libc::MSG_NOERROR), Ok("5 fiv".into()));
        assert_eq!(take(&queues, id, 7, 9, 0), Err(Errno::ENOMSG));
        assert_eq!(take(&queues, id, i64::MIN, 9, 0), Ok("2 too".into()));
    }

    #[test]
    fn a_full_queue_makes_senders_wait_until_something_is_taken() {
        let (queues, id, me) = queue();
        let long = || Message { kind: 1, text: vec![b'x'; MESSAGE_MAX as usize] };
        for _ in 0..BYTES / MESSAGE_MAX {
            queues.send(id, long(), libc::IPC_NOWAIT, 7, &me).unwrap();
        }
        assert_eq!(queues.send(id, message(1, "x"), libc::IPC_NOWAIT, 7, &me), Err(Errno::EAGAIN));
        std::thread::scope(|s| {
            let waits = s.spawn(|| queues.send(id, message(3, "last"), 0, 7, &me));
            take(&queues, id, 1, MESSAGE_MAX, 0).unwrap();
            assert_eq!(waits.join().unwrap(), Ok(()));
            assert_eq!(take(&queues, id, 3, 9, 0), Ok("3 last".into()));
            let waits = s.spawn(|| queues.receive(id, Wanted { kind: 4, room: 9, flags: 0 }, 7, &me));
            queues.remove(id, &me).unwrap();
            assert!(matches!(waits.join().unwrap(), Err(Errno::EIDRM | Errno::EINVAL)));
        });
    }
}
