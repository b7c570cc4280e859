//! `siginfo_t` of the kernel, as bytes: the form in which it goes to the guest.

use rxbox_wire::relay;

/// Code of what the kernel sends without saying more.
pub const SI_KERNEL: i32 = 0x80;
/// Code of a fault at an address where nothing is mapped.
pub const SEGV_MAPERR: i32 = 1;
/// Code of a fault at an address whose mapping does not allow the access.
pub const SEGV_ACCERR: i32 = 2;
/// Code of an access that is not aligned.
pub const BUS_ADRALN: i32 = 1;
/// Code of an access beyond the end of a mapped file.
pub const BUS_ADRERR: i32 = 2;
/// Code of a single step.
pub const TRAP_TRACE: i32 = 2;
/// Code of an invalid instruction.
pub const ILL_ILLOPN: i32 = 2;

/// What is known about one signal (sigaction(2)): number, errno, code, and by kind of signal further members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SigInfo([u8; SigInfo::SIZE]);

impl SigInfo {
    /// Bytes.
    pub const SIZE: usize = relay::SIZE;
    const SIGNAL: usize = 0;
    const CODE: usize = 8;
    const ADDR: usize = 16;

    /// From the host's kernel. What the supervisor had to change is changed back.
    pub fn received(bytes: [u8; SigInfo::SIZE]) -> SigInfo {
        SigInfo(relay::incoming(bytes))
    }

    /// As the supervisor tells it.
    pub fn told(bytes: [u8; SigInfo::SIZE]) -> SigInfo {
        SigInfo(bytes)
    }

    /// Of a fault at a guest address.
    pub fn fault(signal: i32, code: i32, addr: u64) -> SigInfo {
        let mut info = SigInfo([0; SigInfo::SIZE]);
        info.set(SigInfo::SIGNAL, signal);
        info.set(SigInfo::CODE, code);
        info.0[SigInfo::ADDR..SigInfo::ADDR + 8].copy_from_slice(&addr.to_le_bytes());
        info
    }

    fn word(&self, at: usize) -> i32 {
        i32::from_le_bytes(std::array::from_fn(|i| self.0[at + i]))
    }

    fn set(&mut self, at: usize, value: i32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Signal number.
    pub fn signal(&self) -> i32 {
        self.word(SigInfo::SIGNAL)
    }

    /// What raised it.
    pub fn code(&self) -> i32 {
        self.word(SigInfo::CODE)
    }

    /// As it lies in memory.
    pub fn bytes(&self) -> &[u8; SigInfo::SIZE] {
        &self.0
    }
}

#[cfg(test)]
#[expect(unsafe_code, reason = "compares with the C library's siginfo")]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_its_members_where_the_c_library_reads_them() {
        let info = SigInfo::fault(libc::SIGSEGV, SEGV_ACCERR, 0x1234_5678_9abc);
        // SAFETY: both are plain data of the same size.
        let c: libc::siginfo_t = unsafe { std::mem::transmute(info) };
        assert_eq!((c.si_signo, c.si_errno, c.si_code), (libc::SIGSEGV, 0, SEGV_ACCERR));
        // SAFETY: a fault has an address.
        assert_eq!(unsafe { c.si_addr() } as u64, 0x1234_5678_9abc);
    }

    #[test]
    fn a_relayed_signal_is_the_senders_again() {
        for code in [libc::SI_TKILL, libc::SI_QUEUE] {
            let mut info = SigInfo::fault(libc::SIGUSR1, code, 77);
            let sent = relay::outgoing(info.0);
            assert_eq!(SigInfo::received(sent), info);
            info.set(SigInfo::SIGNAL, libc::SIGUSR2);
            assert_ne!(SigInfo::received(sent), info);
        }
    }
}
