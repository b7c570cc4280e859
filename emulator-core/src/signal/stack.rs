//! The guest's alternate signal stack (sigaltstack(2)) and where on a stack a signal frame goes.

use super::action::SA_ONSTACK;
use nix::errno::Errno;

/// The signal stack is in use.
const SS_ONSTACK: u32 = 1;
/// There is no signal stack.
const SS_DISABLE: u32 = 2;
/// The signal stack is taken off while a handler runs on it.
const SS_AUTODISARM: u32 = 1 << 31;
/// Smallest signal stack that the kernel takes.
const MINSIGSTKSZ: u64 = 2048;
/// Bytes below the stack pointer that belong to the interrupted function (System V ABI, 3.2.2).
const RED_ZONE: u64 = 128;

/// The kernel's `stack_t`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct AlternateStack {
    /// Lowest address.
    pub(super) base: u64,
    /// `SS_*` as given.
    pub(super) flags: u32,
    /// Bytes; zero if there is none.
    pub(super) size: u64,
}

impl AlternateStack {
    /// Bytes in guest memory.
    pub(super) const SIZE: usize = 24;

    /// As the guest gave it.
    pub(super) fn decode(b: &[u8; AlternateStack::SIZE]) -> AlternateStack {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| b[at + i]));
        AlternateStack { base: word(0), flags: word(8) as u32, size: word(16) }
    }

    /// As the guest reads it.
    pub(super) fn encode(&self) -> [u8; AlternateStack::SIZE] {
        let mut b = [0; AlternateStack::SIZE];
        for (i, word) in [self.base, u64::from(self.flags), self.size].into_iter().enumerate() {
            b[8 * i..8 * i + 8].copy_from_slice(&word.to_le_bytes());
        }
        b
    }

    /// Whether the address lies on the stack, whatever the flags say.
    fn holds(&self, sp: u64) -> bool {
        sp > self.base && sp - self.base <= self.size
    }

    /// Whether a thread with this stack pointer is on the stack. With SS_AUTODISARM it never is: the stack is
    /// off while a handler runs on it.
    fn in_use(&self, sp: u64) -> bool {
        self.flags & SS_AUTODISARM == 0 && self.holds(sp)
    }

    fn state(&self, sp: u64) -> u32 {
        match (self.size, self.in_use(sp)) {
            (0, _) => SS_DISABLE,
            (_, true) => SS_ONSTACK,
            (_, false) => 0,
        }
    }

    /// What sigaltstack(2) says of it to a thread with this stack pointer.
    pub(super) fn report(&self, sp: u64) -> AlternateStack {
        AlternateStack { flags: self.state(sp) | self.flags & SS_AUTODISARM, ..*self }
    }

    /// Replaces it, as asked by a thread with this stack pointer.
    ///
    /// # Errors
    /// EPERM while it is in use, EINVAL for unknown flags, ENOMEM if it is too small (sigaltstack(2)).
    pub(super) fn replace(&mut self, new: AlternateStack, sp: u64) -> Result<(), Errno> {
        if self.in_use(sp) {
            return Err(Errno::EPERM);
        }
        let mode = new.flags & !SS_AUTODISARM;
        if ![0, SS_ONSTACK, SS_DISABLE].contains(&mode) {
            return Err(Errno::EINVAL);
        }
        if mode == SS_DISABLE {
            *self = AlternateStack { base: 0, size: 0, ..new };
        } else if new.size < MINSIGSTKSZ {
            return Err(Errno::ENOMEM);
        } else {
            *self = new;
        }
        Ok(())
    }

    /// To be called once a handler was entered.
    pub(super) fn entered(&mut self) {
        if self.flags & SS_AUTODISARM != 0 {
            *self = AlternateStack { flags: SS_DISABLE, ..AlternateStack::default() };
        }
    }

    /// Where the frame of a handler with these flags goes for a thread with this stack pointer: `None` if the
    /// signal stack would overflow. `xstate` and `frame` are the sizes of the parts.
    pub(super) fn place(&self, sp: u64, flags: u64, xstate: u64, frame: u64) -> Option<Place> {
        let nested = self.in_use(sp);
        let below = sp.wrapping_sub(RED_ZONE);
        let entering = flags & SA_ONSTACK != 0 && self.state(below) == 0;
        let top = if entering { self.base.wrapping_add(self.size) } else { below };
        let xstate = top.wrapping_sub(xstate) & !63;
        // As after a call: the return address is at 8 below a multiple of 16.
        let frame = (xstate.wrapping_sub(frame) & !15).wrapping_sub(8);
        let overflows = (nested || entering) && !self.holds(frame);
        (!overflows).then_some(Place { frame, xstate })
    }
}

