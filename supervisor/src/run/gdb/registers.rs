//! The registers of a thread as GDB knows them, made from those of a traced thread's state and put back
//! there.
//!
//! GDB is told which there are, and in which order, by a description that is made from the same table as the
//! bytes ([`BLOCKS`]). Its names are GDB's own (*Standard Target Features*, *i386 Features*, in its manual).

use gdbstub::arch::{Arch, Registers as GdbRegisters};
use rxbox_wire::ptrace::{EXTENDED, EXTENDED_MIN};
use std::fmt::Write;
use std::sync::OnceLock;

/// Registers of one kind in a row, in GDB's order.
struct Block {
    feature: &'static str,
    names: &'static [&'static str],
    bits: usize,
    /// GDB's type.
    kind: &'static str,
    /// Where they lie in a thread's state.
    place: Place,
}

/// Where registers lie in a thread's state.
#[derive(Clone, Copy)]
enum Place {
    /// The words of `struct user_regs_struct` of these indices.
    General(&'static [usize]),
    /// From this offset of the extended registers on, so many bytes apart.
    Extended(usize, usize),
    /// The control registers of the x87 part, which FXSAVE stores in another shape.
    Control,
}

const CORE: &str = "org.gnu.gdb.i386.core";
/// Where the upper halves of the AVX registers are in the standard form of XSAVE (Intel SDM 1, 13.5.3).
const UPPER: usize = EXTENDED_MIN;
/// Bytes of the FXSAVE part, behind which XSAVE's header says what is in use.
const FLOATING: usize = 512;
const X87_AND_SSE: u8 = 3;
const AVX: u8 = 4;

const BLOCKS: [Block; 12] = [
    Block {
        feature: CORE,
        names: &[
            "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
            "r14", "r15",
        ],
        bits: 64,
        kind: "int64",
        place: Place::General(&[10, 5, 11, 12, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0]),
    },
    Block { feature: CORE, names: &["rip"], bits: 64, kind: "code_ptr", place: Place::General(&[16]) },
    Block { feature: CORE, names: &["eflags"], bits: 32, kind: "i386_eflags", place: Place::General(&[18]) },
    Block {
        feature: CORE,
        names: &["cs", "ss", "ds", "es", "fs", "gs"],
        bits: 32,
        kind: "int32",
        place: Place::General(&[17, 20, 23, 24, 25, 26]),
    },
    Block {
        feature: CORE,
        names: &["st0", "st1", "st2", "st3", "st4", "st5", "st6", "st7"],
        bits: 80,
        kind: "i387_ext",
        place: Place::Extended(32, 16),
    },
    Block {
        feature: CORE,
        names: &["fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop"],
        bits: 32,
        kind: "int32",
        place: Place::Control,
    },
    Block {
        feature: "org.gnu.gdb.i386.sse",
        names: &[
            "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
            "xmm12", "xmm13", "xmm14", "xmm15",
        ],
        bits: 128,
        kind: "vec128",
        place: Place::Extended(160, 16),
    },
    Block {
        feature: "org.gnu.gdb.i386.sse",
        names: &["mxcsr"],
        bits: 32,
        kind: "i386_mxcsr",
        place: Place::Extended(24, 4),
    },
    Block {
        feature: "org.gnu.gdb.i386.linux",
        names: &["orig_rax"],
        bits: 64,
        kind: "int64",
        place: Place::General(&[15]),
    },
    Block {
        feature: "org.gnu.gdb.i386.segments",
        names: &["fs_base", "gs_base"],
        bits: 64,
        kind: "int64",
        place: Place::General(&[21, 22]),
    },
    Block {
        feature: "org.gnu.gdb.i386.avx",
        names: &[
            "ymm0h", "ymm1h", "ymm2h", "ymm3h", "ymm4h", "ymm5h", "ymm6h", "ymm7h", "ymm8h", "ymm9h",
            "ymm10h", "ymm11h", "ymm12h", "ymm13h", "ymm14h", "ymm15h",
        ],
        bits: 128,
        kind: "uint128",
        place: Place::Extended(UPPER, 16),
    },
    // So that the description ends its last feature.
    Block { feature: "", names: &[], bits: 0, kind: "", place: Place::General(&[]) },
];

/// Index of the program counter's word in `struct user_regs_struct`.
const RIP: usize = rxbox_wire::ptrace::word::RIP;

/// The guest's processor, for gdbstub.
#[derive(Debug)]
pub(super) enum Guest {}

impl Arch for Guest {
    type Usize = u64;
    type Registers = Registers;
    type BreakpointKind = usize;
    type RegId = ();

    fn target_description_xml() -> Option<&'static str> {
        static TEXT: OnceLock<String> = OnceLock::new();
        Some(TEXT.get_or_init(description))
    }
}

/// The registers of one thread, as GDB wants them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Registers {
    bytes: Vec<u8>,
    pc: u64,
}

impl GdbRegisters for Registers {
    type ProgramCounter = u64;

    fn pc(&self) -> u64 {
        self.pc
    }

