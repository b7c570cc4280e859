//! Runs cases on `guests/instructions.c`, natively and in rxbox, and compares what becomes of them.
//!
//! A *case* is a piece of code with the general registers, flags and segment bases that it starts with;
//! vector, x87 and opmask registers and the contents of the memory window come from one of a few
//! *environments*. Whatever the code does, a signal included, all of the state behind it must be the same on
//! both sides, bit for bit: also what the manuals leave undefined, since both sides run on the same
//! processor.

use crate::random::Random;
use crate::{Program, Scratch};
use rxbox_translate::decode::{Insn, decode, text};
use rxbox_translate::state::CACHE;
use std::process::Command;
use std::sync::OnceLock;

/// Size of a page, and of each part of an environment.
pub const PAGE: usize = 4096;
/// The window's address below 2 GiB.
pub const LOW_WINDOW: u64 = 0x2000_0000;
/// Where the guest's `case_done` is linked.
const DONE: u64 = 0x60_0000;
/// Bytes of a line, the unit in which the guest reports changes.
const LINE: usize = 64;
/// What stands for instructions that were taken away.
const NOP: u8 = 0x90;
/// Lines of the processor state; those of the window follow.
const STATE_LINES: u64 = (PAGE / LINE) as u64;

/// What lies behind the code of a case: `jmp [rip]`, and where to.
pub fn jump_to_end() -> Vec<u8> {
    [&[0xff, 0x25, 0, 0, 0, 0][..], &DONE.to_le_bytes()].concat()
}

/// Names of the environments, by their index.
pub const ENVIRONMENTS: [&str; 6] =
    ["random bits", "doubles", "floats", "edges", "small integers", "unmasked exceptions"];
/// The environment whose vectors are small integers, for gathers.
pub const SMALL_INTEGERS: usize = 4;

/// Where code lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// First address of the code.
    pub code: u64,
    /// The window's address near the code.
    pub window: u64,
}

/// In reach of the code cache, as a position-dependent program is.
pub const LOW: Placement = Placement { code: 0x3000_0000, window: 0x2f00_0000 };
/// Out of its reach, as shared libraries are.
pub const HIGH: Placement = Placement { code: 0x1234_5600_0000, window: 0x1234_5500_0000 };

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// What is run; its first byte is the entry.
    pub code: Vec<u8>,
    /// General registers in the order of their numbers.
    pub gpr: [u64; 16],
    /// Flags.
    pub flags: u64,
    /// FS base.
    pub fs: u64,
    /// GS base.
    pub gs: u64,
    /// Index of the environment.
    pub environment: usize,
    /// How it is run.
    pub mode: Mode,
}

/// How a case is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Once.
    #[default]
    Cold,
    /// Several times, of which the last counts.
    Warm,
    /// One instruction at a time, by the trap flag: the registers behind each count too.
    Stepped,
}

impl Case {
    /// Its instructions with their offsets; the rest as one piece where there is none.
    fn instructions(&self) -> impl Iterator<Item = (usize, usize, Option<Insn>)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let rest = self.code.get(at..).filter(|rest| !rest.is_empty())?;
            let insn = decode(rest).ok();
            let len = insn.as_ref().map_or(rest.len(), |insn| insn.len.into());
            at += len;
            Some((at - len, len, insn))
        })
    }

    fn addresses_gs(&self) -> bool {
        self.instructions().any(|(.., insn)| insn.is_some_and(|i| i.form.segment == 0x65))
    }
}

/// Registers and memory beside the general registers.
#[derive(Clone, Debug)]
struct Environment {
    state: [u8; PAGE],
    window: [u8; PAGE],
}

/// Cases that share a placement.
#[derive(Debug)]
pub struct Machine {
    placement: Placement,
    environments: Vec<Environment>,
    cases: Vec<(u64, Case)>,
    code: Vec<u8>,
    /// Microseconds between the ticks of a clock, some of which end a case; zero for none.
    tick: u64,
}

/// A case that is not the same on both sides.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Its index.
    pub case: usize,
    /// What differs, native value first.
    pub what: Vec<String>,
}

