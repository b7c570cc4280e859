//! Encodings of every opcode with every form of operand, and register values that make their operands hit the
//! window.

use super::machine::{Case, ENVIRONMENTS, LOW_WINDOW, Machine, Mode, SMALL_INTEGERS};
use crate::random::Random;
use rxbox_translate::decode::{Class, Insn, MemOperand, Space, decode, text};
use std::collections::HashSet;

/// How the operand in modrm.rm is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// A register.
    Register,
    /// `[base]`.
    Base,
    /// `[base + disp8]`, under EVEX a multiple of the operand's size.
    Disp8,
    /// `[base + index * scale + disp8]`.
    IndexDisp8,
    /// `[base + index * scale + disp32]`.
    IndexDisp32,
    /// `[index * scale + disp32]`.
    IndexOnly,
    /// `[rip + disp32]`.
    Rip,
    /// `[disp32]`.
    Absolute,
}

/// All of them.
pub const FORMS: [Form; 8] = [
    Form::Register,
    Form::Base,
    Form::Disp8,
    Form::IndexDisp8,
    Form::IndexDisp32,
    Form::IndexOnly,
    Form::Rip,
    Form::Absolute,
];

/// The opcode maps with instructions.
pub const MAPS: [(Space, u8); 12] = [
    (Space::Legacy, 0),
    (Space::Legacy, 1),
    (Space::Legacy, 2),
    (Space::Legacy, 3),
    (Space::Vex, 1),
    (Space::Vex, 2),
    (Space::Vex, 3),
    (Space::Evex, 1),
    (Space::Evex, 2),
    (Space::Evex, 3),
    (Space::Evex, 5),
    (Space::Evex, 6),
];

/// Prefixes that may stand before an opcode of the legacy maps, the more telling ones twice.
pub const PREFIXES: [u8; 6] = [0x66, 0x66, 0xf2, 0xf3, 0xf3, 0xf0];

/// What says which map an opcode is of, with random contents: a REX prefix, if any, and the escape bytes, or
/// a VEX or EVEX prefix.
pub fn name_map(bytes: &mut Vec<u8>, random: &mut Random, space: Space, map: u8) {
    match space {
        Space::Legacy => {
            if random.one_in(2) {
                bytes.push(0x40 | random.byte() & 15);
            }
            bytes.extend_from_slice([&[][..], &[0x0f], &[0x0f, 0x38], &[0x0f, 0x3a]][usize::from(map)]);
        }
        Space::Vex => {
            // Mostly vvvv = 1111, which instructions without a third operand need.
            let vvvv = if random.one_in(2) { 0x78 } else { random.byte() & 0x78 };
            let rest = random.byte() & 0x87;
            if map == 1 && random.one_in(4) {
                bytes.extend([0xc5, vvvv | rest]);
            } else {
                bytes.extend([0xc4, random.byte() & 0xe0 | map, vvvv | rest]);
            }
        }
        Space::Evex => {
            let vvvv = if random.one_in(2) { 0x7c } else { random.byte() & 0x7c };
            // No mask, a merging one, or anything; no broadcast or rounding half of the time.
            let (merging, any) = (8 | random.byte() & 7, random.byte() & 0x8f);
            let masking = random.pick(&[8, merging, any]);
            let length = random.byte() & if random.one_in(2) { 0x70 } else { 0x60 };
            let p0 = random.byte() & 0xf0 | map;
            bytes.extend([0x62, p0, vvvv | 4 | random.byte() & 0x83, masking | length]);
        }
    }
}

/// An instruction of an opcode, with random prefixes, registers and immediate.
pub fn encoding(
    random: &mut Random,
    space: Space,
    map: u8,
    opcode: u8,
    form: Form,
    prefix: Option<u8>,
) -> Vec<u8> {
    let mut bytes: Vec<u8> = prefix.into_iter().collect();
    if space == Space::Legacy {
        for _ in 0..random.pick(&[0, 0, 1, 1, 2]) {
            bytes.push(random.pick(&PREFIXES));
        }
    }
    name_map(&mut bytes, random, space, map);
    bytes.push(opcode);
    operand(&mut bytes, random, form);
    bytes.resize_with(bytes.len() + 8, || random.byte());
    if form == Form::Absolute && opcode & 0xfc == 0xa0 {
        // An address of eight bytes.
        bytes.push(random.byte());
    }
    bytes
}

