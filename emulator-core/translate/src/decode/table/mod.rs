//! The allow-list: which encodings are carried, and what each of them reads and writes.
//!
//! An instruction reaches the host only if a row here accepts its encoding; everything that a row does not
//! accept is refused. The rows are text files beside this one, a line for an instruction, in the notation
//! that [`notation`] defines and turns into constant data when the crate is compiled. A mistake in a row does
//! not compile.
//!
//! Feature families with rows (what `cpuid` may show a guest is what is listed here, see [`crate::cpuid`]):
//! the x86-64 base set with CMOV, CX8, CX16, LAHF, FXSR, MOVBE, POPCNT, LZCNT, BMI1, BMI2, ADX, CRC32,
//! RDRAND, RDSEED, RDPID, RDTSCP, FSGSBASE, CLFLUSH, CLFLUSHOPT, CLWB, CLDEMOTE, CLZERO, PREFETCHW, MOVDIRI,
//! MOVDIR64B, SERIALIZE, the XSAVE family; x87, MMX, SSE to SSE4.2, SSE4a, AES, PCLMULQDQ, SHA, GFNI; AVX,
//! AVX2, FMA, F16C, VAES, VPCLMULQDQ, AVX-VNNI (with INT8 and INT16), AVX-IFMA, AVX-NE-CONVERT, SHA512, SM3,
//! SM4; AVX-512 F, CD, BW, DQ, VL, IFMA, VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ, BF16, FP16, VP2INTERSECT.
//!
//! Rows of class `ud` name what is deliberately left out although some processors have it: TSX, protection
//! keys, shadow stacks, VMX, SVM, SGX, SMX, user interrupts, WAITPKG, PTWRITE, ENQCMD, key locker, HRESET,
//! RAO-INT, MONITORX, RDPRU, 3DNow!. AMX, XOP, FMA4, TBM, LWP, CMPccXADD and AVX10/APX encodings have no row
//! at all.

mod notation;
pub(in crate::decode) mod row;
mod text;
mod words;

use super::form::Space;
use notation::{Span, count, index, parse};
use row::Row;

/// The rows of one opcode map and where each opcode's are.
struct Map {
    rows: &'static [Row],
    spans: [Span; 256],
}

/// Defines a map from the text files that hold its rows.
macro_rules! map {
    ($name:ident: $($file:literal),+) => {
        static $name: Map = {
            const TEXT: &[&str] = &[$(include_str!($file)),+];
            const COUNT: usize = count(TEXT);
            static ROWS: [Row; COUNT] = parse(TEXT);
            Map { rows: &ROWS, spans: index(&ROWS) }
        };
    };
}

map!(ONE_BYTE: "legacy-one-byte.txt", "legacy-x87.txt");
map!(LEGACY_0F: "legacy-0f.txt", "legacy-0f-vector.txt");
map!(LEGACY_0F38: "legacy-0f38.txt");
map!(LEGACY_0F3A: "legacy-0f3a.txt");
map!(VEX_0F: "vex-0f.txt");
map!(VEX_0F38: "vex-0f38.txt");
map!(VEX_0F3A: "vex-0f3a.txt");
map!(EVEX_0F: "evex-0f.txt");
map!(EVEX_0F38: "evex-0f38.txt");
map!(EVEX_0F3A: "evex-0f3a.txt");
map!(EVEX_MAP5: "evex-map5.txt");
map!(EVEX_MAP6: "evex-map6.txt");