/// What came of all cases.
struct Compared {
    native: Vec<Outcome>,
    differences: Vec<Difference>,
    status: i32,
    err: String,
}

impl Machine {
    /// Without cases.
    pub fn new(placement: Placement, random: &mut Random) -> Machine {
        let environments = (0..ENVIRONMENTS.len()).map(|n| Environment::new(n, random)).collect();
        Machine { placement, environments, cases: Vec::new(), code: Vec::new(), tick: 0 }
    }

    /// Where its code lies.
    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// Where the next case's code will lie.
    pub fn next(&self) -> u64 {
        self.placement.code + self.code.len() as u64
    }

    /// Adds a case. Behind its code lies a jump to the end.
    pub fn add(&mut self, case: Case) {
        let entry = self.next();
        self.code.extend(&case.code);
        self.code.extend(jump_to_end());
        self.code.resize(self.code.len().next_multiple_of(16), 0xcc);
        self.cases.push((entry, case));
    }

    /// The code of the last case.
    pub fn last(&self) -> &[u8] {
        self.cases.last().map_or(&[], |(_, case)| &case.code)
    }

    /// Changes how the last case is run.
    pub fn set_mode(&mut self, mode: Mode) {
        if let Some((_, case)) = self.cases.last_mut() {
            case.mode = mode;
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// The file that the guest reads.
    fn file(&self) -> Vec<u8> {
        let records = 72 + self.cases.len() * 22 * 8;
        let environments_at = records.next_multiple_of(PAGE);
        let code_at = environments_at + self.environments.len() * 2 * PAGE;
        let mut file = Vec::with_capacity(code_at + self.code.len());
        let mut words = |words: &[u64]| file.extend(words.iter().flat_map(|w| w.to_le_bytes()));
        let Placement { code, window } = self.placement;
        words(&[self.cases.len() as u64, code, code_at as u64, self.code.len() as u64]);
        words(&[window, LOW_WINDOW, environments_at as u64, self.environments.len() as u64, self.tick]);
        for (entry, case) in &self.cases {
            words(&case.gpr);
            words(&[case.flags, *entry, case.fs, case.gs, case.environment as u64, case.mode as u64]);
        }
        file.resize(environments_at, 0);
        for environment in &self.environments {
            file.extend(environment.state);
            file.extend(environment.window);
        }
        file.extend(&self.code);
        file
    }

    /// Ends cases that do not end by themselves.
    pub fn bounded(mut self) -> Machine {
        self.tick = 25_000;
        self
    }

    /// A machine with the same environments and code, and this one of its cases.
    pub fn alone(&self, case: usize) -> Machine {
        let cases = vec![self.cases[case].clone()];
        let (environments, code) = (self.environments.clone(), self.code.clone());
        Machine { cases, environments, code, tick: 10 * self.tick, ..*self }
    }

    /// Replaces a piece of a case's code by instructions that do nothing.
    pub fn without(&self, case: usize, piece: std::ops::Range<usize>) -> Machine {
        let mut machine = Machine {
            cases: self.cases.clone(),
            environments: self.environments.clone(),
            code: self.code.clone(),
            ..*self
        };
        let (entry, case) = &mut machine.cases[case];
        let at = (*entry - self.placement.code) as usize;
        case.code[piece.clone()].fill(NOP);
        machine.code[at + piece.start..at + piece.end].fill(NOP);
        machine
    }

    /// A case.
    pub fn case(&self, case: usize) -> &Case {
        &self.cases[case].1
    }

    /// The address of a case's code.
    pub fn entry(&self, case: usize) -> u64 {
        self.cases[case].0
    }

    /// Runs all cases both ways and gives those that differ. Where one side ends before the last case, that
    /// is the last difference.
    ///
    /// # Panics
    /// If they cannot be run.
    pub fn differences(&self) -> Vec<Difference> {
        self.run().differences
    }

    fn run(&self) -> Compared {
        let scratch = Scratch::new("instructions");
        let folder = scratch.path().join("w");
        std::fs::create_dir(&folder).unwrap();
        let cases = scratch.file("cases", self.file()).to_string_lossy().into_owned();
        let program = Program::new(&folder, &[guest(), &cases]);
        let (native, boxed) = (program.native(), program.boxed("permissive"));
        let (theirs, ours) = (outcomes(&native.stdout), outcomes(&boxed.stdout));
        let mut differences = Vec::new();
        for i in 0..theirs.len().max(ours.len()) {
            let what = match (theirs.get(i), ours.get(i)) {
                // To the translator, an instruction that the processor lacks is one that cannot fault: values
                // that a later one replaces may be gone.
                (Some(theirs), Some(ours)) if theirs.lacking() && ours.lacking() => vec![],
                // Where a clock ends it is chance, and whether it does if there are many steps.
                (Some(theirs), Some(ours)) if theirs.runs_long() && ours.runs_long() => vec![],
                // Natively nothing lies there; in rxbox its own memory and the guest's libraries may.
                (Some(theirs), Some(_)) if theirs.faults_low() => vec![],
                (Some(theirs), Some(ours)) => self.unlike(theirs, ours),
                (Some(_), None) => vec![format!("rxbox ended with status {}: {}", boxed.status, boxed.err())],
                _ => vec![format!("natively it ended with status {}", native.status)],
            };
            if !what.is_empty() {
                differences.push(Difference { case: i, what });
            }
            if i >= theirs.len().min(ours.len()) {
                break;
            }
        }
        Compared { native: theirs, differences, status: boxed.status, err: boxed.err() }
    }

    /// Runs all cases both ways and compares.
    ///
    /// # Panics
    /// If any case differs, with what differs of the first ones; if less than `share` percent of the cases
    /// whose instructions the processor has end without a signal, or it has those of less than a tenth, since
    /// then the test would show little.
    pub fn compare(&self, share: usize) {
        let Compared { native, differences, status, err } = self.run();
        assert_eq!(native.len(), self.cases.len(), "cases run natively");
        let ended = native.iter().filter(|o| o.signal() == 0).count();
        let had = native.iter().filter(|o| !o.lacking()).count();
        println!(
            "{} cases, {had} of instructions that the processor has, {ended} without a signal",
            native.len()
        );
        let shown: Vec<String> = differences.iter().take(limit()).map(|d| self.shown(d)).collect();
        let wrong = differences.len();
        assert!(wrong == 0, "{wrong} of {} cases differ:\n{}", native.len(), shown.join("\n"));
        assert_eq!(status, 0, "{err}");
        assert!(ended * 100 >= had * share, "only {ended} of {had} without a signal");
        assert!(had * 10 >= native.len(), "the processor lacks the instructions of all but {had}");
    }

    /// A difference as text.
    pub fn shown(&self, difference: &Difference) -> String {
        format!("{}\n    {}", self.describe(difference.case), difference.what.join("\n    "))
    }

    fn describe(&self, i: usize) -> String {
        let (entry, case) = &self.cases[i];
        let mut out = format!("case {i} at {entry:#x}, {}, {:?}:", ENVIRONMENTS[case.environment], case.mode);
        for (at, len, _) in case.instructions() {
            let bytes = &case.code[at..];
            if bytes[0] == NOP {
                continue;
            }
            out += &format!("\n  {:02x?} {}", &bytes[..len], text(bytes, entry + at as u64));
        }
        out
    }

    /// What differs, native value first.
    fn unlike(&self, theirs: &Outcome, ours: &Outcome) -> Vec<String> {
        let number = theirs.words[0] as u32 as usize;
        let case = &self.cases[number].1;
        let environment = &self.environments[case.environment];
        // The x87 data pointer is an offset in the segment, but where rxbox computes the address of a gs
        // operand its linear address.
        let fdp = if case.addresses_gs() { 16..24 } else { 0..0 };
        // An instruction pointer that the program has loaded may happen to lie where the code cache may be.
        const FIP: usize = 8;
        let first = theirs.line(0, environment);
        let loaded = CACHE.contains(&u64::from_le_bytes(std::array::from_fn(|i| first[FIP + i])));
        let fip = if loaded { FIP..FIP + 8 } else { 0..0 };
        let mut out = Vec::new();
        for (i, (a, b)) in theirs.words.iter().zip(&ours.words).take(WORDS - 1).enumerate() {
            if a != b {
                let name = if i == 0 { "number and signal".into() } else { word_name(i) };
                out.push(format!("{name}: {a:#x}, rxbox {b:#x}"));
            }
        }
        for index in 0..2 * STATE_LINES {
            let (mut a, mut b) = (theirs.line(index, environment), ours.line(index, environment));
            if index == 0 {
                a[fdp.clone()].fill(0);
                b[fdp.clone()].fill(0);
                a[fip.clone()].fill(0);
                b[fip.clone()].fill(0);
            }
            if a != b {
                let at = index as usize * LINE % PAGE;
                let part = if index < STATE_LINES { "state" } else { "window" };
                out.push(format!("{part} at {at}:\n      {a:02x?}\n      {b:02x?}"));
            }
        }
        out
    }
}

/// How many differing cases are shown.
fn limit() -> usize {
    std::env::var("RXBOX_SHOW").ok().and_then(|s| s.parse().ok()).unwrap_or(12)
}

/// Path of the guest, compiled.
fn guest() -> &'static str {
    static GUEST: OnceLock<(Scratch, String)> = OnceLock::new();
    &GUEST
        .get_or_init(|| {
            let scratch = Scratch::new("instructions-guest");
            let path = scratch.path().join("guest").to_string_lossy().into_owned();
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/guests/instructions.c");
            let flags = "-O1 -Wall -ffreestanding -nostdlib -static -no-pie -fno-stack-protector \
                -mgeneral-regs-only \
                -fcf-protection=none -fno-tree-loop-distribute-patterns";
            let mut gcc = Command::new("gcc");
            gcc.args(flags.split_whitespace()).arg(format!("-Wl,--section-start=.done={DONE:#x}"));
            let built = gcc.args(["-o", &path, source]).status().unwrap();
            assert!(built.success(), "the guest does not compile");
            (scratch, path)
        })
        .1
}

/// Words of a result, the last of which counts the lines that follow.
const WORDS: usize = 29;

fn word_name(i: usize) -> String {
    const REGISTERS: [&str; 16] = [
        "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
        "r14", "r15",
    ];
    const OTHERS: [&str; 11] = [
        "rflags",
        "FS base",
        "GS base",
        "signal's rip",
        "si_code",
        "si_addr",
        "trap",
        "error",
        "cr2",
        "steps",
        "registers on the way",
    ];
    REGISTERS.iter().chain(&OTHERS).nth(i - 1).map_or_else(String::new, ToString::to_string)
}

/// What has become of a case.
struct Outcome {
    words: [u64; WORDS],
    lines: Vec<(u64, [u8; LINE])>,
}

impl Outcome {
    fn signal(&self) -> u64 {
        self.words[0] >> 32
    }

