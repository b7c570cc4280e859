//! The shape of an encoding: prefixes, opcode, modrm, sib, displacement, immediate.
//!
//! Parsing goes in two steps, because what follows the modrm byte depends on the table's row:
//! [`Encoding::parse`] reads up to and including the opcode, the rest is read by the methods as
//! [`super::decode`] finds out what is there.

use super::form::{Form, MemOperand, Space};
use super::insn::DecodeError;
use super::table::row::{Immediate, Row, Tuple, VSIB, accepts};

/// The longest instruction in bytes.
const MAX_LEN: usize = 15;

/// Reads the bytes of one instruction. Behind the readable ones it reads zeros, so that only the end has to
/// be checked: whatever was made of bytes that are not there counts for nothing if [`Cursor::excess`] finds
/// fault.
pub(super) struct Cursor {
    bytes: [u8; Self::PADDED],
    at: usize,
    readable: usize,
}

impl Cursor {
    /// The longest instruction and the widest number behind it.
    const PADDED: usize = 24;

    pub(super) fn new(bytes: &[u8]) -> Cursor {
        let mut padded = [0; Self::PADDED];
        let readable = bytes.len().min(MAX_LEN);
        if let Some(all) = bytes.first_chunk::<16>() {
            padded[..16].copy_from_slice(all);
        } else {
            padded[..readable].copy_from_slice(&bytes[..readable]);
        }
        Cursor { bytes: padded, at: 0, readable }
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> u8 {
        self.at as u8
    }

    /// What is wrong if more was read than an instruction can have, or than there is.
    pub(super) fn excess(&self) -> Option<DecodeError> {
        if self.at <= self.readable {
            None
        } else if self.readable == MAX_LEN {
            Some(DecodeError::TooLong)
        } else {
            Some(DecodeError::Truncated)
        }
    }

    fn next(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or_default();
        self.at += 1;
        byte
    }

    /// A little-endian number of 0 to 8 bytes, sign-extended.
    fn signed(&mut self, size: u8) -> i64 {
        let word = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        self.at += usize::from(size);
        let unused = 64 - 8 * u32::from(size.clamp(1, 8));
        let value = (u64::from_le_bytes(word) << unused) as i64 >> unused;
        if size == 0 { 0 } else { value }
    }
}

/// An encoding as far as it is read, with the fields that only decoding needs.
pub(super) struct Encoding {
    /// What the caller gets.
    pub(super) form: Form,
    /// Mandatory prefix: 0 none, 1 `66`, 2 `f3`, 3 `f2`.
    pp: u8,
    /// W: of REX, VEX or EVEX.
    wide: bool,
    /// Vector length field: 0 128 bits, 1 256, 2 512.
    pub(super) length: u8,
    /// The register in the prefix's vvvv field, with EVEX's V' as bit 4.
    pub(super) vvvv: u8,
    /// EVEX R' as bit 4 of modrm.reg.
    reg_high: u8,
    /// EVEX: opmask register of the mask.
    pub(super) mask: u8,
    /// EVEX: elements that the mask leaves out become zero.
    pub(super) zeroing: bool,
    /// EVEX: broadcast, embedded rounding or exception suppression.
    pub(super) evex_b: bool,
    /// Prefix bytes before the opcode or before a VEX or EVEX prefix, REX not counted if it counts.
    pub(super) prefixes: u8,
    /// The immediate, sign-extended.
    pub(super) immediate: i64,
}

impl Encoding {
    /// Reads prefixes and opcode.
    pub(super) fn parse(cursor: &mut Cursor) -> Result<Encoding, DecodeError> {
        let mut e = Encoding {
            form: Form::default(),
            pp: 0,
            wide: false,
            length: 0,
            vvvv: 0,
            reg_high: 0,
            mask: 0,
            zeroing: false,
            evex_b: false,
            prefixes: 0,
            immediate: 0,
        };
        let byte = e.prefixes(cursor)?;
        match byte {
            0xc4 => e.vex3(cursor)?,
            0xc5 => e.vex2(cursor)?,
            0x62 => e.evex(cursor)?,
            _ => e.legacy_opcode(cursor, byte),
        }
        Ok(e)
    }

