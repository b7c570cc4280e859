//! The notation of the table files and its compile-time reader.
//!
//! A line is `name encoding operands attributes…`, the fields apart by blanks; `#` starts a comment line.
//!
//! **Encoding**: `[prefix.][W0.|W1.][Ln.][B0.|B1.]opcode[+r|+c][/digit][m|r][:rm]`. *prefix* is one or more
//! of `np` (none), `66`, `f3`, `f2`, apart by commas, and any of them if it is left out. `L` takes the length
//! field's values that are allowed (`L12`: 256 and 512 bits). `B` is REX.B. `+r` stands for eight opcodes
//! with a register in the low bits, `+c` for sixteen with a condition. `/digit` is modrm.reg, `m` memory
//! only, `r` registers only, `:rm` or `:rm-rm` registers only with these values of modrm.rm.
//!
//! **Operands**, apart by commas, `-` for none. The letters are those of the manuals' opcode maps where those
//! have one:
//!
//! | letter | in | what |
//! | --- | --- | --- |
//! | `E`, `R` | modrm.rm | general register or memory; register only |
//! | `G`, `Z`, `B` | modrm.reg; opcode; vvvv | general register |
//! | `W`, `U` | modrm.rm | vector register or memory; register only |
//! | `V`, `H`, `L` | modrm.reg; vvvv; immediate | vector register |
//! | `Km`, `Kr` | modrm.rm | opmask register or memory; register only |
//! | `K`, `Kp`, `Kv` | modrm.reg; the same, as a pair; vvvv | opmask register |
//! | `Q`, `N`, `P` | modrm.rm; the same, register only; modrm.reg | MMX register (`Q`: or memory) |
//! | `F` | modrm.rm | x87 register or memory |
//! | `M`, `X` | modrm.rm | memory only; with a vector index |
//! | `I` | immediate | `Ib` 1 byte, `Iw` 2, `Iz` 2 or 4, `Iv` 2, 4 or 8 |
//! | `J` | immediate | branch displacement of 1 (`Jb`) or 4 bytes (`Jz`) |
//! | `O` | displacement | memory at an absolute address |
//!
//! General registers have a size: `b` 8 bits, `w` 16, `v` 16, 32 or 64 by prefix, `y` 32 or 64. Behind an
//! operand, `=` says that it is replaced, `~` that it is read and changed (or changed at times), `@` that
//! only its address matters, nothing that it is read.
//!
//! **Attributes**: `r=`, `w=`, `x=` give what is read, written, or both, besides the operands: capital
//! letters for flags (`OSZAPCD`), `ax` `cx` `dx` `bx` `sp` `bp` `si` `di` `r11`, `fpu`, `mxcsr`, `fs` and
//! `gs` (bases), `v0`, `v` (vector registers 0 to 15), `vk` (all vector and opmask registers), apart by `+`.
//! `u=` names flags that the manual leaves undefined, always or for some operands. Processors differ there:
//! one sets such a flag, another keeps its older value. So it counts as read and written, as `x=` says.
//! Displacement factors are `full`, `half`, `quarter`, `eighth` (of the vector), `dup`, `n1` to `n32`; `b2`,
//! `b4`, `b8` is the broadcast element. The others name the constants of [`super::row`] or a class.

use super::row::{self, Immediate, Mnemonic, Operand, Place, Row, Size, Tuple, accepts};
use super::text::{broken, decimal, hex, split, word};
use super::words::{attribute_bits, implicit_bits};
use crate::decode::class::Class;

/// The rows of one opcode: a range of the map's rows.
#[derive(Clone, Copy)]
pub(in crate::decode) struct Span {
    /// Index of the first one.
    pub first: u16,
    /// How many there are.
    pub count: u8,
}

const EMPTY: Row = Row {
    name: Mnemonic::EMPTY,
    accepts: 0,
    attributes: 0,
    reads: 0,
    writes: 0,
    operands: [Operand::NONE; 4],
    class: Class::Native,
    opcode: 0,
    span: 1,
    immediate: Immediate::Bytes(0),
    tuple: Tuple::Fixed(1),
    broadcast: 0,
};