/// modrm, sib and displacement.
fn operand(bytes: &mut Vec<u8>, random: &mut Random, form: Form) {
    let reg = random.byte() & 0x38;
    let mut plain = || random.pick(&[0, 1, 2, 3, 6, 7]);
    let base = plain();
    let sib = random.byte();
    let index = if sib & 0x38 == 0x20 { sib | 8 } else { sib };
    match form {
        Form::Register => bytes.push(0xc0 | reg | random.byte() & 7),
        Form::Base => bytes.push(reg | base),
        Form::Disp8 => bytes.extend([0x40 | reg | base, random.byte()]),
        Form::IndexDisp8 => bytes.extend([0x44 | reg, index, random.byte()]),
        Form::IndexDisp32 => bytes.extend([0x84 | reg, index]),
        Form::IndexOnly => bytes.extend([4 | reg, index & 0xf8 | 5]),
        Form::Rip => bytes.push(reg | 5),
        Form::Absolute => bytes.extend([4 | reg, 0x25]),
    }
    if matches!(form, Form::IndexDisp32 | Form::IndexOnly | Form::Rip | Form::Absolute) {
        bytes.extend((random.next() as u32).to_le_bytes());
    }
}

/// Whether the instruction runs in user mode, goes on behind itself, and does the same at each time.
pub fn carried(insn: &Insn) -> bool {
    let f = &insn.form;
    let class = matches!(
        insn.class,
        Class::Native
            | Class::FpuEnvStore(_)
            | Class::FsBase
            | Class::ReadGsBase { .. }
            | Class::WriteGsBase { .. }
    );
    let legacy = |map, opcode| f.space == Space::Legacy && (f.map, f.opcode) == (map, opcode);
    // rdrand, rdseed, rdpid; sgdt and sidt, where the kernel does not hide them, differ between processors.
    let chance =
        legacy(1, 0xc7) && f.modrm >= 0xf0 || legacy(1, 0x01) && f.modrm < 0xc0 && f.modrm & 0x38 < 16;
    // lsl of the selector that holds the processor's number.
    class && !chance && !legacy(1, 0x03) && !refused(insn)
}

/// What rxbox refuses although the processor has it: gs overrides of vectors of 32-bit addresses.
fn refused(insn: &Insn) -> bool {
    insn.form.segment == 0x65 && insn.mem.is_some_and(|mem| mem.vsib && mem.addr32)
}

/// Whether registers that the instruction implies or names give an address: strings, `xlat`, `maskmovdqu`,
/// `clzero`, `movdir64b`.
pub fn addresses_by_registers(insn: &Insn) -> bool {
    match (insn.form.map, insn.form.opcode) {
        (0, 0xa4..=0xa7 | 0xaa..=0xaf | 0xd7) => true,
        (1, 0x01 | 0xf7) => insn.may_fault,
        (2, 0xf8) => insn.form.opsize,
        _ => false,
    }
}

/// Makes the case for one instruction, which will lie `offset` bytes behind the machine's next place: patches
/// displacements and chooses registers so that its memory operand lies in the window. `None` if that cannot
/// be. Returns the operand's offset in the window besides.
pub fn case(machine: &Machine, random: &mut Random, bytes: &[u8], offset: u64) -> Option<(Case, u64)> {
    let insn = decode(bytes).ok()?;
    let mut case = Case {
        code: bytes[..insn.len.into()].to_vec(),
        gpr: registers(random),
        flags: 0x202 | random.next() & 0xcd5,
        fs: random.next() & 0x7fff_ffff_ffff,
        gs: random.next() & 0x7fff_ffff_ffff,
        environment: random.below(ENVIRONMENTS.len() as u64) as usize,
        mode: Mode::Cold,
    };
    let mut at = 0;
    if let Some(mem) = insn.mem {
        if mem.vsib {
            case.environment = SMALL_INTEGERS;
        }
        if let Some(bits) = bit_offset(&insn) {
            let address = [mem.base, mem.index.map(|(n, _)| n)];
            if address.contains(&Some(bits)) {
                return None;
            }
            case.gpr[usize::from(bits)] %= 4096;
        }
        let next = machine.next() + offset + u64::from(insn.len);
        at = aim(&mut case, machine, random, &insn, &mem, next)?;
    }
    Some((case, at))
}

/// The register whose value `bt` and its kin add to the address, as an offset in bits.
fn bit_offset(insn: &Insn) -> Option<u8> {
    let f = &insn.form;
    let bits = f.space == Space::Legacy && f.map == 1 && matches!(f.opcode, 0xa3 | 0xab | 0xb3 | 0xbb);
    bits.then_some(f.modrm >> 3 & 7 | f.rex << 1 & 8)
}

/// Values as instructions meet them: addresses, counts, boundaries and noise. rsp always points into the
/// window, nothing to where rxbox has its own memory, which a native program does not have.
pub fn registers(random: &mut Random) -> [u64; 16] {
    let mut gpr = [0; 16];
    for (n, value) in gpr.iter_mut().enumerate() {
        let pointer = LOW_WINDOW + 1024 + random.below(64) * 16;
        *value = match n {
            4 => pointer,
            1 if !random.one_in(4) => random.below(80),
            3 | 6 | 7 if !random.one_in(4) => pointer + random.below(16),
            _ => match random.below(6) {
                0 => pointer,
                1 => random.below(256),
                2 => random.pick(&[0, 1, u64::MAX, 1 << 63, i64::MAX as u64, 0x8000_0000, 0xffff_ffff]),
                3 => random.next() >> 32,
                _ => random.next(),
            },
        };
        if (0x6000_0000..0x9000_0000).contains(&(*value & 0xffff_ffff)) {
            *value = pointer;
        }
    }
    gpr
}