/// Guest addresses of a frame's two parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// Return address, context and siginfo; the handler's first stack pointer.
    pub(super) frame: u64,
    /// Extended state, aligned to 64.
    pub(super) xstate: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const STACK: AlternateStack = AlternateStack { base: 0x10_0000, flags: 0, size: 0x4000 };

    #[test]
    fn without_a_signal_stack_the_frame_lies_below_the_red_zone() {
        let place = AlternateStack::default().place(0x7fff_0008, SA_ONSTACK, 0xa84, 440).unwrap();
        assert_eq!(place.xstate % 64, 0);
        assert_eq!(place.frame % 16, 8);
        assert!(place.xstate + 0xa84 <= 0x7fff_0008 - RED_ZONE);
        assert!(place.frame + 440 <= place.xstate);
    }

    #[test]
    fn the_signal_stack_is_entered_only_if_asked_for_and_not_there_already() {
        let sp = 0x7fff_0000;
        assert!(STACK.place(sp, SA_ONSTACK, 0xa84, 440).unwrap().frame < STACK.base + STACK.size);
        assert!(STACK.place(sp, 0, 0xa84, 440).unwrap().frame > STACK.base + STACK.size);
        let on = STACK.base + 0x3000;
        let nested = STACK.place(on, SA_ONSTACK, 0xa84, 440).unwrap();
        assert!(STACK.holds(nested.frame) && nested.xstate < on);
        let disarmed = AlternateStack { flags: SS_AUTODISARM, ..STACK };
        assert!(disarmed.place(on, SA_ONSTACK, 0xa84, 440).unwrap().xstate > on);
    }

    #[test]
    fn a_frame_that_leaves_the_signal_stack_is_refused() {
        assert_eq!(STACK.place(STACK.base + 0x800, SA_ONSTACK, 0xa84, 440), None);
        assert_eq!(STACK.place(STACK.base + 0x800, 0, 0xa84, 440), None);
        let small = AlternateStack { size: MINSIGSTKSZ, ..STACK };
        assert_eq!(small.place(0x7fff_0000, SA_ONSTACK, 0xa84, 440), None);
        assert!(small.place(0x7fff_0000, 0, 0xa84, 440).is_some());
    }

    #[test]
    fn hostile_stack_pointers_do_not_overflow() {
        let wild = AlternateStack { base: u64::MAX - 1, flags: 0, size: u64::MAX };
        for sp in [0, 1, 127, 128, 4096, u64::MAX, u64::MAX - 1, 1 << 63] {
            for stack in [STACK, wild, AlternateStack::default()] {
                let _ = (stack.place(sp, SA_ONSTACK, 0xa84, 440), stack.report(sp));
            }
        }
    }

    #[test]
    fn replacing_follows_the_manual() {
        let off = 0x7fff_0000;
        let mut stack = AlternateStack::default();
        assert_eq!(stack.report(off).flags, SS_DISABLE);
        assert_eq!(stack.replace(AlternateStack { size: MINSIGSTKSZ - 1, ..STACK }, off), Err(Errno::ENOMEM));
        assert_eq!(stack.replace(AlternateStack { flags: 4, ..STACK }, off), Err(Errno::EINVAL));
        assert_eq!(stack.replace(STACK, off), Ok(()));
        assert_eq!(stack.report(STACK.base + 64), AlternateStack { flags: SS_ONSTACK, ..STACK });
        assert_eq!(stack.replace(STACK, STACK.base + 64), Err(Errno::EPERM));
        assert_eq!(stack.replace(AlternateStack { flags: SS_DISABLE, ..STACK }, off), Ok(()));
        assert_eq!(stack, AlternateStack { flags: SS_DISABLE, ..AlternateStack::default() });
    }

    #[test]
    fn auto_disarm_takes_the_stack_off_while_a_handler_runs() {
        let mut stack = AlternateStack { flags: SS_AUTODISARM, ..STACK };
        assert_eq!(stack.report(0).flags, SS_AUTODISARM);
        stack.entered();
        assert_eq!(stack.report(STACK.base + 64).flags, SS_DISABLE);
        let mut stack = STACK;
        stack.entered();
        assert_eq!(stack, STACK);
    }

    #[test]
    fn bytes_and_structure_are_the_same() {
        let stack = AlternateStack { flags: SS_AUTODISARM, ..STACK };
        assert_eq!(AlternateStack::decode(&stack.encode()), stack);
    }
}
