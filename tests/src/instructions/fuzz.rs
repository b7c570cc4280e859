//! Differential fuzzing: random encodings, sequences of instructions and bytes of pure chance, each cold,
//! warm or single-stepped, in low and high places, natively and in rxbox.
//!
//! What differs is run again alone; what then still differs is made smaller, instruction by instruction, and
//! reported. Whatever a case does it may do: fault half way, branch into another case, run for ever (a clock
//! ends it).

use super::encodings::registers;
use super::machine::{Case, Difference, ENVIRONMENTS, HIGH, LOW, Machine, Mode, jump_to_end};
use super::sequences;
use crate::random::Random;
use iced_x86::{Code, CpuidFeature, Decoder, DecoderOptions, Instruction, Mnemonic, Register};
use rxbox_translate::state::CACHE;
use std::time::{Duration, Instant};

/// Cases of one run of the guest.
const BATCH: usize = 1500;

/// What a run of the fuzzer has come to.
#[derive(Debug, Default)]
pub struct Report {
    /// How many cases were run.
    pub cases: usize,
    /// What differs, smallest.
    pub found: Vec<String>,
}

/// Fuzzes from this seed on, for so long.
pub fn run(seed: u64, duration: Duration) -> Report {
    let end = Instant::now() + duration;
    let mut report = Report::default();
    let mut round = 0;
    while round == 0 || Instant::now() < end {
        let random = &mut Random::seeded(seed ^ u64::wrapping_mul(round, 0x9e37_79b9_7f4a_7c15));
        let placement = if round % 2 == 0 { LOW } else { HIGH };
        let mut machine = Machine::new(placement, random).bounded();
        while machine.len() < BATCH {
            add(&mut machine, random);
        }
        report.cases += machine.len();
        for difference in machine.differences() {
            if let Some(found) = confirmed(&machine, &difference) {
                report.found.push(format!("round {round}: {found}"));
            }
        }
        round += 1;
    }
    report
}

/// The difference, made smaller, if it is one of the case itself and not of the moment.
fn confirmed(machine: &Machine, difference: &Difference) -> Option<String> {
    let alone = machine.alone(difference.case);
    differs(&alone)?;
    smaller(alone)
}

/// What differs in a machine with one case, unless that is left out.
fn differs(machine: &Machine) -> Option<Difference> {
    machine.differences().into_iter().next().filter(|d| !is_left_out(d))
}

/// Takes away instructions as long as the case differs without them.
fn smaller(mut machine: Machine) -> Option<String> {
    let code = machine.case(0).code.clone();
    let mut at = 0;
    while at < code.len() {
        let piece = at..(at + instruction(&code[at..]).len()).clamp(at + 1, code.len());
        let without = machine.without(0, piece.clone());
        if differs(&without).is_some() {
            machine = without;
        }
        at = piece.end;
    }
    differs(&machine).map(|d| machine.shown(&d))
}

/// Whether a difference is one of those that are known: the program has reached for the code cache; or it has
/// branched to an address that is not canonical, where rxbox does not know any more which branch it was; or
/// both sides refuse an encoding that is invalid and too long, for another of the two reasons.
fn is_left_out(difference: &Difference) -> bool {
    let values = |name: &str| {
        let line = difference.what.iter().find_map(|line| line.strip_prefix(name))?;
        let (native, boxed) = line.split_once(", rxbox ")?;
        let number = |hex: &str| u64::from_str_radix(hex.trim_start_matches("0x"), 16).ok();
        Some((number(native)?, number(boxed)?))
    };
    let cache = values("si_addr: ").is_some_and(|(native, _)| CACHE.contains(&native));
    let wild = values("signal's rip: ").is_some_and(|(_, boxed)| (boxed as i64) << 16 >> 16 != boxed as i64);
    let refused = values("trap: ") == Some((0xd, 6));
    cache || wild || refused
}

fn instruction(bytes: &[u8]) -> Instruction {
    Decoder::new(64, bytes, DecoderOptions::NONE).decode()
}

/// Adds a case of a random kind.
fn add(machine: &mut Machine, random: &mut Random) {
    let mode = random.pick(&[Mode::Cold, Mode::Cold, Mode::Warm, Mode::Stepped]);
    let last = if random.one_in(2) { encoding(random) } else { bytes(random, 20) };
    let chance = bytes(random, 40);
    let code = encoding(random);
    match random.below(4) {
        // A line of instructions, which mostly work, and what may be the end of it.
        0 => {
            let length = 4 + random.index(21);
            if is_comparable(&last) {
                sequences::ending_in(machine, random, length, &last);
                // Some that can be compared otherwise are not steps where the kernel carries them out.
                let stepped = mode == Mode::Stepped && !is_comparable(machine.last());
                machine.set_mode(if stepped { Mode::Cold } else { mode });
            }
        }
        1 => plain(machine, random, mode, chance),
        _ => plain(machine, random, mode, code),
    }
}

fn plain(machine: &mut Machine, random: &mut Random, mode: Mode, code: Vec<u8>) {
    if !is_comparable(&code) {
        return;
    }
    machine.add(Case {
        code,
        gpr: registers(random),
        flags: 0x202 | random.next() & 0xcd5,
        fs: random.below(1 << 20),
        gs: random.below(1 << 20),
        environment: random.index(ENVIRONMENTS.len()),
        mode,
    });
}