    /// Whether it ended by an access to the low addresses that are the code cache's and of images.
    fn faults_low(&self) -> bool {
        const ADDRESS: usize = 22;
        self.signal() == libc::SIGSEGV as u64 && (0x5000_0000..CACHE.end).contains(&self.words[ADDRESS])
    }

    /// Whether a clock has ended it, or it may have.
    fn runs_long(&self) -> bool {
        const MANY_STEPS: u64 = 100;
        self.signal() == libc::SIGALRM as u64 || self.words[WORDS - 3] > MANY_STEPS
    }

    /// Whether the code raised SIGILL; it has none of the instructions that always do.
    fn lacking(&self) -> bool {
        self.signal() == libc::SIGILL as u64
    }

    /// A line of processor state or window, without what legitimately differs: how the last x87 opcode names
    /// its memory operand, which may have been rewritten; and which parts of the vector state count as in
    /// use.
    fn line(&self, index: u64, environment: &Environment) -> [u8; LINE] {
        const FOP: usize = 6;
        const HEADER: u64 = 512 / LINE as u64;
        let of = if index < STATE_LINES { &environment.state } else { &environment.window };
        let at = index as usize * LINE % PAGE;
        let reported = self.lines.iter().find(|(i, _)| *i == index).map(|(_, line)| *line);
        let mut line = reported.unwrap_or_else(|| *of[at..].first_chunk().unwrap());
        match index {
            0 => line[FOP] &= 0x38,
            HEADER => line[..8].fill(0),
            _ => {}
        }
        line
    }
}

/// Reads the guest's output as far as it is whole.
fn outcomes(mut bytes: &[u8]) -> Vec<Outcome> {
    let mut out = Vec::new();
    while let Some((outcome, rest)) = outcome(bytes) {
        out.push(outcome);
        bytes = rest;
    }
    out
}

fn outcome(bytes: &[u8]) -> Option<(Outcome, &[u8])> {
    let word = |bytes: &[u8]| bytes.first_chunk().map(|b| u64::from_le_bytes(*b));
    let mut words = [0; WORDS];
    for (i, w) in words.iter_mut().enumerate() {
        *w = word(bytes.get(i * 8..)?)?;
    }
    let mut rest = &bytes[WORDS * 8..];
    let mut lines = Vec::new();
    for _ in 0..words[WORDS - 1] {
        let line = *rest.get(8..)?.first_chunk()?;
        lines.push((word(rest)?, line));
        rest = &rest[8 + LINE..];
    }
    Some((Outcome { words, lines }, rest))
}

impl Environment {
    fn new(kind: usize, random: &mut Random) -> Environment {
        let mut e = Environment { state: [0; PAGE], window: [0; PAGE] };
        for part in [&mut e.state, &mut e.window] {
            part.as_chunks_mut().0.iter_mut().for_each(|word| *word = element(kind, random).to_le_bytes());
        }
        e.legacy(kind == ENVIRONMENTS.len() - 1, random);
        // Header of the save area: what the processor has of x87, SSE, AVX and AVX-512; not compacted.
        e.state[512..576].fill(0);
        e.state[512] = 0xe7;
        e
    }

