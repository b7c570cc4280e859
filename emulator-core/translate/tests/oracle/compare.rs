//! What two descriptions of the same bytes must have in common.

use iced_x86::{
    Code, CpuidFeature, Decoder, DecoderOptions, Instruction, InstructionInfoFactory, OpAccess, OpKind,
    Register, RflagsBits,
};
use rxbox_translate::decode::{Class, DecodeError, Insn, Trap};
use rxbox_translate::ir::var::{Var, VarSet};
use std::collections::BTreeMap;

/// Address that the instructions are decoded at: far from both ends, so that relative addresses do not wrap.
pub(crate) const PC: u64 = 0x1234_5678_9abc;

/// What went wrong, with an example and how often.
#[derive(Default)]
pub(crate) struct Findings(BTreeMap<String, (String, u32)>);

impl Findings {
    pub(crate) fn add(&mut self, what: String, example: impl FnOnce() -> String) {
        self.0.entry(what).or_insert_with(|| (example(), 0)).1 += 1;
    }

    pub(crate) fn assert_none(&self) {
        for (what, (example, times)) in &self.0 {
            println!("{times:6} × {what}: {example}");
        }
        assert!(self.0.is_empty(), "{} kinds of findings", self.0.len());
    }
}

/// iced-x86 with its options, and its instruction data.
pub(crate) struct Oracle {
    info: InstructionInfoFactory,
}

impl Oracle {
    pub(crate) fn new() -> Oracle {
        Oracle { info: InstructionInfoFactory::new() }
    }

    /// The oracle's decoding of the start of `bytes`.
    pub(crate) fn decode<'a>(bytes: &'a [u8]) -> (Decoder<'a>, Instruction) {
        let mut decoder = Decoder::with_ip(64, bytes, PC, DecoderOptions::NONE);
        let instruction = decoder.decode();
        (decoder, instruction)
    }

    /// Holds a carried instruction to the oracle's description of it.
    pub(crate) fn check(
        &mut self,
        ours: &Insn,
        decoder: &Decoder<'_>,
        theirs: &Instruction,
    ) -> Result<(), String> {
        same("length", usize::from(ours.len), theirs.len())?;
        offsets(ours, decoder, theirs)?;
        memory_operand(ours, theirs)?;
        if nop_without_shadow_stacks(theirs.code()) {
            return same("class", ours.class, Class::Native);
        }
        self.registers(ours, theirs)?;
        // The kernel gives the flags back that `syscall` itself changes.
        if !matches!(ours.class, Class::Trap(_) | Class::Far(_) | Class::Syscall) {
            flags(ours, theirs)?;
        }
        Ok(())
    }

    fn registers(&mut self, ours: &Insn, theirs: &Instruction) -> Result<(), String> {
        if matches!(ours.class, Class::Trap(_) | Class::Far(_) | Class::Syscall | Class::Segment(_)) {
            // The runtime does these.
            return Ok(());
        }
        let info = self.info.info(theirs);
        let (mut reads, mut replaced, mut written) = (VarSet::EMPTY, VarSet::EMPTY, VarSet::EMPTY);
        for used in info.used_registers() {
            let Some((var, whole)) = variable(used.register()) else { continue };
            let (read, write) = directions(used.access());
            if read {
                reads.insert(var);
            }
            if write {
                written.insert(var);
                if whole && used.access() == OpAccess::Write {
                    replaced.insert(var);
                } else {
                    reads.insert(var);
                }
            }
        }
        // Our sets name these where theirs do not.
        let silent = VarSet::of_all(&[Var::MXCSR, Var::FS_BASE, Var::GS_BASE, Var::X87]);
        let data = VarSet::ARITH_FLAGS.union(VarSet::of(Var::DF)).union(silent);
        subset("registers read", reads, ours.reads)?;
        subset("registers written", written, ours.writes)?;
        subset("registers replaced", ours.writes.minus(ours.reads).minus(data), replaced)?;
        for used in info.used_memory() {
            let (read, write) = directions(used.access());
            if (read || write) && !ours.may_fault {
                return Err("memory access that may not fault".into());
            }
            if write && !ours.side_effect {
                return Err("memory write without side effect".into());
            }
        }
        Ok(())
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: T, theirs: T) -> Result<(), String> {
    if ours == theirs { Ok(()) } else { Err(format!("{what}: {ours:?}, oracle {theirs:?}")) }
}

