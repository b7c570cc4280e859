//! How what a signal says of its sender travels from the supervisor to an emulator child.
//!
//! The kernel lets a process tell another only negative codes (`si_code`), and not SI_TKILL, so that nobody
//! can pose as the kernel or as kill(2). And what it is told of the sender it translates into the namespaces
//! of the target, where the supervisor has no number (pid_namespaces(7)). But the supervisor sends what
//! guests send each other. So it shifts the code down to a range of its own, and puts the sender, or whatever
//! else lies in those bytes, where the kernel looks for nothing; the child turns both back.

use std::ops::Range;

/// Bytes of a `siginfo_t`.
pub const SIZE: usize = 128;
/// `si_code`.
const CODE: Range<usize> = 8..12;
/// `si_pid` and `si_uid`, of codes that have them.
const SENDER: Range<usize> = 16..24;
/// Where they travel: the last bytes that the kernel keeps of a signal. No code that one process can tell
/// another has members there.
const AWAY: Range<usize> = 40..48;

/// What is added to a code.
const SHIFT: i32 = -0x10000;
/// Codes nearer to 0 than this are shifted. The kernel's own go from -60 to a few hundred.
const RANGE: i32 = 0x8000;
/// The signal by which the supervisor makes a thread look up from what it waits for
/// ([`KickSiblings`](crate::table::Internal::KickSiblings)): one that an emulator child always has a handler
/// for.
pub const KICK_SIGNAL: i32 = 5;
/// The code of such a signal, by which it is known not to be for the guest. A guest that makes one up kicks a
/// thread.
pub const KICK_CODE: i32 = -0x20000;

fn code(info: &[u8; SIZE]) -> i32 {
    i32::from_le_bytes(std::array::from_fn(|i| info[CODE.start + i]))
}

/// A signal as it is sent. A code that is too far from 0 to be shifted stays as it is, and the kernel names
/// the sender as it sees it.
pub fn outgoing(mut info: [u8; SIZE]) -> [u8; SIZE] {
    let code = code(&info);
    if (-RANGE..RANGE).contains(&code) {
        info[CODE].copy_from_slice(&(code + SHIFT).to_le_bytes());
        info.copy_within(SENDER, AWAY.start);
        // The kernel takes no more of a code that it does not know.
        info[AWAY.end..].fill(0);
    }
    info
}

/// A signal as it was before it was sent by [`outgoing`]; any other as it is.
pub fn incoming(mut info: [u8; SIZE]) -> [u8; SIZE] {
    let code = code(&info).wrapping_sub(SHIFT);
    if (-RANGE..RANGE).contains(&code) {
        info[CODE].copy_from_slice(&code.to_le_bytes());
        info.copy_within(AWAY, SENDER.start);
        info[AWAY].fill(0);
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_code(value: i32) -> [u8; SIZE] {
        let mut info = [0; SIZE];
        info[..40].copy_from_slice(&std::array::from_fn::<u8, 40, _>(|i| i as u8));
        info[CODE].copy_from_slice(&value.to_le_bytes());
        info
    }

    #[test]
    fn every_signal_arrives_as_it_was_sent_and_travels_with_a_code_that_the_kernel_lets_through() {
        const TKILL: i32 = -6;
        for value in (-200..1000).chain([i32::MIN, i32::MIN + 1]) {
            let sent = outgoing(with_code(value));
            assert!(code(&sent) < 0 && code(&sent) != TKILL, "{value}");
            assert_eq!(incoming(sent), with_code(value), "{value}");
        }
    }

    #[test]
    fn what_the_kernel_changes_of_the_sender_is_not_seen() {
        let mut sent = outgoing(with_code(0));
        sent[SENDER].fill(0);
        assert_eq!(incoming(sent), with_code(0));
    }

    #[test]
    fn what_the_kernel_says_itself_stays() {
        for value in [0, 1, 0x80, -1, -2, -6, KICK_CODE] {
            assert_eq!(incoming(with_code(value)), with_code(value), "{value}");
        }
    }
}
