//! The information that goes with a signal.

use rxbox_wire::relay;

/// A `siginfo_t`, as the kernel takes it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct Info([u8; 128]);

impl Info {
    /// `si_signo`.
    pub fn signal(&self) -> i32 {
        i32::from_le_bytes([self.0[0], self.0[1], self.0[2], self.0[3]])
    }
    /// `si_code`.
    pub fn code(&self) -> i32 {
        i32::from_le_bytes([self.0[8], self.0[9], self.0[10], self.0[11]])
    }
    /// Where it lies, for a call that reads it.
    pub(super) fn address(&self) -> u64 {
        self.0.as_ptr() as u64
    }
    fn set(&mut self, at: usize, value: i32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    /// Signal 0, which only asks whether there is a target.
    pub fn none() -> Info {
        Info::sent(0, libc::SI_USER, 0, 0)
    }
    /// Of a signal that process `pid` of user `uid` sent by a call with this code.
    pub fn sent(signal: i32, code: i32, pid: i32, uid: u32) -> Info {
        let mut info = Info([0; 128]);
        info.set(0, signal);
        info.set(8, code);
        info.set(16, pid);
        info.set(20, uid as i32);
        info.relayed()
    }
    /// With the value of sigqueue(3).
    pub fn with_value(mut self, value: u64) -> Info {
        self.0[24..32].copy_from_slice(&value.to_le_bytes());
        self
    }
    /// As a guest put it together; the kernel, too, sets the signal number itself.
    pub fn given(bytes: [u8; 128], signal: i32) -> Info {
        let mut info = Info(bytes);
        info.set(0, signal);
        info
    }
    /// As the guest is to see it.
    pub fn shown(&self) -> [u8; relay::SIZE] {
        relay::incoming(self.0)
    }
    /// In the form in which the kernel lets it through to another process.
    pub fn relayed(self) -> Info {
        Info(relay::outgoing(self.0))
    }
}
