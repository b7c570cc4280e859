//! Where guest memory lies in the address space that guest and runtime share: two windows, with the code cache between
//! them. The child keeps to it; the supervisor tells by it what of a child's memory is the guest's. A child that does not keep
//! to it shows its own guest something else of itself, and nobody more.

/// The guest's low window: images and heap.
pub const LOW: (u64, u64) = (0x1_0000, 0x7000_0000);
/// The guest's high window: everything else, the stack at the top.
pub const HIGH: (u64, u64) = (0x8000_0000, 0x5000_0000_0000);

/// Whether a range of addresses, first and one after the last, lies in a window.
pub const fn is_guests(start: u64, end: u64) -> bool {
    LOW.0 <= start && end <= LOW.1 || HIGH.0 <= start && end <= HIGH.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_and_above_the_windows_is_not_the_guests() {
        assert!(is_guests(0x40_0000, 0x41_0000) && is_guests(HIGH.0, HIGH.1));
        assert!(!is_guests(0x7000_0000, 0x7000_1000) && !is_guests(0x6fff_f000, 0x8000_1000));
        assert!(!is_guests(HIGH.1, HIGH.1 + 4096) && !is_guests(0, 4096));
    }
}
