//! What `cpuid` tells the guest: the host's answers without what the translator does not carry.
//!
//! Guests pick their code by these bits, so the rule is that of the decoder, an allow-list: a feature bit is
//! shown if it is listed here as carried (or as telling nothing about instructions), a leaf if it is listed
//! at all. A feature of a processor newer than this list is hidden, and the guest takes another path, rather
//! than shown and refused in the middle of the guest's work.
//!
//! Answering from a table is also much faster than the instruction, which leaves a virtual machine.
//!
//! Leaf numbers and bits: Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E.

use std::collections::BTreeMap;

/// An answer: leaf (eax), subleaf (ecx), and eax, ebx, ecx, edx.
pub type Leaf = (u32, u32, [u32; 4]);

/// State components that the guest may enable: x87, SSE, AVX and the three of AVX-512.
pub const CARRIED_XCR0: u64 = 0xe7;

const EAX: usize = 0;
const EBX: usize = 1;
const ECX: usize = 2;
const EDX: usize = 3;

/// Builds a word from bit numbers.
const fn bits(numbers: &[u32]) -> u32 {
    let (mut word, mut i) = (0, 0);
    while i < numbers.len() {
        word |= 1 << numbers[i];
        i += 1;
    }
    word
}

/// Feature words: leaf, subleaf, and the bits that may be shown of each register.
const FEATURES: [Leaf; 8] = [
    // ecx: SSE3 PCLMULQDQ SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE OSXSAVE AVX F16C RDRAND (not
    // the hypervisor bit, whose leaves are not shown); edx: everything but SEP (sysenter) and the debug and
    // thermal features.
    (
        1,
        0,
        [
            !0,
            !0,
            bits(&[0, 1, 9, 12, 13, 19, 20, 22, 23, 25, 26, 27, 28, 29, 30]),
            bits(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 19, 23, 24, 25, 26, 27, 28]),
        ],
    ),
    // ebx: FSGSBASE BMI1 AVX2 FDP BMI2 ERMS FCS AVX512F DQ RDSEED ADX IFMA CLFLUSHOPT CLWB CD SHA BW VL; ecx:
    // PREFETCHWT1 VBMI UMIP VBMI2 GFNI VAES VPCLMULQDQ VNNI BITALG VPOPCNTDQ RDPID CLDEMOTE MOVDIRI
    // MOVDIR64B; edx: FSRM VP2INTERSECT MD_CLEAR SERIALIZE FP16.
    (
        7,
        0,
        [
            !0,
            bits(&[0, 3, 5, 6, 8, 9, 13, 16, 17, 18, 19, 21, 23, 24, 28, 29, 30, 31]),
            bits(&[0, 1, 2, 6, 8, 9, 10, 11, 12, 14, 22, 25, 27, 28]),
            bits(&[4, 8, 10, 14, 23]),
        ],
    ),
    // eax: SHA512 SM3 SM4 AVX-VNNI BF16 FZRM FSRS FSRCS AVX-IFMA; edx: VNNI-INT8 NE-CONVERT VNNI-INT16
    // PREFETCHI.
    (7, 1, [bits(&[0, 1, 2, 4, 5, 10, 11, 12, 23]), 0, 0, bits(&[4, 5, 10, 14])]),
    // eax: XSAVEOPT XSAVEC XGETBV1. The sizes are computed.
    (0xd, 1, [bits(&[0, 1, 2]), 0, 0, 0]),
    // ecx: LAHF CmpLegacy ABM SSE4A MisAlignSse 3DNowPrefetch TopologyExtensions; edx: as leaf 1, and SYSCALL
    // NX MMXEXT 1G RDTSCP LM.
    (
        0x8000_0001,
        0,
        [
            !0,
            !0,
            bits(&[0, 1, 5, 6, 7, 8, 22]),
            bits(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 20, 22, 23, 24, 26, 27, 29]),
        ],
    ),
    // edx: invariant TSC.
    (0x8000_0007, 0, [0, 0, 0, bits(&[8])]),
    // eax: address sizes; ebx: CLZERO, FP error pointers; ecx: core counts.
    (0x8000_0008, 0, [!0, bits(&[0, 2]), !0, 0]),
    // eax: LFENCE is dispatch serialising.
    (0x8000_0021, 0, [bits(&[2]), 0, 0, 0]),
];

/// Leaves that say nothing about instructions and are shown as they are: names, caches, TLBs, topology,
/// clocks.
const PLAIN: [u32; 19] = [
    0,
    2,
    4,
    0xb,
    0x15,
    0x16,
    0x18,
    0x1f,
    0x8000_0000,
    0x8000_0002,
    0x8000_0003,
    0x8000_0004,
    0x8000_0005,
    0x8000_0006,
    0x8000_0019,
    0x8000_001a,
    0x8000_001d,
    0x8000_001e,
    0x8000_0026,
];