    /// Reads legacy prefixes and REX; returns the byte after them.
    fn prefixes(&mut self, cursor: &mut Cursor) -> Result<u8, DecodeError> {
        let form = &mut self.form;
        loop {
            let at = cursor.at();
            let byte = cursor.next();
            if usize::from(at) >= MAX_LEN {
                return Err(DecodeError::TooLong);
            }
            if byte & 0xf0 == 0x40 {
                // Of several, the last one counts.
                form.has_rex = true;
                form.rex = byte;
                form.rex_at = at;
                continue;
            }
            match byte {
                0x66 => form.opsize = true,
                0x67 => form.addr32 = true,
                0xf0 => form.lock = true,
                0xf2 | 0xf3 => form.rep = byte,
                0x64 | 0x65 => form.segment = byte,
                0x26 | 0x2e | 0x36 | 0x3e => {}
                _ => return Ok(byte),
            }
            self.prefixes += 1;
            // A REX prefix counts only directly before the opcode.
            form.has_rex = false;
            form.rex = 0;
            form.rex_at = 0;
        }
    }

    fn legacy_opcode(&mut self, cursor: &mut Cursor, first: u8) {
        let (mut map, mut opcode) = (0, first);
        if opcode == 0x0f {
            (map, opcode) = (1, cursor.next());
            if opcode == 0x38 || opcode == 0x3a {
                (map, opcode) = (if opcode == 0x38 { 2 } else { 3 }, cursor.next());
            }
        }
        self.form.map = map;
        self.opcode(cursor, opcode);
        self.wide = self.form.rex & 8 != 0;
        self.pp = match (self.form.rep, self.form.opsize) {
            (0xf3, _) => 2,
            (0xf2, _) => 3,
            (_, opsize) => opsize.into(),
        };
    }

    fn opcode(&mut self, cursor: &Cursor, opcode: u8) {
        self.form.opcode = opcode;
        self.form.opcode_at = cursor.at() - 1;
    }

    fn vex2(&mut self, cursor: &mut Cursor) -> Result<(), DecodeError> {
        self.vector_prefix(Space::Vex, cursor)?;
        let p = cursor.next();
        self.form.map = 1;
        self.vex_fields(p & 0x7f, !p >> 7 << 2, cursor);
        Ok(())
    }

    fn vex3(&mut self, cursor: &mut Cursor) -> Result<(), DecodeError> {
        self.vector_prefix(Space::Vex, cursor)?;
        let (p0, p1) = (cursor.next(), cursor.next());
        self.form.map = p0 & 0x1f;
        self.vex_fields(p1, !p0 >> 5, cursor);
        Ok(())
    }

    /// The fields that both VEX prefixes have, from the second byte of the longer one; `rxb` as in REX.
    fn vex_fields(&mut self, p: u8, rxb: u8, cursor: &mut Cursor) {
        self.length = p >> 2 & 1;
        self.vvvv = !p >> 3 & 0xf;
        self.vector_fields(p, rxb);
        let opcode = cursor.next();
        self.opcode(cursor, opcode);
    }

    fn evex(&mut self, cursor: &mut Cursor) -> Result<(), DecodeError> {
        self.vector_prefix(Space::Evex, cursor)?;
        let (p0, p1, p2) = (cursor.next(), cursor.next(), cursor.next());
        // Reserved bits; APX gives them a meaning that is not carried.
        if p0 & 8 != 0 || p1 & 4 == 0 {
            return Err(DecodeError::Invalid);
        }
        self.form.map = p0 & 7;
        self.length = p2 >> 5 & 3;
        self.vvvv = !p1 >> 3 & 0xf | (!p2 & 8) << 1;
        self.reg_high = !p0 & 0x10;
        self.mask = p2 & 7;
        self.zeroing = p2 & 0x80 != 0;
        self.evex_b = p2 & 0x10 != 0;
        self.vector_fields(p1, !p0 >> 5);
        let opcode = cursor.next();
        self.opcode(cursor, opcode);
        Ok(())
    }

