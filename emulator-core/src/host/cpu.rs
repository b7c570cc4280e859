//! What the host's processor is and can do.

use rxbox_translate::cpuid::is_shown;
use std::arch::x86_64::{__cpuid_count, _xgetbv};

/// A leaf of cpuid: number, sub-leaf, eax ebx ecx edx.
pub type Leaf = (u32, u32, [u32; 4]);

/// Leaves that have sub-leaves (Intel SDM 2A, CPUID; AMD APM 3, appendix E).
fn sub_leaves(leaf: u32) -> u32 {
    match leaf {
        4 | 0x8000_001d => 8,
        7 | 0x14 | 0x17 | 0x18 | 0x1d | 0x20 => 3,
        0xb | 0x1f => 4,
        // The components up to PKRU; what lies beyond is not carried.
        0xd => 10,
        0xf | 0x10 => 4,
        _ => 1,
    }
}

fn cpuid(leaf: u32, sub: u32) -> [u32; 4] {
    let r = __cpuid_count(leaf, sub);
    [r.eax, r.ebx, r.ecx, r.edx]
}

/// All leaves of the host's basic and extended ranges that a guest sees: in a virtual machine each costs some
/// microseconds.
pub fn leaves() -> Vec<Leaf> {
    let mut out = Vec::new();
    for base in [0, 0x8000_0000u32] {
        // More than any processor has; under some hypervisors the maximum is nonsense.
        let last = cpuid(base, 0)[0].min(base + 0x40);
        for leaf in (base..=last.max(base)).filter(|leaf| is_shown(*leaf)) {
            out.extend((0..sub_leaves(leaf)).map(|sub| (leaf, sub, cpuid(leaf, sub))));
        }
    }
    out
}

/// XCR0, which parts of the extended state the host's kernel has enabled; 0 without OSXSAVE.
pub fn xcr0() -> u64 {
    if cpuid(1, 0)[2] >> 27 & 1 == 0 {
        return 0;
    }
    // SAFETY: OSXSAVE says that xgetbv is there and enabled.
    unsafe { read_xcr0() }
}

#[target_feature(enable = "xsave")]
fn read_xcr0() -> u64 {
    // SAFETY: the feature is enabled.
    unsafe { _xgetbv(0) }
}

/// How much vector state the host has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum VectorKind {
    /// xmm0 to xmm15.
    Sse = 0,
    /// ymm0 to ymm15.
    Avx = 1,
    /// zmm0 to zmm31, k0 to k7, and XGETBV(1).
    Avx512 = 2,
}

/// How the epilogue saves vector registers.
pub fn vector_kind() -> VectorKind {
    let xcr0 = xcr0();
    let xgetbv1 = cpuid(0xd, 1)[0] & 4 != 0;
    if xcr0 & 0xe6 == 0xe6 && xgetbv1 {
        VectorKind::Avx512
    } else if xcr0 & 6 == 6 {
        VectorKind::Avx
    } else {
        VectorKind::Sse
    }
}

/// What the translator and the runtime need of the processor and the kernel beyond x86-64, if something is
/// missing.
pub fn missing_features() -> Option<&'static str> {
    /// HWCAP2_FSGSBASE (asm/hwcap2.h).
    const FSGSBASE: u64 = 2;
    if auxiliary(libc::AT_HWCAP2) & FSGSBASE == 0 {
        return Some("FSGSBASE (Linux 5.9 or later, and a processor since 2012)");
    }
    if cpuid(0x8000_0001, 0)[2] & 1 == 0 {
        return Some("LAHF in 64-bit mode");
    }
    None
}

/// Puts the x87 unit, which the runtime does not use and so holds the guest's state at all times, into its
/// initial state.
pub fn reset_fpu() {
    // SAFETY: Rust code keeps nothing in x87 registers.
    unsafe { std::arch::asm!("fninit", options(nomem, nostack)) };
}

/// An entry of this process's own auxiliary vector (getauxval(3)); 0 if it is not there.
pub fn auxiliary(kind: u64) -> u64 {
    // SAFETY: reads the auxiliary vector.
    unsafe { libc::getauxval(kind) }
}

/// Fills with random bytes of the kernel's; what it does not give stays 0.
pub fn random(into: &mut [u8]) {
    let args = [into.as_mut_ptr() as u64, into.len() as u64, 0, 0, 0, 0];
    // SAFETY: the buffer has that many bytes.
    unsafe { super::call::raw(libc::SYS_getrandom, args) };
}

/// The processor that this thread runs on (sched_getcpu(3)), as it was a moment ago. The C library knows it
/// without a call. `u32::MAX` if it does not.
pub fn current() -> u32 {
    nix::sched::sched_getcpu().map_or(u32::MAX, |cpu| cpu as u32)
}

/// On how many processors this process may run (sched_getaffinity(2)); at least one. The standard library's
/// answer also reads the files of control groups.
pub fn allowed() -> u32 {
    let mut set = [0u64; 128];
    let args = [0, size_of_val(&set) as u64, set.as_mut_ptr() as u64, 0, 0, 0];
    // SAFETY: the kernel writes at most so many bytes.
    let written = unsafe { super::call::raw(libc::SYS_sched_getaffinity, args) };
    if written < 0 { 1 } else { set.iter().map(|w| w.count_ones()).sum::<u32>().max(1) }
}