fn bytes(random: &mut Random, most: u64) -> Vec<u8> {
    (0..1 + random.below(most)).map(|_| random.byte()).collect()
}

/// One instruction, perhaps: prefixes, an opcode of any map, and operands.
fn encoding(random: &mut Random) -> Vec<u8> {
    const PREFIXES: [u8; 12] = [0x66, 0x66, 0x67, 0xf2, 0xf3, 0xf3, 0xf0, 0x64, 0x65, 0x65, 0x2e, 0x3e];
    let mut code = Vec::new();
    let many = if random.one_in(16) { 14 } else { random.below(4) };
    for _ in 0..many {
        code.push(if random.one_in(6) { 0x40 | random.byte() & 15 } else { random.pick(&PREFIXES) });
    }
    if random.one_in(3) {
        code.push(0x40 | random.byte() & 15);
    }
    match random.below(10) {
        0 | 1 => {}
        2..=4 => code.push(0x0f),
        5 => code.extend([0x0f, random.pick(&[0x38, 0x3a])]),
        6 => code.extend([0xc5, random.byte()]),
        7 => code.extend([0xc4, random.byte() & 0xe3 | random.pick(&[0, 1, 2, 3]), random.byte()]),
        8 => code.extend([0x62, random.byte() & 0xf7, random.byte() | 4, random.byte()]),
        _ => code.extend([0x62, random.byte(), random.byte(), random.byte()]),
    }
    code.push(random.byte());
    let modrm = random.byte();
    code.push(if random.one_in(2) { modrm & 0x3f } else { modrm });
    for _ in 0..random.below(10) {
        code.push(random.byte());
    }
    code
}

/// Whether the code does the same at each time and calls no kernel, whatever byte it begins at.
fn is_comparable(code: &[u8]) -> bool {
    let code = [code, &jump_to_end()].concat();
    let kernel = |pair: &[u8]| matches!(pair, [0x0f, 0x05 | 0x34] | [0xcd, 0x80]);
    !code.windows(2).any(kernel) && (0..code.len()).all(|at| !is_different(&instruction(&code[at..])))
}

/// Whether an instruction does something else in rxbox, at another time, or on another processor of the
/// machine: what cpuid hides, what a host may virtualise, what chance or the clock decides, and state whose
/// size the host decides.
fn is_different(instruction: &Instruction) -> bool {
    use Mnemonic as M;
    const BY_NAME: &[Mnemonic] = &[
        M::Rdtsc,
        M::Rdtscp,
        M::Rdrand,
        M::Rdseed,
        M::Rdpid,
        M::Rdpmc,
        M::Rdpru,
        M::Cpuid,
        M::Xgetbv,
        M::Sgdt,
        M::Sidt,
        M::Sldt,
        M::Str,
        M::Smsw,
        M::Lsl,
        M::Lar,
        M::Xsave,
        M::Xsave64,
        M::Xsavec,
        M::Xsavec64,
        M::Xsaveopt,
        M::Xsaveopt64,
        M::Xrstor,
        M::Xrstor64,
        M::Fxsave,
        M::Fxsave64,
        M::Syscall,
        M::Sysenter,
        M::Fnsave,
        M::Monitorx,
        M::Mwaitx,
        M::Clzero,
        M::Wrgsbase,
        M::Prefetchw,
        M::Loadall,
        M::Int1,
        M::Wrfsbase,
    ];
    const FEATURES: &[CpuidFeature] = &[
        CpuidFeature::RTM,
        CpuidFeature::HLE,
        CpuidFeature::HLE_or_RTM,
        CpuidFeature::TSXLDTRK,
        CpuidFeature::PKU,
        CpuidFeature::CET_SS,
        CpuidFeature::CET_IBT,
        CpuidFeature::UINTR,
        CpuidFeature::WAITPKG,
        CpuidFeature::ENQCMD,
        CpuidFeature::AMX_TILE,
        CpuidFeature::AMX_INT8,
        CpuidFeature::AMX_BF16,
        CpuidFeature::PTWRITE,
        CpuidFeature::PCONFIG,
        CpuidFeature::HRESET,
        CpuidFeature::CLDEMOTE,
        CpuidFeature::SGX1,
        CpuidFeature::KL,
        CpuidFeature::AESKLE,
        CpuidFeature::VMX,
        CpuidFeature::SVM,
        CpuidFeature::SMX,
        CpuidFeature::MPX,
    ];
    let features = instruction.code().cpuid_features();
    // Through gs, the address that bits are counted from does not wrap at 32 bits.
    let bits = matches!(instruction.mnemonic(), M::Bt | M::Bts | M::Btr | M::Btc)
        && instruction.segment_prefix() == Register::GS;
    BY_NAME.contains(&instruction.mnemonic())
        || bits
        || features.iter().any(|feature| FEATURES.contains(feature))
        || matches!(instruction.code(), Code::Xbegin_rel16 | Code::Xbegin_rel32 | Code::Xabort_imm8)
}