fn subset(what: &str, small: VarSet, large: VarSet) -> Result<(), String> {
    let missing = small.minus(large);
    if missing.is_empty() { Ok(()) } else { Err(format!("{what}: {missing:?} is not in {large:?}")) }
}

fn directions(access: OpAccess) -> (bool, bool) {
    match access {
        OpAccess::None | OpAccess::NoMemAccess => (false, false),
        OpAccess::Read | OpAccess::CondRead => (true, false),
        OpAccess::Write => (false, true),
        OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite => (true, true),
    }
}

/// The variable that a register is (part of), and whether it is all of it.
fn variable(register: Register) -> Option<(Var, bool)> {
    let n = register.number() as u8;
    let full = register.full_register();
    if register.is_gpr() {
        Some((Var::gpr(full.number() as u8), register.size() >= 4))
    } else if register.is_vector_register() {
        Some((Var::vec(n), register.is_zmm()))
    } else if register.is_k() {
        Some((Var::opmask(n), true))
    } else if register.is_st() || register.is_mm() {
        Some((Var::X87, false))
    } else {
        None
    }
}

fn offsets(ours: &Insn, decoder: &Decoder<'_>, theirs: &Instruction) -> Result<(), String> {
    let form = &ours.form;
    let offsets = decoder.get_constant_offsets(theirs);
    same("displacement offset", usize::from(form.disp_at), offsets.displacement_offset())?;
    same("displacement size", usize::from(form.disp_size), offsets.displacement_size())?;
    if (0..theirs.op_count()).any(|i| theirs.op_kind(i) == OpKind::Register && i == 3)
        && !offsets.has_immediate()
    {
        // The fourth register lies in an immediate that the oracle does not count.
        return same("immediate size", form.imm_size, 1);
    }
    same("immediate offset", usize::from(form.imm_at), offsets.immediate_offset())?;
    let immediates = offsets.immediate_size() + offsets.immediate_size2();
    same("immediate size", usize::from(form.imm_size), immediates)
}

fn memory_operand(ours: &Insn, theirs: &Instruction) -> Result<(), String> {
    // `xlatb` has a memory operand that no byte of the encoding names.
    let operand = (0..theirs.op_count()).any(|i| theirs.op_kind(i) == OpKind::Memory);
    let operand = operand && theirs.code() != Code::Xlat_m8;
    same("memory operand", ours.mem.is_some(), operand)?;
    let Some(mem) = ours.mem else { return Ok(()) };
    let relative = theirs.is_ip_rel_memory_operand();
    same("relative to rip", mem.rip_relative, relative)?;
    let displacement = theirs.memory_displacement64();
    if relative {
        let mut target = (PC + u64::from(ours.len)).wrapping_add_signed(mem.disp);
        if mem.addr32 {
            target &= 0xffff_ffff;
        }
        return same("target", target, displacement);
    }
    let number = |r: Register| (r != Register::None).then(|| r.number() as u8);
    same("base", mem.base, number(theirs.memory_base()))?;
    same("index", mem.index.map(|(n, _)| n), number(theirs.memory_index()))?;
    if let Some((_, scale)) = mem.index {
        same("scale", u32::from(scale), theirs.memory_index_scale())?;
        same("vector index", mem.vsib, theirs.memory_index().is_vector_register())?;
    }
    let mask = if mem.addr32 { 0xffff_ffff } else { u64::MAX };
    same("displacement", mem.disp as u64 & mask, displacement & mask)?;
    let segment = match theirs.segment_prefix() {
        Register::FS => 0x64,
        Register::GS => 0x65,
        _ => 0,
    };
    same("segment", mem.segment, segment)
}