/// Makes the operand's address lie in the middle of the window; returns its offset there.
fn aim(
    case: &mut Case,
    machine: &Machine,
    random: &mut Random,
    insn: &Insn,
    mem: &MemOperand,
    next: u64,
) -> Option<u64> {
    let near = mem.rip_relative && !mem.addr32 || random.one_in(2) && !mem.addr32 && insn.form.disp_size != 4;
    let window = if near { machine.placement().window } else { LOW_WINDOW };
    let mut target =
        window + 1024 + if random.one_in(2) { random.below(16) * 64 } else { random.below(1024) };
    let mut at = target - window;
    // A displacement reaches the window only from a small segment base.
    let fixed = mem.rip_relative || mem.base.is_none();
    if fixed {
        case.fs &= 0xff_ffff;
        case.gs &= 0xff_ffff;
    }
    match mem.segment {
        0x64 => target = target.wrapping_sub(case.fs),
        0x65 => target = target.wrapping_sub(case.gs),
        _ => {}
    }
    let disp = mem.disp as u64;
    let scale = |s: u8| u64::from(s);
    match (mem.base, mem.index.filter(|_| !mem.vsib)) {
        (Some(base), Some((index, s))) if base == index => {
            // base * (1 + scale) = target - disp: the factor is 2, or odd and so has an inverse modulo 2^64.
            let sum = target.wrapping_sub(disp);
            let factor = 1 + scale(s);
            let value = if factor == 2 { sum >> 1 } else { sum.wrapping_mul(inverse(factor)) };
            case.gpr[usize::from(base)] = value;
            at -= if factor == 2 { sum & 1 } else { 0 };
        }
        (Some(base), index) => {
            let offset = index.map_or(0, |(i, s)| case.gpr[usize::from(i)].wrapping_mul(scale(s)));
            case.gpr[usize::from(base)] = target.wrapping_sub(disp).wrapping_sub(offset);
        }
        (None, Some((index, s))) => {
            let value = (target.wrapping_sub(disp) as i64 / i64::from(s)) as u64;
            case.gpr[usize::from(index)] = value;
            // What the division leaves, up or down.
            at = at.wrapping_add(value.wrapping_mul(scale(s)).wrapping_add(disp).wrapping_sub(target));
        }
        (None, None) => {
            let from = if mem.rip_relative { next } else { 0 };
            patch(&mut case.code, insn, target.wrapping_sub(from))?;
        }
    }
    Some(at)
}

/// Inverse of an odd number modulo 2^64, by Newton's iteration.
fn inverse(n: u64) -> u64 {
    (0..6).fold(n, |x, _| x.wrapping_mul(2u64.wrapping_sub(n.wrapping_mul(x))))
}

/// Replaces the displacement.
pub fn patch(code: &mut [u8], insn: &Insn, disp: u64) -> Option<()> {
    let (at, size) = (usize::from(insn.form.disp_at), usize::from(insn.form.disp_size));
    let fits = size == 8 || insn.form.addr32 || i32::try_from(disp as i64).is_ok();
    code.get_mut(at..at + size)?.copy_from_slice(&disp.to_le_bytes()[..size]);
    fits.then_some(())
}

/// Adds cases for every opcode that is carried: each kind of instruction (by mnemonic, width and prefix) once
/// for each form of operand, with an fs, gs or address-size prefix or none. Returns the mnemonics.
pub fn every_instruction(
    machine: &mut Machine,
    random: &mut Random,
    prefix: Option<u8>,
    forms: &[Form],
    tries: u32,
) -> HashSet<String> {
    let mut mnemonics = HashSet::new();
    for (space, map) in MAPS {
        for opcode in 0..=255 {
            let mut covered = HashSet::new();
            for _ in 0..tries {
                let form = random.pick(forms);
                let bytes = encoding(random, space, map, opcode, form, prefix);
                let Ok(insn) = decode(&bytes) else { continue };
                let f = &insn.form;
                if !carried(&insn) || form == Form::Register && insn.mem.is_some() {
                    continue;
                }
                let mnemonic = text(&bytes, 0).split(' ').next().unwrap_or_default().to_string();
                let wide = f.rex & 8 != 0;
                if !covered.contains(&(form, mnemonic.clone(), f.opsize, wide))
                    && let Some((case, _)) = case(machine, random, &bytes, 0)
                {
                    mnemonics.insert(mnemonic.clone());
                    covered.insert((form, mnemonic, f.opsize, wide));
                    machine.add(case);
                }
            }
        }
    }
    mnemonics
}
