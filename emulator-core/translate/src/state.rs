//! Where generated code finds things: the CPU state behind the host's GS base, and the tables in the code
//! cache's region.
//!
//! The runtime lays its structures out by these constants (and asserts that it does); the translator only
//! emits them.

use std::ops::Range;

/// `gpr[16]`: guest general registers while the runtime runs; home of a borrowed register while translated
/// code runs.
pub const GPR: i32 = 0;
/// Guest pc while the runtime runs.
pub const PC: i32 = 128;
/// Guest rflags while the runtime runs.
pub const RFLAGS: i32 = 136;
/// Guest FS base while the runtime runs.
pub const FS_BASE: i32 = 144;
/// Guest GS base, always.
pub const GS_BASE: i32 = 152;
/// The runtime's FS base.
pub const HOST_FS_BASE: i32 = 160;
/// The runtime's stack pointer while translated code runs.
pub const HOST_RSP: i32 = 168;
/// Number of the exit that translated code left through.
pub const EXIT_ID: i32 = 176;
/// Target of the indirect branch that found no block.
pub const TARGET: i32 = 184;
/// Set when the thread must not (re-)enter translated code before it has looked after pending work.
pub const PENDING: i32 = 192;
/// Guest MXCSR while the runtime runs, then the runtime's.
pub const MXCSR: i32 = 196;
/// The runtime's MXCSR.
pub const HOST_MXCSR: i32 = 200;
/// Address of the runtime's epilogue.
pub const LEAVE: i32 = 208;
/// Host address that the prologue jumps to.
pub const JUMP: i32 = 216;
/// Flags saved by the look-up stub, in the form that `lahf` and `seto al` give.
pub const STUB_FLAGS: i32 = 224;
/// Eight words for local variables.
pub const LOCALS: i32 = 232;
/// How many local variables have a home.
pub const LOCAL_COUNT: u8 = 8;
/// Vector registers while the runtime runs: 32 of 64 bytes.
pub const VECTORS: i32 = 320;
/// Opmask registers while the runtime runs: 8 of 8 bytes.
pub const OPMASKS: i32 = VECTORS + 32 * 64;
/// Size of the part that is laid out here.
pub const SIZE: usize = OPMASKS as usize + 8 * 8;

/// State offset of general register `n`.
pub const fn gpr(n: u8) -> i32 {
    GPR + n as i32 * 8
}

/// Where a code cache lies at first. A guest that wants to map there has it moved, further down; it never
/// lies beyond. So all of it is reached from any low image with a 32-bit displacement, and its addresses fit
/// a sign-extended 32-bit absolute operand.
pub const CACHE: Range<u64> = 0x6000_0000..0x7ffe_0000;

/// The region of a code cache, with what lies where in it. It begins at a page, at first one of [`CACHE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region(u64);

impl Region {
    /// Bytes of a region.
    pub const SIZE: u64 = Self::OWN + Self::KEPT;
    /// Bytes of it that are for what the process translates itself, with the tables and stubs.
    const OWN: u64 = 192 << 20;
    /// Bytes of it that are for translations that were kept.
    pub const KEPT: u64 = 128 << 20;
    /// The first that there is.
    pub const LOWEST: Region = Region(CACHE.start);
    /// Entries of each table.
    pub const TABLE_ENTRIES: u64 = 1 << 16;
    /// Bytes reserved for the stubs.
    const STUBS_SIZE: u64 = 0x1_0000;

    /// The one that a random number stands for.
    pub const fn chosen(random: u64) -> Region {
        const PAGE: u64 = 4096;
        const PLACES: u64 = (CACHE.end - CACHE.start - Region::SIZE) / PAGE + 1;
        Region(CACHE.start + random % PLACES * PAGE)
    }

    /// The one at an address, if that is a page's and not too high.
    pub const fn at(start: u64) -> Option<Region> {
        if start.is_multiple_of(4096) && start <= CACHE.end - Region::SIZE {
            Some(Region(start))
        } else {
            None
        }
    }

    /// Its first address.
    pub const fn start(self) -> u64 {
        self.0
    }

    /// First-level table of indirect targets: one host address for each value of the target's low 16 bits.
    pub const fn jump_table(self) -> u64 {
        self.0
    }

    /// Second-level table, indexed by another hash of the target: pairs of a target and its host address.
    pub const fn second_table(self) -> u64 {
        self.jump_table() + Self::TABLE_ENTRIES * 8
    }

    /// Fixed stubs ([`crate::emit::stubs`]).
    pub const fn stubs(self) -> u64 {
        self.second_table() + Self::TABLE_ENTRIES * 16
    }

    /// Where blocks are put.
    pub const fn code(self) -> u64 {
        self.stubs() + Self::STUBS_SIZE
    }

    /// End of where the process puts blocks: from here to the [end](Region::end) lie translations that were
    /// kept.
    pub const fn code_end(self) -> u64 {
        self.0 + Self::OWN
    }

    /// End of the region.
    pub const fn end(self) -> u64 {
        self.0 + Self::SIZE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_lies_where_the_cache_may_lie() {
        assert_eq!(Region::chosen(0), Region::LOWEST);
        for random in (0..100_000).chain(u64::MAX - 100_000..u64::MAX) {
            let region = Region::chosen(random);
            assert!(region.0.is_multiple_of(4096) && CACHE.start <= region.0 && region.end() <= CACHE.end);
        }
        assert!(Region::chosen(1) != Region::chosen(2));
    }
}