    /// Notes the prefix whose first byte has just been read, and refuses the prefixes that must not stand
    /// before it.
    fn vector_prefix(&mut self, space: Space, cursor: &mut Cursor) -> Result<(), DecodeError> {
        let form = &mut self.form;
        if form.has_rex || form.opsize || form.rep != 0 || form.lock {
            // Too long it is before it is refused: the rest of the prefix, an opcode and modrm.
            let rest = if space == Space::Evex { 5 } else { 3 };
            (0..rest).for_each(|_| _ = cursor.next());
            return Err(DecodeError::Invalid);
        }
        form.space = space;
        form.rex_at = cursor.at() - 1;
        form.has_rex = true;
        Ok(())
    }

    fn vector_fields(&mut self, p: u8, rxb: u8) {
        self.wide = p & 0x80 != 0;
        self.pp = p & 3;
        self.form.rex = 0x40 | u8::from(self.wide) << 3 | rxb & 7;
        self.form.opsize = self.pp == 1;
        self.form.rep = [0, 0, 0xf3, 0xf2][usize::from(self.pp)];
    }

    /// Reads the modrm byte.
    pub(super) fn modrm(&mut self, cursor: &mut Cursor) {
        self.form.modrm_at = cursor.at();
        self.form.modrm = cursor.next();
        // With rounding the length field holds the mode and the length is 512 bits, or the operation is
        // scalar.
        if self.evex_b && self.register_form() {
            self.length = 2;
        }
    }

    /// The bits by which a row accepts the encoding.
    pub(super) fn accepted_by(&self) -> u32 {
        let modrm = self.form.modrm;
        let operand = if self.register_form() { accepts::REGISTER } else { accepts::MEMORY };
        let bit = |at: u32, value: u8| 1 << (at + u32::from(value));
        bit(accepts::PREFIX_AT, self.pp)
            | bit(accepts::WIDTH_AT, self.wide.into())
            | bit(accepts::LENGTH_AT, self.length)
            | operand
            | bit(accepts::REG_AT, modrm >> 3 & 7)
            | bit(accepts::RM_AT, modrm & 7)
            | bit(accepts::BASE_AT, self.form.rex & 1)
    }

    /// Whether modrm.rm is a register.
    pub(super) fn register_form(&self) -> bool {
        self.form.modrm >= 0xc0
    }

    /// Register number in modrm.reg: up to 15, with EVEX up to 31.
    pub(super) fn reg(&self) -> u8 {
        self.form.modrm >> 3 & 7 | (self.form.rex & 4) << 1 | self.reg_high
    }

    /// Register number in modrm.rm for a general or opmask register.
    pub(super) fn rm(&self) -> u8 {
        self.form.rm()
    }

    /// Register number in modrm.rm for a vector register: with EVEX, X is the highest bit.
    pub(super) fn rm_vector(&self) -> u8 {
        let high = if self.form.space == Space::Evex { (self.form.rex & 2) << 3 } else { 0 };
        self.rm() | high
    }

    /// Register number in the opcode's low bits.
    pub(super) fn opcode_register(&self) -> u8 {
        self.form.opcode & 7 | (self.form.rex & 1) << 3
    }

    /// Width in bytes of an operand that follows the prefixes: 2, 4 or 8.
    pub(super) fn operand_size(&self) -> u8 {
        match (self.wide, self.form.opsize) {
            (true, _) => 8,
            (false, true) => 2,
            (false, false) => 4,
        }
    }