/// Leaves whose answer depends on the subleaf.
const WITH_SUBLEAVES: [u32; 8] = [4, 7, 0xb, 0xd, 0x18, 0x1f, 0x8000_001d, 0x8000_0026];

/// The guest's `cpuid`.
#[derive(Clone, Debug)]
pub struct CpuidTable {
    answers: BTreeMap<(u32, u32), [u32; 4]>,
    intel: bool,
    xcr0: u64,
}

/// Whether the guest sees the leaf at all.
pub fn is_shown(leaf: u32) -> bool {
    leaf == 0xd || PLAIN.contains(&leaf) || FEATURES.iter().any(|f| f.0 == leaf)
}

impl CpuidTable {
    /// The guest's view of a processor that answers `host`, under an operating system that has enabled the
    /// state components in `xcr0` (as `xgetbv` gives them). Leaves that are not shown are dropped, missing
    /// ones are answered with zeros.
    pub fn new(host: impl IntoIterator<Item = Leaf>, xcr0: u64) -> CpuidTable {
        let mut table = CpuidTable { answers: BTreeMap::new(), intel: false, xcr0: guest_xcr0(xcr0) };
        for (leaf, subleaf, answer) in host.into_iter().filter(|leaf| is_shown(leaf.0)) {
            table.answers.insert((leaf, subleaf), table.masked(leaf, subleaf, answer));
        }
        let [_, ebx, ecx, edx] = table.answer(0, 0);
        table.intel = [ebx, edx, ecx] == [*b"Genu", *b"ineI", *b"ntel"].map(u32::from_le_bytes);
        table.state_sizes();
        table
    }

    /// Whether the processor is one of Intel's, which differ from others in what the manuals leave open.
    pub fn is_intel(&self) -> bool {
        self.intel
    }

    /// XCR0 as the guest's `xgetbv` reads it, in agreement with leaf 0xd.
    pub fn xcr0(&self) -> u64 {
        self.xcr0
    }

    /// Whether `xgetbv` with ecx = 1, which reads the state components in use, is there.
    pub fn has_xgetbv1(&self) -> bool {
        self.answer(0xd, 1)[EAX] & 4 != 0
    }

    /// Executes `cpuid`: eax, ebx, ecx, edx for the given eax and ecx.
    ///
    /// A leaf above the highest one gets what Intel processors give, the data of the highest basic leaf, or
    /// zeros as on AMD, by the vendor in leaf 0.
    pub fn query(&self, eax: u32, ecx: u32) -> [u32; 4] {
        let range = eax & 0xc000_0000;
        let [last, ..] = self.answer(range, 0);
        if eax <= last {
            return self.answer(eax, ecx);
        }
        let [highest, ..] = self.answer(0, 0);
        if self.intel { self.answer(highest, ecx) } else { [0; 4] }
    }

    fn answer(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        let key = if WITH_SUBLEAVES.contains(&leaf) { subleaf } else { 0 };
        if let Some(&answer) = self.answers.get(&(leaf, key)) {
            return answer;
        }
        match (leaf, self.answers.get(&(leaf, 0))) {
            // Topology: an invalid level repeats its number, and the processor's.
            (0xb | 0x1f, Some(first)) => [0, 0, subleaf & 0xff, first[EDX]],
            _ => [0; 4],
        }
    }

    fn masked(&self, leaf: u32, subleaf: u32, mut answer: [u32; 4]) -> [u32; 4] {
        match (leaf, subleaf) {
            (0xd, 0) => return [(self.xcr0 & 0xffff_ffff) as u32, 0, 0, 0],
            (0xd, 2..) if subleaf > 63 || self.xcr0 >> subleaf & 1 == 0 => return [0; 4],
            // One subleaf besides the first.
            (7, 0) => answer[EAX] = answer[EAX].min(1),
            _ => {}
        }
        if let Some((_, _, mask)) = FEATURES.iter().find(|f| (f.0, f.1) == (leaf, subleaf)) {
            for (word, mask) in answer.iter_mut().zip(mask) {
                *word &= mask;
            }
        } else if leaf == 7 {
            return [0; 4];
        }
        answer
    }

