//! How the code of a signal (`si_code`) travels from the supervisor to an emulator child.
//!
//! The kernel lets a process tell another only negative codes, and not SI_TKILL, so that nobody can pose as
//! the kernel or as kill(2). But the supervisor must: it sends what guests send each other. So it shifts such
//! codes down to a range of their own, and the child shifts them up again. Codes that a guest may send itself
//! stay as they are.

/// What is added to a code that the kernel would not let through.
const SHIFT: i32 = -0x10000;
/// Codes from here to above [`SHIFT`] - 0x100 are shifted ones; the kernel's own codes go from -60 to a few
/// hundred.
const RANGE: i32 = 0x8000;
/// The signal by which the supervisor makes a thread look up from what it waits for
/// ([`KickSiblings`](crate::table::Internal::KickSiblings)): one that an emulator child always has a handler
/// for.
pub const KICK_SIGNAL: i32 = 5;
/// The code of such a signal, by which it is known not to be for the guest. A guest that makes one up kicks a
/// thread.
pub const KICK_CODE: i32 = -0x20000;

/// `SI_TKILL`.
const TKILL: i32 = -6;

/// The code to send for the true `code`.
pub const fn outgoing(code: i32) -> i32 {
    if (code >= 0 && code < RANGE) || code == TKILL { code + SHIFT } else { code }
}

/// The true code of what was received.
pub const fn incoming(code: i32) -> i32 {
    let shifted = code.wrapping_sub(SHIFT);
    if (shifted >= 0 && shifted < RANGE) || shifted == TKILL { shifted } else { code }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_arrives_as_it_was_sent_and_travels_as_one_the_kernel_lets_through() {
        for code in (-200..1000).chain([i32::MIN, i32::MIN + 1]) {
            assert_eq!(incoming(outgoing(code)), code);
            assert!(outgoing(code) < 0 && outgoing(code) != TKILL, "{code}");
        }
    }
}
