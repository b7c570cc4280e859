//! GDB numbers signals in a way of its own (include/gdb/signals.def): of those that both know the first ones
//! agree with Linux, others do not.

/// Linux's and GDB's numbers, of signals whose numbers differ, below the real-time ones.
const OTHERS: [(u8, u8); 14] = [
    (libc::SIGBUS as u8, 10),
    (libc::SIGUSR1 as u8, 30),
    (libc::SIGUSR2 as u8, 31),
    (libc::SIGCHLD as u8, 20),
    (libc::SIGCONT as u8, 19),
    (libc::SIGSTOP as u8, 17),
    (libc::SIGTSTP as u8, 18),
    (libc::SIGURG as u8, 16),
    (libc::SIGPOLL as u8, 23),
    (libc::SIGPWR as u8, 32),
    (libc::SIGSYS as u8, 12),
    (libc::SIGSTKFLT as u8, UNKNOWN),
    (libc::SIGTTIN as u8, 21),
    (libc::SIGTTOU as u8, 22),
];
/// `GDB_SIGNAL_UNKNOWN`.
const UNKNOWN: u8 = 143;
/// Linux's first and last real-time signals, of which GDB numbers the first and the last apart.
const REALTIME: (u8, u8) = (32, 64);

/// GDB's number of a signal.
pub(super) fn to_gdb(signal: u8) -> u8 {
    match signal {
        32 => 77,
        33..=63 => signal - 33 + 45,
        64 => 78,
        _ => OTHERS.iter().find(|(linux, _)| *linux == signal).map_or(signal, |(_, gdb)| *gdb),
    }
}

/// The signal of a number of GDB's; `None` if Linux has no such.
pub(super) fn from_gdb(number: u8) -> Option<u8> {
    (1..=REALTIME.1).find(|signal| to_gdb(*signal) == number && number != UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_that_gdb_knows_comes_back() {
        for signal in (1..=REALTIME.1).filter(|signal| i32::from(*signal) != libc::SIGSTKFLT) {
            assert_eq!(from_gdb(to_gdb(signal)), Some(signal));
        }
        // From signals.def.
        for (signal, number) in [
            (libc::SIGINT, 2),
            (libc::SIGSEGV, 11),
            (libc::SIGBUS, 10),
            (libc::SIGUSR1, 30),
            (libc::SIGXCPU, 24),
            (libc::SIGWINCH, 28),
            (34, 46),
            (64, 78),
        ] {
            assert_eq!(to_gdb(signal as u8), number);
        }
        assert_eq!((from_gdb(7), from_gdb(UNKNOWN), from_gdb(0)), (None, None, None));
    }
}
