//! Straight lines of random instructions: what one leaves is what the next reads, or overwrites. Here dead
//! code and dead flags are removed, temporaries find registers that are not in use, and faults happen in the
//! middle.

use super::encodings::{Form, MAPS, addresses_by_registers, carried, encoding, patch, registers};
use super::machine::{Case, LOW_WINDOW, Machine};
use crate::random::Random;
use rxbox_translate::decode::{Class, Insn, Space, decode};
use rxbox_translate::ir::var::Var;

/// Adds a case of `length` instructions, at the machine's next place.
pub fn add(machine: &mut Machine, random: &mut Random, length: usize) {
    ending_in(machine, random, length, &[]);
}

/// Adds a case of `length` instructions and a last one.
pub fn ending_in(machine: &mut Machine, random: &mut Random, length: usize, last: &[u8]) {
    let base: u8 = random.pick(&[0, 1, 2, 3, 6, 7]);
    let mut case = Case {
        gpr: registers(random),
        flags: 0x202 | random.next() & 0x8d5,
        fs: random.below(1 << 20),
        gs: random.below(1 << 20),
        // Without the unmasked exceptions, which would end nearly all.
        environment: random.below(5) as usize,
        ..Case::default()
    };
    let window = if random.one_in(2) { LOW_WINDOW } else { machine.placement().window };
    case.gpr[usize::from(base)] = window + 1024 + random.below(16) * 64;
    for _ in 0..length {
        let insn = instruction(machine, random, &case, base);
        case.code.extend(insn);
    }
    case.code.extend(last);
    machine.add(case);
}

/// One instruction for the end of the case's code, that leaves the base and stack registers alone.
fn instruction(machine: &Machine, random: &mut Random, case: &Case, base: u8) -> Vec<u8> {
    const USUAL: [(Space, u8); 6] = [
        (Space::Legacy, 0),
        (Space::Legacy, 0),
        (Space::Legacy, 1),
        (Space::Vex, 2),
        (Space::Vex, 1),
        (Space::Evex, 1),
    ];
    loop {
        let (space, map) = if random.one_in(4) { random.pick(&MAPS) } else { random.pick(&USUAL) };
        let form = random.pick(&[
            Form::Register,
            Form::Register,
            Form::Base,
            Form::Disp8,
            Form::Rip,
            Form::Absolute,
        ]);
        let prefix = random.pick(&[None, None, None, Some(0x64), Some(0x65)]);
        let opcode = random.byte();
        let mut bytes = encoding(random, space, map, opcode, form, prefix);
        let Ok(insn) = decode(&bytes) else { continue };
        if insn.class != Class::Native
            || !carried(&insn)
            || !kept(&insn, base)
            || addresses_by_registers(&insn)
        {
            continue;
        }
        bytes.truncate(insn.len.into());
        if aim(&mut bytes, machine, random, &insn, case, base).is_some() {
            return bytes;
        }
    }
}

/// Whether the registers that memory operands need stay as they are.
fn kept(insn: &Insn, base: u8) -> bool {
    let touched = insn.writes;
    !touched.has(Var::gpr(base)) && !touched.has(Var::RSP) && !touched.has(Var::FS_BASE)
}

/// Patches displacements so that the operand lies in the window, mostly aligned.
fn aim(
    bytes: &mut [u8],
    machine: &Machine,
    random: &mut Random,
    insn: &Insn,
    case: &Case,
    base: u8,
) -> Option<()> {
    let Some(mem) = insn.mem else { return Some(()) };
    let aligned = !random.one_in(32);
    let other_base = mem.base.is_some_and(|b| b != base || insn.form.disp_size == 4);
    if mem.vsib || mem.addr32 || mem.index.is_some() || other_base {
        return None;
    }
    if mem.base.is_some() {
        if aligned && insn.form.disp_size == 1 {
            bytes[usize::from(insn.form.disp_at)] &= if insn.form.space == Space::Evex { 7 } else { 0xc0 };
        }
        // A segment base would lead elsewhere.
        return (mem.segment == 0).then_some(());
    }
    let offset = if aligned { random.below(16) * 64 } else { random.below(1024) };
    let next = machine.next() + case.code.len() as u64 + u64::from(insn.len);
    let (window, from) = if mem.rip_relative { (machine.placement().window, next) } else { (LOW_WINDOW, 0) };
    let segment = match mem.segment {
        0x64 => case.fs,
        0x65 => case.gs,
        _ => 0,
    };
    patch(bytes, insn, (window + 1024 + offset).wrapping_sub(from).wrapping_sub(segment))
}