fn flags(ours: &Insn, theirs: &Instruction) -> Result<(), String> {
    let all = [
        (RflagsBits::CF, Var::CF),
        (RflagsBits::PF, Var::PF),
        (RflagsBits::AF, Var::AF),
        (RflagsBits::ZF, Var::ZF),
        (RflagsBits::SF, Var::SF),
        (RflagsBits::OF, Var::OF),
        (RflagsBits::DF, Var::DF),
    ];
    let set = |bits: u32| {
        let mut set = VarSet::EMPTY;
        all.iter().filter(|(bit, _)| bits & bit != 0).for_each(|&(_, var)| set.insert(var));
        set
    };
    let flags = VarSet::ARITH_FLAGS.union(VarSet::of(Var::DF));
    subset("flags read", set(theirs.rflags_read()), ours.reads)?;
    subset("flags left undefined", set(theirs.rflags_undefined()), ours.reads)?;
    let certain = ours.writes.minus(ours.reads).intersect(flags);
    subset("flags replaced", certain, set(theirs.rflags_modified()))?;
    subset("flags written", set(theirs.rflags_modified()), ours.writes)
}

/// Whether an instruction that the oracle knows belongs to a feature that is not carried.
pub(crate) fn left_out(code: Code) -> bool {
    use CpuidFeature as F;
    !nop_without_shadow_stacks(code)
        && code.cpuid_features().iter().any(|feature| {
            matches!(
                feature,
                F::RTM
                    | F::HLE
                    | F::PKU
                    | F::CET_SS
                    | F::VMX
                    | F::SVM
                    | F::SGX1
                    | F::SMX
                    | F::UINTR
                    | F::WAITPKG
                    | F::AMX_TILE
                    | F::AMX_BF16
                    | F::AMX_INT8
                    | F::AMX_FP16
                    | F::AMX_COMPLEX
                    | F::XOP
                    | F::FMA4
                    | F::TBM
                    | F::LWP
                    | F::D3NOW
                    | F::D3NOWEXT
                    | F::KNC
                    | F::AVX512PF
                    | F::AVX512ER
                    | F::AVX512_4FMAPS
                    | F::AVX512_4VNNIW
                    | F::CMPCCXADD
                    | F::RAO_INT
                    | F::ENQCMD
                    | F::PTWRITE
                    | F::MONITORX
                    | F::RDPRU
                    | F::TSXLDTRK
                    | F::KL
                    | F::AESKLE
                    | F::WIDE_KL
                    | F::HRESET
                    | F::PCONFIG
                    | F::MSRLIST
                    | F::WRMSRNS
                    | F::INVLPGB
                    | F::MCOMMIT
                    | F::PADLOCK_ACE
                    | F::PADLOCK_PHE
                    | F::PADLOCK_PMM
                    | F::PADLOCK_RNG
                    | F::PADLOCK_GMI
                    | F::PADLOCK_UNDOC
                    | F::CYRIX_FPU
                    | F::MPX
                    | F::UDBG
                    | F::FRED
                    | F::LKGS
                    | F::TDX
                    | F::TSE
                    | F::SKINIT
                    | F::CYRIX_SMM
            )
        })
}

/// Whether the result is a refusal: an error, or the exception that a processor without the instruction
/// raises.
pub(crate) fn refused(ours: &Result<Insn, DecodeError>) -> bool {
    matches!(ours, Err(_) | Ok(Insn { class: Class::Trap(Trap::InvalidOpcode), .. }))
}

/// `rdssp`: the oracle describes what it does with shadow stacks, which a guest never has.
fn nop_without_shadow_stacks(code: Code) -> bool {
    matches!(code, Code::Rdsspd_r32 | Code::Rdsspq_r64)
}

/// The oracle's view of bytes that are no instruction.
pub(crate) fn invalid(theirs: &Instruction) -> bool {
    theirs.code() == Code::INVALID
}
