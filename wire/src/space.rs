//! Where guest memory lies in the address space that guest and runtime share: windows, with the code cache
//! between the first two. The child keeps to it; the supervisor tells by it what of a child's memory is the
//! guest's. A child that does not keep to it shows its own guest something else of itself, and nobody more.

/// The guest's low window: images and heap.
pub const LOW: (u64, u64) = (0x1_0000, 0x6000_0000);
/// The guest's middle window, for what names its address and for what is too large for the others. It begins
/// below `0x7fff_7000`, where programs that gcc and clang built with AddressSanitizer must have their shadow
/// memory, and at `0x7ffe_0000`, where Windows and so Wine has the page that programs share with the kernel.
pub const MIDDLE: (u64, u64) = (0x7ffe_0000, 0x5500_0000_0000);
/// The guest's high window: everything else, the stack at the top. ThreadSanitizer takes all from
/// `0x5680_0000_0000`, before which the kernel's programs end, to `0x7e80_0000_0000` for itself, and accepts
/// mappings of a program only beyond; MemorySanitizer is alike. So the window reaches up to where the
/// kernel's own mappings can begin, at `0x7eff_f7ff_f000`.
pub const HIGH: (u64, u64) = (0x5680_0000_0000, 0x7ef0_0000_0000);

/// Whether a range of addresses, first and one after the last, lies in a window.
pub const fn is_guests(start: u64, end: u64) -> bool {
    const fn encloses(window: (u64, u64), start: u64, end: u64) -> bool {
        window.0 <= start && end <= window.1
    }
    encloses(LOW, start, end) || encloses(MIDDLE, start, end) || encloses(HIGH, start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_and_above_the_windows_is_not_the_guests() {
        assert!(is_guests(0x40_0000, 0x41_0000) && is_guests(HIGH.0, HIGH.1));
        assert!(!is_guests(0x6000_0000, 0x6000_1000) && !is_guests(0x5fff_f000, MIDDLE.0 + 4096));
        assert!(is_guests(MIDDLE.0, MIDDLE.1) && !is_guests(MIDDLE.0, HIGH.1));
        assert!(!is_guests(HIGH.1 - 4096, HIGH.1 + 4096) && !is_guests(0, 4096));
    }
}