    fn gdb_serialize(&self, mut write_byte: impl FnMut(Option<u8>)) {
        self.bytes.iter().for_each(|byte| write_byte(Some(*byte)));
    }

    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        if bytes.len() != BLOCKS.iter().map(Block::bytes).sum::<usize>() {
            return Err(());
        }
        self.bytes = bytes.to_vec();
        Ok(())
    }
}

impl Block {
    /// Bytes of one register.
    fn width(&self) -> usize {
        self.bits / 8
    }
    /// Bytes of all.
    fn bytes(&self) -> usize {
        self.width() * self.names.len()
    }
    /// Where its register `n` lies in a thread's state, if it lies there as GDB wants it.
    fn at(&self, n: usize) -> Option<usize> {
        match self.place {
            Place::General(words) => words.get(n).map(|word| 8 * word),
            Place::Extended(from, apart) => Some(EXTENDED + from + n * apart),
            Place::Control => None,
        }
    }
}

impl Registers {
    /// From a thread's state; what the processor does not have is zero.
    pub(super) fn of(state: &[u8]) -> Registers {
        let mut bytes = Vec::new();
        for block in &BLOCKS {
            for n in 0..block.names.len() {
                let value = match block.at(n) {
                    Some(at) => state.get(at..at + block.width()).unwrap_or_default().to_vec(),
                    None => control(state)[n].to_le_bytes().to_vec(),
                };
                bytes.extend(value.into_iter().chain(std::iter::repeat(0)).take(block.width()));
            }
        }
        let pc = std::array::from_fn(|k| state.get(8 * RIP + k).copied().unwrap_or_default());
        Registers { bytes, pc: u64::from_le_bytes(pc) }
    }

    /// Puts those that differ into a thread's state.
    pub(super) fn put(&self, state: &mut [u8]) {
        let old = Registers::of(state);
        let mut from = 0;
        for block in &BLOCKS {
            for n in 0..block.names.len() {
                let range = from..from + block.width();
                from = range.end;
                let (Some(new), Some(old)) = (self.bytes.get(range.clone()), old.bytes.get(range)) else {
                    return;
                };
                if new != old {
                    block.set(n, new, state);
                }
            }
        }
    }
}

impl Block {
    fn set(&self, n: usize, value: &[u8], state: &mut [u8]) {
        let used = match self.place {
            Place::General(_) => 0,
            Place::Extended(UPPER, _) => AVX,
            _ => X87_AND_SSE,
        };
        match self.at(n) {
            Some(at) => {
                let Some(place) = state.get_mut(at..at + value.len()) else { return };
                place.copy_from_slice(value);
            }
            None => {
                let value = u32::from_le_bytes(std::array::from_fn(|k| value.get(k).copied().unwrap_or(0)));
                set_control(n, value, state);
            }
        }
        if used != 0 {
            state[EXTENDED + FLOATING] |= used;
        }
    }
}

/// Where control registers lie in the FXSAVE part (Intel SDM 1, table 10-2), and how many bytes GDB's have
/// there; of the tags see [`tags`].
const CONTROL: [(usize, usize); 8] = [(0, 2), (2, 2), (4, 1), (12, 2), (8, 4), (20, 2), (16, 4), (6, 2)];
const TAGS: usize = 2;

/// GDB's control registers of the x87 part.
fn control(state: &[u8]) -> [u32; 8] {
    let x87 = &state[EXTENDED..EXTENDED + FLOATING];
    std::array::from_fn(|n| match n {
        TAGS => tags(x87),
        _ => {
            let (at, len) = CONTROL[n];
            u32::from_le_bytes(std::array::from_fn(|k| if k < len { x87[at + k] } else { 0 }))
        }
    })
}

fn set_control(n: usize, value: u32, state: &mut [u8]) {
    let (at, len) = CONTROL[n];
    let value =
        if n == TAGS { (0..8).map(|r| u32::from(value >> (2 * r) & 3 != 3) << r).sum() } else { value };
    state[EXTENDED + at..EXTENDED + at + len].copy_from_slice(&value.to_le_bytes()[..len]);
}

/// The tag word, two bits for each register: valid, zero, special, empty. FXSAVE stores one bit, for empty or
/// not; the rest is what the register holds.
fn tags(x87: &[u8]) -> u32 {
    let top = usize::from(x87[3] >> 3 & 7);
    let tag = |register: usize| {
        if x87[4] >> register & 1 == 0 {
            return 3;
        }
        let at = 32 + 16 * ((register + 8 - top) % 8);
        let mantissa = u64::from_le_bytes(std::array::from_fn(|k| x87[at + k]));
        let exponent = u16::from_le_bytes([x87[at + 8], x87[at + 9]]) & 0x7fff;
        match (exponent, mantissa >> 63) {
            (0, _) if mantissa == 0 => 1,
            (1..=0x7ffe, 1) => 0,
            _ => 2,
        }
    };
    (0..8).map(|register| tag(register) << (2 * register)).sum()
}

