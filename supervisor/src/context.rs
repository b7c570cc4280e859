//! What a handler sees: one guest system call, copied out of the channel and checked against the table.
//!
//! Invariants that handlers rely on:
//! * registers, lengths, strings and structures of a [`Call`] are the worker's own copies: what was checked
//!   is what is used, whatever the child writes to the shared memory meanwhile;
//! * the data area itself is only handed to the kernel as a buffer ([`Call::buffer`]), for bytes whose
//!   content nobody decides on (`read`, `write`, ...), and never as a Rust reference;
//! * every length was compared with the table, so a range of the data area lies within it.

use crate::host::SyscallResult;
use crate::host::credentials::Credentials;
use crate::host::shm::Area;
use crate::host::transfer::Buffer;
use crate::report::audit::Who;
use crate::sandbox::Sandbox;
use crate::state::fd::File;
use crate::state::process::Process;
use nix::errno::Errno;
use rxbox_policy::{Decision, DeniedWhat};
use rxbox_wire::frame::{Checked, Given, Reply, Request};
use rxbox_wire::kind::Kind;
use std::ffi::CStr;
use std::sync::Arc;

/// A handler of one system call.
pub type Handler = fn(&mut Call<'_>) -> SyscallResult;

/// A call's name and its handler.
pub type Entry = (&'static str, Handler);

/// Approves a granted call: the child carries it out.
pub fn grant(call: &mut Call<'_>) -> SyscallResult {
    call.reply.flags |= Reply::GRANTED;
    Ok(0)
}

/// One guest system call being served.
pub struct Call<'a> {
    /// The sandbox: policy, audit, all processes.
    pub sandbox: &'a Sandbox,
    /// The guest process that calls.
    pub process: &'a Arc<Process>,
    /// Guest thread id of the caller.
    pub tid: i32,
    /// Slot number of the caller in its process's channel.
    pub slot: usize,
    /// Registers and lengths.
    pub request: Request,
    /// Row and places.
    pub checked: Checked,
    /// The worker's copies of the arguments that the call reads (empty for all others).
    pub(crate) input: [Vec<u8>; 6],
    /// The reply under construction: `out` and `flags` are the handlers' to set, through the methods here.
    pub reply: Reply,
    /// The slot's data area.
    pub(crate) area: Area<'a>,
}

impl Call<'_> {
    /// The process id that the caller has for itself.
    pub fn pid(&self) -> i32 {
        if self.process.threads.is_companion(self.tid) { self.tid } else { self.process.pid }
    }
    /// Argument `i` as the 64-bit register.
    pub fn u64(&self, i: usize) -> u64 {
        self.request.args[i]
    }
    /// Argument `i` as a signed 64-bit value.
    pub fn i64(&self, i: usize) -> i64 {
        self.request.args[i] as i64
    }
    /// The low half of argument `i`, unsigned.
    pub fn u32(&self, i: usize) -> u32 {
        self.request.args[i] as u32
    }
    /// The low half of argument `i`, signed.
    pub fn i32(&self, i: usize) -> i32 {
        self.request.args[i] as i32
    }
    /// Whether a pointer is given as argument `i`, wherever it leads; false only for a null pointer where the
    /// row allows one.
    pub fn present(&self, i: usize) -> bool {
        self.checked.place[i].given != Given::Nothing
    }
    /// What is wrong with the data of argument `i`, EFAULT if its pointer leads nowhere, for what is to be
    /// known before the call is carried out.
    pub fn reach(&self, i: usize) -> Result<(), Errno> {
        match self.checked.place[i].given {
            Given::Wrong(errno) => Err(Errno::from_raw(errno)),
            Given::Nothing | Given::Memory => Ok(()),
        }
    }
    /// Whether the memory of argument `i` lies beyond user space, not only where nothing is.
    pub fn is_beyond(&self, i: usize) -> bool {
        self.request.flags & Request::BEYOND != 0 && self.reach(i) == Err(Errno::EFAULT)
    }
    /// The bytes of argument `i` that the call reads, `None` for a null pointer where the row allows one; or
    /// EFAULT.
    pub fn bytes(&self, i: usize) -> Result<Option<&[u8]>, Errno> {
        self.reach(i)?;
        Ok(self.present(i).then(|| self.input[i].as_slice()))
    }
    /// The bytes of argument `i`, or EFAULT.
    pub fn need(&self, i: usize) -> Result<&[u8], Errno> {
        self.bytes(i)?.ok_or(Errno::EFAULT)
    }
    /// The string (path or text) of argument `i`, or EFAULT.
    pub fn string(&self, i: usize) -> Result<&CStr, Errno> {
        CStr::from_bytes_with_nul(self.need(i)?).map_err(|_| Errno::EFAULT)
    }
    /// The little-endian 64-bit words of argument `i` (timespec, itimerspec, ...), or EFAULT.
    pub fn words<const N: usize>(&self, i: usize) -> Result<[u64; N], Errno> {
        let b = self.need(i)?;
        if b.len() < 8 * N {
            return Err(Errno::EFAULT);
        }
        Ok(std::array::from_fn(|n| u64::from_le_bytes(std::array::from_fn(|k| b[8 * n + k]))))
    }
    /// For how many bytes the guest says that there is room in argument `i`; 0 if absent.
    pub fn room(&self, i: usize) -> usize {
        self.checked.place[i].len
    }
    /// Gives `data` to the guest as the content of argument `i`, cut to the room there. Nothing happens if it
    /// is absent.
    ///
    /// # Errors
    /// What is wrong with the argument's memory, if there is something to give.
    pub fn put(&mut self, i: usize, data: &[u8]) -> Result<(), Errno> {
        let n = data.len().min(self.room(i));
        match self.checked.place[i].given {
            Given::Wrong(libc::EFAULT) if n == 0 => {}
            Given::Wrong(errno) => return Err(Errno::from_raw(errno)),
            Given::Nothing => {}
            Given::Memory => {
                self.area.write(self.checked.place[i].start, &data[..n]);
                self.reply.out[i] = n as u32;
            }
        }
        Ok(())
    }
    /// Argument `i`'s part of the shared data area as a buffer for the kernel, with memory behind it that is
    /// not there if that is so of the guest's, or all of it not there. The content may change under the
    /// kernel's hands; use it for transfers only.
    pub fn buffer(&self, i: usize) -> Buffer<'_> {
        let place = self.checked.place[i];
        match place.given {
            Given::Wrong(_) => Buffer::nowhere(place.len),
            Given::Nothing | Given::Memory => {
                let mut buffer = self.area.buffer(place.start, place.len);
                if matches!(self.checked.kinds[i].kind, Kind::IovecIn { .. } | Kind::IovecOut { .. }) {
                    buffer = buffer.vectored();
                }
                if self.request.flags & Request::CUT == 0 { buffer } else { buffer.cut() }
            }
        }
    }
    /// Gives the guest little-endian 64-bit words as the content of argument `i`, if it wants them.
    ///
    /// # Errors
    /// As [`Call::put`].
    pub fn put_words(&mut self, i: usize, words: &[u64]) -> Result<(), Errno> {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.put(i, &bytes)
    }
    /// Says that the kernel filled the first `n` bytes of argument `i`'s part of the data area.
    pub fn filled(&mut self, i: usize, n: usize) {
        if self.checked.place[i].given == Given::Memory {
            self.reply.out[i] = n.min(self.room(i)) as u32;
        }
    }
    /// Whether the data are the beginning of a transfer that is longer than what crosses at once.
    pub fn is_part(&self) -> bool {
        self.request.flags & Request::PART != 0
    }
    /// The credentials of the thread that calls.
    pub fn credentials(&self) -> Arc<Credentials> {
        self.process.credentials_of(self.slot)
    }
    /// The open file that argument `i` names, or EBADF.
    pub fn file(&self, i: usize) -> Result<Arc<File>, Errno> {
        self.process.fds.accessible(self.i32(i))
    }
    /// The same where a descriptor opened with `O_PATH` will do as well: for the calls that open(2) lists.
    pub fn any_file(&self, i: usize) -> Result<Arc<File>, Errno> {
        self.process.fds.get(self.i32(i))
    }
    /// Carries a decision of the policy about this call out ([`crate::report::audit::Audit::enforce`]).
    pub fn enforce(&self, decision: &Decision<'_>, what: &DeniedWhat<'_>) -> Result<(), Errno> {
        let who = || Who { call: self.checked.call.name, pid: self.process.pid, name: self.process.name() };
        self.sandbox.audit.enforce(decision, what, who)
    }
}