    /// Whether W is set.
    pub(super) fn wide(&self) -> bool {
        self.wide
    }

    /// Reads sib byte and displacement of the memory operand that the modrm byte names.
    pub(super) fn memory(&mut self, cursor: &mut Cursor, row: &Row) -> Result<MemOperand, DecodeError> {
        let (modrm, rex) = (self.form.modrm, self.form.rex);
        let mode = modrm >> 6;
        let mut base = Some(modrm & 7 | (rex & 1) << 3);
        let mut index = None;
        let mut disp_size = [0, 1, 4][usize::from(mode.min(2))];
        let mut rip_relative = false;
        let vsib = row.has(VSIB);
        if modrm & 7 == 4 {
            let sib = cursor.next();
            let high = if vsib { self.vvvv & 0x10 } else { 0 };
            let number = sib >> 3 & 7 | (rex & 2) << 2 | high;
            index = (vsib || number != 4).then_some((number, 1 << (sib >> 6)));
            base = Some(sib & 7 | (rex & 1) << 3);
            if sib & 7 == 5 && mode == 0 {
                (base, disp_size) = (None, 4);
            }
        } else if vsib {
            return Err(DecodeError::Invalid);
        } else if modrm & 7 == 5 && mode == 0 {
            (base, disp_size, rip_relative) = (None, 4, true);
        }
        if disp_size != 0 {
            self.form.disp_at = cursor.at();
            self.form.disp_size = disp_size;
        }
        let mut disp = cursor.signed(disp_size);
        if disp_size == 1 && self.form.space == Space::Evex {
            disp *= i64::from(self.displacement_factor(row.tuple, row.broadcast));
        }
        Ok(MemOperand {
            base,
            index,
            disp,
            rip_relative,
            vsib,
            segment: self.form.segment,
            addr32: self.form.addr32,
        })
    }

    fn displacement_factor(&self, tuple: Tuple, broadcast: u8) -> u8 {
        if self.evex_b { broadcast } else { tuple.factor(self.length) }
    }

    /// Reads what follows the modrm part; an absolute address becomes a memory operand.
    pub(super) fn immediate(&mut self, cursor: &mut Cursor, immediate: Immediate) -> Option<MemOperand> {
        let at = cursor.at();
        let size = match immediate {
            Immediate::Bytes(n) => n,
            Immediate::UpTo4 => self.operand_size().min(4),
            Immediate::UpTo8 => self.operand_size(),
            Immediate::Address => return Some(self.absolute(cursor)),
        };
        if size != 0 {
            self.form.imm_at = at;
            self.form.imm_size = size;
            self.immediate = cursor.signed(size);
        }
        None
    }

    fn absolute(&mut self, cursor: &mut Cursor) -> MemOperand {
        let addr32 = self.form.addr32;
        self.form.disp_at = cursor.at();
        self.form.disp_size = if addr32 { 4 } else { 8 };
        let disp = cursor.signed(self.form.disp_size);
        MemOperand {
            base: None,
            index: None,
            // A 32-bit address is not negative.
            disp: if addr32 { disp & 0xffff_ffff } else { disp },
            rip_relative: false,
            vsib: false,
            segment: self.form.segment,
            addr32,
        }
    }

    /// Reads the operands of an opcode that there is not: what is too long is that before it is refused.
    pub(super) fn skip_operands(&mut self, cursor: &mut Cursor) {
        match (self.form.map, self.form.opcode) {
            (0, 0xd4 | 0xd5) => _ = cursor.next(),
            (0, 0x9a | 0xea) => _ = cursor.signed(6),
            (0, 0x82) | (1.., _) => self.modrm(cursor),
            _ => {}
        }
    }

    /// The error for an opcode without rows.
    pub(super) fn unsupported(&self) -> DecodeError {
        DecodeError::Unsupported { map: self.form.map, opcode: self.form.opcode, space: self.form.space }
    }
}