/// What GDB is told of the registers.
fn description() -> String {
    let mut text = "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target>\n\
        <architecture>i386:x86-64</architecture>\n<osabi>GNU/Linux</osabi>\n"
        .to_owned();
    let mut feature = "";
    for block in &BLOCKS {
        if block.feature != feature {
            let end = if feature.is_empty() { "" } else { "</feature>\n" };
            feature = block.feature;
            text.push_str(end);
            if !feature.is_empty() {
                // It cannot fail.
                let _ = writeln!(text, "<feature name=\"{feature}\">\n{VECTORS}");
                flags(&mut text, "i386_eflags", &EFLAGS);
                flags(&mut text, "i386_mxcsr", &MXCSR);
            }
        }
        for name in block.names {
            let _ =
                writeln!(text, "<reg name=\"{name}\" bitsize=\"{}\" type=\"{}\"/>", block.bits, block.kind);
        }
    }
    text.push_str("</target>\n");
    text
}

/// A type of flags, with their names by bit.
fn flags(text: &mut String, id: &str, names: &[(u32, &str)]) {
    // It cannot fail.
    let _ = writeln!(text, "<flags id=\"{id}\" size=\"4\">");
    for (bit, name) in names {
        let _ = writeln!(text, "<field name=\"{name}\" start=\"{bit}\" end=\"{bit}\"/>");
    }
    text.push_str("</flags>\n");
}

/// Flags of EFLAGS (Intel SDM 1, 3.4.3) and of MXCSR (10.2.3), by GDB's names.
const EFLAGS: [(u32, &str); 17] = [
    (0, "CF"),
    (1, ""),
    (2, "PF"),
    (4, "AF"),
    (6, "ZF"),
    (7, "SF"),
    (8, "TF"),
    (9, "IF"),
    (10, "DF"),
    (11, "OF"),
    (14, "NT"),
    (16, "RF"),
    (17, "VM"),
    (18, "AC"),
    (19, "VIF"),
    (20, "VIP"),
    (21, "ID"),
];
const MXCSR: [(u32, &str); 14] = [
    (0, "IE"),
    (1, "DE"),
    (2, "ZE"),
    (3, "OE"),
    (4, "UE"),
    (5, "PE"),
    (6, "DAZ"),
    (7, "IM"),
    (8, "DM"),
    (9, "ZM"),
    (10, "OM"),
    (11, "UM"),
    (12, "PM"),
    (15, "FZ"),
];

/// What a register of 128 bits can hold.
const VECTORS: &str = "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>\n\
    <vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>\n\
    <vector id=\"v16i8\" type=\"int8\" count=\"16\"/>\n\
    <vector id=\"v8i16\" type=\"int16\" count=\"8\"/>\n\
    <vector id=\"v4i32\" type=\"int32\" count=\"4\"/>\n\
    <vector id=\"v2i64\" type=\"int64\" count=\"2\"/>\n\
    <union id=\"vec128\">\
    <field name=\"v4_float\" type=\"v4f\"/>\
    <field name=\"v2_double\" type=\"v2d\"/>\
    <field name=\"v16_int8\" type=\"v16i8\"/>\
    <field name=\"v8_int16\" type=\"v8i16\"/>\
    <field name=\"v4_int32\" type=\"v4i32\"/>\
    <field name=\"v2_int64\" type=\"v2i64\"/>\
    <field name=\"uint128\" type=\"uint128\"/></union>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gdb_sets_is_what_it_reads_and_nothing_else_changes() {
        let mut state: Vec<u8> = (0..EXTENDED + UPPER + 256).map(|n| (n * 7) as u8).collect();
        // All valid, so that the tags come back.
        state[EXTENDED + 4] = 0xff;
        let told = Registers::of(&state);
        let mut same = state.clone();
        told.put(&mut same);
        assert_eq!(same, state);
        for at in 0..told.bytes.len() {
            let mut changed = told.clone();
            changed.bytes[at] ^= 0x10;
            let mut new = state.clone();
            changed.put(&mut new);
            let differs = new.iter().zip(&state).filter(|(new, old)| new != old).count();
            assert!(differs <= 3, "byte {at} changes {differs}");
        }
    }

    #[test]
    fn the_description_names_as_many_registers_as_there_are_bytes_for() {
        let text = description();
        let bits = text
            .lines()
            .filter_map(|l| l.split("bitsize=\"").nth(1)?.split('"').next()?.parse::<usize>().ok());
        let told = Registers::of(&vec![0; EXTENDED + EXTENDED_MIN]);
        assert_eq!(bits.sum::<usize>(), 8 * told.bytes.len());
        assert_eq!(text.matches("<feature").count(), text.matches("</feature>").count());
    }

    #[test]
    fn tags_say_what_registers_hold() {
        let mut x87 = [0; FLOATING];
        // The top is register 7, which holds 1.0; register 0 zero; register 1 a not-a-number.
        (x87[3], x87[4]) = (7 << 3, 0b1000_0011);
        x87[32..42].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f]);
        x87[64..74].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0x7f]);
        assert_eq!(tags(&x87), 0b00_11_11_11_11_11_10_01);
    }
}