    /// Leaf 0xd says how large the save area is, for what the guest has.
    fn state_sizes(&mut self) {
        // The legacy area and the header.
        let (mut standard, mut compacted) = (576, 576);
        for component in 2..64 {
            let [size, offset, flags, _] = self.answer(0xd, component);
            if self.xcr0 >> component & 1 != 0 {
                standard = standard.max(offset.saturating_add(size));
                if flags & 2 != 0 {
                    compacted = (compacted + 63) & !63;
                }
                compacted = u32::saturating_add(compacted, size);
            }
        }
        if let Some(sizes) = self.answers.get_mut(&(0xd, 0)) {
            (sizes[EBX], sizes[ECX]) = (standard, standard);
        }
        if let Some(extension) = self.answers.get_mut(&(0xd, 1))
            && extension[EAX] & 2 != 0
        {
            extension[EBX] = compacted;
        }
    }
}

/// The carried part of XCR0; the three components of AVX-512 only together, and only with AVX.
fn guest_xcr0(xcr0: u64) -> u64 {
    let carried = xcr0 & CARRIED_XCR0;
    if carried & 0xe4 == 0xe4 { carried } else { carried & 7 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A processor with every feature bit set, and the state components of a current server.
    fn host(vendor: &[u8; 12]) -> Vec<Leaf> {
        let word = |i: usize| u32::from_le_bytes([vendor[i], vendor[i + 1], vendor[i + 2], vendor[i + 3]]);
        let ask = |leaf, subleaf| match (leaf, subleaf) {
            (0, _) => [0x24, word(0), word(8), word(4)],
            (0x8000_0000, _) => [0x8000_0026, 0, 0, 0],
            (0xb, 0) => [1, 2, 0x100, 77],
            (0xb, 1) => [6, 8, 0x201, 77],
            (0xb, n) => [0, 0, n & 0xff, 77],
            (0xd, 0) => [0x602e7, 0x2b00, 0x2b00, 0],
            (0xd, 1) => [0x1f, 0x2b00, 0x1900, 0],
            (0xd, 2) => [256, 576, 0, 0],
            (0xd, 5) => [64, 1088, 0, 0],
            (0xd, 6) => [512, 1152, 0, 0],
            (0xd, 7) => [1024, 1664, 0, 0],
            (0xd, 9) => [8, 2688, 0, 0],
            (0xd, 17) => [64, 2752, 2, 0],
            (0xd, 18) => [8192, 2816, 6, 0],
            (0xd, _) => [0; 4],
            (0x16, _) => [3000, 4000, 100, 0],
            _ => [!0; 4],
        };
        let leaves = (0..=0x24).chain(0x8000_0000..=0x8000_0026);
        leaves.flat_map(|leaf| (0..64).map(move |subleaf| (leaf, subleaf, ask(leaf, subleaf)))).collect()
    }

    const INTEL: &[u8; 12] = b"GenuineIntel";
    const AMD: &[u8; 12] = b"AuthenticAMD";

    fn has(table: &CpuidTable, leaf: u32, subleaf: u32, register: usize, bit: u32) -> bool {
        table.query(leaf, subleaf)[register] >> bit & 1 != 0
    }

    #[test]
    fn features_that_are_not_carried_are_hidden() {
        let t = CpuidTable::new(host(INTEL), 0x602e7);
        let hidden = [
            ("MONITOR", 1, 0, ECX, 3),
            ("hypervisor", 1, 0, ECX, 31),
            ("VMX", 1, 0, ECX, 5),
            ("SMX", 1, 0, ECX, 6),
            ("SGX", 7, 0, EBX, 2),
            ("HLE", 7, 0, EBX, 4),
            ("RTM", 7, 0, EBX, 11),
            ("MPX", 7, 0, EBX, 14),
            ("PT", 7, 0, EBX, 25),
            ("PKU", 7, 0, ECX, 3),
            ("OSPKE", 7, 0, ECX, 4),
            ("WAITPKG", 7, 0, ECX, 5),
            ("CET_SS", 7, 0, ECX, 7),
            ("KL", 7, 0, ECX, 23),
            ("ENQCMD", 7, 0, ECX, 29),
            ("UINTR", 7, 0, EDX, 5),
            ("TSXLDTRK", 7, 0, EDX, 16),
            ("CET_IBT", 7, 0, EDX, 20),
            ("AMX_BF16", 7, 0, EDX, 22),
            ("AMX_TILE", 7, 0, EDX, 24),
            ("AMX_INT8", 7, 0, EDX, 25),
            ("RAO_INT", 7, 1, EAX, 3),
            ("CMPCCXADD", 7, 1, EAX, 7),
            ("AMX_FP16", 7, 1, EAX, 21),
            ("HRESET", 7, 1, EAX, 22),
            ("AVX10", 7, 1, EDX, 19),
            ("APX", 7, 1, EDX, 21),
            ("XSAVES", 0xd, 1, EAX, 3),
            ("XFD", 0xd, 1, EAX, 4),
            ("SVM", 0x8000_0001, 0, ECX, 2),
            ("XOP", 0x8000_0001, 0, ECX, 11),
            ("LWP", 0x8000_0001, 0, ECX, 15),
            ("FMA4", 0x8000_0001, 0, ECX, 16),
            ("TBM", 0x8000_0001, 0, ECX, 21),
            ("MONITORX", 0x8000_0001, 0, ECX, 29),
            ("3DNOWEXT", 0x8000_0001, 0, EDX, 30),
            ("3DNOW", 0x8000_0001, 0, EDX, 31),
            ("RDPRU", 0x8000_0008, 0, EBX, 4),
        ];
        for (name, leaf, subleaf, register, bit) in hidden {
            assert!(!has(&t, leaf, subleaf, register, bit), "{name}");
        }
        for leaf in [5, 0xa, 0x12, 0x14, 0x19, 0x1d, 0x1e, 0x8000_000a, 0x8000_001c] {
            assert_eq!(t.query(leaf, 0), [0; 4], "leaf {leaf:#x}");
        }
        assert_eq!(t.query(7, 0)[EAX], 1);
        assert_eq!(t.query(7, 2), [0; 4]);
    }

    #[test]
    fn features_that_are_carried_are_shown() {
        let t = CpuidTable::new(host(INTEL), 0xe7);
        let shown = [
            ("SSE4.2", 1, 0, ECX, 20),
            ("AVX", 1, 0, ECX, 28),
            ("SSE2", 1, 0, EDX, 26),
            ("FSGSBASE", 7, 0, EBX, 0),
            ("AVX512VL", 7, 0, EBX, 31),
            ("FP16", 7, 0, EDX, 23),
            ("AVX_VNNI", 7, 1, EAX, 4),
            ("XSAVEC", 0xd, 1, EAX, 1),
            ("XGETBV1", 0xd, 1, EAX, 2),
            ("SYSCALL", 0x8000_0001, 0, EDX, 11),
            ("LM", 0x8000_0001, 0, EDX, 29),
            ("invariant TSC", 0x8000_0007, 0, EDX, 8),
        ];
        for (name, leaf, subleaf, register, bit) in shown {
            assert!(has(&t, leaf, subleaf, register, bit), "{name}");
        }
        assert_eq!(t.query(0x16, 9), [3000, 4000, 100, 0], "a subleaf where there are none");
    }

    #[test]
    fn the_save_area_fits_the_state_components() {
        let t = CpuidTable::new(host(INTEL), 0x602e7);
        assert_eq!((t.xcr0(), t.query(0xd, 0)), (0xe7, [0xe7, 2688, 2688, 0]));
        assert_eq!(t.query(0xd, 1), [7, 576 + 256 + 64 + 512 + 1024, 0, 0]);
        assert_eq!(t.query(0xd, 7), [1024, 1664, 0, 0]);
        for hidden in [9, 17, 18, 64, u32::MAX] {
            assert_eq!(t.query(0xd, hidden), [0; 4], "component {hidden}");
        }
        let avx = CpuidTable::new(host(AMD), 7);
        assert_eq!((avx.xcr0(), avx.query(0xd, 0)), (7, [7, 832, 832, 0]));
        assert_eq!(CpuidTable::new(host(AMD), 0x67).xcr0(), 7, "AVX-512 in part");
    }

    #[test]
    fn leaves_out_of_range_are_answered_as_the_vendor_does() {
        let intel = CpuidTable::new(host(INTEL), 0xe7);
        let highest = intel.query(0x24, 0);
        for leaf in [0x25, 0x3fff_ffff, 0x4000_0000, 0x8000_0027, 0xc000_0000, u32::MAX] {
            assert_eq!(intel.query(leaf, 0), highest, "leaf {leaf:#x}");
            assert_eq!(CpuidTable::new(host(AMD), 0xe7).query(leaf, 0), [0; 4], "leaf {leaf:#x}");
        }
        let mut short = host(INTEL);
        short.iter_mut().filter(|leaf| leaf.0 == 0).for_each(|leaf| leaf.2[EAX] = 0x16);
        assert_eq!(CpuidTable::new(short, 0xe7).query(0x20, 0), [3000, 4000, 100, 0]);
    }

    #[test]
    fn levels_beyond_the_topology_repeat_their_number() {
        let leaves: Vec<Leaf> = host(INTEL).into_iter().filter(|l| l.0 != 0xb || l.1 < 2).collect();
        assert_eq!(CpuidTable::new(leaves, 0xe7).query(0xb, 0x105), [0, 0, 5, 77]);
    }

    #[test]
    fn an_empty_host_answers_zeros() {
        assert_eq!(CpuidTable::new([], 0).query(7, 0), [0; 4]);
    }
}