/// The rows of an opcode, in no particular order: no two of them accept the same encoding. All of them agree
/// on whether a modrm byte follows.
pub(super) fn rows(space: Space, map: u8, opcode: u8) -> &'static [Row] {
    let map = match (space, map) {
        (Space::Legacy, 0) => &ONE_BYTE,
        (Space::Legacy, 1) => &LEGACY_0F,
        (Space::Legacy, 2) => &LEGACY_0F38,
        (Space::Legacy, 3) => &LEGACY_0F3A,
        (Space::Vex, 1) => &VEX_0F,
        (Space::Vex, 2) => &VEX_0F38,
        (Space::Vex, 3) => &VEX_0F3A,
        (Space::Evex, 1) => &EVEX_0F,
        (Space::Evex, 2) => &EVEX_0F38,
        (Space::Evex, 3) => &EVEX_0F3A,
        (Space::Evex, 5) => &EVEX_MAP5,
        (Space::Evex, 6) => &EVEX_MAP6,
        _ => return &[],
    };
    let Span { first, count } = map.spans[usize::from(opcode)];
    map.rows.get(usize::from(first)..usize::from(first) + usize::from(count)).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::var::{Var, VarSet};
    use row::{accepts, implicit};

    fn all() -> Vec<(&'static str, &'static Map)> {
        vec![
            ("one byte", &ONE_BYTE),
            ("0f", &LEGACY_0F),
            ("0f38", &LEGACY_0F38),
            ("0f3a", &LEGACY_0F3A),
            ("vex 0f", &VEX_0F),
            ("vex 0f38", &VEX_0F38),
            ("vex 0f3a", &VEX_0F3A),
            ("evex 0f", &EVEX_0F),
            ("evex 0f38", &EVEX_0F38),
            ("evex 0f3a", &EVEX_0F3A),
            ("evex map 5", &EVEX_MAP5),
            ("evex map 6", &EVEX_MAP6),
        ]
    }

    #[test]
    fn no_encoding_is_accepted_by_two_rows() {
        let fields = [
            accepts::PREFIXES,
            accepts::WIDTHS,
            accepts::LENGTHS,
            accepts::MODS,
            accepts::REGS,
            accepts::RMS,
            accepts::BASES,
        ];
        for (name, map) in all() {
            for opcode in 0..256 {
                let Span { first, count } = map.spans[opcode];
                let rows = &map.rows[usize::from(first)..][..usize::from(count)];
                for (i, a) in rows.iter().enumerate() {
                    for b in &rows[i + 1..] {
                        let both = a.accepts & b.accepts;
                        let overlap = fields.iter().all(|f| both & f != 0);
                        assert!(!overlap, "{name} {opcode:02x}: {} and {}", a.name.as_str(), b.name.as_str());
                    }
                }
            }
        }
    }

    #[test]
    fn rows_of_an_opcode_agree_on_the_modrm_byte() {
        for (name, map) in all() {
            for opcode in 0..256 {
                let Span { first, count } = map.spans[opcode];
                let rows = &map.rows[usize::from(first)..][..usize::from(count)];
                assert!(
                    rows.iter().all(|r| r.has(row::MODRM) == rows[0].has(row::MODRM)),
                    "{name} {opcode:02x}"
                );
            }
        }
    }

    /// Flags that the manuals leave undefined (Intel SDM 1, appendix A), by mnemonic. What is undefined only
    /// for some counts is in the rows with an immediate count.
    const UNDEFINED: [(&[&str], &[Var]); 9] = [
        (&["and", "or", "xor", "test"], &[Var::AF]),
        (&["shl", "sal", "shr", "sar"], &[Var::AF]),
        (&["shld", "shrd"], &[Var::OF, Var::AF]),
        (&["mul", "imul"], &[Var::SF, Var::ZF, Var::AF, Var::PF]),
        (&["div", "idiv"], &[Var::OF, Var::SF, Var::ZF, Var::AF, Var::PF, Var::CF]),
        (&["bt", "bts", "btr", "btc", "lzcnt", "tzcnt"], &[Var::OF, Var::SF, Var::AF, Var::PF]),
        (&["bsf", "bsr"], &[Var::OF, Var::SF, Var::AF, Var::PF, Var::CF]),
        (&["andn", "blsr", "blsmsk", "blsi", "bzhi"], &[Var::AF, Var::PF]),
        (&["bextr"], &[Var::SF, Var::AF, Var::PF]),
    ];

    #[test]
    fn flags_that_a_row_leaves_undefined_count_as_read() {
        for (names, flags) in UNDEFINED {
            let flags = VarSet::of_all(flags);
            for name in names {
                let rows = || {
                    all().into_iter().flat_map(|(_, map)| map.rows).filter(|row| row.name.as_str() == *name)
                };
                assert_ne!(rows().count(), 0, "{name}");
                for row in rows() {
                    let both = implicit::set(row.reads).intersect(implicit::set(row.writes));
                    let missing = flags.minus(both);
                    assert!(missing.is_empty(), "{name} {:02x}: {missing:?}", row.opcode);
                }
            }
        }
    }

    #[test]
    fn the_table_stays_compact() {
        assert!(size_of::<Row>() <= 64);
        assert!(all().iter().map(|(_, m)| size_of_val(m.rows)).sum::<usize>() < 160 << 10);
    }
}