    /// The x87 part: registers with all exponents, any stack top and rounding mode.
    fn legacy(&mut self, unmasked: bool, random: &mut Random) {
        let rounding = (random.below(4) as u16) << 10;
        let (fcw, mxcsr) = if unmasked { (0x340, 0x1000) } else { (0x37f, 0x1f80) };
        self.state[0..2].copy_from_slice(&(fcw | rounding).to_le_bytes());
        self.state[2..4].copy_from_slice(&((random.below(8) as u16) << 11).to_le_bytes());
        self.state[4] = random.byte();
        self.state[5..24].fill(0);
        self.state[24..28].copy_from_slice(&(mxcsr | u32::from(rounding) << 3).to_le_bytes());
        self.state[28..32].fill(0);
        for (i, st) in self.state[32..160].as_chunks_mut::<16>().0.iter_mut().enumerate() {
            let mantissa = random.next() | 1 << 63;
            let exponent = if i & 1 == 0 { 0x3fff - 4 + random.below(8) } else { random.below(0x10000) };
            st[..8].copy_from_slice(&mantissa.to_le_bytes());
            st[8..10].copy_from_slice(&(exponent as u16).to_le_bytes());
            st[10..].fill(0);
        }
        // Where the processor keeps nothing.
        self.state[416..512].fill(0);
    }
}

/// Eight bytes of vector or memory contents.
fn element(kind: usize, random: &mut Random) -> u64 {
    let float = |r: &mut Random| ((r.below(2001) as f32 - 1000.0) / 8.0).to_bits();
    match ENVIRONMENTS[kind] {
        "doubles" => ((random.below(20001) as f64 - 10000.0) / 16.0).to_bits(),
        "floats" => u64::from(float(random)) << 32 | u64::from(float(random)),
        "edges" => random.pick(&[
            0,
            1 << 63,
            1,
            u64::MAX,
            0x7ff0_0000_0000_0000,
            0xfff0_0000_0000_0000,
            0x7ff8_0000_0000_0000,
            0x7ff0_0000_0000_0001,
            0x3ff0_0000_0000_0000,
            0x7f80_0000_ff80_0000,
            0x7fc0_0000_0000_0001,
            0x7fef_ffff_ffff_ffff,
            0x0010_0000_0000_0000,
        ]),
        "small integers" => u64::from(random.byte()),
        "unmasked exceptions" if random.one_in(2) => 0,
        _ => random.next(),
    }
}
