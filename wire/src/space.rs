//! Where guest memory lies in the address space that guest and runtime share: windows, with the code cache
//! between the first two. The child keeps to it; the supervisor tells by it what of a child's memory is the
//! guest's. A child that does not keep to it shows its own guest something else of itself, and nobody more.

/// The guest's low window: images and heap.
pub const LOW: (u64, u64) = (0x1_0000, 0x7000_0000);
/// The guest's high window: everything else, the stack at the top. It begins below `0x7fff_7000`, where
/// programs that gcc and clang built with AddressSanitizer must have their shadow memory.
pub const HIGH: (u64, u64) = (0x7fff_0000, 0x4fff_ffff_0000);
/// Where nothing is put unasked: AddressSanitizer's allocator has its 4 TiB at the start of one of these (of
/// the first from clang 17 and gcc 14 on) and goes nowhere else. Both are free on the host, which places
/// programs from `0x5555_5555_4000` on. No window touches another, so no mapping grows from one into the
/// next.
pub const ASKED: [(u64, u64); 2] =
    [(0x5000_0000_0000, 0x5500_0000_0000), (0x6000_0000_0000, 0x6500_0000_0000)];

/// Whether a range of addresses, first and one after the last, lies in a window.
pub const fn is_guests(start: u64, end: u64) -> bool {
    const fn encloses(window: (u64, u64), start: u64, end: u64) -> bool {
        window.0 <= start && end <= window.1
    }
    encloses(LOW, start, end)
        || encloses(HIGH, start, end)
        || encloses(ASKED[0], start, end)
        || encloses(ASKED[1], start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_and_above_the_windows_is_not_the_guests() {
        assert!(is_guests(0x40_0000, 0x41_0000) && is_guests(HIGH.0, HIGH.1));
        assert!(!is_guests(0x7000_0000, 0x7000_1000) && !is_guests(0x6fff_f000, HIGH.0 + 4096));
        assert!(is_guests(ASKED[1].0, ASKED[1].1) && !is_guests(ASKED[0].0, ASKED[1].1));
        assert!(!is_guests(HIGH.1 - 4096, HIGH.1 + 4096) && !is_guests(0, 4096));
    }
}