/// Number of rows in the texts.
pub(in crate::decode) const fn count(texts: &[&'static str]) -> usize {
    let (mut rows, mut i) = (0, 0);
    while i < texts.len() {
        let mut rest = texts[i].as_bytes();
        while !rest.is_empty() {
            let (line, tail) = split(rest, b'\n');
            rows += is_row(line) as usize;
            rest = tail;
        }
        i += 1;
    }
    rows
}

/// The rows of the texts.
pub(in crate::decode) const fn parse<const N: usize>(texts: &[&'static str]) -> [Row; N] {
    let mut rows = [EMPTY; N];
    let (mut n, mut i) = (0, 0);
    while i < texts.len() {
        let mut rest = texts[i].as_bytes();
        while !rest.is_empty() {
            let (line, tail) = split(rest, b'\n');
            if is_row(line) {
                rows[n] = parse_row(line);
                n += 1;
            }
            rest = tail;
        }
        i += 1;
    }
    rows
}

/// Where each opcode's rows are.
pub(in crate::decode) const fn index(rows: &[Row]) -> [Span; 256] {
    let mut spans = [Span { first: 0, count: 0 }; 256];
    let mut i = 0;
    while i < rows.len() {
        let mut n = 0;
        while n < rows[i].span as usize {
            let span = &mut spans[rows[i].opcode as usize + n];
            if span.count == 0 {
                span.first = i as u16;
            }
            assert!(span.first as usize + span.count as usize == i, "the rows of an opcode are not adjacent");
            span.count += 1;
            n += 1;
        }
        i += 1;
    }
    spans
}

const fn is_row(line: &[u8]) -> bool {
    !line.is_empty() && line[0] != b'#'
}

const fn parse_row(line: &'static [u8]) -> Row {
    let mut row = EMPTY;
    let (name, rest) = word(line);
    let (encoding, rest) = word(rest);
    let (operands, mut rest) = word(rest);
    row.name = Mnemonic::new(name);
    parse_encoding(&mut row, encoding);
    parse_operands(&mut row, operands);
    while !rest.is_empty() {
        let (attribute, tail) = word(rest);
        parse_attribute(&mut row, attribute);
        rest = tail;
    }
    row
}

const fn parse_encoding(row: &mut Row, encoding: &'static [u8]) {
    row.accepts = accepts::USUAL;
    let mut rest = encoding;
    loop {
        let (part, tail) = split(rest, b'.');
        if tail.is_empty() {
            break;
        }
        match part {
            [b'W', n] => narrow(row, accepts::WIDTHS, 1 << (accepts::WIDTH_AT + decimal(*n))),
            [b'B', n] => narrow(row, accepts::BASES, 1 << (accepts::BASE_AT + decimal(*n))),
            [b'L', lengths @ ..] => narrow(row, accepts::LENGTHS, length_bits(lengths)),
            prefixes => narrow(row, accepts::PREFIXES, prefix_bits(prefixes)),
        }
        rest = tail;
    }
    assert!(rest.len() >= 2, "no opcode");
    row.opcode = hex(rest[0]) << 4 | hex(rest[1]);
    match rest.split_at(2).1 {
        [] => {}
        b"+r" => row.span = 8,
        b"+c" => row.span = 16,
        [b'/', digit, rm @ ..] => {
            row.attributes |= row::MODRM;
            narrow(row, accepts::REGS, 1 << (accepts::REG_AT + decimal(*digit)));
            parse_rm(row, rm);
        }
        _ => broken("unknown opcode suffix"),
    }
}

const fn parse_rm(row: &mut Row, rm: &[u8]) {
    let (first, last) = match rm {
        [] => return,
        b"m" => return narrow(row, accepts::MODS, accepts::MEMORY),
        b"r" => (0, 7),
        [b':', n] => (decimal(*n), decimal(*n)),
        [b':', a, b'-', b] => (decimal(*a), decimal(*b)),
        _ => broken("unknown rm suffix"),
    };
    narrow(row, accepts::MODS, accepts::REGISTER);
    narrow(row, accepts::RMS, (0xff >> (7 - (last - first))) << (accepts::RM_AT + first));
}

/// Restricts one field of what the row accepts.
const fn narrow(row: &mut Row, field: u32, to: u32) {
    row.accepts &= !field | to;
}

const fn prefix_bits(list: &'static [u8]) -> u32 {
    let (mut rest, mut bits) = (list, 0);
    while !rest.is_empty() {
        let (prefix, tail) = split(rest, b',');
        bits |= match prefix {
            b"np" => 1,
            b"66" => 2,
            b"f3" => 4,
            b"f2" => 8,
            _ => 0,
        };
        rest = tail;
    }
    assert!(bits != 0, "unknown prefix");
    bits
}

const fn length_bits(digits: &[u8]) -> u32 {
    let (mut i, mut bits) = (0, 0);
    while i < digits.len() {
        bits |= 1 << (accepts::LENGTH_AT + decimal(digits[i]));
        i += 1;
    }
    bits
}

const fn parse_operands(row: &mut Row, list: &'static [u8]) {
    let (mut rest, mut n) = (list, 0);
    while !rest.is_empty() {
        let (operand, tail) = split(rest, b',');
        rest = tail;
        if matches!(operand, b"-") || parse_immediate(row, operand) {
            continue;
        }
        row.operands[n] = parse_operand(row, operand);
        n += 1;
    }
}

/// Takes an immediate, a branch displacement or an absolute address; false for other operands.
const fn parse_immediate(row: &mut Row, operand: &[u8]) -> bool {
    let before = match row.immediate {
        Immediate::Bytes(n) => n,
        _ => 0,
    };
    row.immediate = match operand {
        b"Ib" | b"Jb" => Immediate::Bytes(before + 1),
        b"Iw" => Immediate::Bytes(before + 2),
        b"Jz" => Immediate::Bytes(4),
        b"Iz" => Immediate::UpTo4,
        b"Iv" => Immediate::UpTo8,
        b"O" => Immediate::Address,
        _ => return false,
    };
    true
}

const fn parse_operand(row: &mut Row, operand: &[u8]) -> Operand {
    let (place, mods, attributes, rest) = match operand {
        [b'K', b'm', rest @ ..] => (Place::RmMask, accepts::MODS, row::MODRM, rest),
        [b'K', b'r', rest @ ..] => (Place::RmMask, accepts::REGISTER, row::MODRM, rest),
        [b'K', b'p', rest @ ..] => (Place::RegMaskPair, accepts::MODS, row::MODRM, rest),
        [b'K', b'v', rest @ ..] => (Place::VvvvMask, accepts::MODS, row::VVVV, rest),
        [b'K', rest @ ..] => (Place::RegMask, accepts::MODS, row::MODRM, rest),
        [b'E', rest @ ..] => (Place::RmGpr, accepts::MODS, row::MODRM, rest),
        [b'R', rest @ ..] => (Place::RmGpr, accepts::REGISTER, row::MODRM, rest),
        [b'G', rest @ ..] => (Place::RegGpr, accepts::MODS, row::MODRM, rest),
        [b'Z', rest @ ..] => (Place::OpcodeGpr, accepts::MODS, 0, rest),
        [b'B', rest @ ..] => (Place::VvvvGpr, accepts::MODS, row::VVVV, rest),
        [b'W', rest @ ..] => (Place::RmVector, accepts::MODS, row::MODRM, rest),
        [b'U', rest @ ..] => (Place::RmVector, accepts::REGISTER, row::MODRM, rest),
        [b'V', rest @ ..] => (Place::RegVector, accepts::MODS, row::MODRM, rest),
        [b'H', rest @ ..] => (Place::VvvvVector, accepts::MODS, row::VVVV, rest),
        [b'L', rest @ ..] => {
            row.immediate = Immediate::Bytes(1);
            (Place::ImmVector, accepts::MODS, 0, rest)
        }
        [b'Q' | b'F', rest @ ..] => (Place::RmFpu, accepts::MODS, row::MODRM | row::X87, rest),
        [b'N', rest @ ..] => (Place::RmFpu, accepts::REGISTER, row::MODRM | row::X87, rest),
        [b'P', rest @ ..] => (Place::RegFpu, accepts::MODS, row::MODRM | row::X87, rest),
        [b'M', rest @ ..] => (Place::Memory, accepts::MEMORY, row::MODRM, rest),
        [b'X', rest @ ..] => (Place::Memory, accepts::MEMORY, row::MODRM | row::VSIB, rest),
        _ => broken("unknown operand"),
    };
    row.attributes |= attributes;
    narrow(row, accepts::MODS, mods);
    let (size, access) = match rest {
        [b'b', access @ ..] => (Size::Byte, access),
        [b'w', access @ ..] => (Size::Word, access),
        [b'v', access @ ..] => (Size::Variable, access),
        [b'y', access @ ..] => (Size::Full, access),
        access => (Size::Full, access),
    };
    let (read, write) = match access {
        [] => (true, false),
        b"=" => (false, true),
        b"~" => (true, true),
        b"@" => (false, false),
        _ => broken("unknown operand access"),
    };
    Operand { place, size, read, write }
}

const fn parse_attribute(row: &mut Row, word: &'static [u8]) {
    match word {
        [b'r', b'=', names @ ..] => row.reads |= implicit_bits(names),
        [b'w', b'=', names @ ..] => row.writes |= implicit_bits(names),
        [b'x' | b'u', b'=', names @ ..] => {
            row.reads |= implicit_bits(names);
            row.writes |= implicit_bits(names);
        }
        b"full" => row.tuple = Tuple::Fraction(1),
        b"half" => row.tuple = Tuple::Fraction(2),
        b"quarter" => row.tuple = Tuple::Fraction(4),
        b"eighth" => row.tuple = Tuple::Fraction(8),
        b"dup" => row.tuple = Tuple::Duplicate,
        [b'n', n] => row.tuple = Tuple::Fixed(decimal(*n) as u8),
        [b'n', a, b] => row.tuple = Tuple::Fixed((decimal(*a) * 10 + decimal(*b)) as u8),
        [b'b', n] => row.broadcast = decimal(*n) as u8,
        _ => {
            if let Some(class) = Class::from_word(word) {
                row.class = class;
            } else {
                row.attributes |= attribute_bits(word);
            }
        }
    }
}
